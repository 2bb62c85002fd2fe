package oidclogin

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"
)

const (
	// CallTimeout bounds one request to a provider, and WholeTimeout all requests of
	// one login. With what pkg/auth/login waits for Kubernetes a person waits at most ten
	// seconds (O14).
	CallTimeout  = 4 * time.Second
	WholeTimeout = 6 * time.Second
	// maxAnswer bounds what a provider may answer, in bytes after decompression.
	maxAnswer = 512 << 10
)

// newClient returns the client for one provider: nothing but https (or this machine,
// if the issuer is on it), no redirects, bounded in time and size.
func (p *Provider) newClient() (*http.Client, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if p.cfg.CAFile != "" {
		pem, err := os.ReadFile(p.cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read the provider's CA: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("the provider's CA file %s holds no certificate", p.cfg.CAFile)
		}
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: conf, ForceAttemptHTTP2: true, TLSHandshakeTimeout: p.callTimeout,
		IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 4, MaxResponseHeaderBytes: 64 << 10,
	}
	return &http.Client{
		Transport: guard{next: transport, allowed: p.allowed},
		Timeout:   p.callTimeout,
		// No standard lets a provider redirect these requests, and a redirect could
		// lead anywhere (O14).
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// allowed reports whether the address may be asked: https, or this machine when the
// configured issuer is on it in clear.
func (p *Provider) allowed(u *url.URL) bool {
	if u.Scheme == "https" && u.Hostname() != "" {
		return true
	}
	issuer, err := url.Parse(p.cfg.Issuer)
	return err == nil && issuer.Scheme == "http" && u.Scheme == "http" && loopback(u)
}

// guard refuses requests that must not be made and cuts answers that are too long.
type guard struct {
	next    http.RoundTripper
	allowed func(*url.URL) bool
}

func (g guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if !g.allowed(r.URL) {
		return nil, fmt.Errorf("the provider names an address that is not https: %s", r.URL.Redacted())
	}
	res, err := g.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	res.Body = &limitedBody{ReadCloser: res.Body, left: maxAnswer}
	return res, nil
}

// limitedBody ends with an error, not silently as io.LimitReader does: half a document
// is none.
type limitedBody struct {
	io.ReadCloser
	left int
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("the provider's answer is too long")
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
