package hub

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/occupancy"
	"github.com/perijove/perijove/pkg/web"
)

// TestAdminCluster: the day as a curve and as a table, and each node's share.
func TestAdminCluster(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if _, _, page := e.get("/hub/admin/cluster", root()...); !strings.Contains(page, "Nothing was written down yet") {
		t.Error("without samples")
	}
	var h occupancy.History
	for i := range 12 {
		h, _ = h.With(i, time.Now().Add(time.Duration(i-12)*occupancy.Every))
	}
	e.cluster.SetNodes(h, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "<b>n1"}, Spec: corev1.NodeSpec{Unschedulable: true},
		Status: corev1.NodeStatus{
			Allocatable: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("8Gi")},
			Conditions:  []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		},
	})
	code, _, page := e.get("/hub/admin/cluster", root()...)
	for _, want := range []string{"<polyline", "<td>11</td>", "&lt;b&gt;n1", "0 of 4", "of 8 GiB", "Closed to new servers"} {
		if code != 200 || !strings.Contains(page, want) {
			t.Errorf("%d: the page has no %s", code, want)
		}
	}
}

// dumb is a cluster that does not answer.
type dumb struct{ Cluster }

func (dumb) History(context.Context) (occupancy.History, error) { return nil, errors.New("away") }
func (dumb) Nodes(context.Context) ([]occupancy.Node, error)    { return nil, errors.New("forbidden") }

// TestAdminClusterWithoutTheAPI: the page says what is not known.
func TestAdminClusterWithoutTheAPI(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	pages, err := web.New()
	if err != nil {
		t.Fatal(err)
	}
	handler := New(dumb{e.cluster}, e.waitServed, pages, slog.New(slog.DiscardHandler), Settings{}).Handler()
	r, w := httptest.NewRequest("GET", "/hub/admin/cluster", nil), httptest.NewRecorder()
	r.Header.Set(contract.HeaderUser, "root")
	r.Header.Set(contract.HeaderAdmin, "true")
	if handler.ServeHTTP(w, r); w.Code != 200 || !strings.Contains(w.Body.String(), "It is not known which nodes there are") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
