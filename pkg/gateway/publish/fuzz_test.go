package publish_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/scopes"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/podmeta"
	"github.com/perijove/perijove/pkg/web/origin"
)

// hostile is a pod as an attacker with too many rights might write it. Most texts have a
// meaning only where a valid pod has them.
func hostile(name, user, server, port, nonce, ip string, number int32, flags byte) *corev1.Pod {
	return pod(name, "slug", "slug", "uid-"+name, 1, func(p *corev1.Pod) {
		p.Annotations = map[string]string{contract.LabelUsername: user, contract.LabelServername: server, contract.AnnotationNonce: nonce}
		if flags&1 != 0 { // the label itself is the name
			p.Annotations = map[string]string{contract.AnnotationNonce: nonce}
			p.Labels = map[string]string{contract.LabelUsername: user, contract.LabelServername: server}
		}
		if flags&2 != 0 {
			p.Annotations[contract.AnnotationStripPrefix] = "true"
		}
		if flags&4 != 0 {
			p.Annotations[contract.AnnotationPort] = port
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Ports: []corev1.ContainerPort{{ContainerPort: 1}, {ContainerPort: number}}})
		}
		if flags&8 != 0 {
			p.Spec.Containers[0].Ports[0] = corev1.ContainerPort{Name: contract.PortName, ContainerPort: number}
		}
		if flags&16 != 0 {
			p.Status.PodIP = ip
		}
		if flags&32 != 0 {
			p.Annotations[contract.AnnotationStripPrefix] = port
		}
	})
}

// R14, X6, X7: the scopes of any two pods pass Envoy's own validation, and two different
// servers share no name and no path.
func FuzzPodToXDS(f *testing.F) {
	f.Add("alice", "", "8888", "n", "10.0.0.9", int32(8888), byte(0), "bob", "demo")
	f.Add("a-b", "c", "0", "", "127.0.0.1", int32(0), byte(255), "a", "b-c")
	f.Add("login", "logout", "65536", "\r\nx: y", "::1", int32(70000), byte(6), "login", "")
	f.Add("a@b", "x y", "-1", "\x00", "fe80::1%eth0", int32(-1), byte(28), "a%40b", "x+y")
	f.Add(strings.Repeat("u", 255), strings.Repeat("s", 255), "1e3", strings.Repeat("n", 1<<16), "0.0.0.0", int32(1), byte(2), "..", "*")
	f.Add("a(b", "[", "8888", "%REQ(cookie)%", "10.0.0.9", int32(1), byte(2), `\Q`, "(?i)")
	f.Fuzz(func(t *testing.T, user, server, port, nonce, ip string, number int32, flags byte, user2, server2 string) {
		a := hostile("a", user, server, port, nonce, ip, number, flags)
		b := hostile("b", user2, server2, "8888", "n2", "10.0.0.2", 8888, flags&3)
		publisher := newEnv(t).started(t)
		publisher.Set(a)
		publisher.Set(b)
		for _, p := range []*corev1.Pod{a, b} {
			s, err := podmeta.Read(p)
			if err != nil {
				continue
			}
			for _, scope := range scopesOf(t, s) {
				if publisher.version(scope.GetName()) == "" {
					t.Errorf("%v: scope %q was not published", s.ID, scope.GetName())
				}
			}
		}
		for name := range publisher.store.Versions(resourcev3.ScopedRouteType) {
			if strings.ContainsAny(name, "/?#\r\n\x00") {
				t.Errorf("the scope %q is no path segment", name)
			}
		}
		distinct(t, a, b)
	})
}

// scopesOf builds one server's scopes and checks each as Envoy does.
func scopesOf(t *testing.T, s server.Server) (out []*routev3.ScopedRouteConfiguration) {
	t.Helper()
	scopes, served, skipped := scopes.ForUser(scopes.Settings{Site: origin.Site{Scheme: "http", Hosts: []string{"h"}}, ServerKey: []byte(strings.Repeat("k", 32))}, s.User, []server.Server{s})
	if len(served) != 1 || len(skipped) != 0 {
		t.Fatalf("%v is fit to serve and is not served: %v", s.ID, skipped)
	}
	for _, scope := range scopes {
		validate(t.Errorf, scope.Route)
		out = append(out, scope.Route)
	}
	return out
}

