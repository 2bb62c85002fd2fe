package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/cull"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

const (
	// visitTimeout bounds all questions to one server together.
	visitTimeout = 5 * time.Second
	// maxReply bounds one reply of a server in bytes. A kernel takes some 250 of them.
	maxReply = 1 << 20
)

// errMissing is a server that has no such page.
var errMissing = errors.New("it answers 404")

// errNoTraffic is a program, or a published pod, about whose use nothing is known.
var errNoTraffic = errors.New("it cannot be asked, and not all gateways say when users last did something there")

// useOf returns how much a server is in use, as Jupyter says itself. A program that is not Jupyter says
// nothing, and a pod that the spawner did not make is asked nothing: then it is what Envoy saw of its users.
// Jupyter knows better what its open pages do by themselves.
func (c *Cluster) useOf(ctx context.Context, id server.ID, pod *corev1.Pod) (cull.Use, error) {
	if _, ours := spawn.Identify(pod); ours && !spawn.IsProgram(pod) {
		return c.visit(ctx, id, pod)
	}
	ago, known := c.traffic(id, pod)
	if !known {
		return cull.Use{}, errNoTraffic
	}
	return cull.Use{Idle: ago}, nil
}

// traffic returns how long ago a user did something at a server or, if that is later, it answered first.
func (c *Cluster) traffic(id server.ID, pod *corev1.Pod) (ago time.Duration, known bool) {
	if c.Traffic == nil {
		return 0, false
	}
	last, ok := c.Traffic(id)
	if !ok {
		return 0, false
	}
	if began := spawn.AnsweredAt(pod); began.After(last) {
		last = began
	}
	return max(c.now().Sub(last), 0), true
}

// visit asks a server whether it is in use, as its owner and with the secret that Envoy shows it.
// A pod that promised a proof gets neither before it has proven which pod it is.
func (c *Cluster) visit(ctx context.Context, id server.ID, pod *corev1.Pod) (cull.Use, error) {
	target, ok := spawn.TargetOf(pod)
	if !ok {
		return cull.Use{}, errors.New("it has no address")
	}
	ctx, cancel := context.WithTimeout(ctx, visitTimeout)
	defer cancel()
	client := podClient(c.answers.transport(target.ProofName), visitTimeout)
	defer client.CloseIdleConnections()
	headers := http.Header{}
	headers.Set(contract.HeaderServerSecret, contract.ServerSecret(c.Keys.Server, pod.Namespace, pod.Name, pod.Annotations[contract.AnnotationNonce]))
	headers.Set(contract.HeaderUser, contract.EncodeHeader(id.User))
	ask := func(path string) (string, []byte, error) {
		return fetch(ctx, client, target.URL(id.Prefix()+path), headers)
	}
	var r cull.Replies
	var err error
	if r.Date, r.Kernels, err = ask(cull.PathKernels); err != nil {
		return cull.Use{}, fmt.Errorf("ask for kernels: %w", err)
	}
	if _, r.Terminals, err = ask(cull.PathTerminals); err != nil && !errors.Is(err, errMissing) {
		return cull.Use{}, fmt.Errorf("ask for terminals: %w", err)
	}
	if _, r.Status, err = ask(cull.PathStatus); err != nil {
		return cull.Use{}, fmt.Errorf("ask for the status: %w", err)
	}
	return cull.Read(r)
}

// fetch returns the header Date and the body of a reply that is 200 and no larger than it may be.
func fetch(ctx context.Context, client *http.Client, url string, headers http.Header) (date string, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", nil, fmt.Errorf("make the request: %w", err)
	}
	req.Header = headers.Clone()
	resp, err := client.Do(req)
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return "", nil, errMissing
	default:
		return "", nil, fmt.Errorf("it answers %d", resp.StatusCode)
	}
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err != nil {
		return "", nil, fmt.Errorf("read the reply: %w", err)
	}
	if len(body) > maxReply {
		return "", nil, fmt.Errorf("the reply is larger than %d bytes", maxReply)
	}
	return resp.Header.Get("Date"), body, nil
}
