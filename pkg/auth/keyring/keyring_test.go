package keyring

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/logs"
	"github.com/perijove/perijove/test/wait"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestOrder(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"as given":                  {"b a c", "b a c"},
		"newest that is old enough": {"session.key session-20261101T0000Z.key session-20261121T1150Z.key", "session-20261121T1150Z.key session-20261101T0000Z.key session.key"},
		"too young":                 {"session-20261121T1151Z.key session.key", "session.key session-20261121T1151Z.key"},
		"from the future":           {"k-20991231T0000Z k-20261121T1200Z k", "k k-20261121T1200Z k-20991231T0000Z"},
		"only young ones":           {"k-20261121T1200Z k-20261121T1155Z", "k-20261121T1155Z k-20261121T1200Z"},
		"no moment":                 {"k-20269999T0000Z k", "k-20269999T0000Z k"},
		"moment of a folder":        {"/20200101T0000Z/k /b", "/20200101T0000Z/k /b"},
	} {
		if got := strings.Join(Order(strings.Fields(c.in), noon), " "); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// write puts a key in place whole, as the kubelet does: a watcher must not find half of it.
func write(t *testing.T, path string, fill string) {
	t.Helper()
	sum, whole := sha256.Sum256([]byte(fill)), path+".new"
	if err := errors.Join(os.WriteFile(whole, sum[:], 0o600), os.Rename(whole, path)); err != nil {
		t.Fatal(err)
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "session.key"), "a")
	if _, err := Files([]string{filepath.Join(dir, "session*.key"), filepath.Join(dir, "pass*")}, noon); err == nil || !strings.Contains(err.Error(), "pass*") {
		t.Errorf("%v", err)
	}
	if got, err := Files([]string{filepath.Join(dir, "*.key"), filepath.Join(dir, "session.key")}, noon); err != nil || len(got) != 2 {
		t.Errorf("%v %v", got, err) // the ring says that one repeats another
	}
	if _, err := Files([]string{"["}, noon); err == nil {
		t.Error("a broken pattern")
	}
}

// replica is one authz's ring that follows a folder.
type replica struct {
	dir  string
	ring *session.Ring
}

func newReplica(t *testing.T, clock func() time.Time, log *slog.Logger) *replica {
	t.Helper()
	r := &replica{dir: t.TempDir()}
	write(t, filepath.Join(r.dir, "session.key"), "first")
	patterns := []string{filepath.Join(r.dir, "session*.key")}
	files, err := Files(patterns, clock())
	if err != nil {
		t.Fatal(err)
	}
	if r.ring, err = load(files); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		Watch(ctx, patterns, time.Millisecond, clock, log, func(files []string) error {
			fresh, err := load(files)
			if err == nil {
				r.ring.Replace(fresh)
			}
			return err
		})
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return r
}

func load(files []string) (*session.Ring, error) {
	var secrets [][]byte
	for _, path := range files {
		secret, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, secret)
	}
	return session.NewRing(secrets...)
}

// sealer names the key that a ring seals with.
func (r *replica) sealer(t *testing.T) string {
	t.Helper()
	cookie, err := r.ring.Seal(session.New(access.User{Name: "alice"}, "ldap", noon, time.Hour))
	if err != nil {
		t.Error(err)
	}
	header, _, _ := strings.Cut(cookie, ".")
	return header
}

