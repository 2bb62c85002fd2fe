package ldaplogin

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/slapd"
)

// wire is a directory that speaks LDAP on a real socket as badly as a test wants it to.
type wire struct {
	url    string
	caFile string
	conf   *tls.Config
	// answer returns the raw bytes of the reply, or nil to hang up. The default lets
	// alice in.
	answer func(r request) []byte
	// clear is glued to the StartTLS answer, before the handshake.
	clear []byte

	mu       sync.Mutex
	requests []string // what arrived, with "clear" or "TLS"
}

// request is one message: its id, the operation's tag and its fields as text.
type request struct {
	id     int64
	op     ber.Tag
	fields string
}

func (r request) String() string {
	name := map[ber.Tag]string{ldap.ApplicationBindRequest: "bind", ldap.ApplicationSearchRequest: "search", ldap.ApplicationExtendedRequest: "StartTLS"}[r.op]
	return strings.TrimSpace(name + " " + r.fields)
}

func newWire(t *testing.T) *wire {
	t.Helper()
	dir := t.TempDir()
	cert, caFile := slapd.Certificate(t, dir)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	w := &wire{url: "ldap://" + l.Addr().String(), caFile: caFile, conf: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}}
	w.answer = w.honest
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.serve(c)
		}
	}()
	return w
}

func (w *wire) login(t *testing.T) *Login {
	t.Helper()
	return New(scripted(t, nil, func(c *Config) { c.URLs, c.CAFile = []string{w.url}, w.caFile }).cfg)
}

func (w *wire) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	in := bufio.NewReader(c)
	secure := "clear"
	for {
		p, err := ber.ReadPacket(in)
		if err != nil {
			return
		}
		r := parse(p)
		w.mu.Lock()
		w.requests = append(w.requests, secure+" "+r.String())
		w.mu.Unlock()
		reply := w.answer(r)
		if reply == nil {
			return
		}
		if r.op == ldap.ApplicationExtendedRequest {
			reply = append(reply, w.clear...)
		}
		if _, err := c.Write(reply); err != nil {
			return
		}
		if r.op == ldap.ApplicationExtendedRequest && bytes.Equal(reply[:len(reply)-len(w.clear)], result(r.id, ldap.ApplicationExtendedResponse, 0)) {
			secured := tls.Server(c, w.conf)
			if err := secured.Handshake(); err != nil {
				return
			}
			c, in, secure = secured, bufio.NewReader(secured), "TLS"
		}
	}
}

func (w *wire) seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.requests)
}

func parse(p *ber.Packet) request {
	r := request{id: p.Children[0].Value.(int64), op: p.Children[1].Tag}
	switch op := p.Children[1]; r.op {
	case ldap.ApplicationBindRequest:
		r.fields = fmt.Sprint(op.Children[1].Value)
	case ldap.ApplicationSearchRequest:
		filter, _ := ldap.DecompileFilter(op.Children[6])
		r.fields = fmt.Sprint(op.Children[0].Value) + " " + filter
	}
	return r
}

// honest lets alice in with any password but "wrong".
func (w *wire) honest(r request) []byte {
	switch {
	case r.op == ldap.ApplicationExtendedRequest:
		return result(r.id, ldap.ApplicationExtendedResponse, 0)
	case r.op == ldap.ApplicationBindRequest:
		return result(r.id, ldap.ApplicationBindResponse, 0)
	case strings.HasPrefix(r.fields, "ou=groups"):
		return append(entryPacket(r.id, "cn=students,ou=groups", "cn", "students"), result(r.id, ldap.ApplicationSearchResultDone, 0)...)
	case strings.Contains(r.fields, "alice"):
		return append(entryPacket(r.id, "uid=alice,ou=people", "uid", "alice"), result(r.id, ldap.ApplicationSearchResultDone, 0)...)
	}
	return result(r.id, ldap.ApplicationSearchResultDone, 0)
}

func message(id int64, op *ber.Packet) []byte {
	p := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	p.AppendChild(op)
	return p.Bytes()
}

func text(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}

func result(id int64, tag ber.Tag, code int) []byte {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
	op.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, ""))
	op.AppendChild(text(""))
	op.AppendChild(text(""))
	return message(id, op)
}

