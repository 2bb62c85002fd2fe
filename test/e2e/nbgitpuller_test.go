package e2e

import (
	"bytes"
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/kubectl"
)

// nbgitpuller is the version from PyPI that courses install; its links come from its own generator.
const nbgitpuller = "nbgitpuller==1.3.0"

// course makes a git repository with one notebook, outside the folder that JupyterLab shows.
const course = `import json, os, shutil, subprocess
home = os.path.expanduser("~/.e2e/course")
shutil.rmtree(home, ignore_errors=True)
os.makedirs(home, exist_ok=True)
json.dump({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# Lesson of the course"}]}, open(home + "/lesson.ipynb", "w"))
for words in (["init", "--quiet", "--initial-branch=main"], ["add", "."], ["-c", "user.name=x", "-c", "user.email=x@x.org", "commit", "--quiet", "-m", "first"]):
    subprocess.run(["git", "-C", home, *words], check=True)
`

const noCourse = `import os, shutil, subprocess, sys
subprocess.run([sys.executable, "-m", "pip", "uninstall", "--quiet", "--yes", "nbgitpuller"], check=True)
for name in ("~/.e2e", "~/course"): shutil.rmtree(os.path.expanduser(name), ignore_errors=True)
`

// install puts a package of PyPI into a user's home, as the user would.
func install(t *testing.T, user, requirement string) {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "python3", "-m", "pip", "download", "--quiet", "--no-deps", "--dest", dir, requirement).CombinedOutput(); err != nil {
		t.Fatalf("download %s: %v: %s", requirement, err, out)
	}
	wheels, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil || len(wheels) != 1 {
		t.Fatalf("%s is %v, %v", requirement, wheels, err)
	}
	content, err := os.ReadFile(wheels[0])
	if err != nil {
		t.Fatal(err)
	}
	name := "/tmp/" + filepath.Base(wheels[0])
	cmd := exec.CommandContext(ctx, kubectl.Path(), "--namespace", servers, "exec", "--stdin", spawn.PodName(server.ID{User: user}), "--",
		"sh", "-c", "cat > "+name+" && pip install --quiet --user --no-index --no-deps "+name)
	cmd.Stdin = bytes.NewReader(content)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("install %s: %v: %s", requirement, err, out)
	}
}

// TestNbgitpullerLinks: the link of a course, in the two forms that its generator and JupyterHub's
// documents have, leads a user without session and server to the notebook, fetched by the real nbgitpuller.
func TestNbgitpullerLinks(t *testing.T) {
	alice := login(t, "alice")
	alice.stop()
	alice.spawn()
	defer func() {
		ensureServer(t, alice)
		mustPython(t, "alice", noCourse)
		alice.stop() // the next one is without the extension
	}()
	install(t, "alice", nbgitpuller)
	mustPython(t, "alice", course)
	pull := "git-pull?" + url.Values{
		"repo": {"file:///home/jovyan/.e2e/course"}, "branch": {"main"}, "urlpath": {"lab/tree/course/lesson.ipynb"},
	}.Encode()
	shared := contract.PathUserRedirect + pull
	for name, link := range map[string]string{"of the generator": shared, "of a form": contract.PathSpawn + "?next=" + url.QueryEscape(shared)} {
		alice.stop()
		b := newBrowser(t)
		b.login("alice", link)
		const leads = `main a.button[href^="` + contract.PathSpawn + `"]`
		b.shows(20*time.Second, `#start, `+leads)
		if js[bool](b, 10*time.Second, `document.querySelector("#start") === null`) {
			b.run(20*time.Second, chromedp.Click(chromedp.CSS(leads)))
		}
		b.run(20*time.Second, chromedp.WaitVisible(`#start`), chromedp.Click(`#start`))
		b.until(90*time.Second, `location.pathname.endsWith("/lab/tree/course/lesson.ipynb")`)
		b.until(60*time.Second, `document.body.textContent.includes("Lesson of the course")`)
		b.shot("nbgitpuller")
		// Again, with the server running: straight to the notebook.
		b.run(30*time.Second, chromedp.Navigate(baseURL()+shared))
		b.until(60*time.Second, `location.pathname.endsWith("/lab/tree/course/lesson.ipynb")`)
		mustPython(t, "alice", `import os, shutil; shutil.rmtree(os.path.expanduser("~/course"))`)
		t.Logf("the link %s works", name)
	}
}
