package hub

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
)

type described struct {
	Paths map[string]map[string]struct {
		Responses map[string]struct{ Description string }
	}
	Components struct {
		Schemas map[string]struct {
			Properties map[string]any
			Required   []string
		}
	}
}

// description is the document as any user may read it.
func (e *env) description() described {
	e.t.Helper()
	code, _, body := e.get("/hub/api/openapi.json", contract.HeaderScopes, "")
	var d described
	if err := json.Unmarshal([]byte(body), &d); err != nil || code != 200 {
		e.t.Fatalf("%d %v", code, err)
	}
	return d
}

// TestAnswersAreDescribed asks each endpoint good and bad things. What comes is in the document, and
// is never our fault (5xx).
func TestAnswersAreDescribed(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	d := e.description()
	queries := []string{"", "?limit=x", "?include_stopped_servers=9", "?offset=1e9&sort=%00", "?state=%ff", "?%zz", "?limit=" + strings.Repeat("9", 200)}
	bodies := []string{"", "{}", "[]", "null", "7", `{"remove":"yes"}`, `{"profile":[]}`, "{", "\x00", `{"remove_homes":1}`, strings.Repeat("[", 20000)}
	seen := map[int]bool{}
	for _, endpoint := range contract.EndpointsOf(contract.UpstreamHub) {
		path := strings.TrimSuffix(endpoint.Path, "{$}")
		answers := d.Paths[path][strings.ToLower(endpoint.Method)].Responses
		for n, url := range oddPaths(path) {
			asked := queries
			if endpoint.Operation == contract.OpProgress {
				asked = queries[:1] // each waits a while for a server to come
			}
			for i, query := range asked {
				headers := [][]string{nil, carol}[(n+i)%2]
				code, _, body := e.api(endpoint.Method, url+query, bodies[(n*3+i)%len(bodies)], headers...)
				if _, ok := answers[strconv.Itoa(code)]; !ok || code >= 500 || body != "" && code >= 400 && !json.Valid([]byte(body)) {
					t.Errorf("%s %.80s%.40s: %d %.200s", endpoint.Method, url, query, code, body)
				}
				seen[code] = true
			}
		}
	}
	for _, code := range []int{200, 202, 204, 400, 403, 404} {
		if !seen[code] {
			t.Errorf("nothing was answered with %d", code)
		}
	}
}

// oddPaths returns addresses of an endpoint, possible and impossible ones.
func oddPaths(path string) (all []string) {
	names := []string{"alice", "zo%C3%AB", "%2e%2e", "a%2Fb", strings.Repeat("x", 300), "%ff", ".x", "a%00"}
	for i, name := range names {
		r := strings.NewReplacer("{user}", name, "{server}", names[(i*3+1)%len(names)], "{group}", name)
		all = append(all, r.Replace(path), strings.NewReplacer("{user}", "alice", "{server}", name, "{group}", name).Replace(path))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestModelsAreDescribed: the document's schemas have the fields that are answered, and no others.
func TestModelsAreDescribed(t *testing.T) {
	t.Parallel()
	d := newEnv(t).description()
	for name, model := range map[string]any{"User": apiUser{}, "Server": apiServer{}, "Notice": apiNotice{}, "Progress": progressEvent{}, "Route": apiRoute{}} {
		var want, always []string
		for field := range reflect.TypeOf(model).Fields() {
			key, optional, _ := strings.Cut(field.Tag.Get("json"), ",")
			want = append(want, key)
			if optional == "" {
				always = append(always, key)
			}
		}
		slices.Sort(want)
		slices.Sort(always)
		if got := d.Components.Schemas[name].Required; !slices.Equal(got, always) {
			t.Errorf("%s always has %v, and is described with %v", name, always, got)
		}
		if got := slices.Sorted(maps.Keys(d.Components.Schemas[name].Properties)); !slices.Equal(got, want) {
			t.Errorf("%s is described with %v, and has %v", name, got, want)
		}
	}
}
