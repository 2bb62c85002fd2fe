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

// Keys of ext_authz context_extensions, set per route. authz decides from these,
// never from a path that it parses itself (CVE-2026-26205 and its relatives).
const (
	// ExtKind is KindServer or KindHub. A check without it is refused.
	ExtKind = "kind"
	// ExtOwner is the raw name of the server's owner (KindServer).
	ExtOwner = "owner"
	// ExtServer is the raw name of the server, "" for the default one (KindServer).
	ExtServer = "server"
	// ExtPrefix is the path prefix with its trailing slash (KindServer).
	ExtPrefix = "prefix"
	// ExtLogout is "true" for a default server that the spawner made. authz answers its page
	// SegmentLogout, where JupyterLab's menu leads, with a redirect to PathLogout. A route of
	// its own for that page would cost Envoy 4 kB a user.
	ExtLogout = "logout"

	KindServer = "server"
	KindHub    = "hub"
)
