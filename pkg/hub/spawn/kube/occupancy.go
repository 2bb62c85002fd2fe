package kube

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/occupancy"
)

const (
	// historyName is the ConfigMap with how many servers ran; the admission policy lets the spawner
	// write names that begin so.
	historyName      = "usage.history"
	historyKey       = "history.json"
	historyComponent = "history"
	// sampleEvery is how often it is looked whether a sample is due.
	sampleEvery = time.Minute
)

// History returns how many servers ran over the last day. All replicas write it together, and it
// outlives them.
func (c *Cluster) History(ctx context.Context) (occupancy.History, error) {
	_, h, err := c.readHistory(ctx)
	return h, err
}

// readHistory returns also the object that holds it, nil where there is none.
func (c *Cluster) readHistory(ctx context.Context) (*corev1.ConfigMap, occupancy.History, error) {
	m, err := c.reads.CoreV1().ConfigMaps(c.Site.Namespace).Get(ctx, historyName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read how many servers ran: %w", err)
	}
	h, err := occupancy.Parse([]byte(m.Data[historyKey]))
	if err != nil {
		c.log.WarnContext(ctx, "how many servers ran cannot be read and is begun anew", "configmap", historyName, "error", err)
	}
	return m, h, nil
}

// Nodes returns what servers are promised of each node.
func (c *Cluster) Nodes(ctx context.Context) ([]occupancy.Node, error) {
	answer, err, _ := c.asked.Do("nodes/", func() (any, error) { // no server's ID begins so
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readWait)
		defer cancel()
		// From the API's own cache: how much there is of a node hardly changes.
		return c.reads.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	})
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	list := answer.(*corev1.NodeList)
	nodes := make([]*corev1.Node, len(list.Items))
	for i := range list.Items {
		nodes[i] = &list.Items[i]
	}
	var pods []*corev1.Pod
	for _, o := range c.pods.GetStore().List() {
		pods = append(pods, o.(*corev1.Pod))
	}
	return occupancy.Nodes(nodes, pods), nil
}

// KeepHistory writes down how many servers run, until ctx is done. Every replica does this; the
// second one finds the sample taken.
func (c *Cluster) KeepHistory(ctx context.Context) error {
	select {
	case <-c.Synced(): // before that none seems to run
	case <-ctx.Done():
		return nil
	}
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for last := (time.Time{}); ; {
		if slot := c.now().Truncate(occupancy.Every); !slot.Equal(last) {
			if err := c.sample(ctx); err == nil {
				last = slot
			} else if ctx.Err() == nil {
				c.log.WarnContext(ctx, "how many servers run is not written down; trying again", "error", err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// sample writes the sample of this moment unless it is there. Another replica that writes at the
// same moment writes the same.
func (c *Cluster) sample(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readWait)
	defer cancel()
	m, h, err := c.readHistory(ctx)
	if err != nil {
		return err
	}
	h, due := h.With(int(c.running()), c.now())
	if !due {
		return nil
	}
	text, err := h.Encode()
	if err != nil {
		return fmt.Errorf("write how many servers ran: %w", err)
	}
	maps := c.writes.CoreV1().ConfigMaps(c.Site.Namespace)
	if m == nil {
		_, err = maps.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: historyName, Namespace: c.Site.Namespace, Labels: map[string]string{
				contract.LabelManagedBy: contract.ManagedBySpawner, contract.LabelComponent: historyComponent,
			}},
			Data: map[string]string{historyKey: string(text)},
		}, metav1.CreateOptions{})
	} else {
		m.Data = map[string]string{historyKey: string(text)}
		_, err = maps.Update(ctx, m, metav1.UpdateOptions{})
	}
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