// validate runs protoc-gen-validate's rules on a message and on all that is packed
// inside it.
func validate(fail func(format string, args ...any), m proto.Message) {
	if v, ok := m.(interface{ ValidateAll() error }); ok {
		if err := v.ValidateAll(); err != nil {
			fail("Envoy would refuse: %v", err)
		}
	}
	if packed, ok := m.(*anypb.Any); ok {
		inner, err := packed.UnmarshalNew()
		if err != nil {
			fail("unreadable %s: %v", packed.GetTypeUrl(), err)
			return
		}
		validate(fail, inner)
		return
	}
	m.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case field.IsMap():
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				if field.MapValue().Message() != nil {
					validate(fail, v.Message().Interface())
				}
				return true
			})
		case field.Message() == nil:
		case field.IsList():
			for i := range v.List().Len() {
				validate(fail, v.List().Get(i).Message().Interface())
			}
		default:
			validate(fail, v.Message().Interface())
		}
		return true
	})
}

// distinct: two servers that are not the same one share no scope, or no prefix in it.
func distinct(t *testing.T, podA, podB *corev1.Pod) {
	a, errA := podmeta.Read(podA)
	b, errB := podmeta.Read(podB)
	if errA != nil || errB != nil || a.ID == b.ID {
		return
	}
	prefixes := func(s server.Server) map[string]bool {
		out := map[string]bool{}
		for _, scope := range scopesOf(t, s) {
			for _, r := range scope.GetRouteConfiguration().GetVirtualHosts()[0].GetRoutes() {
				if p := r.GetMatch().GetPathSeparatedPrefix(); strings.HasPrefix(p, contract.PathUser) {
					out[scope.GetName()+" "+p] = true
				}
			}
		}
		return out
	}
	ofB := prefixes(b)
	for p := range prefixes(a) {
		if ofB[p] {
			t.Errorf("%v and %v share %q", a.ID, b.ID, p)
		}
	}
	if a.User != b.User {
		names := func(s server.Server) []string { return server.Spellings(s.User) }
		for _, n := range names(a) {
			if slices.Contains(names(b), n) {
				t.Errorf("%v and %v share the scope %q", a.ID, b.ID, n)
			}
		}
	}
}

// The same server in two namespaces has one route, the older pod's, and its secret is
// for that pod only.
func TestX6_NamespacesDoNotMix(t *testing.T) {
	f := newEnv(t).started(t)
	nonce := func(p *corev1.Pod) { p.Annotations = map[string]string{contract.AnnotationNonce: "n"} }
	f.Set(pod("p", "alice", "", "u1", 1, nonce))
	before := f.version("alice")
	f.Set(pod("p", "alice", "", "u2", 2, nonce, func(p *corev1.Pod) { p.Namespace = "other" }))
	if f.version("alice") != before || len(f.reports) != 1 {
		t.Errorf("a younger pod in another namespace changed the route, or was not reported: %v", f.reports)
	}
	key := []byte(strings.Repeat("k", 32))
	secrets := map[string]bool{}
	for _, s := range [][3]string{{"ns", "p", "n"}, {"other", "p", "n"}, {"ns", "p2", "n"}, {"ns", "p", "n2"}, {"nsp", "", "n"}, {"n", "sp", "n"}, {"ns", "pn", ""}} {
		secrets[contract.ServerSecret(key, s[0], s[1], s[2])] = true
	}
	if len(secrets) != 7 {
		t.Errorf("%d different secrets for 7 pods: %v", len(secrets), slices.Collect(maps.Keys(secrets)))
	}
}

// Negative control: validation reaches packed messages.
func TestValidateLooksInside(t *testing.T) {
	inner, err := anypb.New(&routev3.RouteMatch{}) // needs a path specifier
	if err != nil {
		t.Fatal(err)
	}
	route := &routev3.Route{
		Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		Action: &routev3.Route_Redirect{Redirect: &routev3.RedirectAction{}},
	}
	faults := func() (n int) {
		validate(func(string, ...any) { n++ }, route)
		return n
	}
	if n := faults(); n != 0 {
		t.Fatalf("%d faults in a good route", n)
	}
	route.TypedPerFilterConfig = map[string]*anypb.Any{"x": inner}
	if faults() == 0 {
		t.Error("a bad message inside an Any was not seen")
	}
}
