{{/* Settings of a server with those that go before them, as far as they say which image it needs on which nodes. */}}
{{- define "perijove.placed" -}}
{{- $base := index . 0 -}}
{{- $over := index . 1 -}}
{{- dict
  "image" (get $over "image" | default $base.image)
  "image_pull_secrets" (hasKey $over "image_pull_secrets" | ternary (get $over "image_pull_secrets") $base.image_pull_secrets)
  "node_selector" (merge (dict) (get $over "node_selector" | default dict) $base.node_selector)
  "tolerations" (hasKey $over "tolerations" | ternary (get $over "tolerations") $base.tolerations)
  "extra_resource_limits" (merge (dict) (get $over "extra_resource_limits" | default dict) $base.extra_resource_limits) | toJson -}}
{{- end -}}

{{/*
Which images servers can have, as a JSON list: for each kind of nodes (.nodeSelector, .tolerations) the .images and the
.secrets to pull them with. An image that a user types is none of them.
*/}}
{{- define "perijove.pulls" -}}
{{- $single := .Values.singleuser -}}
{{- $base := dict "image" (include "perijove.image" (dict "root" . "image" $single.image)) "image_pull_secrets" (.Values.imagePullSecrets | default list)
  "node_selector" $single.nodeSelector "tolerations" $single.extraTolerations "extra_resource_limits" $single.extraResource.limits -}}
{{- $all := list -}}
{{- range $profile := $single.profileList | default (list dict) -}}
{{- $own := include "perijove.placed" (list $base (get $profile "kubespawner_override" | default dict)) | fromJson -}}
{{- $all = append $all $own -}}
{{- range $option := get $profile "profile_options" | default dict -}}
{{- range $choice := get $option "choices" | default dict -}}
{{- $all = append $all (include "perijove.placed" (list $own (get $choice "kubespawner_override" | default dict)) | fromJson) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $override := $single.groupOverrides -}}
{{- with get $override "spawner_override" }}{{ if get . "image" }}{{ $all = append $all (include "perijove.placed" (list $base .) | fromJson) }}{{ end }}{{ end -}}
{{- end -}}
{{- $kinds := dict -}}
{{- range $all -}}
{{- $where := dict "nodeSelector" .node_selector "tolerations" (include "perijove.tolerations" (dict "tolerations" .tolerations "resources" .extra_resource_limits) | fromJsonArray) -}}
{{- $key := toJson $where -}}
{{- $known := get $kinds $key | default (merge (dict "images" list "secrets" list) $where) -}}
{{- $_ := set $known "images" (append $known.images .image | uniq) -}}
{{- $_ := set $known "secrets" (concat $known.secrets (.image_pull_secrets | default list) | uniq) -}}
{{- $_ := set $kinds $key $known -}}
{{- end -}}
{{- $pulls := list -}}
{{- range $key := keys $kinds | sortAlpha }}{{ $pulls = append $pulls (get $kinds $key) }}{{ end -}}
{{- toJson $pulls -}}
{{- end -}}

{{/*
A DaemonSet that has images on nodes: each is started once, to do nothing. The pods need no room, so they are on full
nodes too. .pull is one of perijove.pulls, .part the component, .annotations those of a hook.
*/}}
{{- define "perijove.puller" -}}
{{- $kind := sha256sum (dict "nodeSelector" .pull.nodeSelector "tolerations" .pull.tolerations | toJson) | trunc 8 -}}
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: {{ include "perijove.name" . }}-{{ $kind }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "perijove.labels" . | nindent 4 }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  selector:
    matchLabels:
      {{- include "perijove.selector" . | nindent 6 }}
      nodes: {{ $kind | quote }}
  updateStrategy:
    rollingUpdate: { maxUnavailable: 100% }
  template:
    metadata:
      labels:
        {{- include "perijove.labels" . | nindent 8 }}
        nodes: {{ $kind | quote }}
    spec:
      terminationGracePeriodSeconds: 0
      automountServiceAccountToken: false
      enableServiceLinks: false
      nodeSelector: {{ .pull.nodeSelector | toJson }}
      tolerations: {{ .pull.tolerations | toJson }}
      securityContext:
        {{- include "perijove.podSecurity" .root | nindent 8 }}
      {{- with .pull.secrets }}
      imagePullSecrets:
        {{- range . }}
        - name: {{ . }}
        {{- end }}
      {{- end }}
      initContainers:
        {{- range $i, $image := .pull.images }}
        - name: image-{{ $i }}
          image: {{ $image }}
          imagePullPolicy: IfNotPresent
          command: [/bin/sh, -c, exit 0]
          resources: { requests: { cpu: 0, memory: 0 }, limits: { memory: 64Mi } }
          securityContext:
            {{- include "perijove.containerSecurity" $ | nindent 12 }}
        {{- end }}
      containers:
        - name: pause
          image: {{ include "perijove.image" (dict "root" .root "image" .root.Values.prePuller.pause.image) }}
          imagePullPolicy: {{ .root.Values.prePuller.pause.image.pullPolicy }}
          resources: { requests: { cpu: 0, memory: 0 }, limits: { memory: 16Mi } }
          securityContext:
            {{- include "perijove.containerSecurity" $ | nindent 12 }}
{{- end -}}
