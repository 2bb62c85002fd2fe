package apiserver

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"k8s.io/client-go/rest"

	"github.com/perijove/perijove/test/pki"
	"github.com/perijove/perijove/test/wait"
)

const (
	etcdURL = "http://127.0.0.1:2379"
	apiURL  = "https://127.0.0.1:6443"
	// advertised is never dialled: kube-apiserver refuses to advertise loopback.
	advertised = "10.99.255.1"
	// token is an administrator's, in a namespace that no other process can reach.
	token = "test"
)

// API is a running API server. Its ports are fixed.
type API struct {
	// Kubeconfig is the path of an administrator's.
	Kubeconfig string
	dir        string
	running    []*exec.Cmd
}

// Start empties dir, runs etcd and kube-apiserver with their data and logs in it, and returns when
// the API is ready. Call it inside netns.Main, and Stop at the end.
func Start(dir string) (*API, error) {
	bin, err := Programs()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		return nil, fmt.Errorf("empty the folder of the API: %w", err)
	}
	a := &API{dir: dir, Kubeconfig: filepath.Join(dir, "kubeconfig")}
	if err := a.writeFiles(); err != nil {
		return nil, err
	}
	runtime.LockOSThread() // the death signal is the starting thread's: it must live as long as this process
	if err := a.run(filepath.Join(bin, "etcd"), "--data-dir="+a.path("etcd"), "--log-level=warn", "--unsafe-no-fsync",
		"--listen-client-urls="+etcdURL, "--advertise-client-urls="+etcdURL); err != nil {
		return nil, err
	}
	if err := a.run(filepath.Join(bin, "kube-apiserver"), Flags(Files{
		Certs: a.path("certs"), AccountsCert: a.path("accounts.crt"), AccountsKey: a.path("accounts.key"), Tokens: a.path("tokens.csv"),
	})...); err != nil {
		return nil, err
	}
	const patience = 2 * time.Minute                                                                           // of a machine that does other things too
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // see token
	if !wait.Poll(patience, func() bool { return ready(client) }) {
		a.Stop()
		return nil, fmt.Errorf("kube-apiserver is not ready after %s; its log is in %s", patience, dir)
	}
	return a, nil
}

// Files are what a kube-apiserver reads and writes.
type Files struct {
	Certs                     string // the folder of its own certificate
	AccountsCert, AccountsKey string // the key pair of service accounts
	Tokens                    string // its users
}

// Flags are those of a kube-apiserver on 127.0.0.1:6443 with an etcd beside it, and no controllers.
func Flags(f Files) []string {
	return []string{
		"--etcd-servers=" + etcdURL, "--bind-address=127.0.0.1", "--advertise-address=" + advertised, "--secure-port=6443", "--cert-dir=" + f.Certs,
		"--service-cluster-ip-range=10.98.0.0/24", "--endpoint-reconciler-type=none", "--disable-admission-plugins=ServiceAccount",
		"--service-account-issuer=https://test", "--service-account-key-file=" + f.AccountsCert, "--service-account-signing-key-file=" + f.AccountsKey,
		"--authorization-mode=RBAC", "--token-auth-file=" + f.Tokens, "--profiling=false",
	}
}

// writeFiles writes what kube-apiserver and its clients read.
func (a *API) writeFiles() error {
	authority, err := pki.NewAuthority()
	if err != nil {
		return fmt.Errorf("make keys of service accounts: %w", err)
	}
	pair, err := authority.Pair()
	if err != nil {
		return fmt.Errorf("make keys of service accounts: %w", err)
	}
	if err := errors.Join(
		os.WriteFile(a.path("accounts.crt"), pair.Chain, 0o600), os.WriteFile(a.path("accounts.key"), pair.Key, 0o600),
		os.WriteFile(a.path("tokens.csv"), []byte(token+`,test,test,"system:masters"`), 0o600),
		os.WriteFile(a.Kubeconfig, kubeconfig(""), 0o600),
	); err != nil {
		return fmt.Errorf("write kube-apiserver's files: %w", err)
	}
	return nil
}

// kubeconfig is an administrator's; with a user's name it is for acting as that user.
func kubeconfig(as string) []byte {
	return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Config","current-context":"t",
"clusters":[{"name":"t","cluster":{"server":%q,"insecure-skip-tls-verify":true}}],
"users":[{"name":"t","user":{"token":%q,"as":%q}}],"contexts":[{"name":"t","context":{"cluster":"t","user":"t"}}]}`, apiURL, token, as)
}

func (a *API) path(name string) string { return filepath.Join(a.dir, name) }

// run starts one more program until Stop, with its output in a log beside the API's.
func (a *API) run(path string, args ...string) error {
	return a.runAs(filepath.Base(path), path, args...)
}

// runAs is run for a program of which there are several; name is the log's.
func (a *API) runAs(name, path string, args ...string) error {
	log, err := os.Create(a.path(name + ".log"))
	if err != nil {
		return fmt.Errorf("make a log: %w", err)
	}
	defer func() { _ = log.Close() }() // the program has its own copy
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", path, err)
	}
	a.running = append(a.running, cmd)
	return nil
}

// Kwok runs kwok, which path is, for all nodes.
func (a *API) Kwok(path, podNetwork string) error {
	flags, err := KwokFlags(a.path("stages.yaml"), a.Kubeconfig, podNetwork, AllNodes)
	if err != nil {
		return err
	}
	return a.run(path, flags...)
}

// Stop ends all programs.
func (a *API) Stop() {
	for i := len(a.running) - 1; i >= 0; i-- {
		_ = a.running[i].Process.Kill()
		_ = a.running[i].Wait()
	}
}

// Config is for a client without a limit, which is an administrator.
func (a *API) Config() *rest.Config {
	return &rest.Config{Host: apiURL, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{Insecure: true}, QPS: -1}
}

func ready(client *http.Client) bool {
	req, err := http.NewRequest(http.MethodGet, apiURL+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
