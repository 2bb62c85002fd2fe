package chart

import (
	"strings"
	"testing"
)

// made is a value that ends up in an object, and what Kubernetes says to it. The chart
// takes what Kubernetes takes; cluster_test.go asks the real API server.
type made struct {
	set, key string // as --set-json has it; the key that a refusal names, "" for none
	// lax says that Kubernetes takes it and nothing would work: the name of a Secret that no
	// Secret can have.
	lax bool
}

const (
	tls     = `publicURL="https://a.test",devProvider.enabled=false,gateway.tls.secretName="x"`
	ingress = `devProvider.enabled=false,gateway.ingress.enabled=true,publicURL=`
)

// B-24, B-28: whatever Kubernetes would refuse is refused before anything is made.
var objectsMade = []made{
	{set: `imagePullSecrets=["registry","a.b"]`},
	{set: `imagePullSecrets=["A"]`, key: "/imagePullSecrets/0", lax: true},
	{set: `gateway.replicas=2147483648`, key: "/gateway/replicas"},
	{set: `gateway.service.annotations={"a.b/c":"x","n":1000000,"yes":true}`},
	{set: `gateway.service.annotations={"a/b/c":"x"}`, key: "/gateway/service/annotations"},
	{set: `gateway.service.annotations={"-a":"x"}`, key: "/gateway/service/annotations"},
	{set: `gateway.service.type="NodePort",gateway.service.nodePort=30123`},
	{set: `gateway.service.nodePort=30123`, key: "/gateway/service/nodePort"}, // with ClusterIP
	{set: `gateway.service.type="LoadBalancer",gateway.service.loadBalancerSourceRanges=["10.0.0.0/8","::/0"]`},
	{set: `gateway.service.type="LoadBalancer",gateway.service.loadBalancerSourceRanges=["10.0.0.0"]`, key: "/gateway/service/loadBalancerSourceRanges/0"},
	{set: `gateway.service.type="LoadBalancer",gateway.service.loadBalancerSourceRanges=["10.0.0.256/8"]`, key: "/gateway/service/loadBalancerSourceRanges/0"},
	{set: `gateway.service.loadBalancerSourceRanges=["10.0.0.0/8"]`, key: "/gateway/service/loadBalancerSourceRanges"}, // with ClusterIP
	{set: tls},
	{set: tls + `,gateway.tls.port=80`, key: "gateway.tls.port"}, // and service.port
	{set: tls + `,gateway.tls.port=80,gateway.tls.redirect=false`},
	{set: `publicURL="https://a.test",devProvider.enabled=false,gateway.tls.secretName="A"`, key: "/gateway/tls/secretName", lax: true},
	{set: ingress + `"https://Jupyter.A.test"`}, // as it reads in an address bar
	{set: ingress + `"https://a.test:8443",gateway.ingress.className="nginx",gateway.ingress.tlsSecret="a.b"`},
	{set: ingress + `"https://10.0.0.1"`, key: "publicURL"},
	{set: ingress + `"https://[2001:db8::1]:8443"`, key: "publicURL"},
	{set: ingress + `"https://a_b.test"`, key: "/publicURL"},
	{set: ingress + `"https://a.test",gateway.ingress.className="N"`, key: "/gateway/ingress/className"},
	{set: ingress + `"https://a.test",gateway.ingress.tlsSecret="a_b"`, key: "/gateway/ingress/tlsSecret"},
	{set: `gateway.hostPort=8001`, key: "gateway.hostPort"}, // the provider's
	{set: `gateway.hostPort=null,devProvider.enabled=false,gateway.envoy.enabled=false,gateway.envoy.from=[{"podSelector":{}}]`},
	{set: `gateway.envoy.resources.limits={"memory":1073741824,"cpu":1.5,"ephemeral-storage":"1e9"}`},
	{set: `gateway.envoy.resources.limits={"memory":"lots"}`, key: "/gateway/envoy/resources/limits/memory"},
	{set: `gateway.envoy.resources.limits={"memory":"-1Gi"}`, key: "/gateway/envoy/resources/limits/memory"},
	{set: `gateway.envoy.resources.limits={"mem":"1Gi"}`, key: "/gateway/envoy/resources/limits"},
	{set: `spawner.resources.limits={"memory":"63Mi"}`, key: "spawner.resources.limits.memory"}, // the request is 64Mi
	{set: `singleuser.quota={"pods":500,"requests.storage":"5Ti","count/secrets":1000}`},
	{set: `singleuser.quota={"pods":"many"}`, key: "/singleuser/quota/pods"},
	{set: `singleuser.namespace="A"`, key: "/singleuser/namespace"},
	{set: `extraNamespaces=["a.b"]`, key: "/extraNamespaces/0"},
	{set: `singleuser.networkPolicy.extraEgress=[{"to":[{"ipBlock":{"cidr":"10.0.0.0/8","except":["10.1.0.0/16"]}}],"ports":[{"port":5432}]},{"to":[{"namespaceSelector":{}}]}]`},
	{set: `singleuser.networkPolicy.extraEgress=[{"to":[{"ipBlock":{"cidr":"10.0.0.0"}}]}]`, key: "/singleuser/networkPolicy/extraEgress/0/to/0/ipBlock/cidr"},
	{set: `singleuser.networkPolicy.extraEgress=[{"from":[{"podSelector":{}}]}]`, key: "/singleuser/networkPolicy/extraEgress/0"},
	{set: `singleuser.networkPolicy.extraEgress=[{"to":[{"podSelector":{},"ipBlock":{"cidr":"10.0.0.0/8"}}]}]`, key: "/singleuser/networkPolicy/extraEgress/0/to/0"},
	{set: `networkPolicy.metricsFrom=[{"namespaceSelector":{"matchExpressions":[{"key":"a","operator":"Near"}]}}]`, key: "/networkPolicy/metricsFrom/0"},
	{set: `admissionPolicy.publishers=[{"kind":"ServiceAccount","name":"hub","namespace":"x"},{"kind":"Group","name":"system:masters"},{"kind":"User","name":"a b"}]`},
	{set: `admissionPolicy.publishers=[{"kind":"ServiceAccount","name":"hub"}]`, key: "/admissionPolicy/publishers/0", lax: true}, // of which namespace?
	{set: `admissionPolicy.publishers=[{"kind":"ServiceAccount","name":"Hub","namespace":"x"}]`, key: "/admissionPolicy/publishers/0"},
	{set: `admissionPolicy.publishers=[{"kind":"Group","name":"x","apiGroup":"v1"}]`, key: "/admissionPolicy/publishers/0"},
	{set: `secrets.existingServerKey="A"`, key: "/secrets/existingServerKey", lax: true},
	{set: `devDirectory.enabled=false,devProvider.enabled=false,auth.oidc=` + oidc + `,auth.oidc[0].clientSecret={"name":"a","key":"b/c"}`, key: "/auth/oidc/0/clientSecret/key", lax: true},
}