func entryPacket(id int64, dn, attribute string, values ...string) []byte {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	op.AppendChild(text(dn))
	list := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	one := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	one.AppendChild(text(attribute))
	set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
	for _, v := range values {
		set.AppendChild(text(v))
	}
	one.AppendChild(set)
	list.AppendChild(one)
	op.AppendChild(list)
	return message(id, op)
}

// TestWire shows that the fake is one that people can log in with.
func TestWire(t *testing.T) {
	w := newWire(t)
	user, err := w.login(t).Check(context.Background(), "alice", "pw")
	if err != nil || user.Name != "alice" || !slices.Equal(user.Groups, []string{"students"}) {
		t.Fatalf("%+v, %v", user, err)
	}
	want := []string{
		"clear StartTLS", "TLS bind cn=service", "TLS search ou=people (uid=alice)", "clear StartTLS", "TLS bind uid=alice,ou=people",
		"TLS search ou=people (&(uid=alice)(uid=*))", "TLS search ou=groups (member=uid=alice,ou=people)",
	}
	if diff := cmp.Diff(want, w.seen()); diff != "" {
		t.Error(diff)
	}
}

// TestL6_NothingWithoutTLS watches the wire while StartTLS goes wrong in each way.
func TestL6_NothingWithoutTLS(t *testing.T) {
	other := newWire(t)
	for name, break_ := range map[string]func(*wire){
		"refused": func(w *wire) {
			w.answer = func(r request) []byte {
				return result(r.id, ldap.ApplicationExtendedResponse, ldap.LDAPResultUnwillingToPerform)
			}
		},
		"stripped: not understood": func(w *wire) {
			w.answer = func(r request) []byte {
				return result(r.id, ldap.ApplicationExtendedResponse, ldap.LDAPResultProtocolError)
			}
		},
		"stripped: connection closed": func(w *wire) { w.answer = func(request) []byte { return nil } },
		"another CA":                  func(w *wire) { w.conf = other.conf },
		"expired": func(w *wire) {
			cert, caFile := slapd.ExpiredCertificate(t, t.TempDir())
			w.conf, w.caFile = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, caFile
		},
		"TLS 1.1": func(w *wire) {
			w.conf = &tls.Config{Certificates: w.conf.Certificates, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11} //nolint:gosec // the attack
		},
		"another name": func(w *wire) { w.url = strings.Replace(w.url, "127.0.0.1", "127.0.0.2", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t)
			break_(w)
			if user, err := w.login(t).Check(context.Background(), "alice", "pw"); !errors.Is(err, access.ErrUnavailable) {
				t.Errorf("%+v, %v", user, err)
			}
			for _, r := range w.seen() {
				if r != "clear StartTLS" {
					t.Errorf("sent %q", r)
				}
			}
		})
	}
}

// TestL6_InjectedPlaintext: answers that an attacker puts before the handshake must not
// be taken for the directory's. The true directory refuses every bind of a person.
func TestL6_InjectedPlaintext(t *testing.T) {
	w := newWire(t)
	w.answer = func(r request) []byte {
		if r.op == ldap.ApplicationBindRequest && r.fields != "cn=service" {
			return result(r.id, ldap.ApplicationBindResponse, ldap.LDAPResultInvalidCredentials)
		}
		return w.honest(r)
	}
	if _, err := w.login(t).Check(context.Background(), "alice", "pw"); !errors.Is(err, access.ErrCredentials) {
		t.Fatalf("without an attack: %v", err)
	}
	for id := int64(1); id < 6; id++ {
		w.clear = append(w.clear, result(id, ldap.ApplicationBindResponse, 0)...)
	}
	if user, err := w.login(t).Check(context.Background(), "alice", "pw"); err == nil {
		t.Errorf("logged in as %+v", user)
	}
}

