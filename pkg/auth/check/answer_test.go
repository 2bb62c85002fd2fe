package check

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/test/golden"
	"github.com/perijove/perijove/test/logs"
)

func pages(t testing.TB) *web.Renderer {
	t.Helper()
	r, err := web.New()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestAnswerGolden pins what Envoy is told for each kind of verdict.
func TestAnswerGolden(t *testing.T) {
	bob := access.User{Name: "bob"}
	var got txtar.Archive
	for _, c := range []struct {
		name string
		v    Verdict
	}{
		{"allow", Verdict{Allow: true, Status: 200, Reason: ReasonAllowed, Set: []Header{{contract.HeaderUser, "alice"}, {"cookie", "a=1"}}, Remove: []string{"x"}, SetCookies: []string{"p=1; Path=/a/", "p=1; Path=/b/"}}},
		{"websocket", Verdict{Allow: true, Status: 200, Reason: ReasonAllowed, Set: []Header{{contract.HeaderUser, "alice"}}, Input: "whose"}},
		{"redirect", Verdict{Status: 302, Reason: ReasonNoSession, Location: "/hub/login?next=%2Fuser%2Falice%2F"}},
		{"slash", Verdict{Status: 302, Reason: ReasonSlash, Location: "/user/alice/", SetCookies: []string{"p=1"}}},
		{"unauthorized", Verdict{Status: 401, Reason: ReasonNoSession}},
		{"forbidden", Verdict{Status: 403, Reason: ReasonForbidden, User: bob}},
		{"cross-origin", Verdict{Status: 403, Reason: ReasonCrossOrigin, User: bob}},
		{"duplicate", Verdict{Status: 400, Reason: ReasonDuplicate}},
		{"malformed", Verdict{Status: 403, Reason: ReasonMalformed}},
	} {
		raw, err := protojson.Marshal(answer(Request{}, c.v, pages(t)))
		if err != nil {
			t.Fatal(err)
		}
		var pretty bytes.Buffer // protojson varies its blanks on purpose
		if err := json.Indent(&pretty, raw, "", "  "); err != nil {
			t.Fatal(err)
		}
		pretty.WriteByte('\n')
		got.Files = append(got.Files, txtar.File{Name: c.name, Data: pretty.Bytes()})
	}
	golden.File(t, filepath.Join("testdata", "answers.txtar"), txtar.Format(&got))
}

func TestPagesOfRefusals(t *testing.T) {
	for reason, want := range map[Reason][2]string{
		ReasonForbidden: {"Not allowed", "不允许"}, ReasonNoSession: {"Please log in", "/hub/login"}, ReasonCrossOrigin: {"Please try again from the page", ""}, ReasonDuplicate: {"Bad request", ""},
	} {
		v := Verdict{Status: 403, Reason: reason, Page: true, User: access.User{Name: `<b>bob`}}
		res := answer(Request{RequestID: "<i>id", AcceptLanguage: "en"}, v, pages(t)).GetDeniedResponse()
		if !strings.Contains(res.GetBody(), want[0]) || strings.Contains(res.GetBody(), "<b>bob") || strings.Contains(res.GetBody(), "<i>id") {
			t.Errorf("%s: %s", reason, res.GetBody())
		}
		csp := ""
		for _, h := range res.GetHeaders() {
			if strings.EqualFold(h.GetHeader().GetKey(), "content-security-policy") {
				csp = h.GetHeader().GetValue()
			}
		}
		if !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("%s: no policy in %v", reason, res.GetHeaders())
		}
	}
	zh := answer(Request{AcceptLanguage: "zh-CN,zh;q=0.9"}, Verdict{Status: 403, Reason: ReasonForbidden, Page: true}, pages(t)).GetDeniedResponse().GetBody()
	if !strings.Contains(zh, `lang="zh-Hans"`) {
		t.Error("the page is not in the reader's language")
	}
}

func checkRequest(req Request) *authv3.CheckRequest {
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{Address: req.Client}}}},
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Method: req.Method, Path: req.Path, Host: req.Host, Headers: map[string]string{
				"cookie": req.Cookie, "accept": req.Accept, "accept-language": req.AcceptLanguage, "origin": req.Origin, "upgrade": req.Upgrade,
				"sec-fetch-site": req.FetchSite, "sec-fetch-mode": req.FetchMode, "sec-fetch-dest": req.FetchDest, "authorization": req.Authorization, contract.HeaderRequestID: req.RequestID,
			},
		}},
	}}
}

// onRoute is the context of Envoy's call about a request on the route that is called name.
func onRoute(names ...string) context.Context {
	return metadata.NewIncomingContext(context.Background(), metadata.MD{contract.MetadataRoute: names})
}

// question is Envoy's call about one request.
type question struct {
	route context.Context
	check *authv3.CheckRequest
}

func asking(req Request) question {
	route := contract.Route{Kind: req.Kind, Prefix: req.Prefix, Owner: req.Owner, Server: req.Server, Address: netip.MustParseAddrPort("10.0.0.1:8888"), Logout: req.Logout}
	return question{onRoute(route.Name()), checkRequest(req)}
}

func (q question) to(s *Server) (*authv3.CheckResponse, error) { return s.Check(q.route, q.check) }

const toAlice = "/user/alice/ alice 10.0.0.1:8888"

