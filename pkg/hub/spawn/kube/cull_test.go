package kube

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/record"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/run/mtls"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/clustertest"
	"github.com/perijove/perijove/test/logs"
	"github.com/perijove/perijove/test/pki"
	"github.com/perijove/perijove/test/wait"
)

// tells is a Jupyter server that says of itself what a test wants. Its last activity was idle ago.
type tells struct {
	idle  time.Duration
	state string // of its one kernel
	// odd answers instead, where it is set and returns true.
	odd   func(w http.ResponseWriter, r *http.Request) bool
	asked atomic.Int64
	heard atomic.Value // headers of the last request
}

func (s *tells) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked.Add(1)
	s.heard.Store(r.Header.Clone())
	if s.odd != nil && s.odd(w, r) {
		return
	}
	last := time.Now().Add(-s.idle).UTC().Format(time.RFC3339Nano)
	switch r.URL.EscapedPath() {
	case alice.Prefix() + "api/kernels":
		_, _ = fmt.Fprintf(w, `[{"execution_state":%q,"last_activity":%q}]`, s.state, last)
	case alice.Prefix() + "api/terminals":
		_, _ = fmt.Fprintf(w, `[{"name":"1","last_activity":%q}]`, last)
	case alice.Prefix() + "api/status":
		_, _ = fmt.Fprintf(w, `{"started":%q,"last_activity":%q}`, last, last)
	default:
		http.NotFound(w, r)
	}
}

// questions is how many questions one visit has.
const questions = 3

// cullEnv is alice's server, which answers as a test says and may be idle for an hour.
type cullEnv struct {
	t       *testing.T
	client  *fake.Clientset
	cluster *Cluster
	culler  *Culler
	events  *record.FakeRecorder
	log     logs.Buffer
	// The CA of servers, and that of the services.
	servers, services *pki.CA
}

func newCullEnv(t *testing.T, answers http.Handler, dryRun bool) *cullEnv {
	t.Helper()
	srv := httptest.NewServer(answers)
	t.Cleanup(srv.Close)
	s, servers, services := withProofs(t)
	s.Policy = func() spawn.Policy {
		p := clustertest.Policy()
		p.Profiles[0].Cull.Idle = "1h"
		return p
	}
	s.CullDryRun = dryRun
	e := &cullEnv{t: t, client: newClient(), events: record.NewFakeRecorder(10), servers: servers, services: services}
	e.cluster, _ = boot(t, e.client, s)
	e.cluster.answers.dial = lead(t, srv)
	e.culler = NewCuller(e.cluster, e.events, prometheus.NewRegistry(), slog.New(slog.NewTextHandler(&e.log, nil)))
	e.run(alice)
	return e
}

// run starts a server and lets it answer.
func (e *cullEnv) run(id server.ID) {
	e.t.Helper()
	if err := e.cluster.Start(e.t.Context(), ask(id)); err != nil {
		e.t.Fatal(err)
	}
	pod, err := e.client.CoreV1().Pods(ns).Get(e.t.Context(), spawn.PodName(id), metav1.GetOptions{})
	if err != nil {
		e.t.Fatal(err)
	}
	answering(pod)
	if _, err := e.client.CoreV1().Pods(ns).UpdateStatus(e.t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		e.t.Fatal(err)
	}
	wait.Until(e.t, "the server is seen answering", func() bool {
		s, err := e.cluster.Get(e.t.Context(), id)
		return err == nil && s.Phase == spawn.Answering
	})
}

// age makes alice's server one that started some time ago.
func (e *cullEnv) age(ago time.Duration) {
	e.t.Helper()
	at := metav1.NewTime(time.Now().Add(-ago).Truncate(time.Second))
	pod := e.pod(alice)
	pod.CreationTimestamp, pod.Status.StartTime = at, &at
	for i := range pod.Status.Conditions {
		pod.Status.Conditions[i].LastTransitionTime = at
	}
	if err := e.client.Tracker().Update(corev1.SchemeGroupVersion.WithResource("pods"), pod, ns); err != nil {
		e.t.Fatal(err)
	}
	wait.Until(e.t, "the change is seen", func() bool {
		s, err := e.cluster.Get(e.t.Context(), alice)
		return err == nil && s.Created.Equal(at.Time) && s.Answered.Equal(at.Time)
	})
}

