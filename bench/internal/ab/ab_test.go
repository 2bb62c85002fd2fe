package ab

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
)

const printed = `Server Software:        test
Document Path:          /
Document Length:        21 bytes

Concurrency Level:      100
Complete requests:      20000
Failed requests:        0
Requests per second:    3907.74 [#/sec] (mean)
Time per request:       25.590 [ms] (mean)
`

func table(n int) string {
	text := "Percentage served,Time in ms\n"
	for i := range n {
		text += fmt.Sprintf("%d,%d.5\n", i, i+10)
	}
	return text
}

func TestRead(t *testing.T) {
	r, err := read([]byte(printed), []byte(table(101)))
	if err != nil || r.PerSecond != 3907.74 || len(r.Percentiles) != 101 || r.Percentiles[50] != 60.5 || r.Percentiles[100] != 110.5 {
		t.Errorf("%+v, %v", r, err)
	}
	for what, bad := range map[string][2]string{
		"no rate":      {"", table(101)},
		"cut short":    {printed, table(50)},
		"no numbers":   {printed, strings.ReplaceAll(table(101), "60.5", "x")},
		"out of order": {printed, strings.ReplaceAll(table(101), "\n50,", "\n51,")},
	} {
		if _, err := read([]byte(bad[0]), []byte(bad[1])); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

func TestJudge(t *testing.T) {
	load, to := Load{Requests: 20000}, Target{Length: 21}
	if err := judge([]byte(printed), load, to); err != nil {
		t.Error(err)
	}
	for what, bad := range map[string]string{
		"fewer":          strings.Replace(printed, "20000", "19999", 1),
		"other lengths":  strings.Replace(printed, "Failed requests:        0", "Failed requests:        1\n   (Connect: 0, Receive: 0, Length: 1, Exceptions: 0)", 1),
		"another length": strings.Replace(printed, "21 bytes", "22 bytes", 1),
		"refusals":       printed + "Non-2xx responses:      5\n",
		"write errors":   printed + "Write errors:           5\n",
		"nothing":        "",
	} {
		if judge([]byte(bad), load, to) == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

// TestRun asks a real server by the real program, and once one that refuses every tenth.
func TestRun(t *testing.T) {
	if _, err := exec.LookPath("ab"); err != nil {
		t.Skip("ab is not installed")
	}
	var n atomic.Int64
	var every atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "hub.test" || r.Header.Get("X-A") != "b" || r.Proto != "HTTP/1.0" {
			t.Errorf("%s %s %v", r.Proto, r.Host, r.Header)
		}
		if e := every.Load(); e > 0 && n.Add(1)%e == 0 {
			w.WriteHeader(http.StatusForbidden)
		}
		_, _ = w.Write([]byte("twelve bytes"))
	}))
	defer s.Close()
	to := Target{URL: s.URL + "/", Headers: []string{"Host: hub.test", "X-A: b"}, Length: len("twelve bytes")}
	r, err := Run(context.Background(), t.TempDir(), Load{Requests: 200, AtOnce: 10}, to)
	if err != nil || r.PerSecond <= 0 || len(r.Percentiles) != 101 {
		t.Errorf("%+v, %v", r, err)
	}
	every.Store(10)
	if _, err := Run(context.Background(), t.TempDir(), Load{Requests: 200, AtOnce: 10}, to); err == nil || !strings.Contains(err.Error(), "Non-2xx") {
		t.Errorf("refusals: %v", err)
	}
}
