package agent

import "strings"

// longest is how much of a description is read, in bytes; browsers send some 150.
const longest = 512

// sign is a name and the text in a User-Agent that stands for it.
type sign struct{ text, name string }

// browsers in the order in which they are looked for: most call themselves Chrome and Safari too, and
// Chrome calls itself Safari.
func browsers() []sign {
	return []sign{
		{"edg/", "Edge"}, {"edga/", "Edge"}, {"edgios/", "Edge"}, {"opr/", "Opera"}, {"opios/", "Opera"}, {"opt/", "Opera"},
		{"samsungbrowser/", "Samsung Internet"}, {"vivaldi/", "Vivaldi"}, {"yabrowser/", "Yandex Browser"}, {"duckduckgo/", "DuckDuckGo"},
		{"micromessenger/", "WeChat"}, {"qqbrowser/", "QQ Browser"}, {"ucbrowser/", "UC Browser"}, {"huaweibrowser/", "Huawei Browser"},
		{"miuibrowser/", "Mi Browser"}, {"electron/", "Electron"},
		{"firefox/", "Firefox"}, {"fxios/", "Firefox"}, {"crios/", "Chrome"}, {"headlesschrome/", "Chrome"}, {"chrome/", "Chrome"},
		{"chromium/", "Chromium"}, {"safari/", "Safari"}, {"trident/", "Internet Explorer"},
		{"curl/", "curl"}, {"wget/", "Wget"}, {"httpie/", "HTTPie"}, {"python-requests/", "Python"}, {"python-httpx/", "Python"}, {"aiohttp/", "Python"},
		{"python-urllib/", "Python"}, {"go-http-client/", "Go"}, {"okhttp/", "OkHttp"}, {"java/", "Java"}, {"git/", "Git"},
	}
}

// systems in the order in which they are looked for: iPhones call themselves Mac OS X, and Android
// and ChromeOS are Linux.
func systems() []sign {
	return []sign{
		{"iphone", "iPhone"}, {"ipad", "iPad"}, {"android", "Android"}, {"harmonyos", "HarmonyOS"}, {"openharmony", "HarmonyOS"}, {"cros ", "ChromeOS"},
		{"windows", "Windows"}, {"macintosh", "macOS"}, {"mac os x", "macOS"}, {"freebsd", "FreeBSD"}, {"openbsd", "OpenBSD"}, {"linux", "Linux"},
	}
}

// Name returns the names of the browser and its system in a User-Agent header; "" for one that it
// does not know.
func Name(header string) (browser, system string) {
	text := strings.ToLower(header[:min(len(header), longest)])
	return first(browsers(), text), first(systems(), text)
}

func first(signs []sign, text string) string {
	for _, s := range signs {
		if strings.Contains(text, s.text) {
			return s.name
		}
	}
	return ""
}
