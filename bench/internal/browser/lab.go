package browser

import (
	"fmt"
	"time"

	"github.com/chromedp/chromedp"
)

// Visit is how long a person waited after the click on "Start".
type Visit struct {
	// Usable is until JupyterLab's launcher takes a click.
	Usable time.Duration
	// Ran is until the first cell of a new notebook shows its result; the clicks and keys that it
	// takes are part of that.
	Ran time.Duration
	// Page is what the browser says of the lab's page: milliseconds since the navigation to it began,
	// and bytes that came over the network.
	Page Page
}

// Page is one load of JupyterLab's page.
type Page struct {
	// Began is when the navigation to it began, after the click.
	Began time.Duration
	// FirstByte is after Began.
	FirstByte time.Duration
	// Requests and Bytes are what was loaded until the launcher took a click.
	Requests, Bytes int
}

// takes is true when a click on the first element of a CSS selector would reach it.
func takes(selector string) string {
	return fmt.Sprintf(`(() => {
		const r = document.querySelector(%q)?.getBoundingClientRect();
		return Boolean(r?.width) && Boolean(document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2)?.closest(%[1]q));
	})()`, selector)
}

const (
	card = `.jp-LauncherCard[data-category="Notebook"]`
	cell = `.jp-Notebook .jp-CodeCell .cm-content`
	idle = `document.body.textContent.includes("(ipykernel) | Idle")`
)

// Start goes to a page with the button "Start", presses it, and works in the lab that comes. Before that it chooses a
// profile of Perijove's form, unless that is empty.
func (b *Browser) Start(path, profile string) (v Visit, err error) {
	if err := b.do(chromedp.Navigate(b.base + path)); err != nil {
		return v, fmt.Errorf("go to the button: %w", err)
	}
	if profile != "" {
		if _, err := b.click(fmt.Sprintf(`input[name="profile"][value=%q]`, profile)); err != nil {
			return v, fmt.Errorf("choose a profile: %w", err)
		}
	}
	began, err := b.click("#start") // JupyterHub's is called so too
	if err != nil {
		return v, err
	}
	usable, err := b.until(takes(card))
	if err != nil {
		return v, fmt.Errorf("wait for the launcher: %w", err)
	}
	if v.Page, err = b.loaded(began); err != nil {
		return v, err
	}
	ran, err := b.compute()
	if err != nil {
		return v, fmt.Errorf("run a cell: %w", err)
	}
	v.Usable, v.Ran = usable.Sub(began), ran.Sub(began)
	return v, nil
}

// compute opens a notebook from the launcher, runs a cell and waits for its result.
func (b *Browser) compute() (time.Time, error) {
	if _, err := b.click(card); err != nil {
		return time.Time{}, err
	}
	for _, expression := range []string{takes(cell), idle} {
		if _, err := b.until(expression); err != nil {
			return time.Time{}, err
		}
	}
	if _, err := b.click(cell); err != nil {
		return time.Time{}, err
	}
	// What is typed twice by a page that lays itself out meanwhile would give another result.
	if err := b.do(chromedp.KeyEvent("6*7"), chromedp.KeyEvent("\r", chromedp.KeyModifiers(chromedp.ModifierShift))); err != nil {
		return time.Time{}, err
	}
	return b.until(`document.querySelector(".jp-OutputArea-output pre")?.textContent.trim() === "42"`)
}

// click moves the mouse to an element that takes it, and clicks; it returns when.
func (b *Browser) click(selector string) (time.Time, error) {
	if _, err := b.until(takes(selector)); err != nil {
		return time.Time{}, err
	}
	at, err := js[[]float64](b, fmt.Sprintf(`(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector(%q).getBoundingClientRect())`, selector))
	if err != nil {
		return time.Time{}, err
	}
	if err := b.do(chromedp.MouseEvent("mouseMoved", at[0], at[1])); err != nil {
		return time.Time{}, err
	}
	began := time.Now()
	return began, b.do(chromedp.MouseClickXY(at[0], at[1]))
}

// loaded is what the page says of its own load, which began after a click.
func (b *Browser) loaded(click time.Time) (Page, error) {
	got, err := js[[]float64](b, `(() => {
		const [page] = performance.getEntriesByType("navigation"), all = performance.getEntriesByType("resource");
		return [performance.timeOrigin, page.responseStart, 1 + all.length, all.reduce((sum, e) => sum + e.transferSize, page.transferSize)];
	})()`)
	if err != nil {
		return Page{}, fmt.Errorf("ask for the page's times: %w", err)
	}
	milliseconds := func(x float64) time.Duration { return time.Duration(x * float64(time.Millisecond)) }
	origin := time.UnixMicro(int64(got[0] * 1000)) //nolint:mnd // milliseconds
	return Page{Began: origin.Sub(click), FirstByte: milliseconds(got[1]), Requests: int(got[2]), Bytes: int(got[3])}, nil
}
