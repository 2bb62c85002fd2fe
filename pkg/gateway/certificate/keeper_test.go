package certificate

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/perijove/perijove/test/pki"
	"github.com/perijove/perijove/test/wait"
)

const host = "hub.test"

type env struct {
	*Keeper
	ca        *pki.CA
	client    *fake.Clientset
	published []*tlsv3.Secret
	reports   []string
	broken    bool
}

func newEnv(t *testing.T) *env {
	f := &env{ca: pki.New(t), client: fake.NewClientset()}
	f.Keeper = New(f.client, func(s *tlsv3.Secret) error {
		if f.broken {
			return errors.New("no")
		}
		f.published = append(f.published, s)
		return nil
	}, func(_, reason string) { f.reports = append(f.reports, reason) }, time.Now, Settings{Namespace: "ns", Secret: "edge", Hosts: []string{host}})
	return f
}

// secret returns a Secret with a certificate for name.
func (f *env) secret(t *testing.T, name string, valid time.Duration) *corev1.Secret {
	t.Helper()
	files := f.ca.Issue(name, valid)
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "edge", UID: "u"}, Data: map[string][]byte{}}
	for key, path := range map[string]string{corev1.TLSCertKey: files.Cert, corev1.TLSPrivateKeyKey: files.Key} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s.Data[key] = data
	}
	return s
}

func (f *env) reported(t *testing.T, want ...string) {
	t.Helper()
	if len(f.reports) != len(want) {
		t.Fatalf("reports %q, want %d", f.reports, len(want))
	}
	for i, w := range want {
		if !strings.Contains(f.reports[i], w) {
			t.Errorf("report %q, want one that says %q", f.reports[i], w)
		}
	}
}

func TestGoodCertificateIsPublishedOnce(t *testing.T) {
	f := newEnv(t)
	s := f.secret(t, host, time.Hour)
	f.set(s)
	f.set(s) // a relist
	if len(f.published) != 1 || f.NotAfter().IsZero() {
		t.Fatalf("published %d times, until %v", len(f.published), f.NotAfter())
	}
	f.set(f.secret(t, host, 2*time.Hour))
	if len(f.published) != 2 {
		t.Error("the next certificate was not published")
	}
	f.reported(t)
}

func TestBadSecretKeepsTheOldOneAndIsReportedOnce(t *testing.T) {
	f := newEnv(t)
	f.set(f.secret(t, host, time.Hour))
	until := f.NotAfter()
	mixed := f.secret(t, host, time.Hour)
	mixed.Data[corev1.TLSPrivateKeyKey] = f.secret(t, host, time.Hour).Data[corev1.TLSPrivateKeyKey]
	f.set(mixed)
	f.set(mixed)
	f.reported(t, "does not match")
	f.set(f.secret(t, host, -time.Hour))
	f.reported(t, "does not match", "expired")
	f.remove()
	f.remove()
	f.reported(t, "does not match", "expired", "does not exist")
	if len(f.published) != 1 || f.NotAfter() != until {
		t.Errorf("published %d times; the first certificate must stay", len(f.published))
	}
	for _, r := range f.reports {
		if !strings.Contains(r, "stays") {
			t.Errorf("%q does not say that the old one stays", r)
		}
	}
	f.set(f.secret(t, host, time.Hour)) // mended
	if len(f.published) != 2 {
		t.Error("the mended Secret was not published")
	}
}

func TestFirstCertificateIsServedEvenIfBrowsersComplain(t *testing.T) {
	for name, c := range map[string]struct {
		host  string
		valid time.Duration
		says  string
	}{
		"expired":    {host, -time.Hour, "expired"},
		"other name": {"other.test", time.Hour, "not for hub.test"},
	} {
		f := newEnv(t)
		f.set(f.secret(t, c.host, c.valid))
		if len(f.published) != 1 {
			t.Errorf("%s: not served: no user could log in", name)
		}
		f.reported(t, c.says)
	}
}

func TestNothingToServeIsReported(t *testing.T) {
	f := newEnv(t)
	f.set(&corev1.Secret{})
	f.remove()
	f.reported(t, "https waits", "https waits")
	f.broken = true
	f.set(f.secret(t, host, time.Hour))
	if !f.NotAfter().IsZero() {
		t.Error("a certificate that could not be published counts as served")
	}
}

func TestRunReadsOneSecret(t *testing.T) {
	f := newEnv(t)
	other := f.secret(t, "evil.test", time.Hour)
	other.Name = "another" // the fake API ignores field selectors: the name is checked too
	f.create(t, other)
	f.run(t)
	f.reported(t, "does not exist")
	if !f.NotAfter().IsZero() {
		t.Error("another Secret was served")
	}
	f.create(t, f.secret(t, host, time.Hour))
	wait.Until(t, "the new Secret is served", func() bool { return !f.NotAfter().IsZero() })
}

func (f *env) create(t *testing.T, s *corev1.Secret) {
	t.Helper()
	if _, err := f.client.CoreV1().Secrets("ns").Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// run runs the keeper until the test ends and returns once it has synced.
func (f *env) run(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v, want the context's error", err)
		}
	})
	wait.Closed(t, "synced", f.Synced())
}
