package dataplane

import (
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/server"
)

// TestOwnPagesAreInOneLanguage: pages that Envoy answers by itself are in the language that the browser
// names first, with a way on, and whole: their style sheet has signs that Envoy's format knows.
func TestOwnPagesAreInOneLanguage(t *testing.T) {
	s := newEnv(t)
	s.addPod("p", server.ID{User: "alice"}, newUpstream(t, "10.99.0.1", "alice").addr)
	s.routed("/user/alice/api", true)
	s.stopAuthz()
	pages := map[string]struct {
		code    int
		en, zh  string
		retries bool
	}{
		"/nowhere":        {404, "Page not found", "找不到页面", false},
		"/user/alice/lab": {503, "No answer right now", "暂时没有响应", true}, // authz is away
	}
	for accept, chinese := range map[string]bool{
		"": false, "en-US,en;q=0.5": false, "zh-CN,zh;q=0.9,en;q=0.8": true, "zh": true, "zh-TW": true, "ZH-hans;q=0.9": true,
		"de-DE,de;q=0.9,zh-CN;q=0.7,en;q=0.3": true, "de, en;q=0.9, zh;q=0.1": false, "zhx": false, "fr": false, "*": false, "es,zh": true, "e,zh": true,
		strings.Repeat("de,", 3000) + "zh": true,
	} {
		for path, want := range pages {
			headers := []string{page}
			if accept != "" {
				headers = append(headers, "Accept-Language: "+accept)
			}
			r := s.raw("GET", path, headers...)
			lang, text, other := `<html lang="en">`, want.en, want.zh
			if chinese {
				lang, text, other = `<html lang="zh-Hans">`, want.zh, want.en
			}
			if r.code != want.code || !strings.Contains(r.body, lang) || !strings.Contains(r.body, "<h1>"+text+"</h1>") || strings.Contains(r.body, other) {
				t.Errorf("%s with %.40q: %d\n%s", path, accept, r.code, r.body)
			}
			if r.get("Vary") != "Accept-Language" || r.get("Cache-Control") != "no-store" || (r.get("Retry-After") != "") != want.retries {
				t.Errorf("%s: %v", path, r.header)
			}
			for _, part := range []string{"rgb(60 35 20 / 6%)", `href="/hub/home"`, "<code>" + r.get("X-Request-Id"), "prefers-color-scheme: dark"} {
				if !strings.Contains(r.body, part) {
					t.Errorf("%s: no %q in\n%s", path, part, r.body)
				}
			}
			if strings.Contains(r.body, "%%") || strings.Contains(r.body, `href=""`) != want.retries {
				t.Errorf("%s: %s", path, r.body)
			}
		}
	}
	if r := s.raw("GET", "/nowhere", "Accept-Language: zh"); !strings.HasPrefix(r.get("Content-Type"), "application/json") {
		t.Errorf("negative control: a program gets %s", r.get("Content-Type"))
	}
}
