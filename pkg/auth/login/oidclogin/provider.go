package oidclogin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"github.com/perijove/perijove/pkg/auth/once"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/run/config"
	"github.com/perijove/perijove/pkg/server/access"
)

const (
	// knownFor is how long a discovery document is used; when it cannot be had again,
	// the old one is kept and asked for again after retryAfter.
	knownFor   = time.Hour
	retryAfter = time.Minute
	// maxAtOnce bounds the logins that wait for one provider, so that a slow one ties up a
	// bounded number of connections, and none of another's (R13).
	maxAtOnce = 32
	// maxQueue bounds those that wait for their turn.
	maxQueue = 500
	// maxStates bounds the used states, and the ids of logout tokens, that are remembered. One
	// that is forgotten does little: the provider takes a code once, and a logout message ends
	// sessions from before it only.
	maxStates = 100_000
)

// Provider logs people in with one provider. It is safe for concurrent use. Nothing is
// asked of the provider before the first login needs it.
type Provider struct {
	cfg   Config
	boxes *session.Ring
	now   func() time.Time
	// States of logins and ids of logout tokens that were used. Any client can fill the first.
	states, logouts *once.Set
	slots           chan struct{} // logins that ask the provider
	queue           chan struct{} // logins that do or wait for it

	callTimeout, wholeTimeout time.Duration

	flight singleflight.Group
	mu     sync.Mutex
	known  *known
	fresh  time.Time // known is good until then
}

// known is what discovery found out. It is never changed.
type known struct {
	metadata
	client   *http.Client
	endpoint oauth2.Endpoint
	verifier *oidc.IDTokenVerifier
}

// metadata is the part of the discovery document (Discovery §3, RFC 9207 §3, RP-Initiated
// Logout §2.1) that is read here.
type metadata struct {
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Keys          string   `json:"jwks_uri"`
	UserInfo      string   `json:"userinfo_endpoint"`
	EndSession    string   `json:"end_session_endpoint"`
	TokenAuth     []string `json:"token_endpoint_auth_methods_supported"`
	Signatures    []string `json:"id_token_signing_alg_values_supported"`
	SendsIssuer   bool     `json:"authorization_response_iss_parameter_supported"`
}

// New returns a Provider; cfg has passed Validate. boxes seals what the browser carries
// and what is stored, now is the clock.
func New(cfg Config, boxes *session.Ring, now func() time.Time) *Provider {
	return &Provider{
		cfg: cfg, boxes: boxes, now: now, states: once.New(once.Limits{All: maxStates}), logouts: once.New(once.Limits{All: maxStates}),
		slots: make(chan struct{}, maxAtOnce), queue: make(chan struct{}, maxQueue),
		callTimeout: CallTimeout, wholeTimeout: WholeTimeout,
	}
}

// ID is the provider's id, Name the name on its button, Issuer its address.
func (p *Provider) ID() string     { return p.cfg.ID }
func (p *Provider) Name() string   { return p.cfg.Name }
func (p *Provider) Issuer() string { return p.cfg.Issuer }

// discover returns what is known of the provider, asking it when necessary. Logins that
// come at one time share one request. Errors wrap access.ErrUnavailable.
func (p *Provider) discover(ctx context.Context) (*known, error) {
	p.mu.Lock()
	k, fresh := p.known, p.now().Before(p.fresh)
	p.mu.Unlock()
	if k != nil && fresh {
		return k, nil
	}
	done := p.flight.DoChan("", func() (any, error) {
		// Its own time: who gives up waiting must not fail the others.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.callTimeout)
		defer cancel()
		found, err := p.ask(ctx)
		p.mu.Lock()
		defer p.mu.Unlock()
		if err == nil {
			p.known, p.fresh = found, p.now().Add(knownFor)
		} else if p.known != nil {
			p.fresh = p.now().Add(retryAfter)
		}
		return p.known, err
	})
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: discovery: %w", access.ErrUnavailable, ctx.Err())
	case result := <-done:
		if k, _ := result.Val.(*known); k != nil {
			return k, nil
		}
		return nil, fmt.Errorf("%w: discovery: %w", access.ErrUnavailable, result.Err)
	}
}

func (p *Provider) ask(ctx context.Context) (*known, error) {
	client, err := p.newClient()
	if err != nil {
		return nil, err
	}
	// The library compares the document's issuer with ours (O7).
	found, err := oidc.NewProvider(oidc.ClientContext(ctx, client), p.cfg.Issuer)
	if err != nil {
		return nil, quiet(err)
	}
	k := &known{client: client}
	if err := found.Claims(&k.metadata); err != nil {
		return nil, fmt.Errorf("read the discovery document: %w", err)
	}
	for what, address := range map[string]string{"authorization_endpoint": k.Authorization, "token_endpoint": k.Token, "jwks_uri": k.Keys} {
		if err := p.checkAddress(address); err != nil {
			return nil, fmt.Errorf("discovery document: %s: %w", what, err)
		}
	}
	k.endpoint = oauth2.Endpoint{AuthURL: k.Authorization, TokenURL: k.Token, AuthStyle: authStyle(k.TokenAuth)}
	keyClient := *client
	keyClient.Transport = &keyCache{next: client.Transport, now: p.now}
	keys := oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), &keyClient), k.Keys)
	k.verifier = oidc.NewVerifier(p.cfg.Issuer, keySet{keys}, &oidc.Config{
		ClientID: p.cfg.ClientID, SupportedSigningAlgs: signatures(k.Signatures),
		SkipExpiryCheck: true, // checkTimes does it, with the same skew in both directions
	})
	return k, nil
}

func (p *Provider) checkAddress(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.User != nil || u.Fragment != "" || !p.allowed(u) {
		return fmt.Errorf("%.100q is no https address", address)
	}
	return nil
}

// signatures is what both sides accept. A provider that names nothing of ours gets our
// list, and its tokens fail by it.
func signatures(theirs []string) []string {
	ours := algorithms()
	both := slices.DeleteFunc(algorithms(), func(a string) bool { return !slices.Contains(theirs, a) })
	if len(both) == 0 {
		return ours
	}
	return both
}

// authStyle chooses how to show the client's secret; without a word from the provider it
// is HTTP Basic (Discovery §3). Trying both would show a code twice.
func authStyle(methods []string) oauth2.AuthStyle {
	if len(methods) > 0 && !slices.Contains(methods, "client_secret_basic") {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}

// oauth returns the client of the provider for one login. The secret is read each time,
// so that a renewed one needs no restart.
func (p *Provider) oauth(k *known, redirect string) (*oauth2.Config, error) {
	secret, err := config.SecretFile(p.cfg.ClientSecretFile, 1)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", access.ErrUnavailable, err)
	}
	return &oauth2.Config{
		ClientID: p.cfg.ClientID, ClientSecret: string(secret), Endpoint: k.endpoint, RedirectURL: redirect, Scopes: p.scopes(),
	}, nil
}

func (p *Provider) scopes() []string {
	return append([]string{oidc.ScopeOpenID}, slices.DeleteFunc(slices.Clone(p.cfg.Scopes), func(s string) bool { return s == oidc.ScopeOpenID })...)
}
