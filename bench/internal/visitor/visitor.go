package visitor

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/perijove/perijove/pkg/contract"
)

const (
	// patience is the longest that a browser waits for one answer.
	patience = time.Minute
	// reconnect is how soon a browser opens an event stream again that ended.
	reconnect = 3 * time.Second
)

// Site is where visitors go.
type Site struct {
	// Base is its address as browsers know it: http://host[:port].
	Base string
	// Addr is where it listens: host:port.
	Addr string
	// Form says that a server is started by a form with a button. JupyterHub, which is given
	// nothing to choose, starts it when the page is opened.
	Form bool
	// Click is how long a person waits before they click again after a refusal.
	Click time.Duration
}

// Visitor is one person at a site. It is used by one goroutine.
type Visitor struct {
	Name string
	// Refused counts the answers that were not as they should be, by status; 0 is none at all.
	Refused map[int]int
	// Profile is what to start, where the site has a form; "" is what the form proposes.
	Profile string
	// Clicked is when the button of the last start was pressed, and FirstByte when the last page
	// began to come.
	Clicked, FirstByte time.Time

	site Site
	http *http.Client
}

// New returns a person whose browser is new.
func New(site Site, name string) (*Visitor, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("make a jar of cookies: %w", err)
	}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, site.Addr)
	}
	return &Visitor{
		Name: name, Refused: map[int]int{}, site: site,
		http: &http.Client{Jar: jar, Transport: &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 6}}, //nolint:mnd // as browsers have
	}, nil
}

// Close ends the browser's connections.
func (v *Visitor) Close() { v.http.CloseIdleConnections() }

// refusal is an answer that was not as it should be.
type refusal struct {
	what   string
	status int
	text   string
}

func (r *refusal) Error() string { return fmt.Sprintf("%s: %d %.200s", r.what, r.status, r.text) }

// again does try until it succeeds or ctx is done.
func (v *Visitor) again(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		status := 0
		if r := (*refusal)(nil); errors.As(err, &r) {
			status = r.status
		}
		v.Refused[status]++
		select {
		case <-time.After(v.site.Click):
		case <-ctx.Done():
			return err
		}
	}
}

// Login opens the form and sends it.
func (v *Visitor) Login(ctx context.Context, password string) error {
	return v.again(ctx, func() error {
		token, err := v.token(ctx, contract.PathLogin)
		if errors.Is(err, errElsewhere) {
			return nil // a login whose page was lost
		}
		if err != nil {
			return err
		}
		return v.post(ctx, contract.PathLogin, url.Values{
			"username": {v.Name}, "password": {password}, contract.XSRFName: {token},
			"next": {contract.PathHome}, // JupyterHub would start the server else
		})
	})
}

// Serve starts the server and follows it until it is ready, again when a start fails. It returns
// when the first start was accepted, and how many failed.
func (v *Visitor) Serve(ctx context.Context) (accepted time.Time, failed int, err error) {
	for {
		if err := v.start(ctx); err != nil {
			return accepted, failed, err
		}
		if accepted.IsZero() {
			accepted = time.Now()
		}
		if err = v.follow(ctx); !errors.Is(err, ErrFailed) {
			return accepted, failed, err
		}
		failed++
		select {
		case <-time.After(v.site.Click):
		case <-ctx.Done():
			return accepted, failed, err
		}
	}
}

// start asks for the server until the site says that it starts.
func (v *Visitor) start(ctx context.Context) error {
	return v.again(ctx, func() error {
		if !v.site.Form {
			v.Clicked = time.Now()
			status, body, _, err := v.get(ctx, contract.PathSpawn)
			return expect("start", status, body, err)
		}
		token, err := v.token(ctx, contract.PathSpawn)
		if errors.Is(err, errElsewhere) {
			return nil // a start whose answer was lost: the form leads to what has become of it
		}
		if err != nil {
			return err
		}
		form := url.Values{contract.XSRFName: {token}}
		if v.Profile != "" {
			form.Set("profile", v.Profile)
		}
		v.Clicked = time.Now()
		return v.post(ctx, contract.PathSpawn, form)
	})
}

// event is one line of a progress stream.
type event struct {
	Message       string `json:"message"`
	Ready, Failed bool
}

// ErrFailed is a start that failed, as its progress says.
var ErrFailed = errors.New("the start failed")

// follow watches the progress until the server is ready. It returns an ErrFailed, or why ctx ended.
func (v *Visitor) follow(ctx context.Context) error {
	address := contract.PathAPI + "/users/" + v.Name + "/server/progress"
	if !v.site.Form { // JupyterHub wants its token with it, as its page has it
		if token := v.cookie(contract.XSRFName); token != "" {
			address += "?" + url.Values{contract.XSRFName: {token}}.Encode()
		}
	}
	for {
		last, err := v.stream(ctx, address)
		switch {
		case err == nil && last.Ready:
			return nil
		case err == nil && last.Failed:
			return fmt.Errorf("%w: %s", ErrFailed, last.Message)
		}
		if r := (*refusal)(nil); errors.As(err, &r) {
			v.Refused[r.status]++
		}
		select {
		case <-time.After(reconnect):
		case <-ctx.Done():
			return fmt.Errorf("follow the start: %w", ctx.Err())
		}
	}
}