// TestL3_SameExchanges counts what the directory is asked, with a password that is
// wrong: nothing tells whether the name exists, is disabled or belongs to many groups.
func TestL3_SameExchanges(t *testing.T) {
	asked := map[string][]string{}
	texts := map[string]bool{}
	for name, change := range map[string]func(r request) []byte{
		"exists":  nil,
		"unknown": func(r request) []byte { return result(r.id, ldap.ApplicationSearchResultDone, 0) },
		"disabled": func(r request) []byte {
			return append(entryPacket(r.id, "uid=alice,ou=people", "nsAccountLock", "true"), result(r.id, ldap.ApplicationSearchResultDone, 0)...)
		},
		"no name": func(r request) []byte {
			return append(entryPacket(r.id, "uid=alice,ou=people", "uid"), result(r.id, ldap.ApplicationSearchResultDone, 0)...)
		},
	} {
		w := newWire(t)
		w.answer = func(r request) []byte {
			switch {
			case r.op == ldap.ApplicationSearchRequest && change != nil:
				return change(r)
			case r.op == ldap.ApplicationBindRequest && r.fields != "cn=service":
				return result(r.id, ldap.ApplicationBindResponse, ldap.LDAPResultInvalidCredentials)
			}
			return w.honest(r)
		}
		_, err := w.login(t).Check(context.Background(), "alice", "pw")
		if !errors.Is(err, access.ErrCredentials) {
			t.Errorf("%s: %v", name, err)
		}
		texts[fmt.Sprint(err)] = true
		for _, r := range w.seen() {
			words := strings.Fields(r)
			asked[name] = append(asked[name], strings.Join(words[:2], " "))
		}
	}
	for name, got := range asked {
		if diff := cmp.Diff(asked["exists"], got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if len(texts) != 1 {
		t.Errorf("several answers: %v", texts)
	}
}

// TestL11_Faults: the directory misbehaves at each step of a login.
func TestL11_Faults(t *testing.T) {
	steps := map[string]func(r request) bool{
		"StartTLS":     func(r request) bool { return r.op == ldap.ApplicationExtendedRequest },
		"service bind": func(r request) bool { return r.fields == "cn=service" },
		"search":       func(r request) bool { return r.op == ldap.ApplicationSearchRequest },
		"mid-bind": func(r request) bool {
			return strings.HasPrefix(r.fields, "uid=alice") && r.op == ldap.ApplicationBindRequest
		},
	}
	photo := entryPacket(1, "uid=alice,ou=people", "jpegPhoto", strings.Repeat("x", 50<<20))
	faults := map[string]func(r request) []byte{
		"dies":            func(request) []byte { return nil },
		"half a message":  func(r request) []byte { return result(r.id, ldap.ApplicationBindResponse, 0)[:7] },
		"malformed BER":   func(request) []byte { return []byte{0x30, 0x05, 0x02, 0x01, 0x01, 0xff, 0xff} },
		"an empty answer": func(request) []byte { return []byte{0x30, 0x00} },
		"the wrong id":    func(r request) []byte { return result(r.id+1000, ldap.ApplicationBindResponse, 0) },
		"busy":            func(r request) []byte { return result(r.id, ldap.ApplicationBindResponse, ldap.LDAPResultBusy) },
		"50 MB entry": func(r request) []byte {
			photo := bytes.Clone(photo)
			photo[8] = byte(r.id) // after 30 84 and four bytes of length, 02 01
			return append(photo, result(r.id, ldap.ApplicationSearchResultDone, 0)...)
		},
	}
	for step, when := range steps {
		for fault, answer := range faults {
			t.Run(step+"/"+fault, func(t *testing.T) {
				t.Parallel()
				w := newWire(t)
				w.answer = func(r request) []byte {
					if when(r) {
						return answer(r)
					}
					return w.honest(r)
				}
				login := w.login(t)
				login.timeout = 500 * time.Millisecond
				if user, err := login.Check(context.Background(), "alice", "pw"); !errors.Is(err, access.ErrUnavailable) {
					t.Errorf("%+v, %v", user, err)
				}
			})
		}
	}
}

// TestL11_Memory: the worst that fits into what we read, elements of two bytes, stays
// within bounds.
func TestL11_Memory(t *testing.T) {
	w := newWire(t)
	flood := append([]byte{0x30, 0x84, 0x03, 0x00, 0x00, 0x00}, bytes.Repeat([]byte{0x05, 0x00}, 24<<20)...)
	w.answer = func(r request) []byte {
		if r.op == ldap.ApplicationSearchRequest {
			return flood
		}
		return w.honest(r)
	}
	login := w.login(t)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	if _, err := login.Check(context.Background(), "alice", "pw"); !errors.Is(err, access.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	runtime.ReadMemStats(&after)
	const bound = 180 << 20 // garbage included; 145 are used
	if used := after.TotalAlloc - before.TotalAlloc; used > bound {
		t.Errorf("%d MB were allocated", used>>20)
	}
}

// TestR13_ServersInTurn: what one server does not do, the next does; who answered last
// is asked first; a kept connection that died is replaced.
func TestR13_ServersInTurn(t *testing.T) {
	good := newWire(t)
	for name, bad := range map[string]func(r request) []byte{
		"dies at once":       func(request) []byte { return nil },
		"dies in the search": nil,
		"busy":               func(r request) []byte { return result(r.id, ldap.ApplicationExtendedResponse, ldap.LDAPResultBusy) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t)
			w.answer = bad
			if bad == nil {
				w.answer = func(r request) []byte {
					if r.op == ldap.ApplicationSearchRequest {
						return nil
					}
					return w.honest(r)
				}
			}
			login := twoServers(t, w, good)
			for range 2 {
				if user, err := login.Check(context.Background(), "alice", "pw"); err != nil || user.Name != "alice" {
					t.Errorf("%+v, %v", user, err)
				}
			}
			before := len(w.seen())
			if _, err := login.Check(context.Background(), "alice", "pw"); err != nil || len(w.seen()) != before {
				t.Errorf("the bad server was asked again: %v", err)
			}
		})
	}
	t.Run("silent", func(t *testing.T) {
		silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never answers
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close() //nolint:errcheck // the test is over
		login := twoServers(t, &wire{url: "ldap://" + silent.Addr().String(), caFile: good.caFile}, good)
		login.attempt = 200 * time.Millisecond
		if user, err := login.Check(context.Background(), "alice", "pw"); err != nil || user.Name != "alice" {
			t.Errorf("%+v, %v", user, err)
		}
	})
	t.Run("a refusal is final", func(t *testing.T) {
		w := newWire(t)
		w.answer = func(r request) []byte {
			if r.op == ldap.ApplicationBindRequest && r.fields != "cn=service" {
				return result(r.id, ldap.ApplicationBindResponse, ldap.LDAPResultInvalidCredentials)
			}
			return w.honest(r)
		}
		if _, err := twoServers(t, w, good).Check(context.Background(), "alice", "pw"); !errors.Is(err, access.ErrCredentials) {
			t.Errorf("%v", err)
		}
	})
}

// twoServers is a login that asks a, then b, and trusts both.
func twoServers(t *testing.T, a, b *wire) *Login {
	t.Helper()
	var both []byte
	for _, w := range []*wire{a, b} {
		pem, err := os.ReadFile(w.caFile)
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, pem...)
	}
	caFile := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(caFile, both, 0o600); err != nil {
		t.Fatal(err)
	}
	return New(scripted(t, nil, func(c *Config) { c.URLs, c.CAFile = []string{a.url, b.url}, caFile }).cfg)
}

