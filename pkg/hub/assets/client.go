package assets

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"sync"
	"time"

	"github.com/perijove/perijove/pkg/contract"
)

const (
	every = 10 * time.Second
	// patience bounds one question.
	patience = 5 * time.Second
	// maxIndex bounds an answer in bytes: an image takes some 10 kB.
	maxIndex = 4 << 20
)

// digestForm is a SHA-256 sum in hexadecimal digits.
var digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Client asks the service again and again. The zero Client knows of no files.
type Client struct {
	address string
	http    *http.Client
	log     *slog.Logger

	mu       sync.Mutex
	byImage  map[string]string   // digests
	byDigest map[string][]string // first files
	failing  bool
}

// New returns a Client for the service at address, "host:port". tlsConf shows the spawner's
// certificate and accepts the service's.
func New(address string, tlsConf *tls.Config, log *slog.Logger) *Client {
	return &Client{address: address, log: log, http: &http.Client{
		Timeout:   patience,
		Transport: &http.Transport{TLSClientConfig: tlsConf, ForceAttemptHTTP2: true, IdleConnTimeout: 2 * every},
	}}
}

// Digest returns what names the files of an image; "" when they are not served.
func (c *Client) Digest(image string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byImage[image]
}

// First returns the addresses of the files that a first page loads from a digest's, on its server's host.
func (c *Client) First(digest string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for _, file := range c.byDigest[digest] {
		all = append(all, contract.PathAssets+digest+"/"+file)
	}
	return all
}

// Run asks until ctx is done.
func (c *Client) Run(ctx context.Context) error {
	if c.address == "" {
		return nil
	}
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

// ask asks once. While the service does not answer, new servers send their files themselves.
func (c *Client) ask(ctx context.Context) {
	index, err := c.index(ctx)
	if ctx.Err() != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && !c.failing {
		c.log.WarnContext(ctx, "the assets service does not answer; new servers send JupyterLab's files themselves", "error", err)
	}
	c.failing = err != nil
	c.byImage, c.byDigest = map[string]string{}, map[string][]string{}
	for image, served := range index {
		if digestForm.MatchString(served.Digest) { // it goes into addresses and into servers' environments
			c.byImage[image], c.byDigest[served.Digest] = served.Digest, served.First
		}
	}
}

func (c *Client) index(ctx context.Context) (contract.AssetsIndex, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+c.address+contract.PathAssetsIndex, nil)
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask for the images: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask for the images: %s", resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxIndex+1))
	if err != nil {
		return nil, fmt.Errorf("read the images: %w", err)
	}
	if len(text) > maxIndex {
		return nil, errors.New("the list of images has no end")
	}
	var index contract.AssetsIndex
	if err := json.Unmarshal(text, &index); err != nil {
		return nil, fmt.Errorf("read the images: %w", err)
	}
	return index, nil
}
