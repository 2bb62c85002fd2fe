package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/perijove/perijove/deploy/onenode/layout"
	"github.com/perijove/perijove/deploy/onenode/parts"
	"github.com/perijove/perijove/deploy/onenode/supervise"
)

// requestWithin bounds one request to the API server.
const requestWithin = 5 * time.Second

const (
	drainGrace  = 10 * time.Second // for each pod of a node that goes
	drainWithin = 30 * time.Second // for all of them
)

// Client talks to the API server of one cluster.
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

// NodesReady returns nil if the kubelets of all these nodes report Ready, else an error that says of one why not.
func (c Client) NodesReady(ctx context.Context, nodes []layout.Node) error {
	for _, n := range nodes {
		if err := c.condition(ctx, "/api/v1/nodes/"+n.Name(), "Ready"); err != nil {
			return fmt.Errorf("%s: %w", n.Name(), err)
		}
	}
	return nil
}

// NodeNames returns the names of all nodes that the API knows, simulated ones of a benchmark included.
func (c Client) NodeNames(ctx context.Context) ([]string, error) {
	var list struct {
		Items []struct{ Metadata struct{ Name string } }
	}
	if err := c.get(ctx, "/api/v1/nodes", &list); err != nil {
		return nil, err
	}
	var names []string
	for _, item := range list.Items {
		names = append(names, item.Metadata.Name)
	}
	return names, nil
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
	return c.kubectl(ctx, manifests, "apply", "--server-side", "--field-manager=onenode", "--force-conflicts", "--filename=-")
}

// Drain ends the pods of a node in good order; no new ones come. Disruption budgets do not hold it up: the node goes in any case.
func (c Client) Drain(ctx context.Context, n layout.Node) error {
	return c.kubectl(ctx, nil, "drain", n.Name(), "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--disable-eviction",
		"--grace-period="+seconds(drainGrace), "--timeout="+drainWithin.String())
}

// Forget deletes a node that is gone, and its pods: nothing is left that could end them.
func (c Client) Forget(ctx context.Context, n layout.Node) error {
	if err := c.kubectl(ctx, nil, "delete", "node", n.Name(), "--ignore-not-found"); err != nil {
		return err
	}
	return c.kubectl(ctx, nil, "delete", "pods", "--all-namespaces", "--field-selector=spec.nodeName="+n.Name(), "--force", "--grace-period=0", "--ignore-not-found")
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }

func (c Client) kubectl(ctx context.Context, input []byte, args ...string) error {
	cmd := exec.CommandContext(ctx, c.Bin+"/kubectl", append([]string{"--kubeconfig", c.Layout.Kubeconfig()}, args...)...)
	cmd.Stdin = bytes.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return nil
}