func TestKeptConnections(t *testing.T) {
	w := newWire(t)
	login := w.login(t)
	serviceBinds := func() (n int) {
		for _, r := range w.seen() {
			if r == "TLS bind cn=service" {
				n++
			}
		}
		return n
	}
	in := func() {
		t.Helper()
		if _, err := login.Check(context.Background(), "alice", "pw"); err != nil {
			t.Fatal(err)
		}
	}
	in()
	in()
	if n := serviceBinds(); n != 1 {
		t.Errorf("the service account bound %d times for two logins", n)
	}
	// The directory closes what was idle.
	for _, c := range login.servers[0].idle {
		_ = c.Close()
	}
	in()
	if n := serviceBinds(); n != 2 {
		t.Errorf("%d binds after the kept connection died", n)
	}
	// What is unused for long is not used again: a firewall may have forgotten it.
	login.servers[0].now = func() time.Time { return time.Now().Add(2 * maxIdle) }
	in()
	if n := serviceBinds(); n != 3 {
		t.Errorf("%d binds after a long pause", n)
	}
}

// TestClientGone: who gives up waiting frees the connection at once.
func TestClientGone(t *testing.T) {
	w := newWire(t)
	asked := make(chan struct{})
	var once sync.Once
	block := make(chan struct{})
	defer close(block)
	w.answer = func(r request) []byte {
		if r.op == ldap.ApplicationSearchRequest {
			once.Do(func() { close(asked) })
			<-block
		}
		return w.honest(r)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-asked; cancel() }()
	login := w.login(t)
	if _, err := login.Check(ctx, "alice", "pw"); !errors.Is(err, access.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if len(login.servers[0].slots) != 0 || len(login.servers[0].idle) != 0 {
		t.Error("the connection is still held")
	}
}
