package openapi_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/openapi"
	"github.com/perijove/perijove/test/golden"
)

type operation struct {
	OperationID string
	Summary     string
	Parameters  []struct{ Name, In string }
	Security    []map[string][]string
	Responses   map[string]struct{ Description string }
}

type document struct {
	OpenAPI    string
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]any }
}

func made(t *testing.T) (document, []byte) {
	t.Helper()
	text, err := openapi.Document(contract.Endpoints(), "5.5.1")
	if err != nil {
		t.Fatal(err)
	}
	var d document
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d, text
}

func TestDocument(t *testing.T) {
	t.Parallel()
	_, text := made(t)
	golden.File(t, "testdata/openapi.golden.json", text)
}

// TestEveryEndpointIsDescribed: with its scope, its parameters and an answer that is no failure or is
// always one; the document has nothing else.
func TestEveryEndpointIsDescribed(t *testing.T) {
	t.Parallel()
	d, _ := made(t)
	ids, described := map[string]bool{}, 0
	for _, methods := range d.Paths {
		described += len(methods)
	}
	if all := contract.Endpoints(); described != len(all) {
		t.Errorf("%d operations for %d endpoints", described, len(all))
	}
	for _, e := range contract.Endpoints() {
		o, ok := d.Paths[strings.TrimSuffix(e.Path, "{$}")][strings.ToLower(e.Method)]
		if !ok || o.Summary == "" || ids[o.OperationID] || len(o.Responses) < 2 && !e.Open() {
			t.Errorf("%s: %+v", e.Pattern(), o)
		}
		ids[o.OperationID] = true
		inPath := 0
		for _, p := range o.Parameters {
			if p.In == "path" {
				inPath++
			}
		}
		if want := strings.Count(strings.TrimSuffix(e.Path, "{$}"), "{"); inPath != want {
			t.Errorf("%s: %d parameters, want %d", e.Pattern(), inPath, want)
		}
		var scopes []string
		for _, way := range o.Security {
			scopes = append(scopes, way["token"]...)
		}
		if want := e.Scope; strings.Join(scopes, " ") != want && !(e.Open() && len(o.Security) == 0) {
			t.Errorf("%s: scopes %q, want %q", e.Pattern(), scopes, e.Scope)
		}
	}
}

func TestReferencesLeadSomewhere(t *testing.T) {
	t.Parallel()
	d, text := made(t)
	found := regexp.MustCompile(`"#/components/schemas/(\w+)"`).FindAllSubmatch(text, -1)
	if len(found) == 0 || d.OpenAPI != "3.1.0" {
		t.Fatal("there are none")
	}
	for _, f := range found {
		if d.Components.Schemas[string(f[1])] == nil {
			t.Errorf("there is no schema %s", f[1])
		}
	}
}

// TestUnknownOperation: an endpoint that nobody described is a fault and no silence.
func TestUnknownOperation(t *testing.T) {
	t.Parallel()
	if _, err := openapi.Document([]contract.Endpoint{{Operation: "fly", Method: "GET", Path: "/hub/api/fly"}}, "1"); err == nil {
		t.Error("an operation that is not described is taken")
	}
}