// oidc is a provider without its client secret.
const oidc = `[{"id":"a","name":"A","issuer":"https://a.test","clientID":"x","claims":{"username":"sub"},"allowedGroups":["*"]}]`

func testNames(t *testing.T, helm string) {
	for _, c := range objectsMade {
		_, problem, err := render(helm, "-f", onenode, "--set-json", c.set)
		switch {
		case c.key == "" && err != nil:
			t.Errorf("%s: %s", c.set, problem)
		case c.key != "" && (err == nil || !strings.Contains(problem, c.key)):
			t.Errorf("%s: want a refusal that names %s, have %v %s", c.set, c.key, err, problem)
		}
	}
}

// S-12: nothing travels in clear unless an administrator says so.
func testInsecure(t *testing.T, helm string) {
	for set, key := range map[string]string{
		"publicURL=http://localhost:8000":                                   "",
		"publicURL=http://127.0.0.1,devProvider.enabled=false":              "",
		"publicURL=http://[::1]:8000,devProvider.enabled=false":             "",
		"publicURL=http://hub.test,devProvider.enabled=false":               "publicURL: passwords",
		"publicURL=http://localhost.hub.test,devProvider.enabled=false":     "publicURL: passwords",
		"publicURL=http://10.0.0.1,devProvider.enabled=false":               "publicURL: passwords",
		"publicURL=http://hub.test,devProvider.enabled=false,insecure=true": "",
		"publicURL=https://hub.test,devProvider.enabled=false":              "",
		ldap + ",auth.ldap.urls={ldaps://a}":                                "",
		ldap + ",auth.ldap.urls={ldap://a}":                                 "/auth/ldap/urls/0",
		ldap + ",auth.ldap.urls={ldap://a},insecure=true":                   "/auth/ldap/urls/0", // authz refuses it in any case
		ldap + ",auth.ldap.urls={ldap://a},auth.ldap.startTLS=true":         "",
		ldap + ",auth.ldap.urls={ldaps://a,ldap://b}":                       "/auth/ldap/urls/1",
		ldap + ",auth.ldap.urls={ldaps://a},auth.ldap.startTLS=true":        "/auth/ldap/urls/0",
	} {
		_, problem, err := render(helm, "-f", onenode, "--set", set)
		if (err == nil) != (key == "") || !strings.Contains(problem, key) {
			t.Errorf("--set %s: want %q, have %v %s", set, key, err, problem)
		}
	}
}

const ldap = `devDirectory.enabled=false,auth.ldap.bindTemplate=uid={username}\,dc=x,auth.ldap.userSearch.base=dc=x,auth.ldap.groupSearch.base=dc=x,auth.ldap.allowedGroups={*}`
