package hub

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web/caller"
)

// activityReport is JupyterHub's body of POST /users/{name}/activity.
type activityReport struct {
	LastActivity *time.Time `json:"last_activity"` // of the user; the platform has no use for it
	Servers      map[string]struct {
		LastActivity *time.Time `json:"last_activity"`
	} `json:"servers"`
}

// check returns what is wrong with a report.
func (a activityReport) check(now time.Time) error {
	late := func(at *time.Time) bool { return at != nil && at.After(now.Add(spawn.ClockSkew)) }
	future := late(a.LastActivity)
	for name, s := range a.Servers {
		if name != "" && server.ValidServer(name) != nil {
			return badRequest{http.StatusBadRequest, "a server's name cannot be"}
		}
		future = future || late(s.LastActivity)
	}
	switch {
	case future:
		return badRequest{http.StatusBadRequest, "last_activity must not be in the future"}
	case a.LastActivity == nil && len(a.Servers) == 0:
		return badRequest{http.StatusBadRequest, "last_activity or servers must be there"}
	}
	return nil
}

// apiActivity notes that servers are in use, for the culler. Either all of a report is good, or
// nothing of it is noted.
func (h *Hub) apiActivity(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	user := r.PathValue("user")
	if err := may(who, access.ReportActivity, access.Target{User: user, WholeUser: true}); err != nil {
		return err
	}
	if err := server.ValidUser(user); err != nil {
		return badRequest{http.StatusBadRequest, err.Error()}
	}
	body, err := readJSON(r)
	if err != nil {
		return err
	}
	var report activityReport
	if err := json.Unmarshal(body, &report); err != nil {
		return badRequest{http.StatusBadRequest, "the body must be a JSON object with times as in RFC 3339"}
	}
	if err := report.check(time.Now()); err != nil {
		return err
	}
	for name := range report.Servers {
		s, err := h.cluster.Get(r.Context(), server.ID{User: user, Name: name})
		if err != nil {
			return err
		}
		if s.UID == "" {
			return badRequest{http.StatusBadRequest, "there is no such server"}
		}
	}
	for name, s := range report.Servers {
		if s.LastActivity != nil {
			h.cluster.Report(server.ID{User: user, Name: name}, *s.LastActivity) // false: it has just stopped
		}
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
