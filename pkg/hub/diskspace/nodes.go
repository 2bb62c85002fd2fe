package diskspace

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/perijove/perijove/pkg/hub/spawn"
)

// KubeletPort is where kubelets listen unless their cluster says otherwise.
const KubeletPort = 10250

const (
	// often is how long an answer, or a failure, stands: a kubelet measures containers every ten
	// seconds or so, and volumes once a minute.
	often = 15 * time.Second
	// askWait bounds one question.
	askWait = 5 * time.Second
	// forget is when a node that no page asks about is forgotten.
	forget = 10 * time.Minute
)

// Settings is what Nodes need. Fields must all be set.
type Settings struct {
	// Authority is the cluster's: kubelets prove their addresses with its certificates.
	Authority *x509.CertPool
	// Token returns a token that may get nodes/stats. A node that asks for more than it gives gets
	// to see it, so it should allow nothing else.
	Token func(context.Context) (string, error)
	Port  uint16
	Now   func() time.Time
	Log   *slog.Logger
}

// Nodes asks kubelets. Make it with New.
type Nodes struct {
	Settings
	client *http.Client

	mu          sync.Mutex
	nodes       map[netip.Addr]*node
	uncertified bool // the log has that kubelets show certificates of their own
}

// node is what is known of one.
type node struct {
	asked    time.Time     // when the latest question began
	answered chan struct{} // closed when it is answered
	latest   figures       // the latest answer, empty after a failure
	failed   bool          // the log has it
}

// New returns Nodes.
func New(s Settings) *Nodes {
	return &Nodes{Settings: s, nodes: map[netip.Addr]*node{}, client: &http.Client{
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: s.Authority, MinVersion: tls.VersionTLS12},
			IdleConnTimeout: 2 * often,
		},
		// Elsewhere the token has no business.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Space returns how full a volume is. If the answer does not come before ctx ends, it is the one
// before, or false for none.
func (n *Nodes) Space(ctx context.Context, v spawn.Mounted) (spawn.Space, bool) {
	s, ok := n.known(ctx, v.Node).spaces[volume{claim{v.Claim, v.Namespace}, v.Pod, v.Volume}]
	return s, ok
}

// Consumption returns what a pod's server takes, in the same way.
func (n *Nodes) Consumption(ctx context.Context, m spawn.Measured) (spawn.Consumption, bool) {
	c, ok := n.known(ctx, m.Node).pods[m.UID]
	return c, ok
}

// known returns what a node says, or said before where its answer does not come before ctx ends.
func (n *Nodes) known(ctx context.Context, at netip.Addr) figures {
	select {
	case <-n.question(at):
	case <-ctx.Done():
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if one := n.nodes[at]; one != nil { // else forgotten meanwhile
		return one.latest
	}
	return figures{}
}

// question returns a channel that is closed once the node's answer is there. It asks if the one
// that is there is too old.
func (n *Nodes) question(at netip.Addr) <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.Now()
	one := n.nodes[at]
	if one == nil {
		for other, known := range n.nodes {
			if now.Sub(known.asked) > forget {
				delete(n.nodes, other)
			}
		}
		one = &node{}
		n.nodes[at] = one
	}
	if one.answered == nil || now.Sub(one.asked) >= often && done(one.answered) {
		one.asked, one.answered = now, make(chan struct{})
		go n.answer(at, one)
	}
	return one.answered
}

func done(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// answer asks the node and keeps what it says. The pages that wait may be gone meanwhile; the next
// one has the answer.
func (n *Nodes) answer(at netip.Addr, one *node) {
	ctx, cancel := context.WithTimeout(context.Background(), askWait)
	defer cancel()
	latest, err := n.ask(ctx, at)
	n.mu.Lock()
	defer n.mu.Unlock()
	one.latest = latest
	close(one.answered)
	if err == nil {
		one.failed = false
		return
	}
	if uncertified := errors.As(err, new(*tls.CertificateVerificationError)); uncertified {
		if !n.uncertified {
			n.Log.Warn("kubelets show no certificates of the cluster's authority: no figures of servers are shown (docs/operating.md, Free space)", "node", at, "error", err)
		}
		n.uncertified = true
	} else if !one.failed {
		n.Log.Warn("a node does not say what its servers use", "node", at, "error", err)
	}
	one.failed = true
}

// ask sends one question.
func (n *Nodes) ask(ctx context.Context, at netip.Addr) (figures, error) {
	token, err := n.Token(ctx)
	if err != nil {
		return figures{}, fmt.Errorf("get a token: %w", err)
	}
	url := "https://" + netip.AddrPortFrom(at, n.Port).String() + "/stats/summary"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return figures{}, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := n.client.Do(req)
	if err != nil {
		return figures{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		_, _ = io.CopyN(io.Discard, resp.Body, 1<<10) // so that the connection can be used again
		return figures{}, fmt.Errorf("the kubelet answers %s", resp.Status)
	}
	return read(resp.Body)
}
