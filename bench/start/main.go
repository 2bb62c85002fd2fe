// Command start measures how long notebook images need from the order to the first answer, and the processor time of
// that: the files of each archive without Kubernetes, in turn. It needs root, to enter them.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/perijove/perijove/bench/internal/report"
)

// runner is one way to start one image.
type runner struct {
	name          string
	root          string
	command       []string
	first, worked []float64 // seconds
}

func main() {
	rounds := flag.Int("rounds", 5, "starts of each image and command")
	port := flag.Int("port", 18888, "TCP port to use")
	most := flag.Float64("most", 0, "exit 1 when the last image's own command takes more than this share of the processor time of jupyter-lab in it; 0 for any")
	pool := flag.Bool("pool", false, "compare a start with the order of a process that waits, as in a pool; uses TCP port 8888")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: start [flags] ARCHIVE...\n\nARCHIVE is a docker-archive of one image, as `make images` leaves it in the cache.")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 || *rounds < 1 {
		flag.Usage()
		os.Exit(2)
	}
	measure := func() error { return run(flag.Args(), *rounds, *port, *most) }
	if *pool {
		measure = func() error { return pools(flag.Args(), *rounds) }
	}
	if err := measure(); err != nil {
		fmt.Fprintln(os.Stderr, "start:", err)
		os.Exit(1)
	}
}

func run(archives []string, rounds, port int, most float64) error {
	work, err := os.MkdirTemp("", "start")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	var all []*runner
	for i, archive := range archives {
		own, err := unpack(archive, filepath.Join(work, fmt.Sprint(i)))
		if err != nil {
			return fmt.Errorf("unpack %s: %w", archive, err)
		}
		base := filepath.Base(archive)
		plain := &runner{name: base + ": jupyter-lab", root: own.root, command: []string{"jupyter-lab", "--ip=0.0.0.0", "--no-browser"}}
		own.name = base + ": " + strings.Join(own.command[:1], " ")
		all = append(all, plain, own)
	}
	for range rounds {
		for _, r := range all {
			if err := r.start(port); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
		}
	}
	table := report.Table{Header: []string{"image and command", "first answer, s", "quickest, s", "processor, s"}}
	for _, r := range all {
		table.Rows = append(table.Rows, []string{r.name, report.Number(report.Median(r.first)), report.Number(quickest(r.first)), report.Number(report.Median(r.worked))})
	}
	fmt.Print(table.Markdown())
	plain, own := all[len(all)-2], all[len(all)-1]
	ratio := report.Median(own.worked) / report.Median(plain.worked)
	fmt.Printf("\nIts own command takes %.2f of the processor time of jupyter-lab.\n", ratio)
	if most > 0 && ratio > most {
		return fmt.Errorf("%.2f is more than %.2f", ratio, most)
	}
	return nil
}

func quickest(values []float64) float64 {
	least := values[0]
	for _, v := range values {
		least = min(least, v)
	}
	return least
}

// enter runs a program in the files at $0, which it cannot change, as the image's user, with an empty home. The program
// takes the place of the shell, so that its process is the one that is measured.
const enter = `
set -e
mount --bind "$0" "$0"
mount -t proc proc "$0/proc"
mount --rbind /dev "$0/dev"
mount -t tmpfs tmpfs "$0/tmp"
mount -t tmpfs -o uid=1000,gid=100 tmpfs "$0/home/jovyan"
mount -o remount,ro,bind "$0"
cd "$0/home/jovyan"
exec chroot --userspec=1000:100 "$0" /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin HOME=/home/jovyan LANG=C.UTF-8 "$@"
`

// start measures one start, and ends the server.
func (r *runner) start(port int) error {
	const patience = 2 * time.Minute
	args := append([]string{"--mount", "--propagation", "private", "sh", "-c", enter, r.root}, r.command...)
	cmd := exec.Command("unshare", append(args, fmt.Sprintf("--ServerApp.port=%d", port), "--ServerApp.port_retries=0")...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	answered, url := false, fmt.Sprintf("http://127.0.0.1:%d/api", port)
	for !answered && time.Since(began) < patience {
		resp, err := http.Get(url)
		if err != nil {
			time.Sleep(5 * time.Millisecond) // how exact the figure is
			continue
		}
		_ = resp.Body.Close()
		answered = resp.StatusCode == http.StatusOK
	}
	first, worked, err := time.Since(began), time.Duration(0), error(nil)
	if answered {
		worked, err = processorTime(cmd.Process.Pid)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait() // it was asked to end
	if !answered {
		err = cmp.Or(err, errors.New("no answer: "+said.String()))
	}
	r.first, r.worked = append(r.first, first.Seconds()), append(r.worked, worked.Seconds())
	return err
}
