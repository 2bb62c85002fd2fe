package gobuild

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// progress follows one `go build -v`. Packages differ a thousandfold in size, so the time that is left is estimated from
// the size of the sources; the reader is told the number of packages.
type progress struct {
	waiting     map[string]int64 // size of the sources by import path
	done, total int              // packages
	read, all   int64            // sizes
	start       time.Time
}

func newProgress(waiting map[string]int64, start time.Time) *progress {
	p := &progress{waiting: waiting, total: len(waiting), start: start}
	for _, size := range waiting {
		p.all += size
	}
	return p
}

// compiled takes note of a line that names a package, and reports whether it was one. Errors have colons or spaces.
func (p *progress) compiled(line string) bool {
	if size, ok := p.waiting[line]; ok {
		delete(p.waiting, line)
		p.done++
		p.read += size
	}
	return !strings.ContainsAny(line, ": \t")
}

// text says how far the build is: "412 of 1,630 packages compiled, about 3 min left".
func (p *progress) text(now time.Time) string {
	if p.done == p.total {
		return fmt.Sprintf("all %s packages compiled, linking", thousands(p.total))
	}
	text := fmt.Sprintf("%s of %s packages compiled", thousands(p.done), thousands(p.total))
	if p.read == 0 {
		return text
	}
	return text + ", about " + rough(time.Duration(float64(now.Sub(p.start))*float64(p.all-p.read)/float64(p.read))) + " left"
}

// rough rounds up to what an estimate is worth: 10 seconds, from two minutes on minutes.
func rough(d time.Duration) string {
	if tens := (d + 10*time.Second - 1) / (10 * time.Second); tens < 12 {
		return fmt.Sprintf("%d s", max(tens, 1)*10)
	}
	return fmt.Sprintf("%d min", int((d+time.Minute/2)/time.Minute))
}

func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

// downloads counts the modules that `go` says it downloads. go.mod lists more than are needed on this machine, and some
// may be there already, so the total is an upper bound.
type downloads struct {
	say   func(string)
	last  time.Time
	most  int
	count int
}

func (d *downloads) Write(p []byte) (int, error) {
	d.count += bytes.Count(p, []byte("go: downloading "))
	if now := time.Now(); d.count > 0 && now.Sub(d.last) > between {
		d.last = now
		d.say(d.text())
	}
	return len(p), nil
}

func (d *downloads) text() string {
	return fmt.Sprintf("%s of at most %s modules downloaded", thousands(d.count), thousands(max(d.most, d.count)))
}

// lastLines keeps the end of what a program prints, which is where it says why it failed.
type lastLines struct{ text []byte }

func (l *lastLines) Write(p []byte) (int, error) {
	const enough = 4 << 10
	l.text = append(l.text, p...)
	if extra := len(l.text) - enough; extra > 0 {
		l.text = l.text[extra:]
	}
	return len(p), nil
}

func (l *lastLines) String() string {
	var kept []string
	for line := range strings.Lines(string(l.text)) {
		if !strings.HasPrefix(line, "go: downloading ") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}
