package e2e

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/perijove/perijove/pkg/contract"
)

// TestProviderButton: a newcomer presses the button, logs in at the development
// provider, gets to the home page, and logs out again in both places.
func TestProviderButton(t *testing.T) {
	b := newBrowser(t)
	b.run(60*time.Second,
		chromedp.Navigate(baseURL()+contract.PathHome),
		chromedp.WaitVisible(`a[href^="`+contract.PathOAuthLogin+`provider"]`),
		chromedp.Click(`a[href^="`+contract.PathOAuthLogin+`provider"]`),
		chromedp.WaitVisible(`#login`),
	)
	b.shot("provider")
	b.run(60*time.Second,
		chromedp.SendKeys(`#login`, "dora"), chromedp.SendKeys(`#password`, "dora-password"), chromedp.Submit(`#password`),
		chromedp.WaitVisible(`#start`),
	)
	b.shot("home-by-provider")
	b.run(60*time.Second,
		chromedp.Navigate(baseURL()+contract.PathLogout),
		chromedp.WaitVisible(`button[name=logout]`), chromedp.Click(`button[name=logout]`),
	)
	b.until(20*time.Second, `location.pathname === "`+contract.PathLogout+`"`)
	b.run(30*time.Second, chromedp.Navigate(baseURL()+contract.PathHome))
	b.until(20*time.Second, `location.pathname === "`+contract.PathLogin+`"`)
	b.shot("login-with-provider")
}
