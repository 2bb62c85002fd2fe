package pages

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"
)

// limit bounds what the browser does with one page.
const limit = 30 * time.Second

// narrow and wide are screens in CSS pixels; WCAG 1.4.10 asks for 320.
const narrow, wide = 320, 1280

// browser starts Chromium for one test.
func browser(t *testing.T) context.Context {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("/usr/bin/chromium"),
		chromedp.NoSandbox, // tests run as root
		chromedp.WindowSize(wide, 900),
		chromedp.Flag("disable-component-update", true),
	)
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, stop := chromedp.NewContext(alloc)
	t.Cleanup(func() { stop(); stopAlloc() })
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start Chromium (install it with `make deps`): %v", err)
	}
	return ctx
}

func do(t *testing.T, ctx context.Context, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := chromedp.Do(limited, actions...); err != nil {
		t.Fatal(err)
	}
}

func evaluate[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out, err := chromedp.Run(limited, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func colours(scheme string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
		})
		return err
	})
}

func address(site, page, lang string) string {
	return site + "/page?lang=" + lang + "&page=" + url.QueryEscape(page)
}

// axeRun returns each violation as "rule: where: what to do".
const axeRun = `axe.run(document, {
	resultTypes: ['violations'],
	runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
}).then(r => r.violations.flatMap(v => v.nodes.map(n => v.id + ': ' + n.target.join(' ') + ': ' + n.failureSummary)))`

// inject loads axe into the page, past its content security policy.
func inject(t *testing.T, ctx context.Context, source string) {
	t.Helper()
	evaluate[any](t, ctx, source+"; 0")
}

func TestAccessible(t *testing.T) {
	source, ctx := axe(t), browser(t)
	base := site(t, map[string]string{"broken": `<!doctype html><html><title>x</title><main><h1>x</h1><input name="q"><p style="color:#ccc;background:#fff">pale</p></main>`})
	for _, lang := range []string{"en", "zh-CN"} {
		for _, page := range names(t) {
			if strings.HasPrefix(page, "message:") && page != "message: forbidden" {
				continue // they differ in their words only
			}
			do(t, ctx, chromedp.Navigate(address(base, page, lang)))
			inject(t, ctx, source)
			for _, scheme := range []string{"light", "dark"} {
				do(t, ctx, colours(scheme))
				for _, v := range evaluate[[]string](t, ctx, axeRun) {
					t.Errorf("%s, %s, %s: %s", page, scheme, lang, v)
				}
			}
		}
	}
	do(t, ctx, chromedp.Navigate(address(base, "broken", "en")))
	inject(t, ctx, source)
	found := strings.Join(evaluate[[]string](t, ctx, axeRun), "\n")
	for _, rule := range []string{"label:", "color-contrast:", "html-has-lang:"} {
		if !strings.Contains(found, rule) {
			t.Errorf("negative control: axe does not report %s\n%s", rule, found)
		}
	}
}

func TestNothingSticksOut(t *testing.T) {
	ctx := browser(t)
	base := site(t, map[string]string{"wide": `<!doctype html><meta name="viewport" content="width=device-width"><div style="width:400px">x</div>`})
	do(t, ctx, chromedp.EmulateViewport(narrow, 640))
	sticksOut := func(page, lang string) bool {
		do(t, ctx, chromedp.Navigate(address(base, page, lang)))
		return evaluate[bool](t, ctx, `document.scrollingElement.scrollWidth > document.documentElement.clientWidth`)
	}
	for _, lang := range []string{"en", "zh-CN"} {
		for _, page := range names(t) {
			if sticksOut(page, lang) {
				t.Errorf("%s in %s is wider than %d pixels", page, lang, narrow)
			}
		}
	}
	if !sticksOut("wide", "en") {
		t.Error("negative control: a wide page is not noticed")
	}
}

// stops lists what Tab must reach, in the order of the page. Of a radio group that is the chosen
// one; arrow keys go on from there.
const stops = `const stops = [...document.querySelectorAll('a[href],button,input:not([type=hidden]),select,textarea,summary,[tabindex="0"]')]
	.filter(e => !e.disabled && e.checkVisibility() && (e.type !== 'radio' || e.checked));
const name = e => e.tagName.toLowerCase() + (e.id ? '#' + e.id : '') + ' ' + stops.indexOf(e);`

