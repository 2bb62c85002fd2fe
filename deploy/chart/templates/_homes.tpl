{{/* Where the driver for late homes runs. */}}
{{- define "perijove.homesNamespace" -}}
{{- .Values.homes.namespace | default (printf "%s-homes" (include "perijove.installation" . | trunc 54 | trimSuffix "-")) -}}
{{- end -}}

{{/* The configuration of the driver on some nodes. */}}
{{- define "perijove.homesConfig" -}}
kubeletRoot: {{ .nodes.kubeletRoot | toJson }}
kubernetes: { namespace: {{ include "perijove.serversNamespace" .root }} }
exports:
  {{- range .root.Values.homes.exports }}
  - { name: {{ .name | toJson }}, server: {{ .server | default "" | toJson }}, path: {{ .path | toJson }} }
  {{- end }}
{{- end -}}

{{- define "perijove.faults.homes" -}}
{{- $faults := list -}}
{{- if .Values.homes.enabled -}}
{{- if not .Values.admissionPolicy.enabled -}}
{{- $faults = append $faults "homes.enabled: needs admissionPolicy.enabled, or a user who may annotate pods has every home" -}}
{{- end -}}
{{- if not .Values.homes.exports -}}
{{- $faults = append $faults "homes.exports: says where homes are; without one no home can come late" -}}
{{- end -}}
{{- $names := list -}}
{{- range $i, $export := .Values.homes.exports -}}
{{- if has $export.name $names -}}
{{- $faults = append $faults (printf "homes.exports[%d].name: is another one's already" $i) -}}
{{- end -}}
{{- $names = append $names $export.name -}}
{{- if regexMatch "(^|/)\\.\\.?(/|$)|//|./$" $export.path -}}
{{- $faults = append $faults (printf "homes.exports[%d].path: must have no . or .. and end without a slash" $i) -}}
{{- end -}}
{{- end -}}
{{- $namespace := include "perijove.homesNamespace" . -}}
{{- if or (eq $namespace (include "perijove.serversNamespace" .)) (eq $namespace (include "perijove.accountsNamespace" .)) -}}
{{- $faults = append $faults "homes.namespace: the driver is root on every node and must not be where servers or accounts are" -}}
{{- end -}}
{{- end -}}
{{- toJson $faults -}}
{{- end -}}
