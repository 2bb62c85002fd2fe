package kube

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/perijove/perijove/pkg/hub/spawn"
)

// metrics carry JupyterHub's names, so that dashboards made for it keep working.
type metrics struct {
	now    func() time.Time
	spawns *prometheus.HistogramVec
	stops  prometheus.Histogram
	waited prometheus.Histogram

	mu      sync.Mutex
	started map[string]time.Time // by pod UID: starts asked for here that are not over
}

func newMetrics(reg prometheus.Registerer, now func() time.Time, running, waiting func() float64) *metrics {
	m := &metrics{
		now:     now,
		started: map[string]time.Time{},
		spawns: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "jupyterhub_server_spawn_duration_seconds",
			Help:    "Time from the request to start a server until it answers or fails.",
			Buckets: []float64{0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300},
		}, []string{"status"}),
		stops: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "jupyterhub_server_stop_seconds",
			Help:    "Time from the request to stop a server until its pod is gone.",
			Buckets: []float64{0.5, 1, 2, 5, 10, 15, 30},
		}),
	}
	m.waited = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "perijove_start_wait_seconds",
		Help:    "Time that starts waited in the queue for a place.",
		Buckets: []float64{0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600},
	})
	reg.MustRegister(m.spawns, m.stops, m.waited, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "jupyterhub_running_servers",
		Help: "Servers that answer.",
	}, running), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "perijove_waiting_starts",
		Help: "Starts that wait for a place, on all replicas.",
	}, waiting))
	return m
}

// began notes a start, unless it is known: a second request joins the first.
func (m *metrics) began(uid string, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.started[uid]; !ok {
		m.started[uid] = at
	}
}

// observe ends the start of a pod that answers or has failed.
func (m *metrics) observe(uid string, phase spawn.Phase) {
	status := ""
	switch phase {
	case spawn.Answering:
		status = "success"
	case spawn.Failed:
		status = "failure"
	default:
		return
	}
	m.mu.Lock()
	at, ok := m.started[uid]
	delete(m.started, uid)
	m.mu.Unlock()
	if ok {
		m.spawns.WithLabelValues(status).Observe(m.now().Sub(at).Seconds())
	}
}

func (m *metrics) forget(uid string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.started, uid)
}

func (m *metrics) refused(took time.Duration) {
	m.spawns.WithLabelValues("failure").Observe(took.Seconds())
}
func (m *metrics) throttled()                 { m.spawns.WithLabelValues("throttled").Observe(0) }
func (m *metrics) stopped(took time.Duration) { m.stops.Observe(took.Seconds()) }