func answering(pod *corev1.Pod) {
	started := metav1.Now()
	pod.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: "10.9.8.7", HostIP: "192.168.0.1", StartTime: &started,
		Conditions: []corev1.PodCondition{spawn.Condition(pod, true), {Type: corev1.ContainersReady, Status: corev1.ConditionTrue}},
	}
}

// all lets a minute pass, in which each server that may be stopped is asked once.
func (e *cullEnv) all() {
	e.t.Helper()
	for slot := range uint32(cullSlots) {
		e.culler.round(e.t.Context(), slot)
	}
}

func (e *cullEnv) pod(id server.ID) *corev1.Pod {
	e.t.Helper()
	pod, err := e.client.CoreV1().Pods(ns).Get(e.t.Context(), spawn.PodName(id), metav1.GetOptions{})
	if err != nil {
		e.t.Fatal(err)
	}
	return pod
}

func (e *cullEnv) stopped() bool {
	return e.pod(alice).Annotations[contract.AnnotationCulled] != ""
}

func (e *cullEnv) outcomes(name string) float64 {
	return testutil.ToFloat64(e.culler.asked.WithLabelValues(name))
}

// TestIdleServersAreStopped: a server that its user has left is ended by Kubernetes, which keeps
// the pod: its user sees why until the next start.
func TestIdleServersAreStopped(t *testing.T) {
	t.Parallel()
	s := &tells{idle: 61 * time.Minute, state: "idle"}
	e := newCullEnv(t, s, false)
	e.all()
	pod := e.pod(alice)
	if age := pod.Spec.ActiveDeadlineSeconds; age == nil || *age != 1 || pod.Annotations[contract.AnnotationCulled] != "1h0m0s" {
		t.Fatalf("the pod may be %v seconds old, annotations %v", age, pod.Annotations)
	}
	if got := <-e.events.Events; !strings.Contains(got, ReasonCulled) || !strings.Contains(got, "1h0m0s are allowed") {
		t.Errorf("the Event says %q", got)
	}
	if testutil.ToFloat64(e.culler.culled.WithLabelValues("idle")) != 1 || !strings.Contains(e.log.String(), "user=alice") {
		t.Errorf("it is not counted or not in the log: %s", e.log.String())
	}
	h := s.heard.Load().(http.Header)
	if h.Get(contract.HeaderServerSecret) != contract.ServerSecret(e.cluster.Keys.Server, ns, pod.Name, pod.Annotations[contract.AnnotationNonce]) || h.Get(contract.HeaderUser) != "alice" {
		t.Errorf("the server was asked with %v", h)
	}
	pod.Status.Phase, pod.Status.Reason = corev1.PodFailed, "DeadlineExceeded"
	if _, err := e.client.CoreV1().Pods(ns).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "the user is told", func() bool {
		s, err := e.cluster.Get(t.Context(), alice)
		return err == nil && s.Phase == spawn.Stopped && len(s.Notices) == 1 && s.Notices[0].Message == spawn.MsgNoticeIdle && s.Notices[0].Data["Idle"] == "1 h"
	})
	before := s.asked.Load()
	if e.all(); s.asked.Load() != before {
		t.Error("a server that has ended is asked")
	}
	if err := e.cluster.Start(t.Context(), ask(alice)); err != nil {
		t.Fatal(err)
	}
	if again := e.pod(alice); again.UID == pod.UID || again.Annotations[contract.AnnotationCulled] != "" || again.Spec.ActiveDeadlineSeconds != nil {
		t.Errorf("the next start makes %v", again.ObjectMeta)
	}
}