// TestKeyboard presses Tab from the beginning of each page to its end.
func TestKeyboard(t *testing.T) {
	ctx := browser(t)
	base := site(t, map[string]string{
		"jumps":     `<!doctype html><a href="/a">1</a><a href="/b">2</a><a href="/c" tabindex="1">3</a>`,
		"unmarked":  `<!doctype html><style>a:focus{outline:none}</style><a href="/a">1</a><a href="/b">2</a>`,
		"invisible": `<!doctype html><a href="/a">1</a><a href="/b" tabindex="-1">2</a><a href="/c">3</a>`,
	})
	for _, page := range names(t) {
		do(t, ctx, chromedp.Navigate(address(base, page, "en")))
		want, got, unmarked := tabs(t, ctx)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", page, diff)
		}
		if len(unmarked) > 0 {
			t.Errorf("%s: nothing shows that these have the focus: %q", page, unmarked)
		}
	}
	for _, page := range []string{"jumps", "unmarked", "invisible"} {
		do(t, ctx, chromedp.Navigate(address(base, page, "en")))
		if want, got, unmarked := tabs(t, ctx); slices.Equal(want, got) && len(unmarked) == 0 {
			t.Errorf("negative control %s: %q", page, got)
		}
	}
}

// tabs returns what should get the focus, what did, and what did without showing it.
func tabs(t *testing.T, ctx context.Context) (want, got, unmarked []string) {
	t.Helper()
	want = evaluate[[]string](t, ctx, `(() => {`+stops+`stops[0]?.focus(); return stops.map(name); })()`)
	for i := range want {
		if i > 0 {
			do(t, ctx, chromedp.KeyEvent("\t"))
		}
		at := evaluate[[]string](t, ctx, `(() => {`+stops+`
			const e = document.activeElement, s = getComputedStyle(e);
			return [name(e), String(s.outlineStyle !== 'none' && s.outlineWidth !== '0px' || s.boxShadow !== 'none')]; })()`)
		got = append(got, at[0])
		if at[1] != "true" && i > 0 { // focus() by a script does not show it
			unmarked = append(unmarked, at[0])
		}
	}
	return want, got, unmarked
}

func TestSkipLink(t *testing.T) {
	ctx := browser(t)
	do(t, ctx, chromedp.Navigate(address(site(t, nil), "home", "en")), chromedp.KeyEvent("\t"), chromedp.KeyEvent("\r"))
	if id := evaluate[string](t, ctx, `document.activeElement.id`); id != "main" {
		t.Errorf("the skip link leads to %q", id)
	}
}

// TestWithoutScripts: every page says and offers the same when scripts are off.
func TestWithoutScripts(t *testing.T) {
	ctx := browser(t)
	base := site(t, map[string]string{"scripted": `<!doctype html><body><script>document.body.append("x")</script>`})
	shown := func(page string) string {
		do(t, ctx, chromedp.Navigate(address(base, page, "en")))
		// A script writes times as the reader's clock has them.
		return evaluate[string](t, ctx, `document.querySelectorAll('time').forEach(e => e.remove()), document.body.innerText + document.querySelectorAll('a[href],button,input,select,textarea').length`)
	}
	scripts := func(off bool) {
		do(t, ctx, chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
			_, err := cdp.Call(ctx, tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: off})
			return err
		}))
	}
	differ := func(page string) bool {
		scripts(false)
		with := shown(page)
		scripts(true)
		return with != shown(page)
	}
	for _, page := range names(t) {
		// The progress page reloads itself without scripts, and says so.
		if page != "pending" && !strings.HasPrefix(page, "message:") && differ(page) {
			t.Errorf("%s needs scripts", page)
		}
	}
	if !differ("scripted") {
		t.Error("negative control: a page of scripts is not noticed")
	}
}

// TestErrorsSayWhatToDo: an error page in words, with a way on.
func TestErrorsSayWhatToDo(t *testing.T) {
	ctx := browser(t)
	base := site(t, nil)
	for _, lang := range []string{"en", "zh-CN"} {
		for _, id := range messages() {
			do(t, ctx, chromedp.Navigate(address(base, "message: "+id, lang)))
			text := evaluate[string](t, ctx, `document.querySelector('main p').textContent`)
			if sentences := strings.Count(text, ".") + strings.Count(text, ";") + strings.Count(text, "。") + strings.Count(text, "；"); sentences < 2 || strings.Contains(text, "error.") {
				t.Errorf("%s in %s says what happened, not what to do: %q", id, lang, text)
			}
			if n := evaluate[int](t, ctx, `document.querySelectorAll('main a.button').length`); n != 1 {
				t.Errorf("%s in %s: %d ways on", id, lang, n)
			}
		}
	}
}
