package parts

import (
	"bytes"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
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
	NodeName, NodeIP, Bridge, BridgeIP, PodCIDR, ServiceCIDR, DNSIP, Domain, Network, CgroupName string
	PauseImage, CoreDNSImage, KubeletClientCN, ProvisionerCN                                     string
	PortKubelet, PortKubeletLive, PortProxy, PortProxyLive                                       int
}

func newView(s Settings) view {
	return view{
		Settings: s,
		NodeName: layout.NodeName, NodeIP: layout.NodeIP, Bridge: layout.Bridge, BridgeIP: layout.BridgeIP, PodCIDR: layout.PodCIDR,
		ServiceCIDR: layout.ServiceCIDR, DNSIP: layout.DNSIP, Domain: layout.Domain, Network: layout.Network, CgroupName: layout.CgroupName,
		PauseImage: PauseImage(s.Key), CoreDNSImage: CoreDNSImage(s.Key), KubeletClientCN: kubeletClientCN, ProvisionerCN: provisionerCN,
		PortKubelet: layout.PortKubelet, PortKubeletLive: layout.PortKubeletLive, PortProxy: layout.PortProxy, PortProxyLive: layout.PortProxyLive,
	}
}

// Files renders every file below the config folder (name → content): the parts' configurations and a kubeconfig for each client.
func Files(s Settings) (map[string][]byte, error) {
	files := map[string][]byte{}
	names, err := fs.Glob(templates, "templates/*")
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	for _, name := range names {
		content, err := render(name, newView(s))
		if err != nil {
			return nil, err
		}
		files[target(name[len("templates/"):])] = content
	}
	for _, client := range []string{"controller-manager", "scheduler", "kubelet", "kube-proxy", "provisioner"} {
		files[client+".kubeconfig"] = s.kubeconfig(client)
	}
	return files, nil
}

// target is where a template's result goes: containerd wants network configurations in a folder of their own.
func target(name string) string {
	if name == "cni.conflist" {
		return "cni/10-onenode.conflist"
	}
	return name
}

func render(name string, data view) ([]byte, error) {
	parsed, err := template.New("").Option("missingkey=error").ParseFS(templates, name)
	if err != nil {
		return nil, fmt.Errorf("template %s: %w", name, err)
	}
	var out bytes.Buffer
	if err := parsed.ExecuteTemplate(&out, name[len("templates/"):], data); err != nil {
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