// TestK11_ServersInUseStay: a server that works, was used in time, or does not tell, is not stopped.
func TestK11_ServersInUseStay(t *testing.T) {
	t.Parallel()
	answer := func(code int, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Location", "http://169.254.169.254/")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
			return true
		}
	}
	only := func(page string, f func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			return strings.Contains(r.URL.Path, page) && f(w, r)
		}
	}
	for name, c := range map[string]struct {
		server *tells
		want   string
	}{
		"used in time":           {&tells{idle: 58 * time.Minute, state: "idle"}, outcomeUsed},
		"a silent computation":   {&tells{idle: 48 * time.Hour, state: "busy"}, outcomeBusy},
		"no secret accepted":     {&tells{idle: 2 * time.Hour, state: "idle", odd: answer(403, `{}`)}, outcomeFailed},
		"another program":        {&tells{idle: 2 * time.Hour, state: "idle", odd: answer(404, "")}, outcomeFailed},
		"a fault":                {&tells{idle: 2 * time.Hour, state: "idle", odd: only("status", answer(500, ""))}, outcomeFailed},
		"led elsewhere":          {&tells{idle: 2 * time.Hour, state: "idle", odd: answer(302, "")}, outcomeFailed},
		"no kernels to be read":  {&tells{idle: 2 * time.Hour, state: "idle", odd: only("kernels", answer(200, "{}"))}, outcomeFailed},
		"terminals out of order": {&tells{idle: 2 * time.Hour, state: "idle", odd: only("terminals", answer(503, ""))}, outcomeFailed},
		"a reply without end":    {&tells{idle: 2 * time.Hour, state: "idle", odd: only("kernels", answer(200, "["+strings.Repeat(" ", maxReply)+"]"))}, outcomeFailed},
		"no terminals at all":    {&tells{idle: 58 * time.Minute, state: "idle", odd: only("terminals", answer(404, ""))}, outcomeUsed},
		"headers without end": {&tells{state: "idle", odd: func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
			return true
		}}, outcomeFailed},
		"the connection goes away": {&tells{state: "idle", odd: func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }}, outcomeFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newCullEnv(t, c.server, false)
			e.all()
			e.all()
			if e.stopped() || e.outcomes(c.want) != 2 {
				t.Errorf("stopped: %v, %s %v times", e.stopped(), c.want, e.outcomes(c.want))
			}
			if warned := strings.Count(e.log.String(), "does not tell"); (warned == 1) != (c.want == outcomeFailed) || warned > 1 {
				t.Errorf("warned %d times:\n%s", warned, e.log.String())
			}
		})
	}
}

// TestReportedUseCounts: a program that says that a server is in use keeps it for as long as a user
// would. An old report keeps nothing, and what is said of a pod is forgotten with it.
func TestReportedUseCounts(t *testing.T) {
	t.Parallel()
	e := newCullEnv(t, &tells{idle: 61 * time.Minute, state: "idle"}, false)
	if !e.cluster.Report(alice, time.Now().Add(-59*time.Minute)) {
		t.Fatal("the report is not taken")
	}
	e.all()
	if e.stopped() || e.outcomes(outcomeUsed) != 1 {
		t.Error("a server that a program said to be in use is stopped")
	}
	uid := e.pod(alice).UID
	e.cluster.activities.change(uid, func(a *activity) { a.Reported = time.Now().Add(-61 * time.Minute) })
	e.all()
	if !e.stopped() {
		t.Error("negative control: an old report keeps the server")
	}
	e.cluster.forget(uid)
	if !e.cluster.activities.of(uid).Reported.IsZero() {
		t.Error("a report outlives its pod")
	}
}

// TestK11_SlowServerStays: a server that never answers costs its place for some seconds only.
func TestK11_SlowServerStays(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	e := newCullEnv(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }), false)
	t.Cleanup(func() { close(release) })
	began := time.Now()
	if e.all(); e.stopped() || e.outcomes(outcomeFailed) != 1 {
		t.Errorf("stopped: %v", e.stopped())
	}
	if took := time.Since(began); took > 3*visitTimeout {
		t.Errorf("it was waited for %v", took)
	}
}

// TestAPodThatHasChangedStays: of two replicas that find a server idle one stops it, and a server
// that was started again meanwhile goes on. A fault of the API is no stop either.
func TestAPodThatHasChangedStays(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]error{
		"changed": apierrors.NewConflict(corev1.Resource("pods"), "p", errors.New("the object has been modified")),
		"gone":    apierrors.NewNotFound(corev1.Resource("pods"), "p"),
		"away":    apierrors.NewTimeoutError("the API is away", 1),
	} {
		e := newCullEnv(t, &tells{idle: 2 * time.Hour, state: "idle"}, false)
		var sent atomic.Value
		e.client.PrependReactor("patch", "pods", func(a clienttest.Action) (bool, runtime.Object, error) {
			if p := a.(clienttest.PatchAction); p.GetSubresource() == "" {
				sent.Store(string(p.GetPatch()))
				return true, nil, refusal
			}
			return false, nil, nil
		})
		e.all()
		if e.stopped() || len(e.events.Events) != 0 || testutil.ToFloat64(e.culler.culled.WithLabelValues("idle")) != 0 {
			t.Errorf("%s: counted as stopped", name)
		}
		if warned := strings.Contains(e.log.String(), "trying again"); warned != (name == "away") {
			t.Errorf("%s: the log says %s", name, e.log.String())
		}
		if patch := sent.Load().(string); !strings.Contains(patch, `"uid":"`+string(e.pod(alice).UID)+`"`) || !strings.Contains(patch, `"resourceVersion":`) {
			t.Errorf("%s: the patch names no pod: %s", name, patch)
		}
	}
}

