package app

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes/fake"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/mtls"
	"github.com/perijove/perijove/test/keys"
	"github.com/perijove/perijove/test/pki"
	"github.com/perijove/perijove/test/ports"
)

// TestX3_UseIsToldToTheSpawner only: the report names users.
func TestX3_UseIsToldToTheSpawner(t *testing.T) {
	t.Parallel()
	sessionKey, passKey := keys.Files(t)
	cfg := newConfig(t, sessionKey, passKey, unasked())
	ca := pki.New(t)
	cfg.Listen.Use, cfg.TLS = ports.FreeAddr(t), ca.Issue(contract.NameGateway, time.Hour)
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	start(t, cfg, fake.NewClientset()).ready(t)
	for name, c := range map[string]struct {
		files mtls.Files
		ok    bool
	}{
		"the spawner":        {ca.Issue(contract.NameSpawner, time.Hour), true},
		"another gateway":    {ca.Issue(contract.NameGateway, time.Hour), false},
		"another CA's files": {pki.New(t).Issue(contract.NameSpawner, time.Hour), false},
	} {
		c.files.CA = ca.Issue("any", time.Hour).CA
		conf, err := mtls.Client(c.files, contract.NameGateway)
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: conf}}
		resp, err := client.Get("https://" + cfg.Listen.Use + contract.PathUse)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		var report contract.UseReport
		if err := json.NewDecoder(resp.Body).Decode(&report); err != nil || resp.StatusCode != http.StatusOK || report.Servers == nil {
			t.Errorf("%s: %d, %+v, %v", name, resp.StatusCode, report, err)
		}
		_ = resp.Body.Close()
		client.CloseIdleConnections()
	}
}