// Another version's Envoy, in a rolling update, says nothing of routes, or something else.
func TestCheckWithoutARouteFailsClosed(t *testing.T) {
	h := newEnv(t)
	s := h.server(t, slog.New(slog.DiscardHandler))
	_, cookie := h.session(t, "alice")
	req := checkRequest(toServer("alice", cookie))
	req.Attributes.ContextExtensions = map[string]string{"kind": "server", "owner": "alice", "prefix": "/user/alice/"}
	for name, ctx := range map[string]context.Context{
		"nothing": context.Background(), "an empty name": onRoute(""), "no value": onRoute("-"), "a prefix": onRoute("/user/alice/"),
		"two": onRoute(toAlice, toAlice), "two owners": onRoute("/user/alice/ bob 10.0.0.1:8888"),
	} {
		if res, err := s.Check(ctx, req); status.Code(err) != codes.InvalidArgument || res != nil {
			t.Errorf("%s: %v %v", name, res, err)
		}
	}
	if res, err := s.Check(onRoute(toAlice), req); err != nil || res.GetOkResponse() == nil { // negative control
		t.Errorf("on her route: %v %v", res, err)
	}
	if res, err := s.Check(onRoute("/user/bob/ bob 10.0.0.2:8888"), req); err != nil || res.GetDeniedResponse() == nil {
		t.Errorf("alice's path on bob's route: %v %v", res, err)
	}
}

func TestTranslateKeepsEverything(t *testing.T) {
	route := contract.Route{Kind: "k", Owner: "o", Server: "s", Prefix: "p", Logout: true}
	want := Request{"k", "o", "s", "p", true, "GET", "/x?y", "h", "c", "a", "al", "or", "up", "fs", "fm", "fd", "au", "id", "192.0.2.1"}
	got, err := translate(checkRequest(want), route)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for name, check := range map[string]*authv3.CheckRequest{
		"nothing": nil, "no attributes": {}, "no request": {Attributes: &authv3.AttributeContext{}},
		"no method": {Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{Path: "/"}}}},
	} {
		if _, err := translate(check, route); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestCheckFailsClosed(t *testing.T) {
	h := newEnv(t)
	var log bytes.Buffer
	s := h.server(t, slog.New(slog.NewJSONHandler(&log, nil)))
	if res, err := s.Check(onRoute(toAlice), &authv3.CheckRequest{}); status.Code(err) != codes.InvalidArgument || res != nil {
		t.Errorf("malformed: %v %v", res, err)
	}
	_, cookie := h.session(t, "alice")
	s.decider.live = nil // panics
	if res, err := asking(toServer("alice", cookie)).to(s); status.Code(err) != codes.Internal || res != nil {
		t.Errorf("R2 panic: %v %v", res, err)
	}
	if !strings.Contains(log.String(), "check panicked") {
		t.Errorf("nobody is told: %s", log.String())
	}
}

func TestAuditNamesWhoAndWhatAndNoSecret(t *testing.T) {
	h := newEnv(t)
	var log bytes.Buffer
	s := h.server(t, slog.New(slog.NewJSONHandler(&log, nil)))
	_, bob := h.session(t, "bob")
	_, alice := h.session(t, "alice")
	for _, cookie := range []string{bob, alice, ""} {
		if _, err := asking(toServer("alice", cookie)).to(s); err != nil {
			t.Fatal(err)
		}
	}
	if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), `"user":"bob"`) || !strings.Contains(log.String(), `"owner":"alice"`) {
		t.Errorf("%d lines: %s", lines, log.String())
	}
	// A browser never sends two sessions: a request that does is one to look at.
	if _, err := asking(toServer("alice", alice+"; "+alice)).to(s); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), `"reason":"`+string(ReasonDuplicate)+`"`) {
		t.Errorf("no line for two sessions: %s", log.String())
	}
	logs.Audited(t, log.String(), telemetry.AccessRefused)
	if strings.Contains(log.String(), strings.Split(bob, "=")[1]) {
		t.Error("S14: the log holds a session")
	}
}

// TestOnlyContractHeadersAreSet is what Envoy's mutation rules allow; anything else
// would turn every request into an error there.
func TestOnlyContractHeadersAreSet(t *testing.T) {
	h := newEnv(t)
	allowed := map[string]bool{}
	for _, name := range contract.AuthzHeaders() {
		allowed[name] = true
	}
	_, carol := h.session(t, "carol")
	_, alice := h.session(t, "alice")
	for _, req := range []Request{
		toServer("alice", carol+"; a=1"), toServer("alice", alice),
		h.withToken(toServer("alice", ""), "alice", "self"), h.withToken(toAPI("GET", "/hub/api/users/alice"), "carol", "inherit"),
		{Kind: contract.KindHub, Method: "GET", Path: "/hub/", Host: "hub.test", Cookie: alice}, {Kind: contract.KindHub, Method: "GET", Path: "/hub/", Host: "hub.test", Cookie: carol},
	} {
		ok := answer(req, h.Decide(req, now()), pages(t)).GetOkResponse()
		if ok == nil {
			t.Fatalf("%+v is refused", req)
		}
		for _, o := range ok.GetHeaders() {
			if !allowed[o.GetHeader().GetKey()] || o.GetHeader().GetValue() == "" || o.GetAppendAction() != corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
				t.Errorf("%v", o)
			}
		}
		for _, name := range ok.GetHeadersToRemove() {
			if !allowed[name] && name != "authorization" && name != "cookie" {
				t.Errorf("removes %s", name)
			}
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	h := newEnv(b)
	s := h.server(b, slog.New(slog.DiscardHandler))
	alice, _ := h.session(b, "alice")
	req := asking(toServer("alice", "_xsrf=1; "+h.pass(b, alice, "alice", now())))
	for b.Loop() {
		if res, err := req.to(s); err != nil || res.GetOkResponse() == nil {
			b.Fatal(res, err)
		}
	}
}
