{{/* Names of objects begin with the release's name. */}}
{{- define "perijove.name" -}}
{{- printf "%s-%s" (.root.Release.Name | trunc 40 | trimSuffix "-") .part -}}
{{- end -}}

{{- define "perijove.selector" -}}
app.kubernetes.io/name: perijove
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{- define "perijove.labels" -}}
{{ include "perijove.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* An image: the chart's version unless the value says a tag or a digest (name@sha256:…). */}}
{{- define "perijove.image" -}}
{{- if .image.tag -}}
{{- $name := splitList "@" .image.name -}}
{{- join "@" (prepend (rest $name) (printf "%s:%s" (first $name) .image.tag)) -}}
{{- else if regexMatch "@|:[^/]+$" .image.name -}}
{{- .image.name -}}
{{- else -}}
{{- printf "%s:%s" .image.name .root.Chart.AppVersion -}}
{{- end -}}
{{- end -}}

{{/* What the "restricted" Pod Security Standard asks for, and a read-only root. */}}
{{- define "perijove.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "perijove.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{- define "perijove.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Replicas on different nodes where there are several. */}}
{{- define "perijove.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "perijove.selector" . | nindent 8 }}
{{- end -}}

{{/* What names of namespaces begin with: different for each release of the cluster. */}}
{{- define "perijove.installation" -}}
{{- if eq .Release.Name .Release.Namespace -}}
{{- .Release.Namespace -}}
{{- else -}}
{{- printf "%s-%s" .Release.Namespace .Release.Name -}}
{{- end -}}
{{- end -}}

{{/* Where each person's account is a Secret. */}}
{{- define "perijove.accountsNamespace" -}}
{{- .Values.auth.accounts.namespace | default (printf "%s-accounts" (include "perijove.installation" . | trunc 54 | trimSuffix "-")) -}}
{{- end -}}

{{/* Where the spawner makes servers. */}}
{{- define "perijove.serversNamespace" -}}
{{- .Values.singleuser.namespace | default (printf "%s-servers" (include "perijove.installation" . | trunc 54 | trimSuffix "-")) -}}
{{- end -}}

{{/* Every namespace whose labelled pods are published, as a JSON list. */}}
{{- define "perijove.publishedNamespaces" -}}
{{- prepend (.Values.extraNamespaces | default list) (include "perijove.serversNamespace" .) | uniq | toJson -}}
{{- end -}}

{{/* A peer of a NetworkPolicy: one component of this release, from whatever namespace the policy is in. */}}
{{- define "perijove.peer" -}}
- namespaceSelector:
    matchLabels: { kubernetes.io/metadata.name: {{ .root.Release.Namespace }} }
  podSelector:
    matchLabels:
      {{- include "perijove.selector" . | nindent 6 }}
{{- end -}}

{{/*
For the spawner's admission policy: CEL that says whether a Secret is the pod's own, by its
name: the pod's with ten characters more (pkg/hub/spawn/names.go). The spawner chooses the
names of pods, so the prefix is a part of it, and the platform's Secrets are named: they may
be beside the pod, and "server-key" has ten characters too.
*/}}
{{- define "perijove.ownSecret" -}}
{{- $platform := list -}}
{{- range list "server-key" "servers-ca" "session-keys" "internal-ca" "gateway-tls" "spawner-tls" "assets-tls" "revocations" "directory" "provider" -}}
{{- $platform = append $platform (include "perijove.name" (dict "root" $.root "part" .)) -}}
{{- end -}}
{{- with .root.Values -}}
{{- $platform = concat $platform (values .secrets) (list .gateway.tls.secretName .auth.ldap.bindPasswordSecret.name) (.imagePullSecrets | default list) -}}
{{- range .auth.oidc }}{{ $platform = append $platform .clientSecret.name }}{{ end -}}
{{- end -}}
(object.metadata.name.matches('^(server|jupyter|pool)-') && {{ .name }}.startsWith(object.metadata.name + '-') && {{ .name }}.size() == object.metadata.name.size() + 11 && !({{ .name }} in {{ without ($platform | uniq | sortAlpha) "" | toJson }}))
{{- end -}}

{{- define "perijove.secret.serverKey" -}}
{{- .Values.secrets.existingServerKey | default (include "perijove.name" (dict "root" . "part" "server-key")) -}}
{{- end -}}
{{- define "perijove.secret.serversCA" -}}
{{- .Values.secrets.existingServersCA | default (include "perijove.name" (dict "root" . "part" "servers-ca")) -}}
{{- end -}}
{{- define "perijove.secret.sessionKeys" -}}
{{- .Values.secrets.existingSessionKeys | default (include "perijove.name" (dict "root" . "part" "session-keys")) -}}
{{- end -}}
{{- define "perijove.secret.gatewayTLS" -}}
{{- .Values.secrets.existingGatewayTLS | default (include "perijove.name" (dict "root" . "part" "gateway-tls")) -}}
{{- end -}}
{{- define "perijove.secret.spawnerTLS" -}}
{{- .Values.secrets.existingSpawnerTLS | default (include "perijove.name" (dict "root" . "part" "spawner-tls")) -}}
{{- end -}}
{{- define "perijove.secret.assetsTLS" -}}
{{- .Values.secrets.existingAssetsTLS | default (include "perijove.name" (dict "root" . "part" "assets-tls")) -}}
{{- end -}}

{{/* The assets service's configuration, for a list of images. */}}
{{- define "perijove.assetsConfig" -}}
listen: :8443
privateListen: :9105
tls:
  cert: /etc/perijove/tls/tls.crt
  key: /etc/perijove/tls/tls.key
  ca: /etc/perijove/tls/ca.crt
images:
{{- range $i, $image := . }}
  - { name: {{ $image | quote }}, folder: /images/{{ $i }} }
{{- end }}
{{- end -}}

{{/* Where the assets service answers. */}}
{{- define "perijove.assetsAddress" -}}
{{ include "perijove.name" (dict "root" . "part" "assets") }}.{{ .Release.Namespace }}.svc:8443
{{- end -}}

{{- define "perijove.secret.directory" -}}
{{- include "perijove.name" (dict "root" . "part" "directory") -}}
{{- end -}}

{{/* The host of publicURL without brackets or port, in lower case as an Ingress wants it. */}}
{{- define "perijove.publicHost" -}}
{{- regexReplaceAll "(:[0-9]+)?/?$" (regexReplaceAll "^https?://" .Values.publicURL "") "" | trimPrefix "[" | trimSuffix "]" | lower -}}
{{- end -}}

{{/* A map of texts (annotations, environment), whatever --set made of them: true is "true". */}}
{{- define "perijove.texts" -}}
{{- $texts := dict -}}
{{- range $key, $value := . -}}
{{- $_ := set $texts $key (kindIs "string" $value | ternary $value (toJson $value)) -}}
{{- end -}}
{{- toYaml $texts -}}
{{- end -}}

{{/*
Profiles as the spawner reads them. Values of "environment" are texts there: Helm has made numbers of some.
*/}}
{{- define "perijove.profiles" -}}
{{- $profiles := list -}}
{{- range . -}}
{{- $profile := deepCopy . -}}
{{- $overrides := list (get $profile "kubespawner_override" | default dict) -}}
{{- range $option := get $profile "profile_options" | default dict -}}
{{- range get $option "choices" | default dict }}{{ $overrides = append $overrides (get . "kubespawner_override" | default dict) }}{{ end -}}
{{- $overrides = append $overrides (get (get $option "unlisted_choice" | default dict) "kubespawner_override" | default dict) -}}
{{- end -}}
{{- range $overrides -}}
{{- if get . "environment" }}{{ $_ := set . "environment" (include "perijove.texts" (get . "environment") | fromYaml) }}{{ end -}}
{{- end -}}
{{- $profiles = append $profiles $profile -}}
{{- end -}}
{{- toYaml $profiles -}}
{{- end -}}

{{/* Group overrides, with the variables of their servers as texts. */}}
{{- define "perijove.groupOverrides" -}}
{{- $all := dict -}}
{{- range $name, $override := . -}}
{{- $override = deepCopy $override -}}
{{- $settings := get $override "spawner_override" | default dict -}}
{{- if get $settings "environment" }}{{ $_ := set $settings "environment" (include "perijove.texts" (get $settings "environment") | fromYaml) }}{{ end -}}
{{- $_ := set $all $name $override -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}

{{/* The gateway's container port that serves users. */}}
{{- define "perijove.gatewayPort" -}}
{{- ternary "https" "http" (ne .Values.gateway.tls.secretName "") -}}
{{- end -}}

{{- define "perijove.directoryHost" -}}
{{- printf "%s.%s.svc" (include "perijove.name" (dict "root" . "part" "directory")) .Release.Namespace -}}
{{- end -}}

{{/* authz's `ldap` section: the development directory's, or the values as they are. */}}
{{- define "perijove.ldap" -}}
{{- if .Values.devDirectory.enabled -}}
urls: ["ldap://{{ include "perijove.directoryHost" . }}:1389"]
startTLS: true
caFile: /etc/perijove/ldap/ca.crt
bindDN: cn=perijove,ou=services,dc=perijove,dc=test
bindPasswordFile: /etc/perijove/ldap/password
userSearch: { base: "ou=people,dc=perijove,dc=test", filter: "(uid={username})" }
usernameAttribute: uid
displayNameAttribute: cn
groupSearch: { base: "ou=groups,dc=perijove,dc=test", filter: "(member={dn})" }
groupNameAttribute: cn
allowedGroups: [students, staff]
adminGroups: [admins]
{{- else -}}
{{- with .Values.auth.ldap -}}
{{- omit . "caCertificate" "bindPasswordSecret" "bindDN" "bindTemplate" | toYaml }}
{{- if .caCertificate }}
caFile: /etc/perijove/ldap/ca.crt
{{- end }}
{{- if .bindTemplate }}
bindTemplate: {{ .bindTemplate | quote }}
{{- end }}
{{- if .bindDN }}
bindDN: {{ .bindDN | quote }}
bindPasswordFile: /etc/perijove/ldap/password
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What authz finds in /etc/perijove/ldap: ca.crt and password. */}}
{{- define "perijove.ldapSources" -}}
{{- if .Values.devDirectory.enabled -}}
- secret:
    name: {{ include "perijove.secret.directory" . }}
    items: [{ key: ca.crt, path: ca.crt }, { key: password, path: password }]
{{- else -}}
{{- with .Values.auth.ldap -}}
{{- if .caCertificate }}
- configMap:
    name: {{ include "perijove.name" (dict "root" $ "part" "gateway") }}
    items: [{ key: ldap-ca.crt, path: ca.crt }]
{{- end }}
{{- if .bindDN }}
- secret:
    name: {{ .bindPasswordSecret.name }}
    items: [{ key: {{ .bindPasswordSecret.key }}, path: password }]
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Whether there is a directory: none is needed where providers log users in. */}}
{{- define "perijove.hasLDAP" -}}
{{- if or .Values.devDirectory.enabled .Values.auth.ldap.urls (not (or .Values.auth.oidc .Values.devProvider.enabled)) -}}true{{- end -}}
{{- end -}}

{{/* The client's secret at the development provider. */}}
{{- define "perijove.secret.provider" -}}
{{- include "perijove.name" (dict "root" . "part" "provider") -}}
{{- end -}}

{{/* authz's `oidc` section: the values, then the development provider. */}}
{{- define "perijove.oidc" -}}
{{- $all := list -}}
{{- range .Values.auth.oidc -}}
{{- $one := omit . "clientSecret" "caCertificate" -}}
{{- $_ := set $one "clientSecretFile" (printf "/etc/perijove/oidc/%s.secret" .id) -}}
{{- if .caCertificate -}}
{{- $_ := set $one "caFile" (printf "/etc/perijove/oidc/%s.crt" .id) -}}
{{- end -}}
{{- $all = append $all $one -}}
{{- end -}}
{{- if .Values.devProvider.enabled -}}
{{- $all = append $all (dict
  "id" "provider" "name" "Development provider" "issuer" "http://localhost:8001" "clientID" "perijove"
  "clientSecretFile" "/etc/perijove/oidc/provider.secret" "scopes" (list "profile" "email" "groups")
  "claims" (dict "username" "preferred_username" "displayName" "name" "groups" "groups")
  "allowedGroups" (list "students" "staff") "adminGroups" (list "admins")) -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}

{{/* What authz finds in /etc/perijove/oidc: <id>.secret and <id>.crt. */}}
{{- define "perijove.oidcSources" -}}
{{- range .Values.auth.oidc }}
- secret:
    name: {{ .clientSecret.name }}
    items: [{ key: {{ .clientSecret.key | default "secret" }}, path: {{ .id }}.secret }]
{{- if .caCertificate }}
- configMap:
    name: {{ include "perijove.name" (dict "root" $ "part" "gateway") }}
    items: [{ key: oidc-{{ .id }}.crt, path: {{ .id }}.crt }]
{{- end }}
{{- end }}
{{- if .Values.devProvider.enabled }}
- secret:
    name: {{ include "perijove.secret.provider" . }}
    items: [{ key: password, path: provider.secret }]
{{- end }}
{{- end -}}

{{/* Where the development provider may send users back to: one address per host. */}}
{{- define "perijove.providerCallbacks" -}}
{{- $all := list (printf "%s/hub/oauth_callback/provider" (trimSuffix "/" .Values.publicURL)) -}}
{{- range .Values.extraHosts -}}
{{- $all = append $all (printf "%s://%s/hub/oauth_callback/provider" (urlParse $.Values.publicURL).scheme .) -}}
{{- end -}}
{{- join " " $all -}}
{{- end -}}
