package enforce

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	testclient "k8s.io/client-go/testing"
	"sigs.k8s.io/knftables"

	"github.com/perijove/perijove/deploy/onenode/programs/policy"
	"github.com/perijove/perijove/deploy/onenode/programs/policy/attach"
)

// rig is an enforcer of node "n" that runs, with an API and a kernel of values.
type rig struct {
	t        *testing.T
	client   *fake.Clientset
	kernel   *knftables.Fake
	enforcer *Enforcer
	socket   string

	broken atomic.Bool

	mu        sync.Mutex
	forgotten []netip.Addr
}

func newRig(t *testing.T, prepare ...func(*fake.Clientset)) *rig {
	t.Helper()
	r := &rig{t: t, client: fake.NewClientset(), kernel: knftables.NewFake(knftables.InetFamily, TableName), socket: filepath.Join(t.TempDir(), "socket")}
	forget := func(a addresses) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.forgotten = append(r.forgotten, a...)
		return nil
	}
	for _, do := range prepare {
		do(r.client)
	}
	enforcer, err := New(r.client, "n", NewWriter(kernel{r.kernel, &r.broken}, node), forget, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	r.enforcer = enforcer
	listener, err := net.Listen("unix", r.socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: enforcer.Attachments()}
	go func() { _ = server.Serve(listener) }()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		enforcer.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		_ = server.Close()
	})
	return r
}

func (r *rig) create(name, uid, address string) {
	r.t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name, UID: types.UID(uid)}, Spec: corev1.PodSpec{NodeName: "n"},
	}
	if address != "" {
		pod.Status.PodIPs = []corev1.PodIP{{IP: address}}
	}
	if _, err := r.client.CoreV1().Pods("a").Create(r.t.Context(), pod, metav1.CreateOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) tell(path, name, uid, address string, within time.Duration) error {
	ctx, cancel := context.WithTimeout(r.t.Context(), within)
	defer cancel()
	return attach.Tell(ctx, r.socket, path, attach.Pod{Namespace: "a", Name: name, UID: uid, Address: netip.MustParseAddr(address)})
}

// knows reports whether the kernel's rules take the address for a pod's.
func (r *rig) knows(address string) bool {
	elements, err := r.kernel.ListElements(r.t.Context(), "set", policy.Known)
	if err != nil {
		return false
	}
	for _, element := range elements {
		if element.Key[0] == address {
			return true
		}
	}
	return false
}

func (r *rig) eventually(what string, condition func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("%s: not within 10 s", what)
		}
	}
}

