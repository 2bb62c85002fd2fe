{{/* The scheduler's name in pods: two installations of one cluster never share it. */}}
{{- define "perijove.schedulerName" -}}
{{- if .Values.scheduling.strategy }}{{ include "perijove.installation" . | trunc 48 | trimSuffix "-" }}-user-scheduler{{ end -}}
{{- end -}}

{{/*
A weight in millionths, which is exact for decimals of up to six digits; 1/3, however many digits are
written, is 333333. What comes in has passed the schema: a number, or the text that --set makes of one.
*/}}
{{- define "perijove.millionths" -}}
{{- round (mulf (toString . | float64) 1000000) 0 | int64 -}}
{{- end -}}

{{/*
scheduling.weights as whole numbers in the same ratios, the smallest that there are, as JSON: the
scheduler takes no fractions. Nothing said is the same weight for all; a score that is left out has none.
*/}}
{{- define "perijove.weights" -}}
{{- $names := list "leastAllocated" "balancedAllocation" "topologySpread" -}}
{{- $given := .Values.scheduling.weights | default dict -}}
{{- $whole := dict -}}
{{- $divisor := 0 -}}
{{- range $names -}}
{{- $weight := empty $given | ternary 1 (include "perijove.millionths" (get $given . | default 0) | int64) -}}
{{- $_ := set $whole . $weight -}}
{{- $divisor = include "perijove.divisor" (list $divisor $weight) | int64 -}}
{{- end -}}
{{- range $names }}{{ $_ := set $whole . (div (get $whole .) (max $divisor 1)) }}{{ end -}}
{{- toJson $whole -}}
{{- end -}}

{{/* The greatest common divisor of two numbers, by Euclid; of 0 and n it is n. */}}
{{- define "perijove.divisor" -}}
{{- $a := index . 0 | int64 -}}
{{- $b := index . 1 | int64 -}}
{{- range until 64 }}{{ if gt $b 0 }}{{ $rest := mod $a $b }}{{ $a = $b }}{{ $b = $rest }}{{ end }}{{ end -}}
{{- $a -}}
{{- end -}}

{{/*
The plugins that score nodes, as JSON: each gives a node 0 to 100. What is told apart by less than
one point of a plugin must not outweigh the plugin before it, so that one weighs 101 times as much.
*/}}
{{- define "perijove.scores" -}}
{{- $strategy := .Values.scheduling.strategy -}}
{{- $scores := list -}}
{{- if eq $strategy "spread" -}}
{{- $scores = list (dict "name" "PodTopologySpread" "weight" 101) (dict "name" "NodeResourcesFit" "weight" 1) -}}
{{- else if eq $strategy "pack" -}}
{{- $scores = list (dict "name" "NodeResourcesFit" "weight" 101) (dict "name" "InterPodAffinity" "weight" 1) -}}
{{- else -}}
{{- $plugins := dict "leastAllocated" "NodeResourcesFit" "balancedAllocation" "NodeResourcesBalancedAllocation" "topologySpread" "PodTopologySpread" -}}
{{- range $score, $weight := include "perijove.weights" . | fromJson -}}
{{- if $weight }}{{ $scores = append $scores (dict "name" (get $plugins $score) "weight" (int64 $weight)) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $sum := 0 -}}
{{- range $scores }}{{ $sum = add $sum .weight }}{{ end -}}
{{- prepend $scores (dict "name" "TaintToleration" "weight" (add (mul 100 $sum) 1)) | toJson -}}
{{- end -}}

{{/* Which of a server's neighbours the scores ask about: apart, together, or none. */}}
{{- define "perijove.neighbours" -}}
{{- $strategy := .Values.scheduling.strategy -}}
{{- if eq $strategy "pack" -}}together
{{- else if or (eq $strategy "spread") (and (eq $strategy "weights") (include "perijove.weights" . | fromJson).topologySpread) -}}apart
{{- end -}}
{{- end -}}

{{/* An image of Kubernetes' own, of the cluster's version without a provider's suffix (v1.36.0-gke.1), unless a tag is said. */}}
{{- define "perijove.kubernetesImage" -}}
{{- if or .image.tag (regexMatch "@|:[^/]+$" .image.name) -}}
{{- include "perijove.image" . -}}
{{- else -}}
{{- printf "%s:%s" .image.name (regexFind "^v[0-9]+[.][0-9]+[.][0-9]+" .root.Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- end -}}

{{/* Names of PriorityClasses, which belong to no namespace. .part: server or placeholder. */}}
{{- define "perijove.priorityClass" -}}
{{- printf "%s-%s" (include "perijove.installation" .root | trunc 48 | trimSuffix "-") .part -}}
{{- end -}}

{{/* What a placeholder keeps free: what is said, or what a server of singleuser has for itself. */}}
{{- define "perijove.placeholderResources" -}}
{{- $said := .Values.scheduling.userPlaceholder.resources -}}
{{- if $said -}}
{{- toYaml $said -}}
{{- else -}}
{{- $requests := dict -}}
{{- with .Values.singleuser -}}
{{- $milli := mulf (include "perijove.number" .cpu.guarantee | float64) 1000 | int64 -}}
{{- if $milli }}{{ $_ := set $requests "cpu" (printf "%dm" $milli) }}{{ end -}}
{{- $bytes := include "perijove.bytes" .memory.guarantee | float64 | int64 -}}
{{- if $bytes }}{{ $_ := set $requests "memory" (toString $bytes) }}{{ end -}}
{{- range $name, $amount := merge (dict) .extraResource.guarantees .extraResource.limits -}}
{{- if and (contains "/" $name) (include "perijove.number" $amount | float64) }}{{ $_ := set $requests $name (toString $amount) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- dict "requests" $requests "limits" $requests | toYaml -}}
{{- end -}}
{{- end -}}

{{/*
Tolerations of pods that ask for resources of a vendor, as pkg/hub/spawn gives them to servers: nodes with GPUs are
often tainted with the resource's own name. .tolerations, .resources: a map with the resources as keys.
*/}}
{{- define "perijove.tolerations" -}}
{{- $all := .tolerations | default list -}}
{{- range $name := keys (.resources | default dict) | sortAlpha -}}
{{- if contains "/" $name }}{{ $all = append $all (dict "key" $name "operator" "Exists" "effect" "NoSchedule") }}{{ end -}}
{{- end -}}
{{- toJson $all -}}
{{- end -}}
