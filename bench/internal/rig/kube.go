package rig

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/perijove/perijove/test/apiserver"
)

// Kube is a real kube-apiserver with its etcd, and no kubelet, scheduler or controller.
type Kube struct {
	Client     kubernetes.Interface
	Kubeconfig string // of an administrator
	etcd, api  *Proc
}

const (
	apiURL  = "https://127.0.0.1:6443"
	etcdURL = "http://127.0.0.1:2379"
	token   = "benchmark" // of a namespace that nobody else can reach
)

// StartKube starts etcd, writes pods straight into it, and starts kube-apiserver.
// Seeding through the API takes minutes for 100,000 pods and would measure nothing.
func (r *Rig) StartKube(pods iter.Seq[*corev1.Pod]) (*Kube, error) { return r.startKube(pods) }

func (r *Rig) startKube(pods iter.Seq[*corev1.Pod], more ...string) (*Kube, error) {
	bin, err := apiserver.Programs()
	if err != nil {
		return nil, err
	}
	k := &Kube{Kubeconfig: r.Path("kubeconfig")}
	k.etcd, err = r.start("etcd", nil, filepath.Join(bin, "etcd"), "--data-dir="+r.Path("etcd"), "--log-level=warn", "--unsafe-no-fsync",
		"--listen-client-urls="+etcdURL, "--advertise-client-urls="+etcdURL, "--quota-backend-bytes=8589934592")
	if err != nil {
		return nil, err
	}
	if err := k.etcd.wait("it answers", 30*time.Second, func() bool { return answers(http.DefaultClient, etcdURL+"/readyz") }); err != nil {
		return nil, err
	}
	if err := seed(pods); err != nil {
		return nil, err
	}
	return k, r.startAPIServer(k, bin, more...)
}

func (r *Rig) startAPIServer(k *Kube, bin string, more ...string) error {
	tokens := r.Path("tokens.csv")
	kubeconfig := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"b",
"clusters":[{"name":"b","cluster":{"server":%q,"insecure-skip-tls-verify":true}}],
"users":[{"name":"b","user":{"token":%q}}],"contexts":[{"name":"b","context":{"cluster":"b","user":"b"}}]}`, apiURL, token)
	if err := errors.Join(
		os.WriteFile(tokens, []byte(token+`,bench,bench,"system:masters"`), 0o600),
		os.WriteFile(k.Kubeconfig, []byte(kubeconfig), 0o600),
	); err != nil {
		return fmt.Errorf("kube-apiserver's files: %w", err)
	}
	var err error
	k.api, err = r.start("kube-apiserver", r.kubeEnv(), filepath.Join(bin, "kube-apiserver"), append(more,
		apiserver.Flags(apiserver.Files{
			Certs: r.Path("apiserver"), AccountsCert: r.Path(dirTLS + "/tls.crt"), AccountsKey: r.Path(dirTLS + "/tls.key"), Tokens: tokens,
		})...)...)
	if err != nil {
		return err
	}
	config := &rest.Config{
		Host: apiURL, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{Insecure: true}, QPS: -1,
		ContentConfig: rest.ContentConfig{ContentType: "application/vnd.kubernetes.protobuf"},
	}
	k.Client, err = kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make Kubernetes client: %w", err)
	}
	probe := &http.Client{Transport: &tokenTransport{&http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}}
	return k.api.wait("kube-apiserver is ready", 2*time.Minute, func() bool { return answers(probe, apiURL+"/readyz") })
}

func (r *Rig) kubeEnv() []string {
	if r.KubeMemory == "" {
		return nil
	}
	return []string{"GOMEMLIMIT=" + r.KubeMemory}
}

type tokenTransport struct{ next http.RoundTripper }

func (t *tokenTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	req.Header.Set("Authorization", "Bearer "+token)
	return t.next.RoundTrip(req)
}

// Pause freezes the API; watches stay open. Resume lets it run again.
func (k *Kube) Pause() { k.api.Pause(); k.etcd.Pause() }

// Resume undoes Pause.
func (k *Kube) Resume() { k.etcd.Resume(); k.api.Resume() }

// KubernetesVersion is what kube-apiserver says of itself.
func KubernetesVersion() string {
	bin, err := apiserver.Programs()
	if err != nil {
		return "no Kubernetes"
	}
	out, err := exec.Command(filepath.Join(bin, "kube-apiserver"), "--version").Output()
	if err != nil {
		return "unknown Kubernetes"
	}
	return strings.TrimSpace(string(out))
}

// seed writes objects as kube-apiserver itself stores them.
func seed(pods iter.Seq[*corev1.Pod]) error {
	if pods == nil {
		return nil
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{etcdURL}, DialTimeout: 10 * time.Second})
	if err != nil {
		return fmt.Errorf("connect to etcd: %w", err)
	}
	defer func() { _ = client.Close() }()
	codec := scheme.Codecs.EncoderForVersion(protobuf.NewSerializer(scheme.Scheme, scheme.Scheme), corev1.SchemeGroupVersion)
	const batch = 100 // etcd allows 128 operations in a transaction
	puts := make([]clientv3.Op, 0, batch)
	flush := func() error {
		if len(puts) == 0 {
			return nil
		}
		_, err := client.Txn(context.Background()).Then(puts...).Commit()
		puts = puts[:0]
		if err != nil {
			return fmt.Errorf("write pods to etcd: %w", err)
		}
		return nil
	}
	for pod := range pods {
		value, err := runtimeEncode(codec, pod)
		if err != nil {
			return err
		}
		puts = append(puts, clientv3.OpPut("/registry/pods/"+pod.Namespace+"/"+pod.Name, string(value)))
		if len(puts) < batch {
			continue
		}
		if err := flush(); err != nil {
			return err
		}
	}
	return flush()
}

// Memory is the resident memory of kube-apiserver and of etcd, in bytes.
func (k *Kube) Memory() (api, etcd int64) { return k.api.Memory(), k.etcd.Memory() }

// Namespace makes a namespace with the Secret in which authz keeps ended sessions.
func (k *Kube) Namespace(name string) error {
	ctx := context.Background()
	if _, err := k.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("namespace %s: %w", name, err)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: revocations}}
	if _, err := k.Client.CoreV1().Secrets(name).Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("secret in %s: %w", name, err)
	}
	return nil
}
