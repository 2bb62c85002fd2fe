package chart

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	authz "github.com/perijove/perijove/cmd/authz/app"
	spawner "github.com/perijove/perijove/cmd/spawner/app"
	xdsserver "github.com/perijove/perijove/cmd/xds-server/app"
	"github.com/perijove/perijove/pkg/hub/spawn/profiles"
	"github.com/perijove/perijove/pkg/run/config"
)

// setting is one that the chart and a service both check. Each of its values is given to
// both, in JSON; what one takes the other must take, and each setting has values of both kinds.
type setting struct {
	chart, service, key string
	// with are further values of the chart, as --set-json has them. Settings without any are
	// tried many at a time; "alone" is for those that others have a say in.
	with   string
	values []string
}

const alone = "spawner.replicas=2" // which changes nothing

// durations around the bounds of a setting, as texts.
func durations(texts ...string) []string {
	return quoted(append(texts, "soon", "5 minutes", "1d", "-5m", "5", "")...)
}

func quoted(texts ...string) []string {
	out := make([]string, len(texts))
	for i, text := range texts {
		out[i] = strconv.Quote(text)
	}
	return out
}

var settings = []setting{
	{"auth.sessionLifetime", "authz", "sessionLifetime", alone, durations("1m", "59s", "59.9s", "60000ms", "744h", "744h0m1s", "2h30m", ".5h", "1.h", "1h1h")},
	{"auth.sessionIdle", "authz", "sessionIdle", alone, durations("5m", "4m59s", "12h", "12h1s", "300s")},
	{"auth.sessionIdle", "authz", "sessionIdle", `auth.sessionLifetime="2m"`, durations("2m", "1m", "3m")},
	{"auth.keepLoggedIn", "authz", "keepLoggedIn", alone, append(quoted("maybe"), "true", "false", "2")},
	{"auth.recheck", "authz", "recheck", "", durations("1m", "30s", "1h", "1h1s", "60m")},
	{"auth.passTTL", "authz", "passTTL", "", durations("0", "0s", "2s", "1999ms", "10m", "601s")},
	{"auth.revocations.mode", "authz", "revocationMode", "", quoted("strict", "best_effort", "maybe", "Strict", "")},
	{"publicURL", "authz", "publicURL", "insecure=true,gateway.ingress.enabled=false", urls},
	{"publicURL", "xds-server", "publicURL", "insecure=true,gateway.ingress.enabled=false", urls},
	{"extraHosts", "authz", "extraHosts", "", hosts},
	{"extraHosts", "xds-server", "extraHosts", "", hosts},
	{"auth.subdomains.domain", "authz", "userDomain", alone, domains},
	{"auth.subdomains.domain", "xds-server", "userDomain", alone, domains},
	{"auth.subdomains.domain", "xds-server", "userDomain", `extraHosts=["Hub.a.test:8443"]`, quoted("a.test", "b.a.test")},
	{"spawner.startTimeout", "spawner", "startTimeout", "", durations("1s", "999ms", "24h")},
	{"spawner.concurrentSpawnLimit", "spawner", "concurrentSpawnLimit", "", []string{"1", "0", "-1", "1000000"}},
	{"singleuser.profile.displayName", "profiles", "profiles[0].display_name", "", quoted("x", "")},
	{"singleuser.profile.slug", "profiles", "profiles[0].slug", "", quoted("a", "a-1", "", "-a", "A", "a_b", strings.Repeat("a", 63), strings.Repeat("a", 64))},
	{"singleuser.image.name", "profiles", "base.image", "", quoted("x", "a.b/c", "a:5000/c", "A/c", "a b", "x@sha256:0", "", "a//b")},
	{"singleuser.image.pullPolicy", "profiles", "base.image_pull_policy", "", quoted("Always", "Never", "always")},
	{"singleuser.cpu.limit", "profiles", "base.cpu_limit", "", []string{"0.1", "0.09", "1024", "1025", "-1", "0"}},
	{"singleuser.memory.limit", "profiles", "base.mem_limit", "", quoted("256M", "255M", "1G", "1Gi", "1.5T", "lots", "-1G", "")},
	{"singleuser.storage.capacity", "profiles", "base.storage_capacity", "", quoted("1Gi", "1e9", "1.5G", "100", "0", "-1Gi", "1 Gi", "lots", "1KB")},
	{"singleuser.storage.type", "profiles", "base.storage_type", "", quoted("dynamic", "none", "nfs")},
	{"singleuser.storage.type", "profiles", "base.storage_type", `singleuser.storage.static.pvcName="nfs"`, quoted("static", "nfs")},
	{"singleuser.storage.homes", "profiles", "base.storage_homes", "", quoted("user", "server", "group")},
	{"singleuser.storage.dynamic.storageAccessModes", "profiles", "base.storage_access_modes", "", []string{`["ReadWriteMany"]`, `["ReadWriteOncePod"]`, `["ReadWriteOnce","ReadOnlyMany"]`, `[]`, `["ReadOnlyMany"]`, `["ReadWriteOncePod","ReadWriteOnce"]`, `["RWX"]`}},
	{"singleuser.storage.dynamic.storageClass", "profiles", "base.storage_class", "", quoted("fast", "a.b", "", "Fast", "a_b")},
	{"singleuser.storage.static.pvcName", "profiles", "base.storage_claim", "", quoted("nfs", "", "home-bob", "claim-bob", "Nfs")},
	{"singleuser.storage.static.subPath", "profiles", "base.storage_sub_path", "", quoted("{username}", "homes/u_{username}.d/lab", "homes", "../{username}", "{username}/..", "/{username}", "a//{username}", ".{username}", "{username}{username}", "{servername}", "a b/{username}")},
	{"singleuser.extraEnv", "profiles", "base.environment", "", []string{`{"A":"x"}`, `{"HOME":"x"}`, `{"PERIJOVE_USER":"x"}`, `{"JUPYTER_CONFIG_PATH":"x"}`, `{"1a":"x"}`, `{"a b":"x"}`, `{}`}},
	{"singleuser.nodeSelector", "profiles", "base.node_selector", "", []string{`{"a.b/c":"x"}`, `{"a":""}`, `{"a":"b c"}`, `{"a/b/c":"x"}`}},
	{"singleuser.extraTolerations", "profiles", "base.tolerations", "", []string{`[{"key":"a","value":"b","effect":"NoSchedule"}]`, `[{"operator":"Exists"}]`, `[{"key":"a","effect":"NoExecute","tolerationSeconds":5}]`,
		`[{"operator":"Exists","value":"a"}]`, `[{"operator":"Equal"}]`, `[{"key":"a","effect":"Never"}]`, `[{"key":"a","operator":"Near"}]`, `[{"key":"a","tolerationSeconds":5}]`, `[{"value":"a"}]`}},
	{"singleuser.storage.extraVolumes", "profiles", "base.volumes", "", []string{`[{"name":"a","emptyDir":{"medium":"Memory","sizeLimit":"1Gi"}}]`, `[{"name":"a","configMap":{"name":"b"}}]`, `[{"name":"a","persistentVolumeClaim":{"claimName":"b"}}]`,
		`[{"name":"a","secret":{"secretName":"b"}}]`, `[{"name":"a","hostPath":{"path":"/"}}]`, `[{"name":"a"}]`, `[{"name":"home","emptyDir":{}}]`, `[{"name":"A","emptyDir":{}}]`, `[{"name":"a","persistentVolumeClaim":{"claimName":"home-bob"}}]`, `[{"name":"a","emptyDir":{"medium":"Disk"}}]`}},
	{"singleuser.storage.extraVolumeMounts", "profiles", "base.volume_mounts", `singleuser.storage.extraVolumes=[{"name":"a","emptyDir":{}}]`, []string{`[{"name":"a","mountPath":"/data"}]`, `[{"name":"a","mountPath":"data"}]`, `[{"name":"b","mountPath":"/data"}]`,
		`[{"name":"a","mountPath":"/data/"}]`, `[{"name":"a","mountPath":"/home/jovyan"}]`, `[{"name":"a","mountPath":"/home/jovyan/data"}]`, `[{"name":"a","mountPath":"/etc/perijove/jupyter/x"}]`, `[{"name":"a","mountPath":"/"}]`, `[{"name":"a","mountPath":"/d","subPath":"../x"}]`, `[{"name":"a","mountPath":"/d"},{"name":"a","mountPath":"/d"}]`}},
	{"singleuser.sharedVolumes", "profiles", "shared_volumes", "", []string{`[]`, `[{"name":"a","claim":"b","readers":["*"]}]`, `[{"name":"a","claim":"b","subPath":"c/d","mountPath":"/data","writers":["x"]}]`, `[{"name":"a","claim":"b"}]`,
		`[{"name":"A","claim":"b","readers":["x"]}]`, `[{"name":"a","claim":"home-bob","readers":["x"]}]`, `[{"name":"a","claim":"b","subPath":"/c","readers":["x"]}]`, `[{"name":"a","claim":"b","subPath":"c/../d","readers":["x"]}]`, `[{"name":"a","claim":"b","mountPath":"data","readers":["x"]}]`,
		`[{"name":"a","claim":"b","writers":[" "]}]`, `[{"name":"a","claim":"b","readers":["x"],"mode":"ro"}]`, `[{"name":"a","claim":"b","readers":["x"]},{"name":"a","claim":"c","readers":["x"],"mountPath":"/c"}]`, `[{"name":"a","claim":"b","readers":["x"]},{"name":"b","claim":"c","readers":["x"],"mountPath":"/shared/a"}]`}},
	{"singleuser.groupOverrides", "profiles", "group_overrides", "", []string{`{}`, `{"a":{"groups":["x"],"spawner_override":{"mem_limit":"4G","environment":{"A":1}}}}`, `{"a":{"users":["x"],"profiles":["jupyterlab"],"spawner_override":{}}}`,
		`{"a":{"spawner_override":{}}}`, `{"a":{"groups":[],"users":[]}}`, `{"a":{"groups":[" "]}}`, `{"a":{"groups":["x"],"spawner_override":{"service_account":"root"}}}`, `{"a":{"groups":["x"],"more":1}}`, `{"a":{"groups":["x"],"spawner_override":{"environment":{"HOME":"x"}}}}`}},
	{"singleuser.quotas", "profiles", "quotas", "", []string{`{}`, `{"a":{"servers":1}}`, `{"a":{"groups":["x"],"together":true,"cpu":"1.5","memory":"4G","extra_resources":{"nvidia.com/gpu":1},"storage":"1Ti","hours_per_week":40,"hours_per_month":0}}`,
		`{"a":{}}`, `{"a":{"servers":"many"}}`, `{"a":{"servers":-1}}`, `{"a":{"groups":[""],"servers":1}}`, `{"a":{"named_servers":3}}`, `{"a":{"gpu":1}}`, `{"a":{"extra_resources":{"a b":1}}}`}},
	{"singleuser.defaultUrl", "profiles", "base.default_url", "", quoted("/lab", "/tree?a=b", "/", "", "lab", "//evil.test", "/a b", "/\\\\evil")},
	{"singleuser.cmd", "profiles", "base.cmd", "", []string{`["jupyter","lab"]`, `[]`, `"jupyter lab"`}},
	{"singleuser.profileList", "profiles", "profiles", "", profileLists},
	{"singleuser.profileList[0].max_age", "profiles", "profiles[0].max_age", `singleuser.profileList[0].display_name="A"`, spans},
	{"singleuser.profileList[0].cull.idle", "profiles", "profiles[0].cull.idle", `singleuser.profileList[0].display_name="A"`, spans},
	{"singleuser.groupOverrides.a.max_age", "profiles", "group_overrides.a.max_age", `singleuser.groupOverrides.a.groups=["x"]`, spans},
	{"singleuser.groupOverrides.a.cull.idle", "profiles", "group_overrides.a.cull.idle", `singleuser.groupOverrides.a.groups=["x"]`, spans},
	{"cull.timeout", "profiles", "cull.idle", "cull.enabled=true", spans},
	{"cull.maxAge", "profiles", "max_age", "cull.enabled=true", spans},
	{"imagePullSecrets", "profiles", "base.image_pull_secrets", "", []string{`["a"]`, `["A"]`, `[]`}},
	{"auth.ldap.urls", "authz", "ldap.urls", "", directories},
	{"auth.ldap.urls", "authz", "ldap.urls", "auth.ldap.startTLS=true", directories},
	{"auth.ldap.bindDN", "authz", "ldap.bindDN", "", names},
	{"auth.ldap.bindTemplate", "authz", "ldap.bindTemplate", "", quoted("uid={username},dc=x", "uid=x,dc=x", "uid={username}{username},dc=x", "{username}", "", "{username}@x")},
	{"auth.ldap.userSearch.base", "authz", "ldap.userSearch.base", "", names},
	{"auth.ldap.groupSearch.base", "authz", "ldap.groupSearch.base", "", names},
	{"auth.ldap.userSearch.filter", "authz", "ldap.userSearch.filter", "", quoted("(uid={username})", "(&(uid={username})(!(a=b)))",
		"(|(uid={username})(mail={username}@x))", "(memberOf:1.2.840.113556.1.4.1941:=cn=x)(uid={username})", "uid={username}", "(uid=x)", "", "(uid={username}",
		"(uid={username}))", "(&(uid={username}))", "(uid~={username})", "(uid>={username})", "(uid:dn:={username})", "({username})", "(&uid={username})", "(a=\\2a)(uid={username})", "(&(a=\\2a)(uid={username}))", "(&(a=\\zz)(uid={username}))")},
	{"auth.ldap.groupSearch.filter", "authz", "ldap.groupSearch.filter", `auth.ldap.memberOfAttribute=""`, quoted("(member={dn})", "(memberUid={username})", "(member:1.2.840.113556.1.4.1941:={dn})", "(a=b)", "", "member={dn}")},
	{"auth.ldap.groupSearch.filter", "authz", "ldap.groupSearch.filter", "", quoted("(member={dn})", "", "(a=b)")},
	{"auth.ldap.groupSearch.nestedFilter", "authz", "ldap.groupSearch.nestedFilter", "", quoted("", "(member={dn})", "(memberUid={username})", "(&(member={dn})(memberUid={username}))", "(member={dn}")},
	{"auth.ldap.usernameAttribute", "authz", "ldap.usernameAttribute", "", quoted("uid", "")},
	{"auth.ldap.idAttribute", "authz", "ldap.idAttribute", "", quoted("", "entryUUID", "ibm-entryUUID", "a b", "1x", "x;binary", "(x)")},
	{"auth.ldap.displayNameAttribute", "authz", "ldap.displayNameAttribute", "", quoted("cn", "")},
	{"auth.ldap.groupNameAttribute", "authz", "ldap.groupNameAttribute", "", quoted("cn", "")},
	{"auth.ldap.allowedGroups", "authz", "ldap.allowedGroups", "", []string{`["x"]`, `["*"]`, `[]`, `[""]`}},
	{"auth.ldap.adminGroups", "authz", "ldap.adminGroups", "", []string{`["x"]`, `[]`, `["*"]`, `[""]`}},
	{"auth.oidc[0].id", "authz", "oidc[0].id", "", quoted("a", "a-b", "", "A", "-a", strings.Repeat("a", 32), strings.Repeat("a", 33))},
	{"auth.oidc[0].issuer", "authz", "oidc[0].issuer", "", quoted("https://a.test", "https://a.test/realms/x", "https://a.test:8443/", "http://localhost:8080/x", "http://127.0.0.1", "http://[::1]:80",
		"http://a.test", "https://a.test?x", "https://a.test#x", "https://u@a.test", "a.test", "", "https://", "https://a.test:port")},
	{"auth.oidc[0].clientID", "authz", "oidc[0].clientID", "", quoted("x", "")},
	{"auth.oidc[0].name", "authz", "oidc[0].name", "", quoted("x", "")},
	{"auth.oidc[0].scopes", "authz", "oidc[0].scopes", "", []string{`["email"]`, `["a b"]`, `[""]`, `["a\"b"]`, `[]`}},
	{"auth.oidc[0].claims.username", "authz", "oidc[0].claims.username", "", quoted("email", "")},
	{"auth.oidc[0].claims.groups", "authz", "oidc[0].claims.groups", alone, quoted("groups", "")},
	{"auth.oidc[0].claims.groups", "authz", "oidc[0].claims.groups", `auth.oidc[0].allowedGroups=["*"]`, quoted("groups", "")},
	{"auth.oidc[0].username.domain", "authz", "oidc[0].username.domain", "", quoted("a.test", "", "A.test", "@a.test")},
	{"auth.oidc[0].username.prefix", "authz", "oidc[0].username.prefix", "", quoted("c-", "", "a/", ".", "%", "a;", "a\\b", "a\nb")},
	{"auth.oidc[0].allowedGroups", "authz", "oidc[0].allowedGroups", "", []string{`["x"]`, `["*"]`, `[]`, `[""]`}},
	{"auth.oidc[0].adminGroups", "authz", "oidc[0].adminGroups", "", []string{`["x"]`, `[]`, `["*"]`, `[""]`}},
}

