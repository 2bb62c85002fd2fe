package kube

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/perijove/perijove/pkg/hub/spawn"
)

const (
	// Pauses between two questions grow with the time that the server has been asked: a start of half
	// a second or more takes 5% longer than necessary at most, and one that never answers costs little.
	// Most questions end at a closed port, which costs less than a tenth of a millisecond.
	probeShare    = 20
	shortestPause = 20 * time.Millisecond
	longestPause  = 10 * time.Second
	// probeTimeout bounds one question; a dropped packet must not cost more.
	probeTimeout = time.Second
)

// prober asks starting servers whether they answer, a goroutine for each.
type prober struct {
	// trust shows the spawner's certificate and trusts the CA of servers.
	trust *tls.Config
	// dial reaches a pod's address.
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	answered func(context.Context, *corev1.Pod) bool
	now      func() time.Time
	after    func(time.Duration) <-chan time.Time
	log      *slog.Logger

	mu      sync.Mutex
	running map[types.UID]*probe
	all     sync.WaitGroup
}

type probe struct {
	target spawn.Target
	run    string // which run of the container is asked; a new one is asked from the beginning
	cancel context.CancelFunc
}

func newProber(trust *tls.Config, answered func(context.Context, *corev1.Pod) bool, now func() time.Time, log *slog.Logger) *prober {
	return &prober{
		trust: trust, dial: (&net.Dialer{}).DialContext, answered: answered, now: now, after: time.After, log: log,
		running: map[types.UID]*probe{},
	}
}

// client asks one server once. With a proofName it accepts a certificate of that name only.
func (p *prober) client(proofName string) *http.Client {
	transport := p.transport(proofName)
	transport.DisableKeepAlives = true // one answer is all that is wanted
	return podClient(transport, probeTimeout)
}

// transport leads to one server.
func (p *prober) transport(proofName string) *http.Transport {
	transport := &http.Transport{
		DialContext:            p.dial,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 16 << 10,
	}
	if proofName != "" {
		transport.TLSClientConfig = p.trust.Clone()
		transport.TLSClientConfig.ServerName = proofName
	}
	return transport
}

// podClient asks a pod; each question ends after timeout.
func podClient(transport *http.Transport, timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout: timeout,
		// A pod runs its user's program: it must not send the spawner elsewhere (to the
		// metadata service of a cloud, to another pod).
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     transport,
	}
}

// start asks target until it answers or stop is called. A second call for the same run of the same
// pod does nothing.
func (p *prober) start(ctx context.Context, pod *corev1.Pod, target spawn.Target, q spawn.Question) {
	url := target.URL(q.Path)
	p.follow(ctx, pod, target, spawn.Run(pod), func(ctx context.Context, client *http.Client) bool {
		return p.ask(ctx, client, url, q.Any) && p.answered(ctx, pod)
	})
}

// follow asks a pod's target until done says that there is no more to ask, or stop is called. A second call for the
// same run does nothing.
func (p *prober) follow(ctx context.Context, pod *corev1.Pod, target spawn.Target, run string, done func(context.Context, *http.Client) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if have, ok := p.running[pod.UID]; ok {
		if have.target == target && have.run == run {
			return
		}
		have.cancel()
	}
	ctx, cancel := context.WithCancel(ctx)
	mine := &probe{target: target, run: run, cancel: cancel}
	p.running[pod.UID] = mine
	p.all.Go(func() {
		p.probe(ctx, p.client(target.ProofName), done)
		cancel()
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.running[pod.UID] == mine { // not replaced by a probe of the next run
			delete(p.running, pod.UID)
		}
	})
}

func (p *prober) stop(uid types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if have, ok := p.running[uid]; ok {
		have.cancel()
		delete(p.running, uid)
	}
}

func (p *prober) wait() { p.all.Wait() }

func (p *prober) probe(ctx context.Context, client *http.Client, done func(context.Context, *http.Client) bool) {
	began := p.now()
	for {
		if done(ctx, client) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-p.after(pause(p.now().Sub(began))):
		}
	}
}

// pause is how long to wait before the next question to a server that has been asked for some
// time.
func pause(asked time.Duration) time.Duration {
	return min(max(asked/probeShare, shortestPause), longestPause)
}

// ask reports whether url answers 200 or, with anyAnswer, anything below 500.
func (p *prober) ask(ctx context.Context, client *http.Client, url string, anyAnswer bool) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		p.log.ErrorContext(ctx, "probe URL is wrong", "error", err)
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false // not listening yet: the usual case
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, 4096) // the answer's text does not matter
	return resp.StatusCode == http.StatusOK || anyAnswer && resp.StatusCode < http.StatusInternalServerError
}
