package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server/podmeta"
	"github.com/perijove/perijove/test/wait"
)

// ensureServer starts alice's server if it does not run.
func ensureServer(t *testing.T, p *person) {
	t.Helper()
	if code, _ := p.api("GET", "/user/"+p.name+"/api"); code == 424 {
		p.spawn()
	}
	resp := p.do("GET", "/user/"+p.name+"/api/status", nil) // through the login page, for the pass
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s's own server answers %s", p.name, resp.Status)
	}
}

func TestNobodyEntersAnothersServer(t *testing.T) {
	alice := login(t, "alice")
	ensureServer(t, alice)

	anonymous := newPerson(t, "nobody")
	code, body := anonymous.api("GET", "/user/alice/api/kernels")
	if code != 401 || !json.Valid([]byte(body)) {
		t.Errorf("without cookies: %d %q, want 401 in JSON", code, body)
	}

	bob := login(t, "bob")
	if code, _ := withHubSession(t, bob, "/user/alice/api/kernels"); code != 403 {
		t.Errorf("with bob's session: %d, want 403", code)
	}
	resp := bob.do("GET", "/user/alice/lab", nil)
	_ = resp.Body.Close()
	if resp.StatusCode != 403 {
		t.Errorf("bob's browser at alice's server ends at %s with %s, want 403", resp.Request.URL, resp.Status)
	}

	carol := login(t, "carol") // negative control: an administrator enters
	resp = carol.do("GET", "/user/alice/api/status", nil)
	_ = resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("carol, an administrator, gets %s", resp.Status)
	}

	b := newBrowser(t)
	b.login("bob", "/user/alice/lab")
	b.run(10*time.Second, chromedp.WaitVisible(`main`))
	b.shot("forbidden")
}

// TestK8_ServersAnswerTheGatewayOnly: a spawned server shows the certificate of its own UID,
// and refuses a client that shows none before it reads a request.
func TestK8_ServersAnswerTheGatewayOnly(t *testing.T) {
	if podCIDRReachable(t) == "" {
		t.Skip("pods cannot be reached from here")
	}
	ensureServer(t, login(t, "bob")) // through Envoy it answers: the negative control
	pod := spawnedPod(t)
	name, err := podmeta.ProofName(pod)
	if err != nil || name == "" {
		t.Fatalf("the pod has no proof: %q, %v", name, err)
	}
	authority := secretFiles(t, t.TempDir(), "perijove-servers-ca")
	pem, err := os.ReadFile(authority.Cert)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	stranger := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: name}}}
	for scheme, client := range map[string]*http.Client{"https": stranger, "http": {Timeout: 5 * time.Second}} {
		resp, err := client.Get(scheme + "://" + pod.Status.PodIP + ":8888/user/bob/api")
		if err != nil {
			t.Logf("%s: %v", scheme, err)
			continue
		}
		_ = resp.Body.Close()
		t.Errorf("a stranger over %s gets %s", scheme, resp.Status)
	}
	conn, err := tls.Dial("tcp", pod.Status.PodIP+":8888", &tls.Config{RootCAs: roots, ServerName: name}) // TLS 1.3 asks for the client's certificate later
	if err != nil {
		t.Fatalf("the pod does not show the certificate of its UID: %v", err)
	}
	_ = conn.Close()
}

// withHubSession sends the hub's session cookie where a browser never would, as
// `curl -b` does.
func withHubSession(t *testing.T, p *person, path string) (int, string) {
	t.Helper()
	hub, err := url.Parse(baseURL() + contract.PathHub)
	if err != nil {
		t.Fatal(err)
	}
	root, err := url.Parse(baseURL() + path)
	if err != nil {
		t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	var cookies []*http.Cookie
	for _, c := range p.http.Jar.Cookies(hub) {
		cookies = append(cookies, &http.Cookie{Name: c.Name, Value: c.Value, Path: "/"})
	}
	jar.SetCookies(root, cookies)
	curl := &person{t: t, name: p.name, http: &http.Client{Jar: jar, Timeout: 10 * time.Second}}
	return curl.api("GET", path)
}

// A labelled pod is published within a second and withdrawn with the label.
func TestLabelPublishesAnyPod(t *testing.T) {
	alice := login(t, "alice")
	webPod(t, "e2e-web")
	inside(t, servers, "annotate", "pod", "e2e-web", "perijove.dev/strip-prefix=true")

	start := time.Now()
	inside(t, servers, "label", "pod", "e2e-web", contract.LabelUsername+"=alice", contract.LabelServername+"=demo")
	answered := func() bool {
		resp := alice.do("GET", "/user/alice/demo/hostname", nil)
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK && strings.HasPrefix(resp.Request.URL.Path, "/user/")
	}
	wait.Within(t, 5*time.Second, "the labelled pod answers", answered)
	took := time.Since(start)
	t.Logf("kubectl label → first answer through Envoy: %d ms (kubectl included)", took.Milliseconds())
	if took > 2*time.Second {
		t.Errorf("publishing took %v", took)
	}
	bob := login(t, "bob")
	resp := bob.do("GET", "/user/alice/demo/hostname", nil)
	_ = resp.Body.Close()
	if resp.StatusCode != 403 {
		t.Errorf("bob at alice's pod: %s, want 403", resp.Status)
	}

	inside(t, servers, "label", "pod", "e2e-web", contract.LabelUsername+"-", contract.LabelServername+"-")
	wait.Within(t, 5*time.Second, "the unlabelled pod is withdrawn", func() bool { return !answered() })
}

func TestMislabelledPodIsNamedInAnEvent(t *testing.T) {
	webPod(t, "e2e-bad")
	inside(t, servers, "annotate", "pod", "e2e-bad", contract.AnnotationPort+"=http")
	inside(t, servers, "label", "pod", "e2e-bad", contract.LabelUsername+"=alice", contract.LabelServername+"=bad")
	wait.Within(t, 10*time.Second, "an Event on the pod says why it is not routed", func() bool {
		return strings.Contains(inside(t, servers, "get", "events", "--field-selector", "involvedObject.name=e2e-bad,reason=NotRouted"), contract.AnnotationPort)
	})
}

// Killing the xds-server leaves alice's notebook working: Envoy keeps its routes.
func TestXDSServerDies(t *testing.T) {
	alice := login(t, "alice")
	ensureServer(t, alice)
	if out, err := exec.Command("pkill", "-9", "-x", "xds-server").CombinedOutput(); err != nil {
		t.Skipf("the xds-server's process is not on this machine (%v %s); test/dataplane covers its death", err, out)
	}
	for range 20 {
		if code, body := alice.api("GET", "/user/alice/api/status"); code != 200 {
			t.Fatalf("after the xds-server's death alice's server answers %d %s", code, body)
		}
	}
}