// TestPluginWaitsForRules: the plugin's answer comes when the kernel has the rules, before the API knows the pod's address; and not at all for a pod that
// the API does not know.
func TestPluginWaitsForRules(t *testing.T) {
	r := newRig(t)
	if err := r.tell(attach.Attach, "one", "1", "10.244.0.5", 100*time.Millisecond); err == nil {
		t.Error("a pod that does not exist got its rules")
	}
	r.create("one", "1", "")
	if err := r.tell(attach.Attach, "one", "1", "10.244.0.5", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if !r.knows("10.244.0.5") {
		t.Error("the plugin was answered before the rules were there")
	}
}

// TestAddressGoesToTheNextPod: an address that a pod gave back is nobody's, though the API still shows it, until another pod has it; and the first pod's
// late farewell takes nothing from the second.
func TestAddressGoesToTheNextPod(t *testing.T) {
	r := newRig(t)
	r.create("one", "1", "10.244.0.5")
	r.eventually("a pod that ran before the enforcer", func() bool { return r.knows("10.244.0.5") })
	if err := r.tell(attach.Detach, "one", "1", "10.244.0.5", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if r.knows("10.244.0.5") {
		t.Error("the address is still the first pod's")
	}
	r.mu.Lock()
	if len(r.forgotten) != 1 {
		t.Errorf("forgotten: %v", r.forgotten)
	}
	r.mu.Unlock()
	r.create("two", "2", "")
	for _, step := range []struct{ path, name, uid string }{{attach.Attach, "two", "2"}, {attach.Detach, "one", "1"}} {
		if err := r.tell(step.path, step.name, step.uid, "10.244.0.5", 10*time.Second); err != nil {
			t.Fatal(err)
		}
		if owner := r.owner("10.244.0.5"); owner != "2" {
			t.Errorf("after %s of pod %s the address is pod %q's", step.path, step.name, owner)
		}
	}
}

// TestNewSandbox: a pod whose sandbox is made anew has its new address only, also if the end of the old one was not told.
func TestNewSandbox(t *testing.T) {
	r := newRig(t)
	r.create("one", "1", "10.244.0.5")
	for _, address := range []string{"10.244.0.5", "10.244.0.6", "10.244.0.7"} {
		if err := r.tell(attach.Attach, "one", "1", address, 10*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if r.knows("10.244.0.5") || r.knows("10.244.0.6") || !r.knows("10.244.0.7") {
		t.Errorf("rules:\n%s", r.kernel.Dump())
	}
}

// owner is the pod whose rules the address has.
func (r *rig) owner(address string) string {
	r.enforcer.mu.Lock()
	defer r.enforcer.mu.Unlock()
	for uid, has := range r.enforcer.applied {
		if has == address {
			return uid
		}
	}
	return ""
}

// TestHealthTellsOfAFailure: an enforcer whose last write failed is not well; it tries again by itself.
func TestHealthTellsOfAFailure(t *testing.T) {
	health := func(e *Enforcer) int {
		w := httptest.NewRecorder()
		e.Health().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/healthz", nil))
		return w.Code
	}
	r := newRig(t)
	r.eventually("the first write", func() bool { return r.kernel.Dump() != "" })
	if code := health(r.enforcer); code != http.StatusOK {
		t.Errorf("all is well: %d", code)
	}
	before := r.kernel.Dump()
	r.broken.Store(true)
	r.create("one", "1", "10.244.0.5")
	r.eventually("a failed write shows", func() bool { return health(r.enforcer) == http.StatusServiceUnavailable })
	if r.kernel.Dump() != before {
		t.Error("a failed write changed the rules")
	}
	r.broken.Store(false)
	r.eventually("it is made up for", func() bool { return health(r.enforcer) == http.StatusOK && r.knows("10.244.0.5") })
}

// kernel is one whose writes fail while broken is set.
type kernel struct {
	*knftables.Fake
	broken *atomic.Bool
}

func (k kernel) Run(ctx context.Context, tx *knftables.Transaction) error {
	if k.broken.Load() {
		return errors.New("no memory")
	}
	return k.Fake.Run(ctx, tx)
}

// TestWaitsForItsRights: on a new cluster the enforcer may read nothing at first.
func TestWaitsForItsRights(t *testing.T) {
	var asked atomic.Int32
	r := newRig(t, func(client *fake.Clientset) {
		client.PrependReactor("list", "networkpolicies", func(testclient.Action) (bool, runtime.Object, error) {
			if asked.Add(1) < 4 {
				return true, nil, errors.New("forbidden")
			}
			return false, nil, nil
		})
	})
	r.create("one", "1", "10.244.0.5")
	started := time.Now()
	r.eventually("rules", func() bool { return r.knows("10.244.0.5") })
	if took := time.Since(started); asked.Load() < 4 || took > 5*time.Second {
		t.Errorf("asked %d times in %s", asked.Load(), took)
	}
}

// TestStrangersAtTheSocket: what is no pod is refused and changes nothing.
func TestStrangersAtTheSocket(t *testing.T) {
	r := newRig(t)
	for _, body := range []string{"", "{}", "nonsense", `{"uid":"1"}`, `{"uid":"1","address":"fe80::1"}`, `{"uid":"1","address":"` + strings.Repeat("1", 5000) + `"}`} {
		w := httptest.NewRecorder()
		r.enforcer.Attachments().ServeHTTP(w, httptest.NewRequest(http.MethodPost, attach.Attach, strings.NewReader(body)))
		if w.Code != http.StatusBadRequest {
			t.Errorf("%.40q: %d", body, w.Code)
		}
	}
}
