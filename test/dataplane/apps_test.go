package dataplane

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/logs"
	"github.com/perijove/perijove/test/wait"
)

// programs are what docs/apps.md has recipes for, in versions that were tried.
const programs = "bokeh==3.9.2 streamlit==1.67.0 marimo==0.25.2"

// programFolder returns a Python environment with the programs, made once. The test's namespace has no
// network, that of its parent has.
func programFolder(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(programs))
	dir := filepath.Join(cache, "perijove", "programs-"+hex.EncodeToString(sum[:6]))
	if _, err := os.Stat(filepath.Join(dir, "ok")); err == nil {
		return dir
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	outside := fmt.Sprintf("--net=/proc/%d/ns/net", os.Getppid())
	for _, words := range [][]string{
		{"python3", "-m", "venv", "--clear", dir},
		append([]string{filepath.Join(dir, "bin", "pip"), "install", "--quiet"}, strings.Fields(programs)...),
	} {
		if out, err := exec.CommandContext(ctx, "nsenter", append([]string{outside}, words...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", words, err, out)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "ok"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A page with one thing to press, whose answer comes from the program by a websocket.
const bokehApp = `from bokeh.io import curdoc
from bokeh.layouts import column
from bokeh.models import Button, Div
said, press = Div(text="waiting"), Button(label="Press")
press.on_click(lambda: setattr(said, "text", "pressed " + str(6 * 7)))
curdoc().add_root(column(press, said))
`

const streamlitApp = `import streamlit as st
st.write("pressed " + str(6 * 7) if st.button("Press") else "waiting")
`

const marimoApp = `import marimo
app = marimo.App()

@app.cell
def _():
    import marimo as mo
    press = mo.ui.run_button(label="Press")
    press
    return mo, press

@app.cell
def _(mo, press):
    mo.md("pressed " + str(6 * 7) if press.value else "waiting")
    return

if __name__ == "__main__":
    app.run()
`

// TestRecipes: the programs of docs/apps.md through the real Envoy in a real browser, websockets included:
// two with a base URL of their own, one that knows none.
func TestRecipes(t *testing.T) {
	bin := filepath.Join(programFolder(t), "bin")
	s := newEnv(t)
	host := strings.TrimPrefix(s.base(), "http://")
	for i, c := range []struct {
		name, app, button string
		strip             bool
		command           []string
	}{
		{"bokeh", bokehApp, `deep(".bk-btn")`, false, []string{"bokeh", "serve", "APP", "--address", "IP", "--port", "8888", "--prefix", "/user/alice/bokeh", "--allow-websocket-origin", host}},
		{"streamlit", streamlitApp, `document.querySelector('[data-testid="stBaseButton-secondary"]')`, false, []string{"streamlit", "run", "APP", "--server.address", "IP", "--server.port", "8888", "--server.headless", "true",
			"--server.baseUrlPath", "/user/alice/streamlit/", "--browser.gatherUsageStats", "false"}},
		{"marimo", marimoApp, `deep("marimo-button button, button[data-testid='marimo-plugin-button']")`, true, []string{"marimo", "run", "APP", "--host", "IP", "--port", "8888", "--headless", "--no-token"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ip := fmt.Sprintf("10.99.0.%d", 30+i)
			runProgram(t, bin, ip, c.name, c.app, c.command)
			s.addPod("pod-"+c.name, server.ID{User: "alice", Name: c.name}, ip+":8888", func(p *corev1.Pod) {
				if c.strip {
					p.Annotations[contract.AnnotationStripPrefix] = "true"
				}
			})
			s.routed("/user/alice/"+c.name+"/", true)
			b := s.chromium()
			b.login("alice")
			b.open(s.base() + "/user/alice/" + c.name + "/" + map[string]string{"bokeh": "app"}[c.name])
			const deep = `const deep = (selector, root = document) => { for (const e of root.querySelectorAll("*")) { if (e.matches(selector)) return e; const inner = e.shadowRoot && deep(selector, e.shadowRoot); if (inner) return inner; } return null; };
				const text = (root = document.body) => [...root.childNodes].map(n => n.nodeType === 3 ? n.data : text(n.shadowRoot ?? n)).join(" ") + (root.shadowRoot ? text(root.shadowRoot) : "");`
			says := func(want, do string) {
				t.Helper()
				if !wait.Poll(40*time.Second, func() bool {
					out, err := b.try(`(() => { ` + deep + ` ` + do + ` return String(text().includes("` + want + `")); })()`)
					return err == nil && out == "true"
				}) {
					shown, _ := b.try(`(() => { ` + deep + ` return location.href + text().replace(/\s+/g, " ").slice(0, 500); })()`)
					t.Fatalf("the page never says %q; it shows %s", want, shown)
				}
			}
			says("waiting", "")
			says("pressed 42", `if (!text().includes("pressed")) (`+c.button+`)?.click();`)
		})
	}
}

// runProgram runs a program as it runs in a pod, until the test ends.
func runProgram(t *testing.T, bin, ip, name, app string, command []string) {
	t.Helper()
	home := t.TempDir()
	file := filepath.Join(home, "app.py")
	if err := os.WriteFile(file, []byte(app), 0o600); err != nil {
		t.Fatal(err)
	}
	words := make([]string, len(command))
	for i, word := range command {
		words[i] = strings.NewReplacer("APP", file, "IP", ip).Replace(word)
	}
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, filepath.Join(bin, words[0]), words[1:]...)
	out := &logs.Buffer{}
	cmd.Dir, cmd.Stdout, cmd.Stderr = home, out, out
	cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin", "HOME=" + home, "LANG=C.UTF-8"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait() // it was ended
		if t.Failed() {
			t.Log(out)
		}
	})
	wait.Within(t, 40*time.Second, name+" listens", func() bool {
		conn, err := net.DialTimeout("tcp", ip+":8888", time.Second)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	})
}
