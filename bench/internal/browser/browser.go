// Package browser is one person at Chromium who logs in, presses "Start" and works in JupyterLab,
// at Perijove and at JupyterHub. It clicks and types as people do, and says when it could.
package browser

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/perijove/perijove/pkg/contract"
)

const (
	// patience is the longest that a person waits for one thing.
	patience = time.Minute
	// often is how often the page is asked; figures are that exact.
	often = 20 * time.Millisecond
)

// Browser is Chromium with a profile of its own.
type Browser struct {
	ctx  context.Context
	base string
	stop func()
}

// Open starts Chromium for a site whose address is base, http://host:port. Where through is not
// empty, that host:port stands for the site's own (see package line).
func Open(ctx context.Context, base, through string) (*Browser, error) {
	at, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("address of the site: %w", err)
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("/usr/bin/chromium"),
		chromedp.NoSandbox, // benchmarks run as root
		chromedp.WindowSize(1280, 900),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("accept-lang", "en"),
	)
	if through != "" {
		opts = append(opts, chromedp.Flag("host-resolver-rules", "MAP "+at.Host+" "+through))
	}
	alloc, stopAlloc := chromedp.NewExecAllocator(ctx, opts...)
	tab, stop := chromedp.NewContext(alloc)
	b := &Browser{ctx: tab, base: base, stop: func() { stop(); stopAlloc() }}
	// The context of the first call owns the browser, so it has no deadline.
	if err := errors.Join(chromedp.Do(tab), b.acceptDialogs()); err != nil {
		b.Close()
		return nil, fmt.Errorf("start Chromium (install it with `make deps`): %w", err)
	}
	return b, nil
}

// Close ends Chromium and forgets its profile.
func (b *Browser) Close() { b.stop() }

// acceptDialogs answers "Leave site?" with yes: an open dialog stops everything else.
func (b *Browser) acceptDialogs() error {
	return chromedp.Listen(b.ctx, func(ev any) {
		if _, ok := ev.(*page.EventJavascriptDialogOpening); !ok {
			return
		}
		go func() {
			_ = chromedp.Do(b.ctx, chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
				_, err := cdp.Call(ctx, tab, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true})
				return err
			}))
		}()
	})
}

// do does what a person does, in order.
func (b *Browser) do(actions ...chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Do(ctx, actions...)
}

// js evaluates an expression in the page, whichever that is by now.
func js[T any](b *Browser, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](expression))
}

// until waits until an expression is true and returns when that was. A page that is just being
// left answers with an error, which the next one does not.
func (b *Browser) until(expression string) (time.Time, error) {
	deadline := time.Now().Add(patience)
	for {
		yes, err := js[bool](b, expression)
		if err == nil && yes {
			return time.Now(), nil
		}
		if time.Now().After(deadline) {
			where, _ := js[string](b, `location.href + ": " + document.body?.innerText.slice(0, 300)`)
			return time.Time{}, fmt.Errorf("after %v still false: %s (%w) at %s", patience, expression, err, where)
		}
		select {
		case <-time.After(often):
		case <-b.ctx.Done():
			return time.Time{}, b.ctx.Err()
		}
	}
}

// Login sends the login page's form, and comes to the home page.
func (b *Browser) Login(name, password string) error {
	next := contract.PathLogin + "?next=" + url.QueryEscape(contract.PathHome)
	const user, secret = `input[name="username"]`, `input[name="password"]`
	err := b.do(chromedp.Navigate(b.base+next), chromedp.WaitVisible(user), chromedp.SendKeys(user, name), chromedp.SendKeys(secret, password),
		chromedp.Submit(secret), chromedp.WaitNotPresent(secret))
	if err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	return nil
}

// Leave goes to an empty page: nothing of JupyterLab asks its server any more.
func (b *Browser) Leave() error { return b.do(chromedp.Navigate("about:blank")) }
