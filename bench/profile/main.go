// The program profile counts the instructions that Envoy spends on one request, part by
// part: it takes the listener apart and measures under valgrind's callgrind what is left.
// Counts do not depend on what else the machine does. The kernel's share is not in them.
//
//	go -C bench run ./profile [-doc]
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/perijove/perijove/bench/internal/report"
	"github.com/perijove/perijove/bench/internal/rig"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/test/ports"
	"github.com/perijove/perijove/test/repo"
	"github.com/perijove/perijove/test/wait"
)

const (
	host     = "hub.example"
	requests = 600
	warmUp   = 100
)

func main() {
	doc := flag.Bool("doc", false, "write the table into docs/performance.md")
	flag.Parse()
	if err := run(*doc); err != nil {
		fmt.Fprintln(os.Stderr, "profile:", err)
		os.Exit(1)
	}
}

func run(doc bool) error {
	if _, err := exec.LookPath("valgrind"); err != nil {
		return fmt.Errorf("valgrind is needed (apt-get install valgrind): %w", err)
	}
	dir, err := os.MkdirTemp("", "profile")
	if err != nil {
		return fmt.Errorf("temporary folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	pod := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a small reply") }))
	defer pod.Close()
	addr, err := netip.ParseAddrPort(pod.Listener.Addr().String())
	if err != nil {
		return fmt.Errorf("the pod's address: %w", err)
	}
	house, err := newEnv(addr)
	if err != nil {
		return err
	}
	table := report.Table{Header: []string{"", "instructions a request", "added", "of plain Envoy"}}
	var plain, before float64
	for i, p := range parts() {
		n, err := count(filepath.Join(dir, strconv.Itoa(i)), house, p)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if i == 0 {
			plain, before = n, n
		}
		table.Rows = append(table.Rows, []string{p.name, thousands(n), thousands(n - before), fmt.Sprintf("%.2f", n/plain)})
		fmt.Println(strings.Join(table.Rows[i], "  "))
		before = n
	}
	if !doc {
		return nil
	}
	return report.Doc("profile", table.Markdown())
}

func thousands(n float64) string { return fmt.Sprintf("%.1f k", n/1000) }

// count runs one Envoy under callgrind and returns its instructions per request.
func count(base string, h *env, p part) (float64, error) {
	free, err := ports.Find(2)
	if err != nil {
		return 0, err
	}
	port, admin := uint32(free[0]), uint32(free[1])
	boot, err := h.bootstrap(p, port, admin)
	if err != nil {
		return 0, err
	}
	config, err := proto.Marshal(boot)
	if err != nil {
		return 0, fmt.Errorf("encode bootstrap: %w", err)
	}
	if err := os.WriteFile(base+".pb", config, 0o600); err != nil {
		return 0, fmt.Errorf("write bootstrap: %w", err)
	}
	version, err := repo.Pinned("ENVOY_VERSION")
	if err != nil {
		return 0, err
	}
	envoy := exec.Command("valgrind", "--tool=callgrind", "--callgrind-out-file="+base+".out", "--instr-atstart=no",
		rig.Cache("envoy", version, "envoy"), "--config-path", base+".pb", "--concurrency", "1", "--disable-hot-restart", "-l", "error")
	if err := envoy.Start(); err != nil {
		return 0, fmt.Errorf("start valgrind: %w", err)
	}
	ended := make(chan struct{})
	go func() { _ = envoy.Wait(); close(ended) }()
	defer func() { _ = envoy.Process.Kill(); <-ended }()
	client := &http.Client{Timeout: 30 * time.Second}
	if !wait.Poll(2*time.Minute, func() bool { return h.ask(client, port) == nil }) {
		return 0, errors.New("under valgrind Envoy does not answer")
	}
	if err := h.load(client, port, warmUp); err != nil {
		return 0, err
	}
	pid := strconv.Itoa(envoy.Process.Pid)
	if err := control("on", pid); err != nil {
		return 0, err
	}
	if err := h.load(client, port, requests); err != nil {
		return 0, err
	}
	if err := control("off", pid); err != nil {
		return 0, err
	}
	_ = envoy.Process.Signal(os.Interrupt)
	select {
	case <-ended:
	case <-time.After(time.Minute):
		return 0, fmt.Errorf("valgrind did not end")
	}
	return total(base+".out", requests)
}

func control(state, pid string) error {
	if out, err := exec.Command("callgrind_control", "-i", state, pid).CombinedOutput(); err != nil {
		return fmt.Errorf("callgrind_control -i %s: %w\n%s", state, err, out)
	}
	return nil
}

var totals = regexp.MustCompile(`(?m)^totals: (\d+)$`)

func total(file string, n float64) (float64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, fmt.Errorf("read the profile: %w", err)
	}
	m := totals.FindSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("no totals in %s", file)
	}
	sum, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil || sum == 0 {
		return 0, fmt.Errorf("the profile counted nothing: %q", m[1])
	}
	return sum / n, nil
}

// load sends n requests one after the other over one connection, as alice's browser does.
func (h *env) load(client *http.Client, port uint32, n int) error {
	for range n {
		if err := h.ask(client, port); err != nil {
			return err
		}
	}
	return nil
}

func (h *env) ask(client *http.Client, port uint32) error {
	req, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/user/alice/api/contents?type=directory", port), nil)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Host = host
	for name, value := range map[string]string{
		"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
		"Accept":     "*/*", "Accept-Language": "en-GB,en;q=0.9", "Referer": "http://" + host + "/user/alice/lab",
		"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty",
		"Cookie": "_xsrf=2|3f8b9c1d|0a1b2c3d4e5f60718293a4b5c6d7e8f9|1763740000; " + contract.CookiePass + "=" + h.pass,
	} {
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}