var (
	spans = append(quoted("1m", "12h", "0", "0s", "3600", "59s", "59", "87600h", "87600h0m1s", "315360001", "1d", "soon", "-1h", "", "90.5"), "0", "60", "59", "59.5", "3600", "315360000", "315360001", "-1", "true", "[]")
	urls  = quoted("https://a.test", "https://A.test:8443/", "http://a.test", "https://10.0.0.1", "https://[::1]:80", "https://a.test:0", "https://a.test:65535",
		"https://a.test:65536", "https://[1:2]", "https://a_b.test", "https://a.test.", "https://u@a.test", "https://a.test/x", "https://a.test?x", "a.test", "ftp://a.test", "https://", "https://a..test", "https://hüb.test")
	hosts = []string{`["a.test"]`, `["127.0.0.1:8000"]`, `["[::1]:80"]`, `[]`, `["*"]`, `["*.a.test"]`, `["a.test/"]`, `["a b"]`, `["a.test:99999"]`, `["a,b"]`, `[""]`}
	// The public URL of the values that are changed is https://jupyter.example.org.
	domains      = quoted("users.example.org", "localhost", "", "example.org", "org", "Users.test", "*.test", "https://x.test", "x.test:80", "x.1", "a..b", strings.Repeat("a.", 93)+"abc", strings.Repeat("a.", 94)+"abc")
	profileLists = []string{
		`[{"display_name":"A"},{"display_name":"B","slug":"b","default":true,"allowed_groups":["x"]}]`,
		`[{"display_name":"A","kubespawner_override":{"image":"a:1","cpu_limit":0.5,"mem_limit":"1G","environment":{"A":"x"},"default_url":"/tree","args":["x"]}}]`,
		`[{"display_name":"A","profile_options":{"o":{"choices":{"x":{"display_name":"X"}}}}}]`,
		`[{"display_name":""}]`, `[{"slug":"a"}]`, `[{"display_name":"A","slug":"A"}]`, `[{"display_name":"A","allowed_groups":[" "]}]`, `[{"display_name":"A","label":"x"}]`,
		`[{"display_name":"A","kubespawner_override":{"lifecycle_hooks":{}}}]`, `[{"display_name":"A","kubespawner_override":{"privileged":true}}]`,
		`[{"display_name":"A","kubespawner_override":{"service_account":"x"}}]`, `[{"display_name":"A","kubespawner_override":{"image":"A b"}}]`,
		`[{"display_name":"A","kubespawner_override":{"environment":{"HOME":"/x"}}}]`, `[{"display_name":"A","kubespawner_override":{"volumes":[{"name":"a","hostPath":{"path":"/"}}]}}]`,
		`[{"display_name":"A","profile_options":{"o":{"choices":{"x":{}}}}}]`, `[{"display_name":"A","profile_options":{"o p":{"choices":{"x":{"display_name":"X"}}}}}]`,
		`[{"display_name":"A","profile_options":{"o":{"choices":{"x":{"display_name":"X","kubespawner_override":{"uid":0}}}}}}]`,
		`[{"display_name":"A","profile_options":{"o":{"unlisted_choice":{"enabled":true,"display_name":"X","kubespawner_override":{"privileged":"{value}"}}}}}]`,
	}
	// Names of entries in a directory.
	names       = quoted("dc=x", "cn=a b,ou=c,dc=x", "cn=a\\,b,dc=x", "cn=a+sn=b,dc=x", "x", "cn=a,b", "=x")
	directories = []string{`["ldaps://a"]`, `["ldaps://a_b.c:636","ldaps://[::1]"]`, `["ldap://a"]`, `["ldap://a:389/"]`, `["ldaps://a","ldap://b"]`, `["ldaps://a/dc=x"]`, `["ldaps://u@a"]`, `["http://a"]`, `["a"]`, `["ldaps://"]`, `["ldaps://a?x"]`}
)

