package check

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/liveness"
	"github.com/perijove/perijove/pkg/auth/revocation"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/test/keys"
)

const perSecond = 5_000

// accountsAPI is a Kubernetes API that lists n accounts, each with a session, a token and
// some groups, and then says nothing any more. asked counts what it is asked later.
func accountsAPI(n int, at time.Time) (client *fake.Clientset, asked *int) {
	list := &corev1.SecretList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}}
	for i := range n {
		name := fmt.Sprintf("user%06d", i)
		json := fmt.Sprintf(`{"version":1,"name":%q,"displayName":"Person Number %d","groups":["students","course-%d","all"],"method":"ldap","checked":%q,`+
			`"links":[{"issuer":"ldap","subject":%q}],"sessions":[{"id":"sid-%s-0123456789","method":"ldap","since":%q,"expires":%q,"lastSeen":%q,"agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36","address":"192.0.2.1"}],`+
			`"tokens":[{"id":"t%d","hash":"%064d","scopes":["self"],"created":%q,"expires":%q}]}`,
			name, i, i%500, stamp(at), name, name, stamp(at), stamp(at.Add(time.Hour)), stamp(at), i, i, stamp(at), stamp(at.Add(24*time.Hour)))
		list.Items = append(list.Items, corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "rel-account-" + name, Labels: map[string]string{contract.LabelAccount: "true", contract.LabelInstance: "rel"}},
			Data:       map[string][]byte{"account.json": []byte(json)},
		})
	}
	asked = new(int)
	client = fake.NewClientset()
	client.PrependReactor("list", "secrets", func(a clienttest.Action) (bool, k8sruntime.Object, error) {
		out := list
		list = &corev1.SecretList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}} // let go of it
		return true, out, nil
	})
	client.PrependWatchReactor("secrets", func(clienttest.Action) (bool, watch.Interface, error) { return true, watch.NewFake(), nil })
	client.PrependReactor("*", "*", func(clienttest.Action) (bool, k8sruntime.Object, error) { *asked++; return false, nil, nil })
	return client, asked
}

func stamp(t time.Time) string { return t.Format(time.RFC3339) }

// atScale is a Server that knows so many people, and what they weigh in bytes each.
func atScale(b *testing.B, n int) (s *Server, h env, asked *int, bytesEach float64) {
	b.Helper()
	before := heap()
	client, asked := accountsAPI(n, now())
	log := slog.New(slog.DiscardHandler)
	people := account.New(client, account.Settings{Namespace: "ns", Release: "rel", Now: now, Log: log})
	ctx, cancel := context.WithCancel(context.Background())
	b.Cleanup(cancel)
	go func() { _ = people.Run(ctx) }()
	<-people.Synced()
	if people.Len() != n {
		b.Fatalf("%d accounts are known", people.Len())
	}
	bytesEach = float64(heap()-before) / float64(n)
	h = newEnv(b)
	h.live = liveness.New(people, revocation.New(client, revocation.Settings{Namespace: "ns", Secret: "rel-revocations", Now: now, Log: log}), prometheus.NewRegistry(),
		liveness.Settings{Idle: time.Hour, Lifetime: lifetime, Every: time.Minute, Now: now, Log: log})
	return h.server(b, log), h, asked, bytesEach
}

// cpuTime is what this process has used: waiting for other processes does not count.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkAtScale asks 5,000 times a second, on one core, about passes of people of whom
// 100,000 are known, and reports how long an answer took from the moment it was due.
func BenchmarkAtScale(b *testing.B) {
	for _, n := range []int{1_000, 100_000} { // the small one shows what the machine itself does
		b.Run(strconv.Itoa(n), func(b *testing.B) { benchmarkAtScale(b, n) })
	}
}

func benchmarkAtScale(b *testing.B, known int) {
	s, h, asked, each := atScale(b, known)
	var requests []question
	for i := range 1000 {
		name := fmt.Sprintf("user%06d", i*known/1000)
		cookie := h.passOf(b, name)
		req := toServer(name, cookie)
		if i%4 == 0 { // changes something, or its pass is over: what Envoy cannot judge
			req = with(req, post)
		}
		requests = append(requests, asking(req))
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	before := *asked
	var took []time.Duration
	for b.Loop() {
		took = paced(b, s, requests, perSecond, 3*time.Second, took[:0])
	}
	slices.Sort(took)
	busy := cpuTime()
	for i := range 20_000 {
		if _, err := requests[i%len(requests)].to(s); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpuTime()-busy).Microseconds())/20_000, "CPU-µs/check")
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(took[len(took)*999/1000].Microseconds()), "p99.9-µs")
	b.ReportMetric(each, "B/account")
	b.ReportMetric(float64(*asked-before), "API-calls")
}

// passOf is the pass of a session that the account lists.
func (h env) passOf(b *testing.B, name string) string {
	s := session.Session{User: user(name), ID: "sid-" + name + "-0123456789", Since: now(), Expires: now().Add(lifetime), Method: "ldap"}
	return h.pass(b, s, name, now())
}

// paced sends requests at a rate, each at its time whether or not the last was answered
// soon enough, and returns how long after its time each was answered.
func paced(b *testing.B, s *Server, requests []question, rate int, during time.Duration, took []time.Duration) []time.Duration {
	start := time.Now()
	for i := range int(during.Seconds() * float64(rate)) {
		due := start.Add(time.Duration(i) * time.Second / time.Duration(rate))
		for time.Now().Before(due) { // a timer would be late by more than an answer takes
			runtime.Gosched()
		}
		res, err := requests[i%len(requests)].to(s)
		if err != nil || res.GetOkResponse() == nil {
			b.Fatal(res, err)
		}
		took = append(took, time.Since(due))
	}
	return took
}

// BenchmarkGarbage is what one made-up cookie costs: D6.
func BenchmarkGarbage(b *testing.B) {
	h := newEnv(b)
	s := h.server(b, slog.New(slog.DiscardHandler))
	other := newEnv(b)
	other.sessions.Replace(keys.Foreign(b))
	alice, foreign := other.session(b, "alice")
	for name, cookie := range map[string]string{
		"text":            contract.CookieSession + "=garbage",
		"foreign session": foreign,
		"foreign pass":    other.pass(b, alice, "alice", now()),
	} {
		req := asking(with(toServer("alice", cookie), script))
		b.Run(name, func(b *testing.B) {
			busy := cpuTime()
			for b.Loop() {
				if res, err := req.to(s); err != nil || res.GetOkResponse() != nil {
					b.Fatal(res, err)
				}
			}
			b.ReportMetric(float64((cpuTime()-busy).Microseconds())/float64(b.N), "CPU-µs/check")
		})
	}
}
