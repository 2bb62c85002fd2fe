package pass

import (
	"slices"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/web/cookies"
)

// Paths are the cookie paths that cover all servers of owner: one for each way a
// browser may spell the name (RFC 6265 §5.1.4 compares paths byte for byte).
func Paths(owner string) []string {
	var paths []string
	for _, s := range server.Spellings(owner) {
		paths = append(paths, contract.PathUser+s+"/")
	}
	return paths
}

// SetCookies returns the Set-Cookie values that hand token to the browser.
func SetCookies(jar cookies.Jar, token, owner string) []string {
	return each(owner, func(path string) string { return jar.Set(contract.CookiePass, token, path) })
}

// DeleteCookies returns the Set-Cookie values that take the pass back.
func DeleteCookies(jar cookies.Jar, owner string) []string {
	return each(owner, func(path string) string { return jar.Delete(contract.CookiePass, path) })
}

func each(owner string, cookie func(path string) string) []string {
	var all []string
	for _, path := range Paths(owner) {
		if c := cookie(path); !slices.Contains(all, c) { // a jar may have one path for all
			all = append(all, c)
		}
	}
	return all
}
