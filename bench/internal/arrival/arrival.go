// Package arrival measures how long a pod's change takes to reach users through Envoy.
package arrival

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/perijove/perijove/bench/internal/rig"
)

const patience = 10 * time.Second // until a route counts as lost

// Join makes the pod of the i-th user ready in the API server. It returns the time from that call to
// the good answer of the Envoy at addr, and to the API server's answer, which is a part of it.
func Join(k *rig.Kube, addr, ns string, i int, cookie string) (routed, stored time.Duration, err error) {
	ctx := context.Background()
	pod := rig.Pod(ns, i)
	pod.Status, pod.UID, pod.CreationTimestamp = corev1.PodStatus{}, "", metav1.Time{}
	made, err := k.Client.CoreV1().Pods(ns).Create(ctx, pod, metav1.CreateOptions{})
	if err != nil {
		return 0, 0, fmt.Errorf("create a pod: %w", err)
	}
	made.Status = rig.Running(i)
	answered := make(chan Answer, 1)
	begin := time.Now()
	go func() { answered <- Ask(addr, rig.Path(i), cookie, http.StatusFailedDependency) }()
	if _, err := k.Client.CoreV1().Pods(ns).UpdateStatus(ctx, made, metav1.UpdateOptions{}); err != nil {
		return 0, 0, fmt.Errorf("make a pod ready: %w", err)
	}
	stored = time.Since(begin)
	a := <-answered
	return a.At.Sub(begin), stored, a.Err
}

// Answer is the first good one, or why there is none.
type Answer struct {
	At  time.Time
	Err error
}

// Ask repeats a request on one connection until it is answered 200. Until then each
// answer must be the one for "no such route"; anything else is a fault.
func Ask(addr, path, cookie string, without int) Answer {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return Answer{Err: fmt.Errorf("connect to Envoy: %w", err)}
	}
	defer func() { _ = conn.Close() }()
	request := []byte("GET " + path + " HTTP/1.1\r\nHost: " + rig.Host + "\r\nCookie: " + cookie + "\r\n\r\n")
	in := bufio.NewReader(conn)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(500 * time.Microsecond) {
		if _, err := conn.Write(request); err != nil {
			return Answer{Err: fmt.Errorf("ask Envoy: %w", err)}
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return Answer{Err: fmt.Errorf("read Envoy's reply: %w", err)}
		}
		at := time.Now()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return Answer{Err: fmt.Errorf("read Envoy's reply: %w", err)}
		}
		if resp.StatusCode == http.StatusOK {
			return Answer{At: at}
		}
		if resp.StatusCode != without {
			return Answer{Err: fmt.Errorf("%s answers %d", path, resp.StatusCode)}
		}
	}
	return Answer{Err: fmt.Errorf("%s is not routed after %s", path, patience)}
}

// SetReady patches the status of the i-th user's pod as a kubelet does.
func SetReady(k *rig.Kube, ns string, i int, ready bool) error {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	patch := fmt.Appendf(nil, `{"status":{"conditions":[{"type":"Ready","status":%q}]}}`, status)
	_, err := k.Client.CoreV1().Pods(ns).Patch(context.Background(), rig.PodName(i), types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		return fmt.Errorf("change a pod: %w", err)
	}
	return nil
}
