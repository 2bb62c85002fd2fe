package chart

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	authz "github.com/perijove/perijove/cmd/authz/app"
	spawner "github.com/perijove/perijove/cmd/spawner/app"
	"github.com/perijove/perijove/pkg/auth/login/ldaplogin"
	"github.com/perijove/perijove/pkg/auth/login/oidclogin"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/run/config"
	"github.com/perijove/perijove/pkg/web/origin"
	"github.com/perijove/perijove/test/golden"
)

// The bounds that the templates check are those of the services' own code.
func TestBoundsAreTheServices(t *testing.T) {
	type bounds struct {
		Min    float64 `json:"min"` // seconds
		Max    float64 `json:"max"` // 0 is none
		OrZero bool    `json:"orZero"`
		Text   string  `json:"text"`
	}
	all := map[string]bounds{}
	add := func(prefix string, from map[string]config.Bounds) {
		for key, b := range from {
			one := bounds{Min: b.Min.Seconds(), Max: b.Max.Seconds(), Text: b.String()}
			if key == "passTTL" {
				one.OrZero, one.Text = true, "0 or "+one.Text
			}
			all[prefix+key] = one
		}
	}
	add("auth.", authz.Bounds())
	add("spawner.", spawner.Bounds())
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.File(t, "files/bounds.json", append(text, '\n'))
}

// The schema's patterns of what a service checks too are the service's own.
func TestPatternsAreTheServices(t *testing.T) {
	text, err := os.ReadFile("values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]any{
		"properties auth properties subdomains properties domain maxLength":                           float64(origin.MaxDomain),
		"properties publicURL pattern":                                                                origin.URLPattern,
		"properties extraHosts items pattern":                                                         origin.HostPattern,
		"properties auth properties subdomains properties domain anyOf 1 pattern":                     origin.DomainPattern,
		"properties singleuser properties profile properties slug anyOf 1 pattern":                    spawn.SlugPattern,
		"$defs override properties image pattern":                                                     spawn.ImagePattern,
		"$defs profile properties slug anyOf 1 pattern":                                               spawn.SlugPattern,
		"$defs image properties name pattern":                                                         spawn.ImagePattern,
		"properties auth properties ldap properties urls items pattern":                               ldaplogin.URLPattern,
		"properties auth properties ldap properties idAttribute anyOf 1 pattern":                      ldaplogin.AttributePattern,
		"properties auth properties oidc items properties id pattern":                                 oidclogin.IDPattern,
		"properties auth properties oidc items properties issuer pattern":                             oidclogin.IssuerPattern,
		"properties auth properties oidc items properties scopes items pattern":                       oidclogin.ScopePattern,
		"properties auth properties oidc items properties username properties domain anyOf 1 pattern": oidclogin.DomainPattern,
	} {
		at := schema
		for _, key := range strings.Fields(path) {
			if list, ok := at.([]any); ok {
				n, _ := strconv.Atoi(key)
				at = list[n]
			} else {
				at, _ = at.(map[string]any)[key]
			}
		}
		if at != want {
			t.Errorf("values.schema.json: %s is\n%v, the service has\n%v", path, at, want)
		}
	}
}
