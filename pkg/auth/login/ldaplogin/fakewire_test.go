package ldaplogin

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

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

// request is one message: its id, the operation's tag and its fields as text, and of a search
// what it wants in the answer.
type request struct {
	id         int64
	op         ber.Tag
	fields     string
	attributes []string // that a search asks for
	paging     *ldap.ControlPaging
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
		for _, a := range op.Children[7].Children {
			r.attributes = append(r.attributes, fmt.Sprint(a.Value))
		}
	}
	if len(p.Children) > 2 {
		for _, c := range p.Children[2].Children {
			if control, err := ldap.DecodeControl(c); err == nil && control.GetControlType() == ldap.ControlTypePaging {
				r.paging = control.(*ldap.ControlPaging)
			}
		}
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

func message(id int64, op *ber.Packet, controls ...ldap.Control) []byte {
	p := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	p.AppendChild(op)
	if len(controls) > 0 {
		all := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "")
		for _, c := range controls {
			all.AppendChild(c.Encode())
		}
		p.AppendChild(all)
	}
	return p.Bytes()
}

func text(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}

func result(id int64, tag ber.Tag, code int, controls ...ldap.Control) []byte {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
	op.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, ""))
	op.AppendChild(text(""))
	op.AppendChild(text(""))
	return message(id, op, controls...)
}

func attribute(name string, values ...string) *ber.Packet {
	one := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	one.AppendChild(text(name))
	set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
	for _, v := range values {
		set.AppendChild(text(v))
	}
	one.AppendChild(set)
	return one
}

func entryPacket(id int64, dn, name string, values ...string) []byte {
	return entryWith(id, dn, attribute(name, values...))
}

func entryWith(id int64, dn string, attributes ...*ber.Packet) []byte {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	op.AppendChild(text(dn))
	list := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	for _, a := range attributes {
		list.AppendChild(a)
	}
	op.AppendChild(list)
	return message(id, op)
}