// B-24: helm refuses what a service would refuse, and nothing else. Otherwise the release
// would be "deployed" and the service restart for ever.
func testAgreement(t *testing.T, helm string) {
	maps := objects[corev1.ConfigMap](t, helm, production, "ConfigMap")
	files := map[string]string{
		"authz":      maps["perijove-gateway"].Data["authz.yaml"],
		"xds-server": maps["perijove-gateway"].Data["xds-server.yaml"],
		"spawner":    maps["perijove-spawner"].Data["spawner.yaml"],
		"profiles":   maps["perijove-servers/perijove-profiles"].Data[profiles.Key],
	}
	chart := chartRefuses(t, helm)
	for _, s := range settings {
		t.Run(strings.TrimSpace(s.service+" "+s.chart+" "+s.with), func(t *testing.T) {
			taken := map[bool]int{}
			for _, value := range s.values {
				problem := chart[trial{s.chart, s.with, value}]
				service, reason := serviceTakes(t, files[s.service], s, value)
				if (problem == "") != service {
					t.Errorf("%s: the chart says %q, %s takes it: %v (%s)", value, problem, s.service, service, reason)
				}
				taken[service]++
			}
			if taken[true] == 0 || taken[false] == 0 && s.key != "oidc[0].claims.groups" {
				t.Errorf("%d values are taken and %d refused: this compares nothing", taken[true], taken[false])
			}
		})
	}
}