// TestRotationLogsNobodyOut: two replicas, one of which gets the new key late, under
// load: every cookie that either seals is opened by both, at every moment.
func TestRotationLogsNobodyOut(t *testing.T) {
	var offset atomic.Int64
	clock := func() time.Time { return noon.Add(time.Duration(offset.Load())) }
	log := slog.New(slog.DiscardHandler)
	a, b := newReplica(t, clock, log), newReplica(t, clock, log)
	stop, refused, opened := make(chan struct{}), atomic.Int64{}, atomic.Int64{}
	var load sync.WaitGroup
	first, err := a.ring.Seal(session.New(access.User{Name: "alice"}, "ldap", noon, 24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range [][2]*replica{{a, b}, {b, a}} {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				cookie, err := pair[0].ring.Seal(session.New(access.User{Name: "alice"}, "ldap", noon, 24*time.Hour))
				if err != nil {
					t.Error(err)
					return
				}
				for _, value := range []string{cookie, first} {
					if _, err := pair[1].ring.Open(value, noon); err != nil {
						refused.Add(1)
					}
					opened.Add(1)
				}
			}
		})
	}
	old := a.sealer(t)
	// The new key reaches a at once, b two minutes later, and seals ten minutes later.
	write(t, filepath.Join(a.dir, "session-20261121T1200Z.key"), "second")
	wait.Until(t, "a has it", func() bool { return keys(a) == 2 })
	offset.Store(int64(2 * time.Minute))
	if a.sealer(t) != old {
		t.Error("a seals with a key that b has not got")
	}
	write(t, filepath.Join(b.dir, "session-20261121T1200Z.key"), "second")
	wait.Until(t, "b has it", func() bool { return keys(b) == 2 })
	offset.Store(int64(Grace))
	wait.Until(t, "both seal with it", func() bool { return a.sealer(t) != old && b.sealer(t) != old })
	before := opened.Load()
	wait.Until(t, "work goes on", func() bool { return opened.Load() > before+100 })
	close(stop)
	load.Wait()
	if n := refused.Load(); n != 0 {
		t.Errorf("%d of %d logged out", n, opened.Load())
	}
	// Negative control: taking the old key off logs its sessions out.
	for _, r := range []*replica{a, b} {
		if err := os.Remove(filepath.Join(r.dir, "session.key")); err != nil {
			t.Fatal(err)
		}
		wait.Until(t, "the old key is gone", func() bool { _, err := r.ring.Open(first, noon); return err != nil })
	}
}

// keys counts the keys of a replica's ring: what other rings of one key seal, it opens.
func keys(r *replica) int {
	n := 0
	for _, fill := range []string{"first", "second"} {
		secret := sha256.Sum256([]byte(fill))
		other, err := session.NewRing(secret[:])
		if err != nil {
			continue
		}
		cookie, err := other.Seal(session.New(access.User{Name: "x"}, "ldap", noon, time.Hour))
		if err != nil {
			continue
		}
		if _, err := r.ring.Open(cookie, noon); err == nil {
			n++
		}
	}
	return n
}

// TestBadKeysLeaveTheOldOnes: they are reported once, and used when they are right.
func TestBadKeysLeaveTheOldOnes(t *testing.T) {
	log := &logs.Buffer{}
	r := newReplica(t, func() time.Time { return noon }, slog.New(slog.NewTextHandler(log, nil)))
	old := r.sealer(t)
	path := filepath.Join(r.dir, "session-20260101T0000Z.key")
	bad := path + ".new"
	if err := errors.Join(os.WriteFile(bad, []byte("too short"), 0o600), os.Rename(bad, path)); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "it is reported", func() bool { return strings.Contains(log.String(), "cannot be used") })
	if r.sealer(t) != old {
		t.Error("the ring changed")
	}
	write(t, path, "second")
	wait.Until(t, "it is used", func() bool { return r.sealer(t) != old })
	if got := log.String(); strings.Count(got, "cannot be used") != 1 || strings.Contains(got, "too short") {
		t.Errorf("the log says %s", got)
	}
	if err := errors.Join(os.Remove(path), os.Remove(filepath.Join(r.dir, "session.key"))); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "missing files are reported", func() bool { return strings.Contains(log.String(), "there is none") })
	if _, err := r.ring.Open(mustSeal(t, r.ring), noon); err != nil {
		t.Error(fmt.Errorf("the ring lost its keys: %w", err))
	}
}

func mustSeal(t *testing.T, r *session.Ring) string {
	t.Helper()
	cookie, err := r.Seal(session.New(access.User{Name: "x"}, "ldap", noon, time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return cookie
}
