package ldaplogin

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/perijove/perijove/pkg/server/access"
)

// TestL11_Faults: the directory misbehaves at each step of a login.
func TestL11_Faults(t *testing.T) {
	t.Parallel()
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
	// Alone: it counts what the whole process allocates.
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
