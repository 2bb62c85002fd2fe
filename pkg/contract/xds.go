package contract

// xDS resource names and bootstrap names.
const (
	// ListenerName is the one public listener.
	ListenerName = "public"
	// RedirectListenerName is the listener that sends plain text to https.
	RedirectListenerName = "redirect"
	// CertificateName is the SDS resource with the public listener's certificate.
	CertificateName = "public"
	// ScopedRoutesName is the scoped_routes name of the listener.
	ScopedRoutesName = "servers"
	// ClusterPods is the shared ORIGINAL_DST cluster of the servers that speak plain HTTP.
	ClusterPods = "pods"
	// ClusterProvenPods is the shared ORIGINAL_DST cluster of the servers that prove which
	// pod they are (ProofName).
	ClusterProvenPods = "proven-pods"
	// ClusterAuthz is authz's gRPC ext_authz service.
	ClusterAuthz = "authz"
	// ClusterXDS is the bootstrap's cluster for the xds-server.
	ClusterXDS = "xds"
)

// Names in certificates (DNS SANs). Each internal port lists the names that it lets in.
const (
	NameGateway = "perijove-gateway" // Envoy, xds-server and authz: one pod
	NameSpawner = "perijove-spawner"
	NameAssets  = "perijove-assets"
)
