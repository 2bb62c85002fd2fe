// Package hostileop is an OpenID Connect provider for tests. As it starts it is honest:
// it approves every login, checks PKCE, takes a code once and signs what it should. Each
// of its switches makes it lie in one place.
package hostileop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// What the client of the provider has to know.
const (
	ClientID     = "perijove"
	ClientSecret = "hostile-client-secret"
	// SID is the provider's session id in every ID token.
	SID = "provider-session-1"
)

// Switches say where it lies. Functions change what the honest provider would send.
type Switches struct {
	Discovery   func(map[string]any)
	Redirect    func(url.Values)         // parameters that the browser brings back
	Claims      func(map[string]any)     // of the ID token
	Token       func(raw string) string  // the signed ID token
	Answer      func(map[string]any)     // of the token endpoint
	UserInfo    func(map[string]any)     // of the user info
	Instead     http.HandlerFunc         // answers requests that InsteadOf names
	InsteadOf   func(*http.Request) bool //
	RefuseToken string                   // error code of the token endpoint
	NoRefresh   bool                     // no refresh token in answers
}

// OP is one provider.
type OP struct {
	tb     testing.TB
	server *httptest.Server
	now    func() time.Time
	RSA    *rsa.PrivateKey   // key "rsa" of the key set
	EC     *ecdsa.PrivateKey // key "ec" of the key set

	mu       sync.Mutex
	switches Switches
	person   map[string]any // claims of whoever logs in
	codes    map[string]grant
	refresh  map[string]string // living refresh token to the nonce of its login
	asked    map[string]int    // requests by path
	seen     []url.Values      // forms that the token endpoint got
}

type grant struct{ nonce, challenge, redirect string }

// Start returns a provider that logs everybody in as alice. now is its clock.
func Start(tb testing.TB, now func() time.Time) *OP {
	tb.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	o := &OP{
		tb: tb, now: now, RSA: rsaKey, EC: ecKey, codes: map[string]grant{}, refresh: map[string]string{}, asked: map[string]int{},
		person: map[string]any{
			"sub": "subject-of-alice", "preferred_username": "alice", "name": "Alice Adams", "email": "alice@example.org",
			"email_verified": true, "groups": []string{"students"},
		},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", o.discovery)
	mux.HandleFunc("GET /authorize", o.authorize)
	mux.HandleFunc("POST /token", o.token)
	mux.HandleFunc("GET /userinfo", o.userInfo)
	mux.HandleFunc("GET /keys", o.keys)
	o.server = httptest.NewTLSServer(o.count(mux))
	tb.Cleanup(o.server.Close)
	return o
}

// Issuer is the provider's address.
func (o *OP) Issuer() string { return o.server.URL }

// Client trusts the provider and follows no redirect.
func (o *OP) Client() *http.Client {
	c := *o.server.Client()
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// Files writes the client's secret and the provider's CA, for a configuration.
func (o *OP) Files() (secretFile, caFile string) {
	o.tb.Helper()
	dir := o.tb.TempDir()
	secretFile, caFile = filepath.Join(dir, "secret"), filepath.Join(dir, "ca.crt")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: o.server.Certificate().Raw})
	for path, data := range map[string][]byte{secretFile: []byte(ClientSecret + "\n"), caFile: ca} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			o.tb.Fatal(err)
		}
	}
	return secretFile, caFile
}

// Lie replaces all switches; the zero value is honest.
func (o *OP) Lie(s Switches) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.switches = s
}

// Person changes who logs in from now on.
func (o *OP) Person(change map[string]any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.person = maps.Clone(o.person)
	maps.Copy(o.person, change)
}

// Asked is how often a path was requested, whatever was answered.
func (o *OP) Asked(path string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked[path]
}

// Forms are what the token endpoint got, without codes and secrets being taken out.
func (o *OP) Forms() []url.Values {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seen
}

// Revoke makes every refresh token invalid.
func (o *OP) Revoke() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.refresh)
}

// Sign signs claims with the key of the key set named kid ("rsa", "ec"), honestly.
func (o *OP) Sign(kid string, claims map[string]any, header map[string]any) string {
	key, alg := any(o.RSA), jose.RS256
	if kid == "ec" {
		key, alg = o.EC, jose.ES256
	}
	return o.SignWith(alg, key, kid, claims, header)
}

// SignWith signs claims with any key under any key id; header is added.
func (o *OP) SignWith(alg jose.SignatureAlgorithm, key any, kid string, claims any, header map[string]any) string {
	options := (&jose.SignerOptions{}).WithHeader("kid", kid)
	for name, value := range header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		o.tb.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		o.tb.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		o.tb.Fatal(err)
	}
	raw, err := signed.CompactSerialize()
	if err != nil {
		o.tb.Fatal(err)
	}
	return raw
}

