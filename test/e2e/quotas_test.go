package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// withQuotas puts quotas in force until the test ends, and waits until p sees them.
func withQuotas(t *testing.T, p *person, quotas, seen string) {
	t.Helper()
	list, write := profileList(t)
	changed := strings.Replace(list, "quotas: {}\n", "quotas: "+quotas+"\n", 1)
	if changed == list {
		t.Fatalf("the list has no place for quotas:\n%s", list)
	}
	write(changed)
	wait.Within(t, 5*time.Second, "the home page shows the quota", func() bool { return strings.Contains(p.page(contract.PathHome), seen) })
}

// twoSpawners runs a second spawner until the test ends.
func twoSpawners(t *testing.T) {
	t.Helper()
	deployments := cluster(t).AppsV1().Deployments(namespace)
	scale := func(ctx context.Context, n int) {
		patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, n)
		if _, err := deployments.Patch(ctx, "perijove-spawner", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	before, err := deployments.Get(t.Context(), "perijove-spawner", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { scale(context.Background(), int(*before.Spec.Replicas)) })
	scale(t.Context(), 2)
	wait.Within(t, time.Minute, "two spawners are ready", func() bool {
		d, err := deployments.Get(t.Context(), "perijove-spawner", metav1.GetOptions{})
		return err == nil && d.Status.ReadyReplicas == 2
	})
}

// crowdOf returns the pods of a user's servers.
func crowdOf(t *testing.T, user string) []corev1.Pod {
	t.Helper()
	l, err := cluster(t).CoreV1().Pods(servers).List(context.Background(), metav1.ListOptions{LabelSelector: contract.LabelUsername + "=" + user})
	if err != nil {
		t.Fatal(err)
	}
	return l.Items
}

// endAll ends all servers of a user at once.
func endAll(t *testing.T, user string) {
	t.Helper()
	for _, pod := range crowdOf(t, user) {
		_ = cluster(t).CoreV1().Pods(servers).Delete(context.Background(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})
	}
}

// TestRacingStartsKeepTheQuota: bob may run two servers. 200 starts at one moment, through Envoy and
// two spawners, make two and never a third; a refusal says why; a stopped one makes room at once.
func TestRacingStartsKeepTheQuota(t *testing.T) {
	const starts = 200
	bob := login(t, "bob")
	bob.stop()
	twoSpawners(t)
	withQuotas(t, bob, `{"e2e": {"users": ["bob"], "servers": 2, "named_servers": 100}}`, "0 of 2")
	token := field(t, bob.page(contract.PathSpawn), contract.XSRFName)
	bob.http.Transport = &http.Transport{MaxIdleConnsPerHost: starts}
	t.Cleanup(func() { endAll(t, "bob") })

	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			if n := len(crowdOf(t, "bob")); n > 2 {
				t.Errorf("%d servers at one time", n)
			}
			select {
			case <-done:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	var accepted, refused atomic.Int64
	var all sync.WaitGroup
	for i := range starts {
		all.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), "POST", fmt.Sprintf("%s%s/users/bob/servers/r%d", baseURL(), contract.PathAPI, i), nil)
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set(contract.XSRFHeader, token)
			req.Header.Set("Origin", baseURL())
			resp, err := bob.http.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			_ = resp.Body.Close()
			switch resp.StatusCode {
			case http.StatusAccepted:
				accepted.Add(1)
			case http.StatusForbidden:
				refused.Add(1)
			default:
				t.Errorf("start %d: %s", i, resp.Status)
			}
		})
	}
	all.Wait()
	if accepted.Load() != 2 || refused.Load() != starts-2 {
		t.Errorf("%d accepted and %d refused, want 2 and %d", accepted.Load(), refused.Load(), starts-2)
	}
	page := bob.refusedStart("next", token)
	for _, want := range []string{"“e2e” allows 2 running servers", "as soon as another of your servers stops"} {
		if !strings.Contains(page, want) {
			t.Errorf("the refusal lacks %q:\n%s", want, page)
		}
	}
	first := crowdOf(t, "bob")[0]
	_ = bob.do("POST", "/hub/stop/bob/"+first.Annotations[contract.LabelServername], url.Values{contract.XSRFName: {token}}).Body.Close()
	waitGone(t, first.Name)
	if page := bob.refusedStart("next", token); strings.Contains(page, "allows 2") {
		t.Error("a stopped server made no room")
	}
	close(done)
	watch.Wait()
}

// refusedStart starts a named server by its form and returns the page that it leads to.
func (p *person) refusedStart(name, token string) string {
	p.t.Helper()
	resp := p.do("POST", contract.PathSpawn+"/"+p.name+"/"+name, url.Values{contract.XSRFName: {token}})
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(body)
}

// TestNamedServersInTheBrowser: alice calls a server what she likes, opens it, stops it, finds it
// again, and deletes it.
func TestNamedServersInTheBrowser(t *testing.T) {
	alice := login(t, "alice")
	alice.stop()
	id := server.ID{User: "alice", Name: "ubung-1-2-b"}
	remove := func() {
		form := url.Values{contract.XSRFName: {field(t, alice.page(contract.PathSpawn), contract.XSRFName)}}
		_ = alice.do("POST", "/hub/delete/alice/"+id.Name, form).Body.Close()
		waitGone(t, spawn.PodName(id))
	}
	remove() // that of a run that failed
	withQuotas(t, alice, `{"e2e": {"users": ["alice"], "servers": 3, "memory": "8G", "hours_per_week": 40}}`, "0 of 3")
	b := newBrowser(t)
	b.login("alice", contract.PathHome)
	b.run(20*time.Second, chromedp.Click(".another summary"), chromedp.WaitVisible("#name"),
		chromedp.SendKeys("#name", "Übung 1/2 <b>"), chromedp.Submit("#name"))
	b.until(20*time.Second, `location.pathname.startsWith("/hub/spawn/alice/")`)
	b.run(20*time.Second, chromedp.WaitVisible("#start"), chromedp.Click("#start"))
	b.shows(90*time.Second, ".jp-Launcher, .jp-NotebookPanel")
	b.run(20*time.Second, chromedp.Navigate(baseURL()+contract.PathHome), chromedp.WaitVisible(".usage meter"))
	b.shot("home-named")
	home := alice.page(contract.PathHome)
	if !strings.Contains(home, "Übung 1/2 &lt;b&gt;") || !strings.Contains(home, "1 of 3") || !strings.Contains(home, id.Prefix()) {
		t.Errorf("home: %s", home)
	}
	token := field(t, home, contract.XSRFName)
	_ = alice.do("POST", "/hub/stop/alice/"+id.Name, url.Values{contract.XSRFName: {token}}).Body.Close()
	waitGone(t, spawn.PodName(id))
	if home := alice.page(contract.PathHome); !strings.Contains(home, "Übung 1/2 &lt;b&gt;") || !strings.Contains(home, "0 of 3") {
		t.Errorf("home after the stop: %s", home)
	}
	remove()
	if home := alice.page(contract.PathHome); strings.Contains(home, "Übung") {
		t.Errorf("home after the deletion: %s", home)
	}
}