// trial is one value of a setting, for helm.
type trial struct{ chart, with, value string }

// chartRefuses tries all values of all settings. Settings that do not touch each other share
// a run of helm: it names all the values that it refuses.
func chartRefuses(t *testing.T, helm string) map[trial]string {
	t.Helper()
	refused := map[trial]string{}
	var rounds [][]trial
	seen := map[trial]bool{}
	for _, s := range settings {
		for i, value := range s.values {
			one := trial{s.chart, s.with, value}
			if seen[one] {
				continue
			}
			seen[one] = true
			if s.with != "" {
				refuse(t, helm, []trial{one}, refused)
				continue
			}
			for len(rounds) <= i {
				rounds = append(rounds, nil)
			}
			rounds[i] = append(rounds[i], one)
		}
	}
	for _, round := range rounds {
		refuse(t, helm, round, refused)
	}
	return refused
}

// refuse sets trials at once, and again without those that helm refuses: a fault that the
// schema sees hides those that only the templates see.
func refuse(t *testing.T, helm string, trials []trial, refused map[trial]string) {
	t.Helper()
	for len(trials) > 0 {
		args := []string{"-f", production}
		for _, one := range trials {
			args = append(args, "--set-json", one.chart+"="+one.value)
			if one.with != "" {
				args = append(args, "--set-json", one.with)
			}
		}
		_, problem, err := render(helm, args...)
		if err == nil {
			return
		}
		before := len(trials)
		trials = slices.DeleteFunc(trials, func(one trial) bool {
			line := naming(problem, one.chart)
			if line != "" {
				refused[one] = line
			}
			return line != ""
		})
		if len(trials) == before {
			if len(trials) > 1 { // a value alone may spoil another: a lifetime below what is idle
				t.Errorf("%v: refused for another reason: %s", trials, problem)
			}
			return
		}
	}
}

