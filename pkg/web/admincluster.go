package web

// AdminCluster is the page where administrators see how full the cluster is.
type AdminCluster struct {
	Viewer Viewer
	Plot   Plot // servers that ran over the last day
	Nodes  []Node
	// Unknown says that it is not known what nodes there are.
	Unknown bool
}

// Node is what servers are promised of a node.
type Node struct {
	Name    string
	State   string // message id
	Servers int
	// Waiting are the pods that wait for users.
	Waiting int
	Shares  []Usage // processor cores and memory
}

func (AdminCluster) template() string { return "admin_cluster" }
func (a AdminCluster) viewer() Viewer { return a.Viewer }
