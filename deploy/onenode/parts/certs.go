package parts

import (
	"github.com/perijove/perijove/deploy/onenode/layout"
	"github.com/perijove/perijove/deploy/onenode/pki"
)

const (
	frontProxyCN    = "front-proxy-client"
	kubeletClientCN = "perijove:kube-apiserver-kubelet-client" // manifests.yaml binds it to system:kubelet-api-admin
	provisionerCN   = "perijove:provisioner"                   // manifests.yaml grants what it needs
	policyCN        = "perijove:netpolicy"                     // so here
)

// Leaves lists every certificate of the cluster, those of nodes that it does not have included: see layout.MaxNodes. User and group names are Kubernetes' own (see "Using RBAC Authorization", core component roles), so that the
// roles that every cluster has apply.
func Leaves() []pki.Leaf {
	localhost := []string{"localhost", "127.0.0.1"}
	leaves := []pki.Leaf{
		{Name: "etcd", CA: pki.EtcdCA, CN: "etcd", Hosts: localhost, Client: true}, // peers are clients of each other
		{Name: "etcd-client", CA: pki.EtcdCA, CN: "kube-apiserver-etcd-client", Client: true},
		{Name: "apiserver", CA: pki.CA, CN: "kube-apiserver", Hosts: []string{
			layout.NodeIP, layout.ServiceIP, layout.NodeName, "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + layout.Domain,
		}},
		{Name: "apiserver-kubelet", CA: pki.CA, CN: kubeletClientCN, Client: true},
		{Name: "front-proxy", CA: pki.FrontCA, CN: frontProxyCN, Client: true},
		{Name: "admin", CA: pki.CA, CN: "kubernetes-admin", Groups: []string{"system:masters"}, Client: true},
		{Name: "controller-manager", CA: pki.CA, CN: "system:kube-controller-manager", Hosts: localhost, Client: true},
		{Name: "scheduler", CA: pki.CA, CN: "system:kube-scheduler", Hosts: localhost, Client: true},
		{Name: "kube-proxy", CA: pki.CA, CN: "system:kube-proxy", Client: true},
		{Name: "netpolicy", CA: pki.CA, CN: policyCN, Client: true},
		{Name: "provisioner", CA: pki.CA, CN: provisionerCN, Client: true},
	}
	for _, n := range (layout.Layout{}).Nodes(layout.MaxNodes) {
		leaves = append(leaves, pki.Leaf{
			Name: n.Part("kubelet"), CA: pki.CA, CN: "system:node:" + n.Name(), Groups: []string{"system:nodes"}, Hosts: []string{n.IP(), n.Name()}, Client: true,
		})
	}
	return leaves
}
