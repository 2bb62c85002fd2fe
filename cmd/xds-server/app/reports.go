package app

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/perijove/perijove/pkg/gateway/ads"
	"github.com/perijove/perijove/pkg/gateway/certificate"
	"github.com/perijove/perijove/pkg/gateway/publish"
)

// reports tells operators which resources could not be published: by a log line, a metric
// and, for a pod, an Event that `kubectl describe pod` shows.
type reports struct {
	log         *slog.Logger
	broadcaster record.EventBroadcaster
	recorder    record.EventRecorder
	nacks       *prometheus.CounterVec
	nackLines   flowcontrol.RateLimiter
	skips       prometheus.Counter
}

func newReports(client kubernetes.Interface, log *slog.Logger, reg prometheus.Registerer) *reports {
	b := record.NewBroadcaster()
	b.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	r := &reports{
		log:         log,
		broadcaster: b,
		recorder:    b.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "perijove-xds-server"}),
		// An Envoy of another version may refuse all of 100 000 resources.
		nackLines: flowcontrol.NewTokenBucketRateLimiter(1, 20),
		nacks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "perijove_xds_nacks_total", Help: "Resources that an Envoy refused, by resource type.",
		}, []string{"type"}),
		skips: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "perijove_pods_skipped_total", Help: "Times that a labelled pod was found unfit to be routed to.",
		}),
	}
	reg.MustRegister(r.nacks, r.skips)
	return r
}

func (r *reports) close() { r.broadcaster.Shutdown() }

func (r *reports) nack(n ads.Nack) {
	r.nacks.WithLabelValues(n.TypeURL).Inc()
	if !r.nackLines.TryAccept() {
		return
	}
	r.log.Error("Envoy refuses a resource; it is set aside until it changes",
		"node", n.Node, "type", n.TypeURL, "resource", n.Name, "version", n.Version, "error", n.Reason)
}

func (r *reports) skipped(namespace, pod, uid, reason string) {
	r.skips.Inc()
	r.log.Warn("pod is not routed to", "namespace", namespace, "pod", pod, "reason", reason)
	if pod == "" {
		return
	}
	r.recorder.Event(&corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: namespace, Name: pod, UID: types.UID(uid),
	}, corev1.EventTypeWarning, "NotRouted", reason)
}

// certificate returns a reporter on the Secret of the public certificate.
func (r *reports) certificate(namespace, name string, reg prometheus.Registerer) certificate.Reporter {
	faults := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "perijove_edge_certificate_faults_total", Help: "Times that the Secret of the public certificate was not as it should be.",
	})
	reg.MustRegister(faults)
	return func(uid, reason string) {
		faults.Inc()
		r.log.Warn("the public certificate is not as it should be", "namespace", namespace, "secret", name, "reason", reason)
		r.recorder.Event(&corev1.ObjectReference{
			APIVersion: "v1", Kind: "Secret", Namespace: namespace, Name: name, UID: types.UID(uid),
		}, corev1.EventTypeWarning, "BadCertificate", reason)
	}
}

func certificateGauge(reg prometheus.Registerer, keeper *certificate.Keeper) {
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "perijove_edge_certificate_not_after_seconds", Help: "When the public certificate ends, as Unix time; 0: there is none.",
	}, func() float64 {
		end := keeper.NotAfter()
		if end.IsZero() {
			return 0
		}
		return float64(end.Unix())
	}))
}

func (r *reports) gauges(reg prometheus.Registerer, store *ads.Store, pub *publish.Publisher) {
	gauge := func(name, help string, value func() float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	gauge("perijove_xds_envoys", "Connected Envoys.", func() float64 { return float64(len(store.Envoys())) })
	gauge("perijove_servers_routed", "Servers that have a route.", func() float64 {
		served, _ := pub.Counts()
		return float64(served)
	})
	gauge("perijove_pods_skipped", "Labelled pods that are unfit to be routed to.", func() float64 {
		_, skipped := pub.Counts()
		return float64(skipped)
	})
}
