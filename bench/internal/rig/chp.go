package rig

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

//go:embed chp/package.json chp/package-lock.json
var chpLock embed.FS

// CHPVersion is what chp/package.json pins.
const CHPVersion = "5.3.0"

// CHP is configurable-http-proxy, JupyterHub's own proxy. It checks nobody.
type CHP struct {
	*Proc
	Addr, API string
}

// chpFolder is named after the lock file: other versions go elsewhere.
func chpFolder() string {
	lock, err := chpLock.ReadFile("chp/package-lock.json")
	if err != nil {
		panic(fmt.Sprintf("embedded lock file: %v", err)) // a build without its own files
	}
	return Cache("bench", fmt.Sprintf("chp-%x", sha256.Sum256(lock))[:16])
}

func chpProgram() string {
	return filepath.Join(chpFolder(), "node_modules", "configurable-http-proxy", "bin", "configurable-http-proxy")
}

// InstallCHP fetches it once. Call it outside the network namespace.
func InstallCHP() error {
	dir := chpFolder()
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("folder of configurable-http-proxy: %w", err)
	}
	for _, name := range []string{"package.json", "package-lock.json"} {
		data, err := chpLock.ReadFile("chp/" + name)
		if err != nil {
			return fmt.Errorf("embedded %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		_ = os.RemoveAll(filepath.Join(dir, "node_modules"))
		return fmt.Errorf("npm ci of configurable-http-proxy: %w: %s", err, out)
	}
	return nil
}

// StartCHP runs it with a route for each of the first n users.
func (r *Rig) StartCHP(n int) (*CHP, error) {
	c := &CHP{Addr: r.addr(), API: r.addr()}
	var err error
	c.Proc, err = r.start(fmt.Sprint("chp-", n), []string{"CONFIGPROXY_AUTH_TOKEN=" + token}, "node",
		chpProgram(), "--ip=127.0.0.1", "--port="+port(c.Addr), "--api-ip=127.0.0.1", "--api-port="+port(c.API), "--log-level=error")
	if err != nil {
		return nil, err
	}
	if err := c.wait("its API answers", 20*time.Second, func() bool {
		resp, err := c.call(http.MethodGet, "/api/routes", nil)
		return err == nil && resp == http.StatusOK
	}); err != nil {
		return nil, err
	}
	var next atomic.Int64
	var g errgroup.Group
	for range 16 {
		g.Go(func() error {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				if err := c.Add(int(i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return c, g.Wait()
}

// Add makes the i-th user's route by the REST call that JupyterHub makes.
func (c *CHP) Add(i int) error {
	body, err := json.Marshal(map[string]string{"target": fmt.Sprintf("http://%s:%d", PodIP(i), UpstreamPort), "user": User(i)})
	if err != nil {
		return fmt.Errorf("encode a route: %w", err)
	}
	status, err := c.call(http.MethodPost, "/api/routes/user/"+User(i), body)
	if err != nil {
		return err
	}
	if status != http.StatusCreated {
		return fmt.Errorf("add a route: status %d", status)
	}
	return nil
}

func (c *CHP) call(method, path string, body []byte) (status int, err error) {
	req, err := http.NewRequest(method, "http://"+c.API+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "token "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("configurable-http-proxy's API: %w", err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode, nil
}
