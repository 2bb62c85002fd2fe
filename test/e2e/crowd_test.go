package e2e

import (
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/contract"
)

// TestD7_ReloadsDelayNobodysStart: bob, who has no server, reloads his home page 500 times a
// second. Each of these pages asks for a pod that is not there. Alice's start is accepted
// within two seconds all the same.
func TestD7_ReloadsDelayNobodysStart(t *testing.T) {
	const (
		rate     = 500 // a second
		accepted = 2 * time.Second
	)
	alice, bob := login(t, "alice"), login(t, "bob")
	alice.stop()
	bob.stop()
	token := field(t, alice.page(contract.PathSpawn), contract.XSRFName)

	bob.http.Transport = &http.Transport{MaxIdleConnsPerHost: rate}
	end := make(chan struct{})
	var pages, faults atomic.Int64
	var open sync.WaitGroup
	reload := func() {
		if code, _ := bob.api("GET", contract.PathHome); code != http.StatusOK {
			faults.Add(1)
		}
		pages.Add(1)
	}
	open.Go(func() {
		tick := time.NewTicker(time.Second / rate)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				open.Go(reload)
			}
		}
	})
	time.Sleep(2 * time.Second) // the load lasts, there is no condition to wait for
	begin := time.Now()
	resp := alice.do("POST", contract.PathSpawn, url.Values{contract.XSRFName: {token}})
	took := time.Since(begin)
	_ = resp.Body.Close()
	close(end)
	open.Wait()
	t.Logf("accepted after %s beside %d pages, of which %d failed", took.Round(time.Millisecond), pages.Load(), faults.Load())
	if resp.StatusCode != http.StatusOK || took > accepted {
		t.Errorf("alice's start answers %s after %s, want it accepted within %s", resp.Status, took, accepted)
	}
	if pages.Load() < rate { // in more than two seconds
		t.Errorf("only %d pages: the load was not there", pages.Load())
	}
	if faults.Load() > 0 {
		t.Errorf("%d of bob's own pages failed", faults.Load())
	}
	alice.follow()
}