// LogoutClaims are those of an honest logout message for the session of every login.
func (o *OP) LogoutClaims() map[string]any {
	return map[string]any{
		"iss": o.Issuer(), "aud": ClientID, "iat": o.now().Unix(), "exp": o.now().Add(2 * time.Minute).Unix(), "jti": rand.Text(),
		"sub": "subject-of-alice", "sid": SID, "events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
}

func (o *OP) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		o.asked[r.URL.Path]++
		s := o.switches
		o.mu.Unlock()
		if s.Instead != nil && (s.InsteadOf == nil || s.InsteadOf(r)) {
			s.Instead(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (o *OP) discovery(w http.ResponseWriter, _ *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	doc := map[string]any{
		"issuer": o.server.URL, "authorization_endpoint": o.server.URL + "/authorize", "token_endpoint": o.server.URL + "/token",
		"jwks_uri": o.server.URL + "/keys", "userinfo_endpoint": o.server.URL + "/userinfo", "end_session_endpoint": o.server.URL + "/end",
		"id_token_signing_alg_values_supported": []string{"RS256", "ES256"}, "response_types_supported": []string{"code"},
		"authorization_response_iss_parameter_supported": true,
	}
	if o.switches.Discovery != nil {
		o.switches.Discovery(doc)
	}
	reply(w, http.StatusOK, doc)
}

// authorize approves at once.
func (o *OP) authorize(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := r.URL.Query()
	if q.Get("client_id") != ClientID || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || q.Get("nonce") == "" || q.Get("state") == "" {
		http.Error(w, "not a request of an honest client", http.StatusBadRequest)
		return
	}
	code := rand.Text()
	o.codes[code] = grant{q.Get("nonce"), q.Get("code_challenge"), q.Get("redirect_uri")}
	back := url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {o.server.URL}}
	if o.switches.Redirect != nil {
		o.switches.Redirect(back)
	}
	w.Header().Set("Location", q.Get("redirect_uri")+"?"+back.Encode())
	w.WriteHeader(http.StatusFound)
}

func (o *OP) token(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_ = r.ParseForm()
	o.seen = append(o.seen, r.PostForm)
	id, secret, _ := r.BasicAuth()
	if id == "" {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	nonce, problem := "", o.switches.RefuseToken // refused so, a code or refresh token is not used up
	switch {
	case problem != "":
	case id != ClientID || secret != ClientSecret:
		problem = "invalid_client"
	default:
		nonce, problem = o.redeem(r.PostForm)
	}
	if problem != "" {
		// An echo of the secret, as a careless provider might.
		reply(w, http.StatusBadRequest, map[string]any{"error": problem, "error_description": "secret " + secret + " code " + r.PostForm.Get("code")})
		return
	}
	answer := map[string]any{"access_token": "access-" + rand.Text(), "token_type": "Bearer", "expires_in": 300, "id_token": o.idToken(nonce)}
	if !o.switches.NoRefresh {
		refresh := "refresh-" + rand.Text()
		o.refresh[refresh] = nonce
		answer["refresh_token"] = refresh
	}
	if o.switches.Answer != nil {
		o.switches.Answer(answer)
	}
	reply(w, http.StatusOK, answer)
}

// redeem takes a code or a refresh token once.
func (o *OP) redeem(form url.Values) (nonce, problem string) {
	if form.Get("grant_type") == "refresh_token" {
		nonce, ok := o.refresh[form.Get("refresh_token")]
		delete(o.refresh, form.Get("refresh_token"))
		if !ok {
			return "", "invalid_grant"
		}
		return nonce, ""
	}
	g, ok := o.codes[form.Get("code")]
	delete(o.codes, form.Get("code"))
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	if !ok || base64.RawURLEncoding.EncodeToString(sum[:]) != g.challenge || form.Get("redirect_uri") != g.redirect {
		return "", "invalid_grant"
	}
	return g.nonce, ""
}

func (o *OP) idToken(nonce string) string {
	claims := maps.Clone(o.person)
	maps.Copy(claims, map[string]any{
		"iss": o.server.URL, "aud": ClientID, "iat": o.now().Unix(), "exp": o.now().Add(5 * time.Minute).Unix(), "nonce": nonce, "sid": SID,
	})
	if o.switches.Claims != nil {
		o.switches.Claims(claims)
	}
	raw := o.Sign("rsa", claims, nil)
	if o.switches.Token != nil {
		raw = o.switches.Token(raw)
	}
	return raw
}

func (o *OP) userInfo(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(r.Header.Get("Authorization")) < len("Bearer access-") {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	info := maps.Clone(o.person)
	if o.switches.UserInfo != nil {
		o.switches.UserInfo(info)
	}
	reply(w, http.StatusOK, info)
}

func (o *OP) keys(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: o.RSA.Public(), KeyID: "rsa", Use: "sig"}, {Key: o.EC.Public(), KeyID: "ec", Use: "sig"},
	}})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client went away
}