// naming returns the line of a problem that names a key, as the schema or the templates do.
func naming(problem, key string) string {
	pointer := "'/" + regexp.MustCompile(`[.\[\]]+`).ReplaceAllString(key, "/")
	for line := range strings.Lines(problem) {
		if strings.Contains(line, pointer+"'") || strings.Contains(line, pointer+"/") || strings.HasPrefix(strings.TrimSpace(line), key+": ") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// serviceTakes puts the value into a service's configuration and validates it as it does.
func serviceTakes(t *testing.T, file string, s setting, value string) (bool, string) {
	t.Helper()
	var all any
	if err := yaml.Unmarshal([]byte(file), &all); err != nil {
		t.Fatal(err)
	}
	put(t, all, s.key, value)
	if name, with, _ := strings.Cut(s.with, "="); strings.HasPrefix(name, "auth.") || name == "extraHosts" {
		put(t, all, strings.TrimPrefix(name, "auth."), with)
	} else if name == "singleuser.storage.extraVolumes" {
		put(t, all, "base.volumes", with)
	} else if name == "singleuser.storage.static.pvcName" {
		put(t, all, "base.storage_claim", with)
	}
	text, err := yaml.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	err = validate(s.service, text)
	if err == nil {
		return true, ""
	}
	// What all profiles share is judged in the first of them.
	key := strings.Replace(s.key, "base.", "profiles[0].kubespawner_override.", 1)
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, key) || strings.HasPrefix(line, "line ") {
			return false, line
		}
	}
	return true, ""
}

