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

{{- define "perijove.image" -}}
{{- printf "%s:%s" .image.name (.image.tag | default .root.Chart.AppVersion) -}}
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

{{- define "perijove.secret.serverKey" -}}
{{- .Values.secrets.existingServerKey | default (include "perijove.name" (dict "root" . "part" "server-key")) -}}
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
{{- define "perijove.secret.directory" -}}
{{- include "perijove.name" (dict "root" . "part" "directory") -}}
{{- end -}}

{{/* The gateway's container port that serves people. */}}
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
