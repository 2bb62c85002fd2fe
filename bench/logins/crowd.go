package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/bench/internal/rig"
	"github.com/perijove/perijove/pkg/contract"
)

// loginTimeout is the longest that a browser of ours waits for one answer.
const loginTimeout = 30 * time.Second

// recordWait is how long the platform may take to write down a session that it gave out.
const recordWait = 20 * time.Second

// platform is everything that a login goes through.
type platform struct {
	kube      *rig.Kube
	directory *rig.Directory
	authz     *rig.Service
	gateway   *rig.Gateway
}

func build(r *rig.Rig) (*platform, error) {
	p := &platform{}
	var err error
	if p.kube, err = r.StartKube(nil); err != nil {
		return nil, err
	}
	if err := p.kube.Namespace(namespace); err != nil {
		return nil, err
	}
	if p.directory, err = r.StartDirectory(); err != nil {
		return nil, err
	}
	if p.authz, err = r.AuthzWithLogins(p.kube, namespace, p.directory); err != nil {
		return nil, err
	}
	p.gateway, err = r.Gateway(p.kube, namespace, true)
	return p, err
}

// outcome is how a crowd fared.
type outcome struct {
	crowd
	began                         time.Time
	in, refused, failed, recorded int
	fault                         string // the first one
	took                          []time.Duration
}

// percentile of the time of one login in milliseconds: the form, the password, the answer.
func (o outcome) percentile(p float64) float64 {
	if len(o.took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(o.took))
	return float64(sorted[min(len(sorted)-1, int(p*float64(len(sorted))))].Microseconds()) / 1000
}

// arrive lets a crowd log in, evenly spread over its time.
func (p *platform) arrive(c crowd, first int) outcome {
	o := outcome{crowd: c, began: time.Now()}
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range c.people {
		all.Go(func() {
			time.Sleep(time.Until(o.began.Add(c.within * time.Duration(i) / time.Duration(c.people))))
			begin := time.Now()
			status, err := p.login(rig.User(first + i))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				o.in++
				o.took = append(o.took, time.Since(begin))
			case status >= http.StatusInternalServerError || status == 0:
				o.failed++
			default:
				o.refused++
			}
			if err != nil && o.fault == "" {
				o.fault = err.Error()
			}
		})
	}
	all.Wait()
	return o
}

var formToken = regexp.MustCompile(`name="` + contract.XSRFName + `" value="([^"]+)"`)

// login is what a new browser does: it opens the form and sends it. It returns the status that
// was not as it should be; 0 when there was no answer.
func (p *platform) login(name string) (int, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return 0, err
	}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, p.gateway.Envoy.Addr)
	}
	transport := &http.Transport{DialContext: dial}
	defer transport.CloseIdleConnections()
	browser := &http.Client{
		Jar: jar, Timeout: loginTimeout, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	address := "http://" + rig.Host + contract.PathLogin
	status, body, err := answer(browser.Get(address))
	if err != nil || status != http.StatusOK {
		return status, fmt.Errorf("the form: %d %w", status, err)
	}
	m := formToken.FindStringSubmatch(body)
	if m == nil {
		return status, errors.New("the login page has no form")
	}
	status, body, err = answer(browser.PostForm(address, url.Values{"username": {name}, "password": {rig.Password}, contract.XSRFName: {m[1]}}))
	if err != nil || status != http.StatusSeeOther && status != http.StatusFound {
		return status, fmt.Errorf("the password: %d %w %.200s", status, err, note.FindString(body))
	}
	return status, nil
}

// note is what the login page says about a fault.
var note = regexp.MustCompile(`<p class="note[^<]*<`)

func answer(resp *http.Response, err error) (int, string, error) {
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// recorded counts the people whose account lists a session that began since.
func (p *platform) recorded(first, people int, since time.Time) (int, error) {
	wanted := map[string]bool{}
	for i := range people {
		wanted[rig.User(first+i)] = true
	}
	found := 0
	for deadline := time.Now().Add(recordWait); found < people && time.Now().Before(deadline); time.Sleep(500 * time.Millisecond) {
		var err error
		if found, err = p.count(wanted, since.Truncate(time.Second)); err != nil {
			return 0, err
		}
	}
	return found, nil
}

// session is what an account says of one.
type session struct {
	Since time.Time `json:"since"`
}

func (p *platform) count(wanted map[string]bool, since time.Time) (int, error) {
	list, err := p.kube.Client.CoreV1().Secrets(namespace).List(context.Background(), metav1.ListOptions{LabelSelector: contract.LabelAccount + "=true"})
	if err != nil {
		return 0, fmt.Errorf("list accounts: %w", err)
	}
	n := 0
	for _, secret := range list.Items {
		data, ok := secret.Data["account.json"]
		if !ok {
			continue // the clock of the accounts, not an account
		}
		var a struct {
			Name     string    `json:"name"`
			Sessions []session `json:"sessions"`
		}
		if err := json.Unmarshal(data, &a); err != nil {
			return 0, fmt.Errorf("read an account: %w", err)
		}
		if wanted[a.Name] && slices.ContainsFunc(a.Sessions, func(s session) bool { return !s.Since.Before(since) }) {
			n++
		}
	}
	return n, nil
}
