package accountpages

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/tokens"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
)

// apiToken is JupyterHub's model of an API token.
type apiToken struct {
	User         string     `json:"user"`
	ID           string     `json:"id"`
	Kind         string     `json:"kind"`
	Note         string     `json:"note"`
	Roles        []string   `json:"roles"` // there are none here
	Scopes       []string   `json:"scopes"`
	Created      time.Time  `json:"created"`
	ExpiresAt    time.Time  `json:"expires_at"`
	LastActivity *time.Time `json:"last_activity"`
	SessionID    *string    `json:"session_id"` // no token depends on a session
	OAuthClient  string     `json:"oauth_client"`
	Token        string     `json:"token,omitempty"` // in the answer that made it only
}

func model(user string, t account.Token) apiToken {
	m := apiToken{
		User: user, ID: t.ID, Kind: "api_token", Note: t.Note, Roles: []string{}, Scopes: t.Scopes, Created: t.Created, ExpiresAt: t.Expires,
		OAuthClient: "JupyterHub",
	}
	if !t.LastUsed.IsZero() {
		m.LastActivity = &t.LastUsed
	}
	return m
}

// may returns nil if the caller may do action to user.
func may(v caller.Caller, action access.Action, user string) error {
	if access.May(v.User, action, access.Target{User: user, WholeUser: true}, v.Grants()) {
		return nil
	}
	return errForeign
}

func (p *Pages) apiList(w http.ResponseWriter, r *http.Request, v caller.Caller) error {
	user := r.PathValue("user")
	if err := may(v, access.Tokens, user); err != nil {
		return err
	}
	all := []apiToken{}
	for _, t := range p.keeper.Tokens(user) {
		all = append(all, model(user, t))
	}
	web.JSON(w, http.StatusOK, map[string]any{"api_tokens": all})
	return nil
}

func (p *Pages) apiOne(w http.ResponseWriter, r *http.Request, v caller.Caller) error {
	user := r.PathValue("user")
	if err := may(v, access.Tokens, user); err != nil {
		return err
	}
	for _, t := range p.keeper.Tokens(user) {
		if t.ID == r.PathValue("id") {
			web.JSON(w, http.StatusOK, model(user, t))
			return nil
		}
	}
	return errNotFound
}

// apiMake makes a token of the caller's own. Not even an administrator makes one in
// another's name: its holder acts as its owner (S13).
func (p *Pages) apiMake(w http.ResponseWriter, r *http.Request, v caller.Caller) error {
	if err := may(v, access.MakeTokens, r.PathValue("user")); err != nil {
		return err
	}
	want, err := readWanted(r)
	if err != nil {
		return err
	}
	token, made, err := p.make(r.Context(), v, want)
	if err != nil {
		return err
	}
	m := model(v.Name, made)
	m.Token = token
	web.JSON(w, http.StatusCreated, m)
	return nil
}

// readWanted reads JupyterHub's request. Without expires_in a token gets the longest
// life there is; without scopes, all that its owner may do.
func readWanted(r *http.Request) (wanted, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return wanted{}, badRequest("the body cannot be read")
	}
	var in struct {
		Note      string   `json:"note"`
		ExpiresIn *int64   `json:"expires_in"` // seconds
		Scopes    []string `json:"scopes"`
		Roles     []string `json:"roles"`
	}
	if len(body) > 0 {
		// A form of another site can send text/plain without asking; never JSON (S9).
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			return wanted{}, badRequest("the body must be application/json")
		}
		// null would be a token for everything.
		if err := json.Unmarshal(body, &in); err != nil || string(bytes.TrimSpace(body)) == "null" {
			return wanted{}, badRequest("the body must be a JSON object")
		}
	}
	if len(in.Roles) > 0 {
		return wanted{}, badRequest("there are no roles here; ask for scopes")
	}
	out := wanted{note: in.Note, scopes: in.Scopes, life: tokens.MaxLifetime}
	if len(out.scopes) == 0 {
		out.scopes = []string{"inherit"}
	}
	if in.ExpiresIn != nil {
		if *in.ExpiresIn <= 0 || *in.ExpiresIn > int64(tokens.MaxLifetime/time.Second) {
			return wanted{}, badRequest("expires_in must be between 1 and 7776000 seconds")
		}
		out.life = time.Duration(*in.ExpiresIn) * time.Second
	}
	return out, nil
}

func (p *Pages) apiRevoke(w http.ResponseWriter, r *http.Request, v caller.Caller) error {
	user := r.PathValue("user")
	if err := may(v, access.Tokens, user); err != nil {
		return err
	}
	if err := p.revoke(r.Context(), v, user, r.PathValue("id")); err != nil {
		if !errors.Is(err, errNotFound) {
			p.Log.WarnContext(r.Context(), "a revoked API token is refused here but perhaps not elsewhere yet", "owner", telemetry.UserText(user), "error", err)
		}
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
