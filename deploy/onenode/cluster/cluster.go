package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"time"

	"github.com/perijove/perijove/deploy/onenode/layout"
	"github.com/perijove/perijove/deploy/onenode/parts"
	"github.com/perijove/perijove/deploy/onenode/supervise"
)

// requestWithin bounds one request to the API server.
const requestWithin = 5 * time.Second

// Client talks to the API server of one node.
type Client struct {
	Layout layout.Layout
	Bin    string // folder of the built programs
}

// condition is the part of a Kubernetes object's status that says how it is.
type condition struct{ Type, Status, Message string }

type object struct {
	Status struct {
		Conditions []condition
	}
}

// NodeReady returns nil if the node's kubelet reports Ready, else an error that says why not.
func (c Client) NodeReady(ctx context.Context) error {
	return c.condition(ctx, "/api/v1/nodes/"+layout.NodeName, "Ready")
}

// DNSReady returns nil if the cluster's DNS has a pod that answers.
func (c Client) DNSReady(ctx context.Context) error {
	return c.condition(ctx, "/apis/apps/v1/namespaces/kube-system/deployments/coredns", "Available")
}

func (c Client) condition(ctx context.Context, path, wanted string) error {
	var found object
	if err := c.get(ctx, path, &found); err != nil {
		return err
	}
	for _, condition := range found.Status.Conditions {
		if condition.Type == wanted {
			if condition.Status == "True" {
				return nil
			}
			return errors.New(condition.Message)
		}
	}
	return fmt.Errorf("%s does not say whether it is %s yet", path, wanted)
}

func (c Client) get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, requestWithin)
	defer cancel()
	config, err := supervise.TLSConfig(c.Layout.PKI(), "admin")
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, parts.APIServerURL()+path, nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("API server: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("API server: GET %s: %s", path, response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		return fmt.Errorf("API server: GET %s: %w", path, err)
	}
	return nil
}

// Apply creates or updates the objects in the YAML text, by server-side apply.
func (c Client) Apply(ctx context.Context, manifests []byte) error {
	cmd := exec.CommandContext(ctx, c.Bin+"/kubectl", "--kubeconfig", c.Layout.Kubeconfig(), "apply", "--server-side", "--field-manager=onenode", "--force-conflicts", "--filename=-")
	cmd.Stdin = bytes.NewReader(manifests)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl apply: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
