package nodes

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
)

// TestServers: each address has its pod's own program, which answers when it has booted, and ours
// only to requests that carry its secret.
func TestServers(t *testing.T) {
	s, now := newServers(), time.Now()
	kubespawner := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Env: []corev1.EnvVar{{Name: hubUser, Value: "bob"}}}}}}
	secrets := map[string]*corev1.Secret{"s": {Data: map[string][]byte{"secret": []byte("right")}}}
	for ip, one := range map[string]struct {
		pod  *corev1.Pod
		from time.Time
	}{"10.200.2.0": {pod("alice"), now}, "10.200.2.1": {kubespawner, now}, "10.200.2.2": {pod("carol"), now.Add(time.Hour)}} {
		if err := s.add(ip, one.pod, secrets, one.from); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		ip, path, secret string
		code             int
		body             string
	}{
		{ip: "10.200.2.0", path: "/user/alice/", secret: "right", code: http.StatusOK, body: Page("alice", "dora")},
		{ip: "10.200.2.0", path: "/user/alice/", secret: "wrong", code: http.StatusForbidden},
		{ip: "10.200.2.0", path: "/user/alice/", code: http.StatusForbidden},
		{ip: "10.200.2.0", path: "/user/alice/api", code: http.StatusOK, body: `{"version": "2.21.0"}`},
		{ip: "10.200.2.1", path: "/user/alice/", code: http.StatusOK, body: Page("bob", "dora")}, // not what the path says
		{ip: "10.200.2.2", path: "/user/carol/api", code: http.StatusNotFound},
		{ip: "10.200.2.3", path: "/user/eve/api", code: http.StatusNotFound},
	} {
		r := httptest.NewRequest(http.MethodGet, c.path, nil)
		r.Header.Set(contract.HeaderServerSecret, c.secret)
		r.Header.Set(contract.HeaderUser, "dora")
		at := &net.TCPAddr{IP: net.ParseIP(c.ip), Port: Port}
		w := httptest.NewRecorder()
		s.answer(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(at))))
		if w.Code != c.code || c.body != "" && w.Body.String() != c.body {
			t.Errorf("%+v: %d %s", c, w.Code, w.Body)
		}
	}
}
