package traffic

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
)

type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func (c *clock) pass(d time.Duration) { c.at = c.at.Add(d) }

func TestReport(t *testing.T) {
	t.Parallel()
	c := &clock{time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)}
	b := New(c.now)
	c.pass(time.Minute)
	b.Used(server.ID{User: "张三@x.org", Name: "my demo"})
	c.pass(time.Minute)
	b.Used(server.ID{User: "张三@x.org", Name: "my demo"})
	c.pass(time.Second / 2)
	w := httptest.NewRecorder()
	b.Handler().ServeHTTP(w, httptest.NewRequest("GET", contract.PathUse, nil))
	var got contract.UseReport
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := contract.UseReport{Since: 120.5, Servers: []contract.ServerUse{{User: "张三@x.org", Server: "my demo", Ago: 0.5}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// D9: more servers than are remembered make no server look idle: the report says that it begins anew.
func TestD9_ServersWithoutEnd(t *testing.T) {
	t.Parallel()
	c := &clock{time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)}
	b := New(c.now)
	for i := range maxServers {
		b.Used(server.ID{User: "alice", Name: fmt.Sprint(i)})
	}
	c.pass(time.Hour)
	b.Used(server.ID{User: "alice", Name: "0"})
	if r := b.Report(); r.Since != 3600 || len(r.Servers) != maxServers {
		t.Errorf("negative control: %d servers since %v s", len(r.Servers), r.Since)
	}
	b.Used(server.ID{User: "bob"})
	if r := b.Report(); r.Since != 0 || len(r.Servers) != 1 {
		t.Errorf("%d servers since %v s", len(r.Servers), r.Since)
	}
}
