package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/perijove/perijove/bench/internal/report"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn/order"
)

const (
	chartFiles = "../deploy/chart/files" // from the folder of the benchmarks
	configPath = "/etc/perijove/jupyter" // as in the pods of servers
	home       = "/home/jovyan"
	base       = "/user/alice/"
	origin     = "http://127.0.0.1:8888" // jupyter_server_config.py has this port
	secret     = "the secret of a server that measures itself"
	key        = "the key of the order that a benchmark gives"
)

// server are the variables of a server's pod.
func server() map[string]string {
	return map[string]string{
		"HOME": home, "JUPYTER_CONFIG_PATH": configPath, "JUPYTERHUB_USER": "alice", "JUPYTERHUB_SERVICE_PREFIX": base,
		"PERIJOVE_BASE_URL": base, "PERIJOVE_USER": "alice", "PERIJOVE_SERVER_SECRET": secret,
	}
}

// way is one way to come to a server, and how long that takes in seconds until /api and until /lab answer.
type way struct {
	name     string
	waits    bool
	api, lab []float64
	memory   []float64 // MB while it waits
}

// pools compares, for each image, a start with the order of a process that waits.
func pools(archives []string, rounds int) error {
	work, err := os.MkdirTemp("", "start")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	table := report.Table{Header: []string{"image and way", "/api after ms", "slowest", "/lab after ms", "slowest", "RSS while it waits, MB"}}
	for i, archive := range archives {
		image, err := unpack(archive, filepath.Join(work, fmt.Sprint(i)))
		if err != nil {
			return fmt.Errorf("unpack %s: %w", archive, err)
		}
		if err := os.CopyFS(filepath.Join(image.root, configPath), os.DirFS(chartFiles)); err != nil {
			return err
		}
		ways := []*way{{name: "a start"}, {name: "an order", waits: true}}
		for range rounds {
			for _, w := range ways {
				if err := w.measure(image); err != nil {
					return fmt.Errorf("%s, %s: %w", archive, w.name, err)
				}
			}
		}
		for _, w := range ways {
			row := []string{filepath.Base(archive) + ": " + w.name}
			for _, times := range [][]float64{w.api, w.lab} {
				row = append(row, report.Number(1000*report.Median(times)), report.Number(1000*most(times)))
			}
			memory := ""
			if w.waits {
				memory = report.Number(report.Median(w.memory))
			}
			table.Rows = append(table.Rows, append(row, memory))
		}
	}
	fmt.Print(table.Markdown())
	return nil
}

func most(values []float64) float64 {
	highest := values[0]
	for _, v := range values {
		highest = max(highest, v)
	}
	return highest
}

// measure makes one server and ends it.
func (w *way) measure(image *runner) (failure error) {
	variables := server()
	command := image.command
	if w.waits {
		variables = map[string]string{"HOME": home, "JUPYTER_CONFIG_PATH": configPath, order.EnvKey: key}
		command = []string{"python3", configPath + "/" + order.File, "--"}
	}
	args := []string{"--mount", "--propagation", "private", "sh", "-c", enter, image.root}
	for name, value := range variables {
		args = append(args, name+"="+value)
	}
	cmd := exec.Command("unshare", append(args, command...)...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // it was asked to end
		if failure != nil {
			failure = fmt.Errorf("%w: %s", failure, said.String())
		}
	}()
	if w.waits {
		memory, err := ordered(cmd.Process.Pid, &began)
		if err != nil {
			return err
		}
		w.memory = append(w.memory, memory)
	}
	api, err := answered("api", began)
	if err != nil {
		return err
	}
	lab, err := answered("lab", began)
	w.api, w.lab = append(w.api, api), append(w.lab, lab)
	return err
}

// ordered waits until the process waits, and gives it the order. It returns how much memory it had then, in MB, and sets
// began to when it was given the order.
func ordered(pid int, began *time.Time) (float64, error) {
	const patience = time.Minute
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for order.Ready(ctx, http.DefaultClient, origin, key) != nil {
		if ctx.Err() != nil {
			return 0, errors.New("it does not come to wait")
		}
		time.Sleep(10 * time.Millisecond)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	var kilobytes float64
	if _, text, found := strings.Cut(string(status), "VmRSS:"); !found {
		return 0, errors.New("no VmRSS in its status")
	} else if _, err := fmt.Sscan(text, &kilobytes); err != nil {
		return 0, err
	}
	*began = time.Now()
	return kilobytes / 1024, order.Send(ctx, http.DefaultClient, origin, key, order.Order{Home: home, Env: server()})
}

// answered asks for a path until it answers 200 and returns how many seconds that was after a moment.
func answered(path string, after time.Time) (float64, error) {
	const patience = time.Minute
	req, err := http.NewRequest(http.MethodGet, origin+base+path, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set(contract.HeaderServerSecret, secret)
	req.Header.Set(contract.HeaderUser, "alice")
	for time.Since(after) < patience {
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body) // only that it comes
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return time.Since(after).Seconds(), nil
			}
		}
		time.Sleep(time.Millisecond) // how exact the figure is
	}
	return 0, fmt.Errorf("/%s does not answer", path)
}
