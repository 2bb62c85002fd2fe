package contract

// Labels, annotations and conditions on Kubernetes objects.
//
// The hub.jupyter.org keys are KubeSpawner 7's, so that pods that JupyterHub made
// are routed as they are and dashboards made for JupyterHub keep working.
const (
	// LabelUsername marks a pod as a server; its value is the owner's name, or a
	// slug of it when the annotation of the same key holds the raw name.
	LabelUsername = "hub.jupyter.org/username"
	// LabelServername names a second server of the same owner; absent or empty
	// means the default server.
	LabelServername = "hub.jupyter.org/servername"

	// KubeSpawner writes LabelComponent with the value ComponentServer on its pods.
	LabelComponent  = "component"
	ComponentServer = "singleuser-server"

	// ComponentPool is the component label of a pod that waits for a user (package pool). At the claim it
	// becomes ComponentServer.
	ComponentPool = "singleuser-pool"
	// LabelPool is the key of the pool that a pod was made for. A claimed pod keeps it: its name is not
	// that of its server.
	LabelPool = "perijove.dev/pool"

	// LabelManagedBy with value ManagedBySpawner is written on everything that the
	// spawner creates, and on nothing else: it never touches an object without it.
	LabelManagedBy   = "app.kubernetes.io/managed-by"
	ManagedBySpawner = "perijove-spawner"

	// AnnotationPort says which port to route to when no container port is named
	// PortName and the pod has not exactly one.
	AnnotationPort = "perijove.dev/port"
	// AnnotationStripPrefix set to "true" removes /user/<name>/ from the path, for
	// web applications that know no base URL.
	AnnotationStripPrefix = "perijove.dev/strip-prefix"
	// AnnotationNonce is the public half of a server's secret (see ServerSecret).
	AnnotationNonce = "perijove.dev/nonce"
	// AnnotationOrderNonce is the public half of the key with which a pool's pod takes an order (see
	// OrderKey).
	AnnotationOrderNonce = "perijove.dev/order-nonce"
	// AnnotationOrder is what a claimed pod is told, as JSON and without its secret, so that every
	// replica can tell it.
	AnnotationOrder = "perijove.dev/order"
	// AnnotationClaimed is when a pool's pod became somebody's server (RFC 3339).
	AnnotationClaimed = "perijove.dev/claimed"
	// AnnotationPoolTry is how many pods of the pool failed in a row before this one was made.
	AnnotationPoolTry = "perijove.dev/pool-try"
	// AnnotationProof set to "true" says that the pod speaks TLS and shows a certificate for
	// ProofName of its UID. The spawner writes it; pods without it speak plain HTTP.
	AnnotationProof = "perijove.dev/proof"
	// AnnotationProfile is the slug of the profile that a pod was made from.
	AnnotationProfile = "perijove.dev/profile"
	// AnnotationProgram set to "true" says that the server is another program than Jupyter: it is not
	// asked whether it is in use.
	AnnotationProgram = "perijove.dev/program"
	// AnnotationCullIdle is for how long a server may be idle before the spawner stops it, as Go
	// writes it (1h0m0s); absent for ever. It is the profile's at the start: a list of profiles
	// that is changed since shortens no server that runs. On a published pod where servers live it
	// says that this pod may be stopped too.
	AnnotationCullIdle = "perijove.dev/cull-idle"
	// AnnotationCulled says that the spawner stopped the server, which was idle for that long.
	AnnotationCulled = "perijove.dev/culled"
	// AnnotationLastActivity is when a program last reported that the server is in use (RFC 3339), so
	// that every replica and a restart know it. The spawner only moves it forward, and believes no
	// time in the future.
	AnnotationLastActivity = "perijove.dev/last-activity"
	// AnnotationOptions is what the user chose for the start, as JSON. Starting again keeps it.
	AnnotationOptions = "perijove.dev/options"
	// AnnotationHomeSize says that the home could not be made as large as the profile wants: its
	// size, the wanted one and the API's reason, as JSON.
	AnnotationHomeSize = "perijove.dev/home-size"

	// AnnotationHome is the UID of the claim whose home a pod gets while it runs. Only the spawner may
	// write it, once; the CSI driver for late homes reads it.
	AnnotationHome = "perijove.dev/home"
	// DriverHomes is the name of that driver.
	DriverHomes = "home.perijove.dev"
	// EmptyHome is the source of the mount that is in a late home's place until the home is there.
	EmptyHome = "perijove-home"
	// FinalizerHome keeps the claim of a home that comes late while a pod has it. The spawner writes it; the
	// driver mounts no home without it.
	FinalizerHome = "perijove.dev/late-home"

	// AnnotationQuota is how a server is counted, as JSON: its weight and the quotas that count it
	// together with other users' servers.
	AnnotationQuota = "perijove.dev/quota"
	// AnnotationDisplayName is the name that a user gave a server, in any letters. Untrusted.
	AnnotationDisplayName = "perijove.dev/display-name"
	// ComponentUsage as a component label marks a ConfigMap that holds what a user, or the users
	// of a quota together, have.
	ComponentUsage = "usage"

	// LabelSize is how much CPU and memory is kept for a server: servers are spread among those of
	// their own size.
	LabelSize = "perijove.dev/size"
	// LabelAccount with value "true" marks a Secret that holds one person's account.
	LabelAccount = "perijove.dev/account"
	// LabelAccountLink and the hash of a login is a label of its account, to find it by.
	LabelAccountLink = "perijove.dev/link-"

	// LabelInstance is the release that an object belongs to, as Helm writes it.
	LabelInstance = "app.kubernetes.io/instance"

	// PortName is the container port's name in KubeSpawner's pods.
	PortName = "notebook-port"

	// ConditionAnswering is a readiness gate of spawned pods: the spawner sets it
	// as soon as the server answers, which is earlier than a kubelet's probe
	// period would notice.
	ConditionAnswering = "perijove.dev/answering"
	// ConditionWaiting says that a pool's pod has imported all that a server needs, and waits for an order.
	ConditionWaiting = "perijove.dev/waiting"
)
