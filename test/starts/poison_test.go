package starts

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	admission "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/kube"
	"github.com/perijove/perijove/test/wait"
)

// TestD7_PoisonedStartsHoldNobodyUp: twice as many starts as there are places cannot succeed, for
// four reasons: an image that is not there, a server that does not answer, an admission policy
// that refuses its pod, a webhook that does not answer. All ask before the others do. The others
// have their servers long before the poisoned ones are given up.
func TestD7_PoisonedStartsHoldNobodyUp(t *testing.T) {
	const places, each, others = 10, 10, 30
	w := newWorld(t)
	document := lab()
	document.Profiles = append(document.Profiles, spawn.Profile{DisplayName: "Broken", Slug: "broken", Override: spawn.Override{Image: "example.org/unpullable"}})
	s := w.settings(places, document)
	s.StartTimeout = time.Hour
	var hanging, refused, users []string
	for i := range each {
		hanging, refused = append(hanging, fmt.Sprint("hanging", i)), append(refused, fmt.Sprint("refused", i))
	}
	w.webhook(hanging)
	w.policy(refused)
	replicas := []*kube.Cluster{w.replica("a", nil, s), w.replica("b", nil, s)}
	var all sync.WaitGroup
	defer all.Wait()
	n := 0
	start := func(user, profile string) {
		r := ask(user)
		r.Options.Profile = profile
		n++
		c := replicas[n/2%2]
		all.Go(func() { _ = c.Start(t.Context(), r) }) // those of the poisoned that need not wait are refused here
	}
	for i := range each {
		start(hanging[i], "")
		start(fmt.Sprint(silent, i), "")
		start(fmt.Sprint("broken", i), "broken")
		start(refused[i], "")
	}
	wait.Until(t, "all places are taken", func() bool { return len(w.pods()) >= places })
	for i := range others {
		users = append(users, fmt.Sprintf("u%02d", i))
		start(users[i], "")
	}
	took := wait.Within(t, 40*time.Second, "all others' servers answer", func() bool { return w.answering(replicas[0], users) == others })
	t.Logf("the others' servers answered after %v", took)
	if w.waited(users) < others/2 {
		t.Errorf("%d of the others had to wait: the poisoned took no places", w.waited(users))
	}
	for user, want := range map[string]spawn.Phase{"broken0": spawn.Failed, silent + "0": spawn.Pending} {
		if s, err := replicas[0].Get(t.Context(), id(user)); err != nil || s.Phase != want {
			t.Errorf("%s's server is %s, %v: it poisons nothing", user, s.Phase, err)
		}
	}
	for _, pod := range w.pods() {
		if user := pod.Annotations[contract.LabelUsername]; user == "hanging0" || user == "refused0" {
			t.Errorf("%s has a pod: it poisons nothing", user)
		}
	}
}

// ofUsers selects the pods of users.
func ofUsers(users []string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: contract.LabelUsername, Operator: metav1.LabelSelectorOpIn, Values: users}}}
}

// rules is the making of pods.
func rules() admission.RuleWithOperations {
	return admission.RuleWithOperations{Operations: []admission.OperationType{admission.Create}, Rule: admission.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}}}
}

// webhook lets the API ask a webhook about the pods of users, which does not answer.
func (w *world) webhook(users []string) {
	w.t.Helper()
	over := make(chan struct{})
	silent := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-over }))
	w.t.Cleanup(func() {
		close(over)
		silent.Close()
	})
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: silent.Certificate().Raw})
	_, err := w.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(w.t.Context(), &admission.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: w.ns},
		Webhooks: []admission.ValidatingWebhook{{
			Name: "silent.example.org", Rules: []admission.RuleWithOperations{rules()}, ObjectSelector: ofUsers(users),
			ClientConfig: admission.WebhookClientConfig{URL: &silent.URL, CABundle: ca}, TimeoutSeconds: new(int32(15)),
			SideEffects: new(admission.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
}

// policy refuses the pods of users.
func (w *world) policy(users []string) {
	w.t.Helper()
	policies := w.client.AdmissionregistrationV1()
	if _, err := policies.ValidatingAdmissionPolicies().Create(w.t.Context(), &admission.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: w.ns},
		Spec: admission.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admission.MatchResources{ObjectSelector: ofUsers(users), ResourceRules: []admission.NamedRuleWithOperations{{RuleWithOperations: rules()}}},
			Validations:      []admission.Validation{{Expression: "false", Message: "no pods for you"}},
		},
	}, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	if _, err := policies.ValidatingAdmissionPolicyBindings().Create(w.t.Context(), &admission.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: w.ns},
		Spec:       admission.ValidatingAdmissionPolicyBindingSpec{PolicyName: w.ns, ValidationActions: []admission.ValidationAction{admission.Deny}},
	}, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "probe", Labels: map[string]string{contract.LabelUsername: users[0]}}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "x", Image: "x"}}}}
	wait.Until(w.t, "the policy is in force", func() bool {
		_, err := w.client.CoreV1().Pods(w.ns).Create(w.t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil
	})
}
