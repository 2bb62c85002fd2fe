package check

import (
	"net/http"
	"strings"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/web/origin"
)

// crossOrigin reports whether another site, or a page of unknown origin, is behind a
// request that changes something or opens a websocket (S9, S10). Browsers always send
// Origin with these; a websocket without it comes from no browser and has no business
// with a browser's cookie.
func (d *Decider) crossOrigin(req Request) bool {
	upgrade := req.Upgrade != ""
	if safeMethod(req.Method) && !upgrade {
		return d.site.PerUser() && foreignUse(req)
	}
	if req.Origin == "" && upgrade {
		return true
	}
	if req.Origin != "" && !d.siteOf(req).Same(req.Origin, req.Host) {
		return true
	}
	return foreignSite(req)
}

// foreignUse reports whether another host's page uses ours as a part of itself: reads it as
// a script, an image or a style, or shows it in a frame. Browsers treat users' hosts as
// one site and send the cookies along; links, which open a page of their own, stay (S8).
func foreignUse(req Request) bool {
	return foreignSite(req) && (req.FetchMode != "navigate" || req.FetchDest != "document")
}

// foreignSite reads the browser's own word on who caused a request (Fetch Metadata).
func foreignSite(req Request) bool {
	return req.FetchSite != "" && req.FetchSite != "same-origin" && req.FetchSite != "none"
}

// foreignPage reports whether a page of another site is behind a request with a token.
// Scripts send no Origin, for websockets neither.
func foreignPage(req Request, site origin.Site) bool {
	return req.Origin != "" && !site.Same(req.Origin, req.Host)
}

// isPage reports whether a person will look at the answer: the browser navigates and
// takes HTML. Browsers that send no Sec-Fetch-Mode are judged by Accept alone.
func isPage(req Request) bool {
	return req.Upgrade == "" && strings.Contains(req.Accept, "text/html") && (req.FetchMode == "" || req.FetchMode == "navigate")
}

// active reports whether a person is behind a request: they opened a page, or something
// is to be changed. JupyterLab's page sends requests by itself and opens its websockets
// again after each break; those do not show that a person looks at it. Every ten seconds it also
// saves its layout, whether it has changed or not.
func active(req Request) bool { return !safeMethod(req.Method) && !savesLayout(req) || isPage(req) }

// savesLayout reports whether JupyterLab keeps what is open in its workspace. It decides about use only.
func savesLayout(req Request) bool {
	return req.Kind == contract.KindServer && req.Method == http.MethodPut && strings.HasPrefix(req.Path, req.Prefix+"lab/api/workspaces/")
}

func safeMethod(m string) bool {
	return m == http.MethodGet || m == http.MethodHead || m == http.MethodOptions
}
