package installed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/perijove/perijove/bench/internal/rig"
	"github.com/perijove/perijove/bench/internal/visitor"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/run"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/kubectl"
)

// Where things are.
const (
	Servers = "perijove-servers" // the namespace of users' servers

	platform  = "perijove"
	directory = "perijove-directory"
	base      = "dc=perijove,dc=test"
)

// Patience is the longest that anything of a benchmark may take.
const Patience = 2 * time.Minute

// Platform is the one that runs on this machine.
type Platform struct {
	Client kubernetes.Interface
	// URL is where browsers reach it.
	URL        string
	Kubeconfig string
}

// Connect reaches the cluster by a kubeconfig; "" is $KUBECONFIG or the one-node cluster's.
func Connect(kubeconfig, url string) (*Platform, error) {
	if kubeconfig == "" {
		kubeconfig = os.Getenv("KUBECONFIG")
	}
	if kubeconfig == "" {
		kubeconfig = "/var/lib/perijove-onenode/kubeconfig"
	}
	client, err := run.KubeClient(kubeconfig, "perijove-bench", 0)
	if err != nil {
		return nil, err
	}
	return &Platform{Client: client, URL: url, Kubeconfig: kubeconfig}, nil
}

// AddPeople puts them into the development directory, which forgets them when its pod ends. It
// has no account that may change anything, so slapadd does it. They are the same people as in a run
// before: authz lets nobody in who has another's name.
func (p *Platform) AddPeople(ctx context.Context, people []string) error {
	hash, err := p.inDirectory(ctx, "", "slappasswd", "-h", "{SSHA}", "-s", rig.Password)
	if err != nil {
		return err
	}
	// Only students and staff may log in. A group of its own with that name leaves theirs alone.
	group := "dn: cn=students+description=" + people[0] + ",ou=groups," + base + "\nobjectClass: groupOfNames\ncn: students\ndescription: " + people[0] + "\n"
	for _, user := range people {
		dn := "uid=" + user + ",ou=people," + base
		same := sha256.Sum256([]byte(user))
		entry := fmt.Sprintf("dn: %[2]s\nobjectClass: inetOrgPerson\nuid: %[1]s\ncn: %[1]s\nsn: %[1]s\nuserPassword: %[3]s\nentryUUID: %[4]x-%[5]x-%[6]x-%[7]x-%[8]x\n",
			user, dn, hash, same[:4], same[4:6], same[6:8], same[8:10], same[10:16])
		if err := p.addEntry(ctx, entry); err != nil {
			return err
		}
		group += "member: " + dn + "\n"
	}
	return p.addEntry(ctx, group)
}

// addEntry adds what is not there from a run before.
func (p *Platform) addEntry(ctx context.Context, entry string) error {
	_, err := p.inDirectory(ctx, entry, "slapadd", "-f", "/data/slapd.conf")
	if err != nil && strings.Contains(err.Error(), "MDB_KEYEXIST") {
		return nil
	}
	return err
}

// inDirectory runs a program beside the directory.
func (p *Platform) inDirectory(ctx context.Context, stdin string, args ...string) (string, error) {
	return p.Exec(ctx, platform, "deployment/"+directory, stdin, append([]string{"env", "PATH=/usr/sbin:/sbin:/usr/bin:/bin"}, args...)...)
}

// Exec runs a program in the first container of a pod or of a workload's pod, and returns what it
// prints.
func (p *Platform) Exec(ctx context.Context, namespace, in, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, kubectl.Path(), append([]string{"--kubeconfig", p.Kubeconfig, "-n", namespace, "exec", "-i", in, "--"}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%v in %s: %w: %.500s", args, in, err, errs.String())
	}
	return strings.TrimSpace(out.String()), nil
}

// Site is the platform for visitors.
func (p *Platform) Site() (visitor.Site, error) {
	at, err := url.Parse(p.URL)
	if err != nil {
		return visitor.Site{}, fmt.Errorf("address of the platform: %w", err)
	}
	return visitor.Site{Base: p.URL, Addr: at.Host, Form: true, Click: time.Second}, nil
}

// LogIn logs people in at a site, each with a browser of their own.
func LogIn(ctx context.Context, site visitor.Site, people []string) (all []*visitor.Visitor, err error) {
	for _, name := range people {
		v, err := visitor.New(site, name)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, Patience)
		defer cancel()
		if err := v.Login(ctx, rig.Password); err != nil {
			return nil, fmt.Errorf("log %s in: %w", v.Name, err)
		}
		all = append(all, v)
	}
	return all, nil
}

// Remove removes the servers of people and their homes.
func (p *Platform) Remove(ctx context.Context, people []string) error {
	for _, user := range people {
		id := server.ID{User: user}
		for _, err := range []error{
			p.Client.CoreV1().Pods(Servers).Delete(ctx, spawn.PodName(id), metav1.DeleteOptions{}),
			p.Client.CoreV1().PersistentVolumeClaims(Servers).Delete(ctx, "home-"+id.User, metav1.DeleteOptions{}),
		} {
			if err != nil && !apierrors.IsNotFound(err) {
				return fmt.Errorf("remove what %s has: %w", user, err)
			}
		}
	}
	return nil
}

// Gone waits until a namespace has no pod any more that is one of those.
func (p *Platform) Gone(ctx context.Context, namespace string, is func(*corev1.Pod) bool) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	for {
		pods, err := p.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return fmt.Errorf("list pods: %w", err)
		}
		left := 0
		for i := range pods.Items {
			if is(&pods.Items[i]) {
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
