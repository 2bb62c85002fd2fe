package traffic

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
)

const (
	every = 30 * time.Second
	// perReplica bounds one question.
	perReplica = 10 * time.Second
	// maxReport bounds an answer in bytes: authz remembers 100 000 servers, some 80 bytes each.
	maxReport = 32 << 20
)

// Client asks all replicas of authz.
type Client struct {
	targets func(ctx context.Context) ([]string, error)
	http    *http.Client
	now     func() time.Time
	log     *slog.Logger
	ledger  Ledger
	failing bool
}

// New returns a Client for the host:port addresses that targets returns at each question (replicas come
// and go). tlsConf holds the spawner's certificate.
func New(targets func(ctx context.Context) ([]string, error), tlsConf *tls.Config, now func() time.Time, reg prometheus.Registerer, log *slog.Logger) *Client {
	c := &Client{targets: targets, now: now, log: log, http: &http.Client{
		Timeout: perReplica,
		Transport: &http.Transport{
			TLSClientConfig: tlsConf, ForceAttemptHTTP2: true, TLSHandshakeTimeout: perReplica, IdleConnTimeout: 2 * every,
		},
	}}
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "perijove_use_reports_age_seconds",
		Help: "Time since all replicas of authz said when servers were last used; infinite before they did.",
	}, func() float64 {
		age, ok := c.ledger.Age(c.now())
		if !ok {
			return math.Inf(1)
		}
		return age.Seconds()
	}))
	return c
}

// Last is Ledger.Last at this moment.
func (c *Client) Last(id server.ID) (last time.Time, ok bool) { return c.ledger.Last(id, c.now()) }

// Run asks until ctx is done.
func (c *Client) Run(ctx context.Context) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		c.ask(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// ask asks all replicas once. The answers count together or not at all: the use of a server may have
// been seen by the one that does not answer.
func (c *Client) ask(ctx context.Context) {
	answers, err := c.all(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		if !c.failing {
			c.log.WarnContext(ctx, "not all gateways say when servers were last used; programs other than Jupyter stay until they do", "error", err)
		}
		c.failing = true
		return
	}
	c.failing = false
	c.ledger.Take(c.now(), answers)
}

func (c *Client) all(ctx context.Context) (map[string]contract.UseReport, error) {
	targets, err := c.targets(ctx)
	if err != nil {
		return nil, fmt.Errorf("find authz: %w", err)
	}
	if len(targets) == 0 {
		return nil, errors.New("find authz: there is none")
	}
	var mu sync.Mutex
	answers := map[string]contract.UseReport{}
	group, ctx := errgroup.WithContext(ctx)
	for _, target := range targets {
		group.Go(func() error {
			r, err := c.one(ctx, target)
			mu.Lock()
			defer mu.Unlock()
			answers[target] = r
			return err
		})
	}
	return answers, group.Wait()
}

func (c *Client) one(ctx context.Context, target string) (r contract.UseReport, err error) {
	u := url.URL{Scheme: "https", Host: target, Path: contract.PathUse}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return r, fmt.Errorf("ask authz: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return r, fmt.Errorf("ask authz: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return r, fmt.Errorf("authz at %s answers %s", target, resp.Status)
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, resp.Body, maxReport)).Decode(&r); err != nil {
		return r, fmt.Errorf("answer of authz at %s: %w", target, err)
	}
	return r, nil
}
