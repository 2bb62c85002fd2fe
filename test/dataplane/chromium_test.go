package dataplane

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/perijove/perijove/test/wait"
)

// A real browser opens kernels' websockets on its HTTP/2 connection (RFC 8441) once the
// gateway speaks TLS, and servers that know HTTP/1.1 only take them.
func TestChromiumOpensWebsocketsOverHTTP2(t *testing.T) {
	s, _ := withAliceOverTLS(t)
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("/usr/bin/chromium"), chromedp.NoSandbox,
		chromedp.Flag("ignore-certificate-errors", true), // the test's own CA
		chromedp.Flag("host-resolver-rules", "MAP hub.test 127.0.0.1"),
		chromedp.Flag("disable-component-update", true),
	)...)
	tab, stop := chromedp.NewContext(alloc)
	t.Cleanup(func() { stop(); stopAlloc() })
	if err := chromedp.Do(tab); err != nil { // the context of the first call owns the browser
		t.Fatalf("start Chromium (install it with `make deps`): %v", err)
	}
	ctx, cancel := context.WithTimeout(tab, 2*time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx,
		chromedp.Navigate(s.base()+"/hub/login"), chromedp.WaitVisible(`#username`),
		chromedp.SendKeys(`#username`, "alice"), chromedp.SendKeys(`#password`, "alice-password"),
		chromedp.Submit(`#password`), chromedp.WaitNotPresent(`#password`),
		chromedp.Navigate(s.base()+"/user/alice/lab"),
	); err != nil {
		t.Fatal(err)
	}
	got, err := chromedp.Run(ctx, chromedp.Evaluate[string](`new Promise(done => {
		const socket = new WebSocket("wss://" + location.host + "/user/alice/chromium");
		socket.onopen = () => socket.send("hello");
		socket.onmessage = m => { socket.close(); done(m.data) };
		socket.onerror = () => done("refused");
	})`, chromedp.EvalAwaitPromise))
	if err != nil || got != "hello" {
		t.Fatalf("the websocket says %q, %v", got, err)
	}
	var line string
	wait.Until(s.t, "Envoy's log has the websocket", func() bool {
		for l := range strings.Lines(string(readFile(t, s.envoy.Log))) {
			if strings.Contains(l, `"/user/alice/chromium"`) {
				line = l
			}
		}
		return line != ""
	})
	if !strings.Contains(line, `"protocol":"HTTP/2"`) {
		t.Errorf("the websocket did not use HTTP/2: %s", line)
	}
}
