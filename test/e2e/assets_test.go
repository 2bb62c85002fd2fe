package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/test/wait"
)

// loaded are JupyterLab's files that the page in front has loaded, by where they came from.
type loaded struct {
	Shared int // from the assets service's address
	Own    int // from the server itself
	Bytes  int // of these over the wire
}

const loadedFiles = `(() => {
	const all = performance.getEntriesByType("resource").map(e => [new URL(e.name).pathname, e.transferSize]);
	const shared = all.filter(([p]) => p.startsWith("/assets/lab/")), own = all.filter(([p]) => /^\/user\/.*\/(static|perijove)\/lab\//.test(p));
	return {Shared: shared.length, Own: own.length, Bytes: [...shared, ...own].reduce((sum, [, n]) => sum + n, 0)};
})()`

// TestSharedFiles: JupyterLab's files come from the assets service, are fetched while the server starts,
// and not again by a browser that has them. Without the service pages work all the same.
func TestSharedFiles(t *testing.T) {
	alice := login(t, "alice")
	alice.stop()
	b := newBrowser(t)
	b.login("alice", contract.PathSpawn)
	b.run(20*time.Second, chromedp.WaitVisible(`#start`), chromedp.Click(`#start`), chromedp.WaitVisible(`#bar`))
	ahead := js[int](b, 10*time.Second, `document.querySelectorAll("link[rel=prefetch]").length`)
	b.until(30*time.Second, `performance.getEntriesByType("resource").filter(e => e.name.includes("/assets/lab/") && e.responseStatus === 200).length > 0 || location.pathname.startsWith("/user/")`)
	openLab(b)
	first := js[loaded](b, 10*time.Second, loadedFiles)
	t.Logf("the progress page names %d files; then JupyterLab loads %+v", ahead, first)
	if ahead < 20 || first.Shared < 20 || first.Own != 0 || first.Bytes > 2<<20 {
		t.Error("the files are not shared, not fetched ahead or not compressed")
	}
	b.shot("assets")
	alice.stop()
	alice.spawn()
	b.run(30*time.Second, chromedp.Navigate(baseURL()+"/user/alice/lab"))
	openLab(b)
	if again := js[loaded](b, 10*time.Second, loadedFiles); again.Shared < 20 || again.Own != 0 || again.Bytes != 0 {
		t.Errorf("after a restart of the server: %+v", again)
	}
	withoutAssets(t, func() {
		b.run(30*time.Second, withoutCache())
		b.run(30*time.Second, chromedp.Navigate(baseURL()+"/user/alice/lab"))
		openLab(b)
		gone := js[loaded](b, 10*time.Second, loadedFiles)
		t.Logf("without the service: %+v", gone)
		if gone.Bytes < 1<<20 { // a redirect counts for the address that was asked for
			t.Errorf("it came from a cache: %+v", gone)
		}
		b.shot("assets-gone")
		if code := js[int](b, 20*time.Second, saveNotebook); code != 201 && code != 200 {
			t.Fatalf("saving a notebook answers %d", code)
		}
		runCell(b)
	})
}

func withoutCache() chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true})
		return err
	})
}

// withoutAssets runs do while there is no assets service.
func withoutAssets(t *testing.T, do func()) {
	t.Helper()
	const name = "perijove-assets"
	deployments := cluster(t).AppsV1().Deployments(namespace)
	scale, err := deployments.GetScale(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	set := func(ctx context.Context, n int32) {
		scale, err := deployments.GetScale(ctx, name, metav1.GetOptions{})
		if err == nil {
			scale.Spec.Replicas = n
			_, err = deployments.UpdateScale(ctx, name, scale, metav1.UpdateOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	pods := func() int {
		list, err := cluster(t).CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=assets"})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, pod := range list.Items {
			for _, c := range pod.Status.Conditions {
				if c.Type == "Ready" && strings.EqualFold(string(c.Status), "true") {
					n++
				}
			}
		}
		return n
	}
	before := scale.Spec.Replicas
	set(t.Context(), 0)
	t.Cleanup(func() { set(context.Background(), before) })
	wait.Within(t, time.Minute, "the assets service is gone", func() bool { return pods() == 0 })
	do()
}
