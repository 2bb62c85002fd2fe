package routestatus

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server"
)

// Path is where the handler lives on the xds-server's mTLS status port.
const Path = "/v1/served"

const (
	// poll bounds one long-poll, so that dead peers are noticed.
	poll = 5 * time.Second
	// perTarget bounds how long one unreachable gateway can hold up a spawn.
	perTarget = 2 * time.Second
)

// Status is one xds-server's answer.
type Status struct {
	// Envoys is how many Envoys are connected to it.
	Envoys int `json:"envoys"`
	// Served is whether all of them have ACKed a route to the pod that was asked about.
	Served bool `json:"served"`
	// Refused is set when one of them has refused that route: it does not come until the
	// route changes.
	Refused *Refusal `json:"refused,omitempty"`
}

// Refusal is the version of a route that an Envoy refused, and why, in Envoy's words. It is an
// error of WaitServed.
type Refusal struct {
	Version string `json:"version"`
	Reason  string `json:"reason"`
}

// Error is for logs.
func (r *Refusal) Error() string {
	return fmt.Sprintf("Envoy refuses version %s of the route: %s", r.Version, r.Reason)
}

// Source knows which routes the connected Envoys have ACKed. Wait returns as soon
// as the answer is Served or Refused, else the state when ctx ends.
type Source interface {
	Wait(ctx context.Context, id server.ID, podUID string) Status
}

// Handler answers GET Path?user=…&server=…&pod=UID, holding the request for a few
// seconds until the answer is yes or a refusal.
func Handler(source Source) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Path, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		id := server.ID{User: q.Get("user"), Name: q.Get("server")}
		if err := id.Valid(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), poll)
		defer cancel()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(source.Wait(ctx, id, q.Get("pod")))
	})
	return mux
}

// Client asks every xds-server.
type Client struct {
	targets func(ctx context.Context) ([]string, error)
	http    *http.Client
}

// NewClient returns a client for the host:port addresses that targets returns at
// each question (replicas come and go). tlsConf holds the spawner's certificate.
func NewClient(targets func(ctx context.Context) ([]string, error), tlsConf *tls.Config) *Client {
	dialer := &net.Dialer{Timeout: perTarget}
	return &Client{targets: targets, http: &http.Client{Transport: &http.Transport{
		DialContext:         dialer.DialContext,
		TLSClientConfig:     tlsConf,
		ForceAttemptHTTP2:   true,
		TLSHandshakeTimeout: perTarget,
		MaxIdleConnsPerHost: 8,
		IdleConnTimeout:     time.Minute,
	}}}
}

// WaitServed returns nil once every xds-server that can be reached says that all
// its Envoys have ACKed a route to the pod, and at least one Envoy exists. It
// returns a *Refusal as soon as one of them says that an Envoy refused the route, and another
// error when ctx ends first. It leaves out a gateway that does not
// answer: no user is routed by that gateway, and it must not stop all starts.
func (c *Client) WaitServed(ctx context.Context, id server.ID, podUID string) error {
	var last error
	for {
		served, err := c.ask(ctx, id, podUID)
		if err == nil && served {
			return nil
		}
		if errors.As(err, new(*Refusal)) {
			return fmt.Errorf("wait for the route of %s: %w", id, err)
		}
		if err != nil {
			last = err
		}
		pause := time.NewTimer(100 * time.Millisecond)
		select {
		case <-ctx.Done():
			pause.Stop()
			return fmt.Errorf("wait for the route of %s: %w", id, errors.Join(ctx.Err(), last))
		case <-pause.C:
		}
	}
}

func (c *Client) ask(ctx context.Context, id server.ID, podUID string) (bool, error) {
	targets, err := c.targets(ctx)
	if err != nil {
		return false, fmt.Errorf("find xds-servers: %w", err)
	}
	answers := make([]*Status, len(targets))
	failures := make([]error, len(targets))
	g, ctx := errgroup.WithContext(ctx)
	for i, target := range targets {
		g.Go(func() error {
			answers[i], failures[i] = c.askOne(ctx, target, id, podUID)
			if answers[i] != nil && answers[i].Refused != nil {
				return answers[i].Refused // the other answers cannot change it
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return false, err
	}
	envoys := 0
	for _, a := range answers {
		if a == nil {
			continue
		}
		if !a.Served && a.Envoys > 0 {
			return false, nil
		}
		envoys += a.Envoys
	}
	if envoys == 0 {
		return false, errors.Join(append(failures, errors.New("no Envoy is connected to any xds-server"))...)
	}
	return true, nil
}

func (c *Client) askOne(ctx context.Context, target string, id server.ID, podUID string) (*Status, error) {
	q := url.Values{"user": {id.User}, "server": {id.Name}, "pod": {podUID}}
	u := url.URL{Scheme: "https", Host: target, Path: Path, RawQuery: q.Encode()}
	ctx, cancel := context.WithTimeout(ctx, poll+perTarget)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("ask xds-server: %w", err)
	}
	if id := telemetry.RequestID(ctx); id != "" {
		req.Header.Set(contract.HeaderRequestID, id)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask xds-server: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("xds-server %s answers %s", target, resp.Status)
	}
	var s Status
	if err := json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 4096)).Decode(&s); err != nil {
		return nil, fmt.Errorf("answer of xds-server %s: %w", target, err)
	}
	return &s, nil
}
