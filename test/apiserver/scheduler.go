package apiserver

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/perijove/perijove/test/chart"
)

// Scheduler runs a kube-scheduler as the chart configures it, with the rights that the chart gives it
// and no others. name is for its files.
func (a *API) Scheduler(name string, s chart.Scheduler) error {
	bin, err := Programs()
	if err != nil {
		return err
	}
	account := a.path(name + ".kubeconfig")
	config, err := s.Outside(account)
	if err != nil {
		return err
	}
	for path, text := range map[string][]byte{account: kubeconfig(s.Account), a.path(name + ".yaml"): []byte(config)} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return fmt.Errorf("write the scheduler's files: %w", err)
		}
	}
	return a.runAs(name, filepath.Join(bin, "kube-scheduler"), "--config="+a.path(name+".yaml"), "--secure-port=0", "--v=2")
}

// Apply makes the objects in a YAML text, as an administrator.
func (a *API) Apply(objects string) error {
	bin, err := Programs()
	if err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(bin, "kubectl"), "--kubeconfig", a.Kubeconfig, "apply", "--server-side", "--filename=-")
	cmd.Stdin = bytes.NewReader([]byte(objects))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl apply: %w: %s", err, out)
	}
	return nil
}
