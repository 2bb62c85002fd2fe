package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/perijove/perijove/test/repo"
	"github.com/perijove/perijove/test/wait"
)

// browser is one person's Chromium with a profile of its own.
type browser struct {
	t   *testing.T
	ctx context.Context
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("/usr/bin/chromium"),
		chromedp.NoSandbox, // tests run as root
		chromedp.WindowSize(1280, 900),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("accept-lang", "en"),
	)
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, stop := chromedp.NewContext(alloc)
	t.Cleanup(func() { stop(); stopAlloc() })
	// The context of the first call owns the browser, so it has no deadline.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start Chromium (install it with `make deps`): %v", err)
	}
	b := &browser{t: t, ctx: ctx}
	b.acceptDialogs()
	return b
}

// acceptDialogs answers "Leave site?" with yes: an open dialog stops everything else.
func (b *browser) acceptDialogs() {
	b.t.Helper()
	err := chromedp.Listen(b.ctx, func(ev any) {
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
	if err != nil {
		b.t.Fatal(err)
	}
}

// run does actions in order; the limit is for all of them.
func (b *browser) run(limit time.Duration, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.shot("failure")
		where := b.location()
		b.t.Fatalf("browser at %s: %v", where, err)
	}
}

// shot keeps a screenshot of the page as it is, light and dark, wide and narrow.
func (b *browser) shot(name string) {
	b.t.Helper()
	dir := repo.Output(b.t, "e2e")
	limited, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	for _, v := range []struct {
		suffix, scheme string
		width          int64
	}{{"", "light", 1280}, {"-dark", "dark", 1280}, {"-narrow", "light", 390}} {
		if err := chromedp.Do(limited, colours(v.scheme), chromedp.EmulateViewport(v.width, 900)); err != nil {
			b.t.Logf("screenshot %s: %v", name, err)
			return
		}
		png, err := chromedp.Run(limited, chromedp.CaptureScreenshot())
		if err != nil {
			b.t.Logf("screenshot %s: %v", name, err)
			return
		}
		if err := os.WriteFile(filepath.Join(dir, name+v.suffix+".png"), png, 0o600); err != nil {
			b.t.Fatal(err)
		}
	}
	_ = chromedp.Do(limited, chromedp.ResetViewport(), colours(""))
}

// colours makes the page believe in a light or dark desktop; "" ends that.
func colours(scheme string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
}

// login goes to path, is sent to the login page, and logs in as a person would.
func (b *browser) login(name, path string) {
	b.t.Helper()
	b.run(30*time.Second,
		chromedp.Navigate(baseURL()+path),
		chromedp.WaitVisible(`#username`),
		chromedp.SendKeys(`#username`, name),
		chromedp.SendKeys(`#password`, name+"-password"),
	)
	b.shot("login")
	b.run(30*time.Second, chromedp.Submit(`#password`), chromedp.WaitNotPresent(`#password`))
}

// js evaluates an expression, awaiting a promise.
func js[T any](b *browser, limit time.Duration, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	out, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("script in the page: %v", err)
	}
	return out
}

// shows waits until the page has a visible element for the CSS selector.
func (b *browser) shows(limit time.Duration, selector string) {
	b.t.Helper()
	b.until(limit, fmt.Sprintf(`[...document.querySelectorAll(%q)].some(e => e.getClientRects().length > 0)`, selector))
}

// until waits until an expression is true in the page.
func (b *browser) until(limit time.Duration, expression string) {
	b.t.Helper()
	if !wait.Poll(limit, func() bool { return js[bool](b, limit, expression) }) {
		b.shot("failure")
		b.t.Fatalf("after %v still false in the page: %s", limit, expression)
	}
}

func (b *browser) location() string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	where, err := chromedp.Run(ctx, chromedp.Location())
	if err != nil {
		return fmt.Sprintf("an unknown page (%v)", err)
	}
	return where
}

// newTab opens a second tab of the same browser, in front: Chromium draws no hidden ones.
func (b *browser) newTab() *browser {
	b.t.Helper()
	ctx, stop := chromedp.NewContext(b.ctx)
	b.t.Cleanup(stop)
	// As in newBrowser: the context of the first call owns the tab.
	if err := chromedp.Do(ctx, front()); err != nil {
		b.t.Fatalf("open a tab: %v", err)
	}
	return &browser{t: b.t, ctx: ctx}
}

// front brings a tab before the others.
func front() chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, page.BringToFront, cdp.Empty{})
		return err
	})
}
