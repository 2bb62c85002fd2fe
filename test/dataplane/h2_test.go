package dataplane

//lint:file-ignore SA1019 net/http's own transport refuses the header :protocol

import (
	"context"
	"crypto/sha1" //nolint:gosec // RFC 6455 §4.2.2 asks for it
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"

	"golang.org/x/net/http2"
)

// overH2 lets a websocket client that speaks RFC 6455 use RFC 8441 (extended CONNECT
// on one stream of HTTP/2), as browsers do.
type overH2 struct{ transport *http2.Transport }

func (o overH2) RoundTrip(req *http.Request) (*http.Response, error) {
	body, write := io.Pipe()
	connect := req.Clone(req.Context())
	connect.Method, connect.Body = http.MethodConnect, body
	key := connect.Header.Get("Sec-WebSocket-Key")
	for _, hop := range []string{"Connection", "Upgrade", "Sec-WebSocket-Key"} {
		connect.Header.Del(hop)
	}
	connect.Header[":protocol"] = []string{"websocket"}
	resp, err := o.send(connect)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, errors.Join(err, write.Close())
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec
	resp.StatusCode = http.StatusSwitchingProtocols
	resp.Header.Set("Connection", "Upgrade")
	resp.Header.Set("Upgrade", "websocket")
	resp.Header.Set("Sec-WebSocket-Accept", base64.StdEncoding.EncodeToString(sum[:]))
	resp.Body = h2Stream{Reader: resp.Body, WriteCloser: write, answer: resp.Body}
	return resp, nil
}

// send sends a request as it is.
func (o overH2) send(req *http.Request) (*http.Response, error) { return o.transport.RoundTrip(req) }

// overH2 returns a client of the same person that speaks HTTP/2 on one connection,
// websockets included.
func (p *person) overH2() *person {
	transport := &http2.Transport{
		TLSClientConfig: p.s.trust.Clone(),
		DialTLSContext: func(ctx context.Context, network, _ string, conf *tls.Config) (net.Conn, error) {
			return (&tls.Dialer{Config: conf}).DialContext(ctx, network, publicAddr)
		},
	}
	p.s.t.Cleanup(transport.CloseIdleConnections)
	return &person{s: p.s, http: &http.Client{Jar: p.http.Jar, Transport: overH2{transport}}}
}

// h2Stream is both directions of one stream.
type h2Stream struct {
	io.Reader
	io.WriteCloser
	answer io.Closer
}

func (s h2Stream) Close() error { return errors.Join(s.WriteCloser.Close(), s.answer.Close()) }