func validate(service string, text []byte) error {
	var cfg interface{ Validate() error }
	switch service {
	case "authz":
		c := authz.Defaults()
		if err := config.Decode(text, &c); err != nil {
			return err
		}
		cfg = c
	case "xds-server":
		c := xdsserver.Defaults()
		if err := config.Decode(text, &c); err != nil {
			return err
		}
		cfg = c
	case "spawner":
		c := spawner.Defaults()
		if err := config.Decode(text, &c); err != nil {
			return err
		}
		cfg = c
	case "profiles":
		_, err := profiles.Read(string(text))
		return err
	default:
		return fmt.Errorf("there is no service %s", service)
	}
	return cfg.Validate()
}

var index = regexp.MustCompile(`^(\w+)\[(\d+)\]$`)

// put sets a key like ldap.urls or oidc[0].id to a JSON value.
func put(t *testing.T, at any, key, value string) {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(value), &v); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(key, ".")
	for i, part := range parts {
		m := at.(map[string]any)
		if found := index.FindStringSubmatch(part); found != nil {
			n, _ := strconv.Atoi(found[2])
			at = m[found[1]].([]any)[n]
		} else if i == len(parts)-1 {
			m[part] = v
		} else {
			if m[part] == nil {
				m[part] = map[string]any{}
			}
			at = m[part]
		}
	}
}
