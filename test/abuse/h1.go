package abuse

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// patience bounds one exchange: an edge that does not answer in this time is broken.
const patience = 20 * time.Second

// Answer is what came back. Code 0 means that there was no answer: the connection or
// the stream was closed instead.
type Answer struct {
	Code   int
	Header http.Header
	Body   string
}

// Refused says whether the edge ended the exchange by itself because the request cannot
// be read in one way only.
func (a Answer) Refused() bool {
	switch a.Code {
	case 0, http.StatusBadRequest, http.StatusUpgradeRequired, http.StatusRequestHeaderFieldsTooLarge, http.StatusNotImplemented:
		return true
	}
	return false
}

// SendH1 writes text as it is and reads one response. The error tells of a network
// that failed or an answer that did not come in time, never of a refusal.
func SendH1(addr, text string) (Answer, error) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, text) // the edge may have closed before the end: then the answer tells
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if timedOut(err) {
		return Answer{}, fmt.Errorf("no answer to %.80q: %w", text, err)
	}
	if err != nil {
		return Answer{}, nil
	}
	a := Answer{Code: resp.StatusCode, Header: resp.Header}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return a, nil
	}
	body, err := io.ReadAll(resp.Body)
	if timedOut(err) {
		return Answer{}, fmt.Errorf("no whole answer to %.80q: %w", text, err)
	}
	a.Body = string(body)
	return a, nil
}

func timedOut(err error) bool {
	late, ok := err.(net.Error)
	return ok && late.Timeout()
}
