package certificate

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"sync"
	"time"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/perijove/perijove/pkg/gateway/listener"
)

// Reporter hears why a Secret is not served, or served though it will not please
// browsers. uid is that of the Secret, "" when there is none.
type Reporter func(uid, reason string)

// Settings say which Secret is served, and for which names.
type Settings struct {
	Namespace, Secret string
	// Hosts are the names that the certificate should be for.
	Hosts []string
}

// Keeper decides between the certificate that is served and the one that the Secret
// brings. It is safe for concurrent use.
type Keeper struct {
	client   kubernetes.Interface
	publish  func(*tlsv3.Secret) error
	report   Reporter
	now      func() time.Time
	settings Settings
	synced   chan struct{}

	mu     sync.Mutex
	seen   [sha256.Size]byte // content of the Secret that was judged last
	served *x509.Certificate
}

// New returns a Keeper that serves nothing yet; it begins with Run. publish sends the
// secret on to Envoys, now is the clock.
func New(client kubernetes.Interface, publish func(*tlsv3.Secret) error, report Reporter, now func() time.Time, s Settings) *Keeper {
	return &Keeper{client: client, publish: publish, report: report, now: now, settings: s, synced: make(chan struct{})}
}

// Synced returns a channel that is closed once the Secret as it is now, or its absence, has
// been taken in: an Envoy that connects earlier would be told that there is no certificate.
func (k *Keeper) Synced() <-chan struct{} { return k.synced }

// set takes in the Secret's present content.
func (k *Keeper) set(secret *corev1.Secret) {
	chain, key := secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]
	k.mu.Lock()
	defer k.mu.Unlock()
	sum := digest(chain, key)
	if sum == k.seen {
		return
	}
	k.seen = sum
	if reason := k.judge(chain, key); reason != "" {
		k.report(string(secret.UID), reason)
	}
}

// judge publishes the certificate. The reason that it returns says why it did not, or is a
// warning about the certificate that it published.
func (k *Keeper) judge(chain, key []byte) (reason string) {
	resource, leaf, err := listener.Certificate(chain, key)
	if err != nil {
		return k.kept(err.Error())
	}
	now := k.now()
	expired := now.After(leaf.NotAfter)
	// An expired certificate is better than none: people are warned, not locked out.
	if expired && k.served != nil && leaf.NotAfter.Before(k.served.NotAfter) {
		return k.kept("the certificate expired on " + date(leaf.NotAfter))
	}
	if err := k.publish(resource); err != nil {
		return k.kept("the certificate cannot be published")
	}
	k.served = leaf
	switch {
	case expired:
		return "the served certificate expired on " + date(leaf.NotAfter)
	case now.Before(leaf.NotBefore):
		return "the served certificate is valid from " + date(leaf.NotBefore) + " only"
	}
	for _, host := range k.settings.Hosts {
		if leaf.VerifyHostname(host) != nil {
			return fmt.Sprintf("the served certificate is not for %s", host)
		}
	}
	return ""
}

// remove takes in that there is no Secret.
func (k *Keeper) remove() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.seen == digest() {
		return
	}
	k.seen = digest()
	k.report("", k.kept("the Secret does not exist"))
}

func (k *Keeper) kept(reason string) string {
	if k.served == nil {
		return reason + "; https waits for it"
	}
	return reason + "; the certificate until " + date(k.served.NotAfter) + " stays"
}

// NotAfter returns when the served certificate ends; the zero time when none is served.
func (k *Keeper) NotAfter() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.served == nil {
		return time.Time{}
	}
	return k.served.NotAfter
}

func digest(parts ...[]byte) [sha256.Size]byte {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:", len(p))
		h.Write(p)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func date(t time.Time) string { return t.UTC().Format(time.RFC3339) }
