package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/perijove/perijove/bench/internal/rig"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/run"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/kubectl"
)

// Where things are: the platform, its servers, and the pods that are not its own.
const (
	platform  = "perijove"
	servers   = "perijove-servers"
	apart     = "perijove-bench"
	directory = "perijove-directory"
	base      = "dc=perijove,dc=test"
)

// patience is the longest that anything of a round may take.
const patience = 2 * time.Minute

// cluster is the one that runs on this machine, with people added to its directory.
type cluster struct {
	options
	client kubernetes.Interface
	// like is a pod of ours, whose image and resources all have.
	like *corev1.Pod
}

// user is the name of the i-th person.
func user(i int) string { return fmt.Sprintf("bench-%d", i) }

func connect(ctx context.Context, o options) (*cluster, error) {
	client, err := run.KubeClient(o.kubeconfig, "perijove-bench", 0)
	if err != nil {
		return nil, err
	}
	c := &cluster{options: o, client: client}
	if err := c.addPeople(ctx); err != nil {
		return nil, err
	}
	return c, c.makeApart(ctx)
}

// addPeople puts them into the development directory, which forgets them when its pod ends. It
// has no account that may change anything, so slapadd does it.
func (c *cluster) addPeople(ctx context.Context) error {
	hash, err := c.inDirectory(ctx, "", "slappasswd", "-h", "{SSHA}", "-s", rig.Password)
	if err != nil {
		return err
	}
	// Only students and staff may log in. A group of its own with that name leaves theirs alone.
	group := "dn: cn=students+description=bench,ou=groups," + base + "\nobjectClass: groupOfNames\ncn: students\ndescription: bench\n"
	for i := range c.servers {
		dn := "uid=" + user(i) + ",ou=people," + base
		entry := fmt.Sprintf("dn: %[2]s\nobjectClass: inetOrgPerson\nuid: %[1]s\ncn: %[1]s\nsn: %[1]s\nuserPassword: %[3]s\n", user(i), dn, hash)
		if err := c.addEntry(ctx, entry); err != nil {
			return err
		}
		group += "member: " + dn + "\n"
	}
	return c.addEntry(ctx, group)
}

// addEntry adds what is not there from a run before.
func (c *cluster) addEntry(ctx context.Context, entry string) error {
	_, err := c.inDirectory(ctx, entry, "slapadd", "-f", "/data/slapd.conf")
	if err != nil && strings.Contains(err.Error(), "MDB_KEYEXIST") {
		return nil
	}
	return err
}

// inDirectory runs a program beside the directory.
func (c *cluster) inDirectory(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, kubectl.Path(), append([]string{"--kubeconfig", c.kubeconfig, "-n", platform, "exec", "-i", "deployment/" + directory, "--", "env", "PATH=/usr/sbin:/sbin:/usr/bin:/bin"}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s in the directory's pod: %w: %.500s", args[0], err, errs.String())
	}
	return strings.TrimSpace(out.String()), nil
}

// makeApart makes the namespace of the pods that are not the platform's, with the configuration
// that the image needs.
func (c *cluster) makeApart(ctx context.Context) error {
	_, err := c.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: apart}}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("namespace %s (one that is left from before: delete it): %w", apart, err)
	}
	const jupyter = "perijove-jupyter"
	config, err := c.client.CoreV1().ConfigMaps(servers).Get(ctx, jupyter, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read the configuration of Jupyter: %w", err)
	}
	_, err = c.client.CoreV1().ConfigMaps(apart).Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: apart, Name: jupyter}, Data: config.Data,
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("write the configuration of Jupyter: %w", err)
	}
	return nil
}

// clean removes what the benchmark has made, homes too.
func (c *cluster) clean() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	faults := []error{c.client.CoreV1().Namespaces().Delete(ctx, apart, metav1.DeleteOptions{})}
	for i := range c.servers {
		id := server.ID{User: user(i)}
		faults = append(faults,
			c.client.CoreV1().Pods(servers).Delete(ctx, spawn.PodName(id), metav1.DeleteOptions{}),
			c.client.CoreV1().PersistentVolumeClaims(servers).Delete(ctx, "home-"+id.User, metav1.DeleteOptions{}))
	}
	for _, err := range faults {
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("clean up: %w", errors.Join(faults...))
		}
	}
	return nil
}

// gone waits until a namespace has none of the people's pods any more.
func (c *cluster) gone(ctx context.Context, namespace string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		pods, err := c.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return fmt.Errorf("list pods: %w", err)
		}
		left := 0
		for _, pod := range pods.Items {
			if strings.Contains(pod.Name, "bench-") {
				left++
			}
		}
		if left == 0 {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%d pods are left in %s: %w", left, namespace, ctx.Err())
		}
	}
}
