package kube

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub"
	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/hub/roster"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/web"
)

// BenchmarkUsersPage is what an administrator's program waits for: one page of 200 of 10,000 users
// with a home each, of whom 2,000 have a server.
func BenchmarkUsersPage(b *testing.B) {
	handler := crowd(b)
	for name, query := range map[string]string{
		"first": "limit=200", "last": "limit=200&offset=9800", "filter": "limit=200&name_filter=r0",
		"ready": "limit=200&state=ready&sort=-last_activity",
	} {
		b.Run(name, func(b *testing.B) { reload(b, handler, contract.PathAPI+"/users?"+query, `"kind":"user"`, 200) })
	}
}

// BenchmarkAdminPage is what an administrator waits for among the same people.
func BenchmarkAdminPage(b *testing.B) {
	handler := crowd(b)
	for name, query := range map[string]string{
		"first": "", "last": "page=200", "search": "q=r0", "running": "state=running", "latest": "sort=-started&state=running", "idle": "sort=activity",
	} {
		b.Run(name, func(b *testing.B) { reload(b, handler, contract.PathAdmin+"?"+query, `scope="row"`, roster.PageSize) })
	}
}

// reload asks as an administrator; the answer has a text n times.
func reload(b *testing.B, handler http.Handler, path, text string, n int) {
	b.Helper()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set(contract.HeaderUser, "carol")
		r.Header.Set(contract.HeaderAdmin, "true")
		w := httptest.NewRecorder()
		if handler.ServeHTTP(w, r); w.Code != http.StatusOK || strings.Count(w.Body.String(), text) != n {
			b.Fatalf("%d %.300s", w.Code, w.Body)
		}
	}
}

// crowd is the hub of 10,000 users with a home each, of whom 2,000 have a server.
func crowd(b *testing.B) http.Handler {
	b.Helper()
	c, err := New(newClient(), newClient(), time.Now, prometheus.NewRegistry(), slog.New(slog.DiscardHandler), settings(b))
	if err != nil {
		b.Fatal(err)
	}
	for i := range 10000 {
		id := server.ID{User: fmt.Sprintf("user%05d", i)}
		text, err := quota.Record{Subject: id.User, Volumes: map[string]int64{"home": 1 << 30}, Days: map[string]int64{"2026-11-26": 7}}.Encode()
		if err != nil {
			b.Fatal(err)
		}
		if err := c.records.GetStore().Add(&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: spawn.Subject{Name: id.User}.RecordName(), ResourceVersion: "7"},
			Data:       map[string]string{recordKey: string(text)},
		}); err != nil {
			b.Fatal(err)
		}
		if i%5 != 0 {
			continue
		}
		pod := spawn.Pod(c.Site, spawn.Spec{ID: id, Profile: c.Policy().Profiles[0], Nonce: "n"})
		pod.UID, pod.CreationTimestamp = types.UID(id.User), metav1.NewTime(time.Now().Add(-time.Duration(i)*time.Second))
		memory.Answer(pod)
		if err := c.pods.GetStore().Add(pod); err != nil {
			b.Fatal(err)
		}
	}
	pages, err := web.New()
	if err != nil {
		b.Fatal(err)
	}
	return hub.New(c, nil, pages, slog.New(slog.DiscardHandler), hub.Settings{}).Handler()
}
