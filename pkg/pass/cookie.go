package pass

import (
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/cookies"
	"github.com/perijove/perijove/pkg/notebook"
)

// Paths are the cookie paths that cover all servers of owner: one for each way a
// browser may spell the name (RFC 6265 §5.1.4 compares paths byte for byte).
func Paths(owner string) []string {
	var paths []string
	for _, s := range notebook.Spellings(owner) {
		paths = append(paths, contract.PathUser+s+"/")
	}
	return paths
}

// SetCookies returns the Set-Cookie values that hand token to the browser.
func SetCookies(token, owner string, secure bool) []string {
	var all []string
	for _, path := range Paths(owner) {
		all = append(all, cookies.Set(contract.CookiePass, token, path, secure))
	}
	return all
}

// DeleteCookies returns the Set-Cookie values that take the pass back.
func DeleteCookies(owner string, secure bool) []string {
	var all []string
	for _, path := range Paths(owner) {
		all = append(all, cookies.Delete(contract.CookiePass, path, secure))
	}
	return all
}