// stream reads one event stream to its end, and returns the last event.
func (v *Visitor) stream(ctx context.Context, path string) (last event, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.site.Base+path, nil)
	if err != nil {
		return last, fmt.Errorf("make a request: %w", err)
	}
	req.Header.Set("Accept", "text/event-stream")
	sameOrigin(req, "cors")
	resp, err := v.http.Do(req)
	if err != nil {
		return last, &refusal{"progress", 0, err.Error()}
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		return last, &refusal{"progress", resp.StatusCode, string(body)}
	}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data:")
		if !ok {
			continue
		}
		last = event{}
		if err := json.Unmarshal([]byte(data), &last); err != nil {
			return last, &refusal{"progress", resp.StatusCode, data}
		}
		if last.Ready || last.Failed {
			return last, nil
		}
	}
	return last, lines.Err()
}

// Stop presses the button on the home page of Perijove.
func (v *Visitor) Stop(ctx context.Context) error {
	token, err := v.token(ctx, contract.PathHome)
	if err != nil {
		return err
	}
	return v.post(ctx, contract.PathHub+"stop/"+v.Name, url.Values{contract.XSRFName: {token}})
}

// Open opens a path of the server and returns what it answers.
func (v *Visitor) Open(ctx context.Context, path string) (page string, err error) {
	err = v.again(ctx, func() error {
		var status int
		status, page, _, err = v.get(ctx, contract.PathUser+v.Name+"/"+path)
		return expect("open", status, page, err)
	})
	return page, err
}

var input = regexp.MustCompile(`<input[^>]*name="` + contract.XSRFName + `"[^>]*value="([^"]*)"`)

// errElsewhere is a form that leads to another page.
var errElsewhere = errors.New("another page was shown")

// token opens a page with a form and returns its token.
func (v *Visitor) token(ctx context.Context, path string) (string, error) {
	status, body, at, err := v.get(ctx, path)
	if err := expect("form "+path, status, body, err); err != nil {
		return "", err
	}
	if at != path {
		return "", fmt.Errorf("form %s: %w: %s", path, errElsewhere, at)
	}
	m := input.FindStringSubmatch(body)
	if m == nil {
		return "", &refusal{"form " + path, status, "no token in " + body}
	}
	return m[1], nil
}

func (v *Visitor) get(ctx context.Context, path string) (status int, body, at string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.site.Base+path, nil)
	if err != nil {
		return 0, "", "", fmt.Errorf("make a request: %w", err)
	}
	return v.do(req)
}

// post sends a form; one that comes back instead of a redirect elsewhere was refused.
func (v *Visitor) post(ctx context.Context, path string, form url.Values) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.site.Base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("make a request: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, body, at, err := v.do(req)
	if err == nil && status == http.StatusOK && at == path {
		return &refusal{"form " + path, status, note.FindString(body)}
	}
	return expect("form "+path, status, body, err)
}

// note is what a page says about a fault.
var note = regexp.MustCompile(`<p class="(note|login_error)[^<]*<`)

// do sends what a browser sends when a person goes from page to page, and follows redirects; at
// is the path where they end.
func (v *Visitor) do(req *http.Request) (status int, body, at string, err error) {
	ctx, cancel := context.WithTimeout(req.Context(), patience)
	defer cancel()
	req.Header.Set("Accept", "text/html,application/xhtml+xml")
	sameOrigin(req, "navigate")
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotFirstResponseByte: func() { v.FirstByte = time.Now() }})
	resp, err := v.http.Do(req.WithContext(ctx))
	if err != nil {
		return 0, "", "", err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), resp.Request.URL.Path, err
}

func sameOrigin(req *http.Request, mode string) {
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("Sec-Fetch-Mode", mode)
	if req.Method == http.MethodPost {
		req.Header.Set("Origin", req.URL.Scheme+"://"+req.URL.Host)
	}
}

// cookie is the value of one that a script of a hub's page may read.
func (v *Visitor) cookie(name string) string {
	for _, c := range v.cookies(contract.PathHub) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// Cookies is the Cookie header that the browser sends with a request for path.
func (v *Visitor) Cookies(path string) string {
	var all []string
	for _, c := range v.cookies(path) {
		all = append(all, c.Name+"="+c.Value)
	}
	return strings.Join(all, "; ")
}

func (v *Visitor) cookies(path string) []*http.Cookie {
	at, err := url.Parse(v.site.Base + path)
	if err != nil {
		return nil
	}
	return v.http.Jar.Cookies(at)
}

func expect(what string, status int, body string, err error) error {
	switch {
	case err != nil:
		return &refusal{what, 0, err.Error()}
	case status != http.StatusOK:
		return &refusal{what, status, cmp.Or(note.FindString(body), body)}
	}
	return nil
}

// Errors sums up what visitors were refused: "429: 12, 500: 1", or "none".
func Errors(counts map[int]int) string {
	if len(counts) == 0 {
		return "none"
	}
	var all []string
	for _, status := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, fmt.Sprintf("%d: %d", status, counts[status]))
	}
	return strings.Join(all, ", ")
}
