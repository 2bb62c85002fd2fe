{{/*
Durations and amounts as numbers, so that templates can compare them. What comes in has
passed the schema.
*/}}

{{/* Seconds of a duration as Go writes it: 1h30m, 500ms; a number is seconds already. */}}
{{- define "perijove.seconds" -}}
{{- if regexMatch "^[0-9.]+(e[+]?[0-9]+)?$" (toString .) -}}
{{- toString . | float64 -}}
{{- else -}}
{{- $seconds := dict "ns" 0.000000001 "us" 0.000001 "µs" 0.000001 "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 -}}
{{- $total := 0.0 -}}
{{- range regexFindAll "[0-9.]+[a-zµ]+" (toString .) -1 -}}
{{- $unit := regexFind "[a-zµ]+$" . -}}
{{- $total = addf $total (mulf (trimSuffix $unit . | float64) (get $seconds $unit)) -}}
{{- end -}}
{{- $total -}}
{{- end -}}
{{- end -}}

{{/* An amount as Kubernetes writes it, or a number: 500m is 0.5, 1Ki is 1024. "" is 0. */}}
{{- define "perijove.number" -}}
{{- if kindIs "string" . -}}
{{- $factors := dict "" 1.0 "n" 0.000000001 "u" 0.000001 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18
  "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0 -}}
{{- $suffix := regexFind "[a-zA-Z]+$" . -}}
{{- mulf (trimSuffix $suffix . | default "0" | float64) (get $factors $suffix) -}}
{{- else -}}
{{- . | default 0 | float64 -}}
{{- end -}}
{{- end -}}

{{/* Bytes of memory. As JupyterHub has it, K, M, G, T, P and E alone are powers of 1024. */}}
{{- define "perijove.bytes" -}}
{{- if and (kindIs "string" .) (regexMatch "[KMGTPE]$" (toString .)) -}}
{{- include "perijove.number" (print . "i") -}}
{{- else -}}
{{- include "perijove.number" . -}}
{{- end -}}
{{- end -}}
