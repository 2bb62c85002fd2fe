package ldaplogin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/perijove/perijove/pkg/run/config"
)

const (
	// maxService bounds the connections to one server that search at one time. Who
	// comes later waits for one (R13).
	maxService = 8
	// maxIdle is how long an unused connection is kept: less than the minute after
	// which firewalls forget one.
	maxIdle = 45 * time.Second
)

// server is one of the directory's servers. Connections bound as the service account
// are kept for the next search; all others end with the login that opened them (L7).
type replica struct {
	url   string
	cfg   Config
	dial  dialFunc
	now   func() time.Time
	slots chan struct{}

	mu   sync.Mutex
	idle []idleConn // the longest unused first
}

type idleConn struct {
	Conn
	since time.Time
}

func newServer(url string, cfg Config, dial dialFunc, now func() time.Time) *replica {
	return &replica{url: url, cfg: cfg, dial: dial, now: now, slots: make(chan struct{}, maxService)}
}

// open returns an encrypted connection that is not bound yet. A failed StartTLS is a
// failed connection: there is no way on without it (L6).
func (s *replica) open(ctx context.Context) (conn Conn, release func() bool, err error) {
	conf, err := s.cfg.tlsConfig(s.url)
	if err != nil {
		return nil, nil, err
	}
	if conn, err = s.dial(ctx, s.url, conf); err != nil {
		return nil, nil, err
	}
	release = conn.Use(ctx)
	if !strings.HasPrefix(s.url, "ldap://") {
		return conn, release, nil
	}
	if err := conn.StartTLS(conf); err != nil {
		release()
		_ = conn.Close()
		return nil, nil, fmt.Errorf("StartTLS: %w", errors.Join(err, ctx.Err()))
	}
	return conn, release, nil
}

// asNobody runs ask with a new connection that is closed afterwards.
func (s *replica) asNobody(ctx context.Context, ask func(Conn) error) error {
	conn, release, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // it has done its work
	defer release()
	return ask(conn)
}

// asService runs search with a connection bound as the service account. A kept one may
// have been closed by the directory meanwhile; then search runs again on a new one.
func (s *replica) asService(ctx context.Context, search func(Conn) error) error {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return fmt.Errorf("wait for a connection: %w", ctx.Err())
	}
	if conn, ok := s.take(); ok {
		err := s.run(conn, conn.Use(ctx), search)
		if !broken(err) || ctx.Err() != nil {
			return err
		}
	}
	conn, release, err := s.open(ctx)
	if err != nil {
		return err
	}
	if err := s.bindService(conn); err != nil {
		release()
		_ = conn.Close()
		return err
	}
	return s.run(conn, release, search)
}

// run keeps conn afterwards unless it broke.
func (s *replica) run(conn Conn, release func() bool, search func(Conn) error) error {
	err := search(conn)
	if !release() || broken(err) {
		_ = conn.Close()
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = append(s.idle, idleConn{conn, s.now()})
	return err
}

// take returns the connection that was used last, and closes those that were not used
// for long.
func (s *replica) take() (Conn, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.idle) > 0 && s.now().Sub(s.idle[0].since) > maxIdle {
		_ = s.idle[0].Close()
		s.idle = s.idle[1:]
	}
	n := len(s.idle)
	if n == 0 {
		return nil, false
	}
	conn := s.idle[n-1].Conn
	s.idle = s.idle[:n-1]
	return conn, true
}

func (s *replica) bindService(conn Conn) error {
	secret, err := config.SecretFile(s.cfg.BindPasswordFile, 1)
	if err != nil {
		return err
	}
	if _, err := conn.SimpleBind(ldap.NewSimpleBindRequest(s.cfg.BindDN, string(secret), nil)); err != nil {
		return fmt.Errorf("bind as the service account: %w", err)
	}
	return nil
}

// broken reports whether err came from the connection, and not from a directory that
// answered as the protocol has it (result codes below 200).
func broken(err error) bool {
	var answer *ldap.Error
	switch {
	case err == nil, decided(err), errors.Is(err, errElsewhere), errors.Is(err, errSizeLimit), errors.Is(err, errParts):
		return false
	case errors.As(err, &answer):
		return answer.ResultCode >= ldap.ErrorNetwork || answer.ResultCode == ldap.LDAPResultUnavailable || answer.ResultCode == ldap.LDAPResultBusy
	}
	return true
}
