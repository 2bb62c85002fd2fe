package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/perijove/perijove/bench/internal/ab"
	"github.com/perijove/perijove/pkg/contract"
)

// page is one of the pages that are asked for.
type page string

const (
	pageLogin  page = "login page"
	pageStyle  page = "its style sheet"
	pageHub    page = "/hub/api"
	pageServer page = "/api of a server"
	pageStatic page = "static file of a server"
)

func pages() []page { return []page{pageLogin, pageStyle, pageHub, pageServer, pageStatic} }

// user has the server that is asked.
const user = "alice"

// base is the path of its server, the same everywhere.
const base = "/user/" + user + "/"

// bundle is the file that every opened JupyterLab loads first. Its name tells its contents, so
// all have the same JupyterLab or the run ends.
var bundle = regexp.MustCompile(`static/lab/main\.[0-9a-f]+\.js`)

// sheet is the first style sheet that a login page names.
var sheet = regexp.MustCompile(`href="([^"]+\.css[^"]*)"`)

// site is where pages are asked for.
type site struct {
	// address is the scheme, host and port.
	address string
	headers []string
}

func (s site) page(path string, more ...string) ab.Target {
	return ab.Target{URL: s.address + path, Headers: append(more, s.headers...)}
}

// style is the style sheet of the site's own pages.
func (s site) style(ctx context.Context) (ab.Target, error) {
	login, err := fetch(ctx, s.page(contract.PathLogin, html))
	if err != nil {
		return ab.Target{}, err
	}
	file := sheet.FindSubmatch(login)
	if file == nil {
		return ab.Target{}, errors.New("the login page names no style sheet")
	}
	return s.page(string(file[1])), nil
}

// static is the bundle of the site's JupyterLab.
func (s site) static(ctx context.Context) (ab.Target, error) {
	lab, err := fetch(ctx, s.page(base+"lab"))
	if err != nil {
		return ab.Target{}, err
	}
	file := bundle.Find(lab)
	if file == nil {
		return ab.Target{}, errors.New("the page of JupyterLab names no bundle")
	}
	return s.page(base + string(file)), nil
}

// fetch asks once, as ApacheBench does, and returns the body of an answer that is 200.
func fetch(ctx context.Context, to ab.Target) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to.URL, nil)
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	for _, line := range to.Headers {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			req.Host = value
		}
		req.Header.Set(name, value)
	}
	client := &http.Client{
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", to.URL, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %.200s", to.URL, resp.Status, body)
	}
	return body, nil
}
