package agent

import (
	"slices"
	"strings"
	"testing"
)

// webkit is what Chrome and all that is made from it say.
const webkit = " AppleWebKit/537.36 (KHTML, like Gecko) "

func TestName(t *testing.T) {
	for header, want := range map[string][2]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                                    {"Firefox", "Linux"},
		"Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0":                                                                      {"Firefox", "Android"},
		"Mozilla/5.0 (X11; Linux x86_64)" + webkit + "Chrome/140.0.0.0 Safari/537.36":                                                               {"Chrome", "Linux"},
		"Mozilla/5.0 (X11; Linux x86_64)" + webkit + "HeadlessChrome/140.0.0.0 Safari/537.36":                                                       {"Chrome", "Linux"},
		"Mozilla/5.0 (Linux; Android 10; K)" + webkit + "Chrome/140.0.0.0 Mobile Safari/537.36":                                                     {"Chrome", "Android"},
		"Mozilla/5.0 (Linux; Android 14; SM-S911B)" + webkit + "SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36":                          {"Samsung Internet", "Android"},
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0)" + webkit + "Chrome/140.0.0.0 Safari/537.36":                                                      {"Chrome", "ChromeOS"},
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64)" + webkit + "Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0":                                       {"Edge", "Windows"},
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64)" + webkit + "Chrome/140.0.0.0 Safari/537.36 OPR/120.0.0.0":                                       {"Opera", "Windows"},
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15":                     {"Safari", "macOS"},
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1":   {"Safari", "iPhone"},
		"Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1":             {"Chrome", "iPad"},
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/140.0 Mobile/15E148 Safari/605.1.15": {"Firefox", "iPhone"},
		"Mozilla/5.0 (Linux; Android 13; V2227A)" + webkit + "Version/4.0 Chrome/116.0.0.0 Mobile Safari/537.36 MicroMessenger/8.0.47":              {"WeChat", "Android"},
		"curl/8.14.1": {"curl", ""}, "Wget/1.25.0 (linux-gnu)": {"Wget", "Linux"}, "python-requests/2.32.4": {"Python", ""}, "Go-http-client/2.0": {"Go", ""},
		"": {}, "<script>alert(1)</script>": {}, "Mozilla/5.0 (Windows NT 10.0)": {"", "Windows"}, strings.Repeat("x", longest) + "curl/8": {},
	} {
		if browser, system := Name(header); [2]string{browser, system} != want {
			t.Errorf("%q is %q on %q, want %q", header, browser, system, want)
		}
	}
}

func FuzzName(f *testing.F) {
	f.Add("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	f.Add("\xff\xfe<script>")
	f.Fuzz(func(t *testing.T, header string) {
		browser, system := Name(header)
		known := func(signs []sign, name string) bool {
			return name == "" || slices.ContainsFunc(signs, func(s sign) bool { return s.name == name })
		}
		if !known(browsers(), browser) || !known(systems(), system) {
			t.Errorf("%q is %q on %q", header, browser, system)
		}
	})
}