// TestDryRunStopsNothing says once what would be done.
func TestDryRunStopsNothing(t *testing.T) {
	t.Parallel()
	e := newCullEnv(t, &tells{idle: 2 * time.Hour, state: "idle"}, true)
	e.all()
	e.all()
	if e.stopped() || len(e.events.Events) != 1 || testutil.ToFloat64(e.culler.culled.WithLabelValues("idle")) != 0 || testutil.ToFloat64(e.culler.culled.WithLabelValues("dry_run")) != 1 {
		t.Error("a dry run stopped a server")
	}
	if got := strings.Count(e.log.String(), "would be stopped"); got != 1 || e.outcomes(outcomeIdle) != 2 {
		t.Errorf("said %d times:\n%s", got, e.log.String())
	}
}

// TestOnlyServersThatRunHereAreAsked: not those that start, and no pod that the spawner did not make,
// whatever is written on it.
func TestOnlyServersThatRunHereAreAsked(t *testing.T) {
	t.Parallel()
	s := &tells{idle: time.Minute, state: "idle"}
	e := newCullEnv(t, s, false)
	published := e.pod(alice).DeepCopy()
	published.Name, published.UID, published.ResourceVersion = "theirs", "theirs", ""
	delete(published.Labels, contract.LabelManagedBy)
	if _, err := e.client.CoreV1().Pods(ns).Create(t.Context(), published, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := e.cluster.Start(t.Context(), ask(server.ID{User: "bob"})); err != nil {
		t.Fatal(err)
	}
	if e.all(); s.asked.Load() != questions {
		t.Errorf("%d questions", s.asked.Load())
	}
}

// TestK8_SecretGoesToTheProvenPodOnly: another program on the pod's address is told no secret.
func TestK8_SecretGoesToTheProvenPodOnly(t *testing.T) {
	t.Parallel()
	s := &tells{idle: 2 * time.Hour, state: "idle"}
	e := newCullEnv(t, s, false)
	proven := e.pod(alice)
	proven.Annotations[contract.AnnotationProof] = "true"
	if _, err := e.client.CoreV1().Pods(ns).Update(t.Context(), proven, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "the change is seen", func() bool { return e.cluster.cached(alice).Annotations[contract.AnnotationProof] == "true" })
	name, err := contract.ProofName(string(proven.UID))
	if err != nil {
		t.Fatal(err)
	}
	put := func(files *mtls.Files) {
		srv := httptest.NewUnstartedServer(s)
		srv.Config.ErrorLog = log.New(io.Discard, "", 0)
		t.Cleanup(srv.Close)
		e.cluster.answers.dial = lead(t, srv)
		if files == nil {
			srv.Start()
			return
		}
		pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
		if err != nil {
			t.Fatal(err)
		}
		srv.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: e.services.Pool()}
		srv.StartTLS()
	}
	other, strange, right := e.servers.Issue("other.pod.perijove.internal", time.Hour), pki.New(t).Issue(name, time.Hour), e.servers.Issue(name, time.Hour)
	for _, files := range []*mtls.Files{nil, &other, &strange} {
		put(files)
		if e.all(); s.asked.Load() != 0 || e.stopped() {
			t.Error("a stranger was told the secret, or believed")
		}
	}
	put(&right)
	if e.all(); s.asked.Load() == 0 || !e.stopped() {
		t.Error("negative control: the pod itself is not asked")
	}
}

// TestNotesAreForgotten: a pod that is gone leaves nothing behind.
func TestNotesAreForgotten(t *testing.T) {
	t.Parallel()
	e := newCullEnv(t, &tells{idle: time.Minute, state: "idle"}, false)
	e.culler.note(types.UID("gone"), outcomeFailed)
	e.all()
	if e.culler.forget(); len(e.culler.last) != 1 || e.culler.last[e.pod(alice).UID] != outcomeUsed {
		t.Errorf("remembered: %v", e.culler.last)
	}
}
