package parts

import (
	"bytes"
	"embed"
	"encoding/base64"
	"fmt"
	"text/template"

	"github.com/perijove/perijove/deploy/onenode/layout"
)

// PauseImage and CoreDNSImage name the node's own images of one build, so that another build replaces them where they run. They are never pulled:
// `onenode up` imports them.
func PauseImage(key string) string   { return "perijove.dev/onenode/pause:" + key }
func CoreDNSImage(key string) string { return "perijove.dev/onenode/coredns:" + key }

//go:embed templates
var templates embed.FS

// view is what the templates may use.
type view struct {
	Settings
	Node                                                               layout.Node
	PodCIDR, ServiceCIDR, DNSIP, Domain, Bridge                        string
	PauseImage, CoreDNSImage, KubeletClientCN, ProvisionerCN, PolicyCN string
	ProxyLive                                                          string // host:port
	PortKubelet, PortKubeletLive, PortProxy                            int
}

func newView(s Settings, n layout.Node) view {
	return view{
		Settings: s, Node: n,
		PodCIDR: layout.PodCIDR, ServiceCIDR: layout.ServiceCIDR, DNSIP: layout.DNSIP, Domain: layout.Domain, Bridge: layout.Bridge,
		PauseImage: PauseImage(s.Key), CoreDNSImage: CoreDNSImage(s.Key), KubeletClientCN: kubeletClientCN, ProvisionerCN: provisionerCN, PolicyCN: policyCN,
		ProxyLive:   probed(n, layout.PortProxyLive),
		PortKubelet: layout.PortKubelet, PortKubeletLive: layout.PortKubeletLive, PortProxy: layout.PortProxy,
	}
}

// Files renders every file below the config folder (name → content): the parts' configurations and a kubeconfig for each client.
func Files(s Settings) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, n := range s.Layout.Nodes(s.Nodes) {
		for template, file := range ofNodeFiles(n) {
			content, err := render(template, newView(s, n))
			if err != nil {
				return nil, err
			}
			files[file] = content
		}
		files[n.Part("kubelet")+".kubeconfig"] = s.kubeconfig(n.Part("kubelet"))
	}
	manifests, err := render("manifests.yaml", newView(s, s.Layout.Node(1)))
	if err != nil {
		return nil, err
	}
	files["manifests.yaml"] = manifests
	for _, client := range []string{"controller-manager", "scheduler", "kube-proxy", "netpolicy", "provisioner"} {
		files[client+".kubeconfig"] = s.kubeconfig(client)
	}
	return files, nil
}

// ofNodeFiles maps each template that is rendered for each node to its file. containerd wants network configurations in a folder of their own.
func ofNodeFiles(n layout.Node) map[string]string {
	return map[string]string{
		"cni.conflist":    n.Part("cni") + "/10-onenode.conflist",
		"containerd.toml": n.Part("containerd") + ".toml",
		"kubelet.yaml":    n.Part("kubelet") + ".yaml",
		"kube-proxy.yaml": n.Part("kube-proxy") + ".yaml",
	}
}

func render(name string, data view) ([]byte, error) {
	parsed, err := template.New("").Option("missingkey=error").ParseFS(templates, "templates/"+name)
	if err != nil {
		return nil, fmt.Errorf("template %s: %w", name, err)
	}
	var out bytes.Buffer
	if err := parsed.ExecuteTemplate(&out, name, data); err != nil {
		return nil, fmt.Errorf("template %s: %w", name, err)
	}
	return out.Bytes(), nil
}

// kubeconfig refers to the certificates by path: one place holds each key.
func (s Settings) kubeconfig(client string) []byte {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: onenode
  cluster: {server: %q, certificate-authority: %q}
users:
- name: %s
  user: {client-certificate: %q, client-key: %q}
contexts:
- name: onenode
  context: {cluster: onenode, user: %s}
current-context: onenode
`, APIServerURL(), s.pki("ca.crt"), client, s.pki(client+".crt"), s.pki(client+".key"), client)
}

// AdminKubeconfig holds the administrator's credentials in itself, so that it can be used or copied without the state folder.
func AdminKubeconfig(ca, cert, key []byte) []byte {
	encode := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: onenode
  cluster: {server: %q, certificate-authority-data: %s}
users:
- name: onenode-admin
  user: {client-certificate-data: %s, client-key-data: %s}
contexts:
- name: onenode
  context: {cluster: onenode, user: onenode-admin}
current-context: onenode
`, APIServerURL(), encode(ca), encode(cert), encode(key))
}
