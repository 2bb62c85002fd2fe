// Package attach is what the CNI plugin and the enforcer say to each other: this pod gets this address, or gives it back. They speak HTTP over a Unix socket that
// only root may use. It holds no rule and no state.
package attach

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// Pod is a pod and its address.
type Pod struct {
	Namespace string     `json:"namespace"`
	Name      string     `json:"name"`
	UID       string     `json:"uid"`
	Address   netip.Addr `json:"address"`
}

// Paths of the two requests.
const (
	Attach = "/attach" // answers 200 once the rules know the pod by this address
	Detach = "/detach" // answers 200 once no rule knows the pod by this address, and no connection of its is remembered
)

// again is how long Tell waits before it tries a socket that does not answer again.
const again = 50 * time.Millisecond

// Tell asks the enforcer at the socket until it has done it, or ctx ends: an enforcer that was killed is back in a moment.
func Tell(ctx context.Context, socket, path string, pod Pod) error {
	body, err := json.Marshal(pod)
	if err != nil {
		return fmt.Errorf("describe the pod: %w", err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	for {
		err := post(ctx, client, path, body)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the enforcer of NetworkPolicies: %w", err)
		case <-time.After(again):
		}
	}
}

func post(ctx context.Context, client http.Client, path string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://enforcer"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK {
		return nil
	}
	text, _ := io.ReadAll(io.LimitReader(response.Body, 300)) // the status says enough
	return errors.New(response.Status + ": " + string(bytes.TrimSpace(text)))
}
