package profiles

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/run/config"
)

// Key of the ConfigMap under which the list is.
const Key = "profiles.yaml"

// Reasons of the Events on the ConfigMap.
const (
	ReasonRefused = "ProfilesRefused"
	ReasonTaken   = "ProfilesTaken"
)

// Settings says where the list is.
type Settings struct{ Namespace, ConfigMap string }

// Feed follows the list. Make it with New and keep Run running.
type Feed struct {
	Settings
	client kubernetes.Interface
	events record.EventRecorder
	log    *slog.Logger

	policy atomic.Pointer[spawn.Policy]
	taken  atomic.Pointer[corev1.ConfigMap] // the one that the list in force is from
	loaded prometheus.Gauge
	faults prometheus.Counter
	now    func() time.Time

	once   sync.Once
	synced chan struct{} // closed once there was a good list
	report func(error)   // the state for readiness: nil, or why there is no list
	wrong  atomic.Bool   // the present ConfigMap is not the list in force
}

// New returns a Feed without a list. events gets an Event for each list that is refused, and
// for the one that mends it; report is told whether there is a list.
func New(client kubernetes.Interface, events record.EventRecorder, report func(error), now func() time.Time, reg prometheus.Registerer, log *slog.Logger, s Settings) *Feed {
	f := &Feed{
		Settings: s, client: client, events: events, report: report, now: now, log: log, synced: make(chan struct{}),
		loaded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "perijove_profiles_loaded_timestamp_seconds", Help: "When the list of profiles in force was read, as Unix time.",
		}),
		faults: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "perijove_profiles_refused_total", Help: "Lists of profiles that were not taken because something in them is wrong.",
		}),
	}
	reg.MustRegister(f.loaded, f.faults)
	return f
}

// Synced is closed once there is a list.
func (f *Feed) Synced() <-chan struct{} { return f.synced }

// Policy returns the list in force, the zero Policy before the first one. It must not be changed.
func (f *Feed) Policy() spawn.Policy {
	if p := f.policy.Load(); p != nil {
		return *p
	}
	return spawn.Policy{}
}

// Run follows the ConfigMap until ctx is done.
func (f *Feed) Run(ctx context.Context) error {
	factory := informers.NewSharedInformerFactoryWithOptions(f.client, 0, informers.WithNamespace(f.Namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector("metadata.name", f.ConfigMap).String()
		}))
	informer := factory.Core().V1().ConfigMaps().Informer()
	take := func(o any) {
		if m, ok := o.(*corev1.ConfigMap); ok && m.Name == f.ConfigMap {
			f.take(m)
		}
	}
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    take,
		UpdateFunc: func(_, o any) { take(o) },
		DeleteFunc: func(any) {
			f.log.Warn("the list of profiles is gone; the last one stays in force", "configmap", f.ConfigMap)
		},
	})
	if err != nil {
		return fmt.Errorf("watch the list of profiles: %w", err)
	}
	factory.Start(ctx.Done())
	if cache.WaitForCacheSync(ctx.Done(), registration.HasSynced) && f.policy.Load() == nil && !f.wrong.Load() {
		f.report(fmt.Errorf("there is no ConfigMap %s in %s", f.ConfigMap, f.Namespace))
	}
	<-ctx.Done()
	factory.Shutdown()
	return nil
}

// take puts a list into force, or says what is wrong with it.
func (f *Feed) take(m *corev1.ConfigMap) {
	policy, err := Read(m.Data[Key])
	if err != nil {
		f.refuse(m, err)
		return
	}
	f.policy.Store(&policy)
	f.taken.Store(m)
	f.loaded.Set(float64(f.now().Unix()))
	f.report(nil)
	f.once.Do(func() { close(f.synced) })
	f.log.Info("profiles are in force", "profiles", len(policy.Profiles), "version", m.ResourceVersion)
	if f.wrong.Swap(false) {
		f.events.Event(m, corev1.EventTypeNormal, ReasonTaken, "the list of profiles is in force")
	}
}

// Warn writes an Event about a profile of the list in force.
func (f *Feed) Warn(reason, text string) {
	if m := f.taken.Load(); m != nil {
		f.events.Event(m, corev1.EventTypeWarning, reason, brief(text))
	}
}

func (f *Feed) refuse(m *corev1.ConfigMap, err error) {
	f.wrong.Store(true)
	f.faults.Inc()
	after := "there is none to go on with"
	if f.policy.Load() != nil {
		after = "the last good one stays in force"
	} else {
		f.report(fmt.Errorf("the list of profiles: %w", err))
	}
	f.log.Error("the list of profiles is refused", "next", after, "version", m.ResourceVersion, "error", err)
	f.events.Event(m, corev1.EventTypeWarning, ReasonRefused, brief(fmt.Sprintf("%v; %s", err, after)))
}

// brief cuts a text to what an Event holds (1,024 bytes).
func brief(text string) string {
	const longest = 1000
	if len(text) > longest {
		return strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
}

// Read returns the policy that a text describes, or an error that names every fault with its
// key in the text.
func Read(text string) (spawn.Policy, error) {
	if text == "" {
		return spawn.Policy{}, errors.New(Key + " is missing or empty")
	}
	var d spawn.Document
	if err := config.Decode([]byte(text), &d); err != nil {
		return spawn.Policy{}, err
	}
	policy, found := d.Policy()
	var faults config.Faults
	for _, fault := range found {
		faults.Addf(fault.Key, "%s", fault.Text)
	}
	return policy, faults.Err()
}
