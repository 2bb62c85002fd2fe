package hub

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/openapi"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
)

// jupyterHubVersion is the JupyterHub version whose REST paths these are.
const jupyterHubVersion = "5.5.1"

func (h *Hub) apiVersion(w http.ResponseWriter, _ *http.Request, _ caller.Caller) error {
	web.JSON(w, http.StatusOK, map[string]string{"version": jupyterHubVersion})
	return nil
}

// apiOpenAPI answers the description of the whole API, which is the same for all.
func (h *Hub) apiOpenAPI(w http.ResponseWriter, _ *http.Request, _ caller.Caller) error {
	text, err := openapi.Document(contract.Endpoints(), jupyterHubVersion)
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusOK, json.RawMessage(text))
	return nil
}

// apiStart starts a server: 202 while it starts, 400 if it runs already, 503 if it runs and the
// gateway refuses its route.
func (h *Hub) apiStart(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	id, err := target(r, who)
	if err != nil {
		return err
	}
	owner, err := starter(id, who)
	if err != nil {
		return err
	}
	want, err := readWish(r)
	if err != nil {
		return err
	}
	s, err := h.cluster.Get(r.Context(), id)
	if err != nil {
		return err
	}
	if s.Phase == spawn.Answering {
		if _, refused := asProblem(h.reach(r.Context(), s)); refused {
			return errRefused
		}
		return badRequest{http.StatusBadRequest, id.String() + " is already running"}
	}
	if err := h.start(r.Context(), spawn.Request{ID: id, Owner: owner, Options: want.options, DisplayName: want.display}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// readJSON reads a body that must be JSON or empty.
func readJSON(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		var tooBig *http.MaxBytesError
		if errors.As(err, &tooBig) {
			return nil, badRequest{http.StatusRequestEntityTooLarge, "the body is too large"}
		}
		return nil, badRequest{http.StatusBadRequest, "the body cannot be read"}
	}
	// A form of another site can send text/plain without asking; never JSON (S9).
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); len(body) > 0 && (err != nil || kind != "application/json") {
		return nil, badRequest{http.StatusUnsupportedMediaType, "the body must be application/json"}
	}
	return body, nil
}

// decode reads a body into a value, which an empty body leaves as it is. like is what callers are
// told to send.
func decode(r *http.Request, into any, like string) error {
	body, err := readJSON(r)
	if err != nil || len(body) == 0 {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return badRequest{http.StatusBadRequest, "the body must be " + like + " or empty"}
	}
	return nil
}

// wish is what a body says of a server that is to be started.
type wish struct {
	options spawn.Options
	display string // what the user calls the server; "" leaves that as it is
}

// readWish reads the body of a start: JupyterHub's user_options as they are, or, as since 6.0, an
// object with the keys user_options and display_name.
func readWish(r *http.Request) (wish, error) {
	body, err := readJSON(r)
	if err != nil {
		return wish{}, err
	}
	var whole struct {
		Options json.RawMessage `json:"user_options"`
		Display string          `json:"display_name"`
	}
	strict := json.NewDecoder(bytes.NewReader(body))
	strict.DisallowUnknownFields()
	if strict.Decode(&whole) == nil && !strict.More() {
		body = whole.Options
	} else {
		whole.Display = ""
	}
	w := wish{display: strings.TrimSpace(whole.Display)}
	if w.display != "" && server.ValidDisplay(w.display) != nil {
		return wish{}, badRequest{http.StatusBadRequest, "the display name is not one"}
	}
	if string(body) == "null" {
		body = nil
	}
	if w.options, err = spawn.ParseOptions(body); err != nil {
		return wish{}, badRequest{http.StatusBadRequest, err.Error()}
	}
	return w, nil
}

// readRemove reads JupyterHub's {"remove": true}, which deletes a named server for good.
func readRemove(r *http.Request) (bool, error) {
	var what struct {
		Remove bool `json:"remove"`
	}
	err := decode(r, &what, `{"remove": true}`)
	return what.Remove, err
}

// apiStop stops a server, and deletes its name where the body says so: 204 once it is gone, 202
// if that takes longer.
func (h *Hub) apiStop(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	id, s, err := h.targetServerOf(r, who, access.StopServers)
	if err != nil {
		return err
	}
	forget, err := readRemove(r)
	if err != nil {
		return err
	}
	if err := h.stoppable(s); err != nil && !forget {
		return err
	}
	stop := h.stop
	if forget {
		stop = h.remove
	}
	gone, err := stop(r.Context(), id)
	if err != nil {
		return err
	}
	if !gone {
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
