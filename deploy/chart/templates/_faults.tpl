{{/* Each of these returns a JSON list of texts that begin with the key of a value. */}}

{{/* The services' bounds of durations, in seconds: files/bounds.json is made from their code. */}}
{{- define "perijove.faults.durations" -}}
{{- $faults := list -}}
{{- range $key, $bounds := .Files.Get "files/bounds.json" | fromJson -}}
{{- $value := $.Values -}}
{{- range splitList "." $key }}{{ $value = index $value . }}{{ end -}}
{{- $seconds := include "perijove.seconds" $value | float64 -}}
{{- $off := and $bounds.orZero (eq $seconds 0.0) -}}
{{- if and (not $off) (or (lt $seconds $bounds.min) (and $bounds.max (gt $seconds $bounds.max))) -}}
{{- if not (and (eq $key "auth.sessionIdle") (eq $value $.Values.auth.sessionLifetime)) -}}
{{- $faults = append $faults (printf "%s: must be %s" $key $bounds.text) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if gt (include "perijove.seconds" .Values.auth.sessionIdle | float64) (include "perijove.seconds" .Values.auth.sessionLifetime | float64) -}}
{{- $faults = append $faults "auth.sessionIdle: must not be longer than auth.sessionLifetime" -}}
{{- end -}}
{{- toJson $faults -}}
{{- end -}}

{{- define "perijove.faults.edge" -}}
{{- $faults := list -}}
{{- $gateway := .Values.gateway -}}
{{- $host := include "perijove.publicHost" . -}}
{{- $address := regexMatch "^([0-9.]+|.*:.*)$" $host -}}
{{- if and (hasPrefix "http://" .Values.publicURL) (not (regexMatch "^(localhost|127\\.[0-9.]+|::1)$" $host)) (not .Values.insecure) -}}
{{- $faults = append $faults "publicURL: passwords and cookies would travel in clear; use https, also where a proxy before the gateway ends TLS, or say insecure: true" -}}
{{- end -}}
{{- if and $gateway.ingress.enabled $address -}}
{{- $faults = append $faults "publicURL: an Ingress needs a host name, not an address" -}}
{{- end -}}
{{- with .Values.auth.subdomains.domain -}}
{{- range prepend ($.Values.extraHosts | default list) (regexReplaceAll "^https?://|/$" $.Values.publicURL "") -}}
{{- $label := trimSuffix (print "." $.Values.auth.subdomains.domain) (regexReplaceAll ":[0-9]+$" (lower .) "") -}}
{{- if and (ne $label (regexReplaceAll ":[0-9]+$" (lower .) "")) (not (contains "." $label)) -}}
{{- $faults = append $faults (printf "auth.subdomains.domain: contains the platform's own host %s: a user called %q would have the same" . $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $gateway.tls.secretName $gateway.tls.redirect (eq (int $gateway.tls.port) (int $gateway.service.port)) -}}
{{- $faults = append $faults "gateway.tls.port: is gateway.service.port too, which sends to https" -}}
{{- end -}}
{{- if not $gateway.envoy.enabled -}}
{{- $served := dict "gateway.ingress.enabled" $gateway.ingress.enabled "gateway.hostPort" $gateway.hostPort "devProvider.enabled" .Values.devProvider.enabled
  "gateway.service.type" (ne $gateway.service.type "ClusterIP") -}}
{{- range $key, $set := $served -}}
{{- if $set }}{{ $faults = append $faults (printf "%s: leads to the chart's own Envoy, which gateway.envoy.enabled leaves out" $key) }}{{ end -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled (not $gateway.envoy.from) -}}
{{- $faults = append $faults "gateway.envoy.from: must say which pods are the Envoys; no other may reach servers and services" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.devProvider.enabled (eq (int $gateway.hostPort) 8001) -}}
{{- $faults = append $faults "gateway.hostPort: 8001 is the development provider's" -}}
{{- end -}}
{{- toJson $faults -}}
{{- end -}}

{{- define "perijove.faults.amounts" -}}
{{- $faults := list -}}
{{- $single := .Values.singleuser -}}
{{- if gt (include "perijove.number" $single.cpu.limit | float64) 1024.0 -}}
{{- $faults = append $faults "singleuser.cpu.limit: must be a number of cores" -}}
{{- end -}}
{{- range $what, $as := dict "cpu" "perijove.number" "memory" "perijove.bytes" -}}
{{- $limit := include $as (index $single $what).limit | float64 -}}
{{- if and $limit (gt (include $as (index $single $what).guarantee | float64) $limit) -}}
{{- $faults = append $faults (printf "singleuser.%s.limit: is below singleuser.%s.guarantee" $what $what) -}}
{{- end -}}
{{- end -}}
{{- if not (include "perijove.number" $single.storage.capacity | float64) -}}
{{- $faults = append $faults "singleuser.storage.capacity: must be an amount like 10Gi" -}}
{{- end -}}
{{- $parts := dict "gateway.envoy" .Values.gateway.envoy "gateway.xdsServer" .Values.gateway.xdsServer "gateway.authz" .Values.gateway.authz
  "spawner" .Values.spawner "scheduling.userScheduler" .Values.scheduling.userScheduler
  "scheduling.userPlaceholder" .Values.scheduling.userPlaceholder "devDirectory" .Values.devDirectory "devProvider" .Values.devProvider -}}
{{- range $part, $values := $parts -}}
{{- range $resource, $limit := $values.resources.limits -}}
{{- if gt (get ($values.resources.requests | default dict) $resource | include "perijove.number" | float64) (include "perijove.number" $limit | float64) -}}
{{- $faults = append $faults (printf "%s.resources.limits.%s: is below the request" $part $resource) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $faults -}}
{{- end -}}

{{/* How long servers live: spawn.ShortestSpan and spawn.LongestSpan bound it. */}}
{{- define "perijove.faults.lifetimes" -}}
{{- $faults := list -}}
{{- $spans := dict "cull.timeout" .Values.cull.timeout "cull.maxAge" .Values.cull.maxAge -}}
{{- range $i, $profile := .Values.singleuser.profileList -}}
{{- $_ := set $spans (printf "singleuser.profileList[%d].max_age" $i) (get $profile "max_age") -}}
{{- $_ := set $spans (printf "singleuser.profileList[%d].cull.idle" $i) (dig "cull" "idle" "" $profile) -}}
{{- end -}}
{{- range $name, $override := .Values.singleuser.groupOverrides -}}
{{- $_ := set $spans (printf "singleuser.groupOverrides.%s.max_age" $name) (get $override "max_age") -}}
{{- $_ := set $spans (printf "singleuser.groupOverrides.%s.cull.idle" $name) (dig "cull" "idle" "" $override) -}}
{{- end -}}
{{- range $key, $span := $spans -}}
{{- $seconds := include "perijove.seconds" ($span | default 0) | float64 -}}
{{- if and $seconds (or (lt $seconds 60.0) (gt $seconds 315360000.0)) -}}
{{- $faults = append $faults (printf "%s: must be 0 or between 1m and 10 years" $key) -}}
{{- end -}}
{{- end -}}
{{- toJson $faults -}}
{{- end -}}

{{/* Mounts that the spawner refuses: of no volume, twice at a path, over the platform's own folders. */}}
{{- define "perijove.faults.mounts" -}}
{{- $faults := list -}}
{{- $names := list "home" -}}
{{- range $i, $volume := .Values.singleuser.storage.extraVolumes -}}
{{- if has $volume.name $names }}{{ $faults = append $faults (printf "singleuser.storage.extraVolumes: %q is there twice" $volume.name) }}{{ end -}}
{{- $names = append $names $volume.name -}}
{{- end -}}
{{- $paths := list -}}
{{- range .Values.singleuser.storage.extraVolumeMounts -}}
{{- $at := print (trimSuffix "/" .mountPath) "/" -}}
{{- if not (has .name $names) }}{{ $faults = append $faults (printf "singleuser.storage.extraVolumeMounts: there is no volume %q" .name) }}{{ end -}}
{{- if or (ne (clean .mountPath) .mountPath) (has ".." (splitList "/" (.subPath | default ""))) }}{{ $faults = append $faults (printf "singleuser.storage.extraVolumeMounts: %s must be a plain path, and a subPath stay inside the volume" .mountPath) }}{{ end -}}
{{- if has .mountPath $paths }}{{ $faults = append $faults (printf "singleuser.storage.extraVolumeMounts: %s is mounted twice" .mountPath) }}{{ end -}}
{{- if or (hasPrefix $at "/home/jovyan/") (hasPrefix $at "/etc/perijove/jupyter/") (hasPrefix "/etc/perijove/jupyter/" $at) }}{{ $faults = append $faults (printf "singleuser.storage.extraVolumeMounts: %s is the platform's" .mountPath) }}{{ end -}}
{{- $paths = append $paths .mountPath -}}
{{- end -}}
{{- $shared := list -}}
{{- range .Values.singleuser.sharedVolumes -}}
{{- $path := .mountPath | default (print "/shared/" .name) -}}
{{- if or (ne (clean $path) $path) (has ".." (splitList "/" (.subPath | default ""))) }}{{ $faults = append $faults (printf "singleuser.sharedVolumes: %s must be a plain path, and its subPath stay inside the volume" $path) }}{{ end -}}
{{- if has .name $shared }}{{ $faults = append $faults (printf "singleuser.sharedVolumes: %q is there twice" .name) }}{{ end -}}
{{- if has $path $paths }}{{ $faults = append $faults (printf "singleuser.sharedVolumes: %s is mounted twice" $path) }}{{ end -}}
{{- $shared = append $shared .name -}}
{{- $paths = append $paths $path -}}
{{- end -}}
{{- toJson $faults -}}
{{- end -}}

{{- define "perijove.faults.login" -}}
{{- $faults := list -}}
{{- if and (include "perijove.hasLDAP" .) (not .Values.devDirectory.enabled) -}}
{{- with .Values.auth.ldap -}}
{{- $filters := dict "userSearch.filter" .userSearch.filter "groupSearch.filter" .groupSearch.filter "groupSearch.nestedFilter" .groupSearch.nestedFilter -}}
{{- range $key, $filter := $filters -}}
{{- if and $filter (ne (include "perijove.filter" $filter) "¤") -}}
{{- $faults = append $faults (printf "auth.ldap.%s: is no LDAP filter: %s" $key $filter) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $i, $one := .Values.auth.oidc -}}
{{- range $j, $other := slice $.Values.auth.oidc 0 $i -}}
{{- range $key := list "id" "issuer" -}}
{{- if eq (get $one $key) (get $other $key) -}}
{{- $faults = append $faults (printf "auth.oidc[%d].%s: is another provider's already" $i $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $faults -}}
{{- end -}}

{{/*
An LDAP filter (RFC 4515) with each comparison, then each combination of what is left,
replaced by ¤: "¤" at the end for a filter that is one.
*/}}
{{- define "perijove.filter" -}}
{{- $left := . | replace "{username}" "x" | replace "{dn}" "x" -}}
{{- range until 32 -}}
{{- $left = regexReplaceAll "\\(([A-Za-z0-9][A-Za-z0-9;.-]*(:dn)?(:[A-Za-z0-9.-]+)?(:=|[~<>]?=)([^()\\\\¤]|\\\\[0-9A-Fa-f]{2})*|[&|]¤+|!¤)\\)" $left "¤" -}}
{{- end -}}
{{- $left -}}
{{- end -}}

{{- define "perijove.faults.namespaces" -}}
{{- $faults := list -}}
{{- $servers := include "perijove.serversNamespace" . -}}
{{- if eq $servers (include "perijove.accountsNamespace" .) -}}
{{- $faults = append $faults "auth.accounts.namespace: is where servers live; the gateway would read their secrets" -}}
{{- end -}}
{{- if and .Values.singleuser.quota (eq $servers .Release.Namespace) -}}
{{- $faults = append $faults "singleuser.quota: would count the platform's pods too; it needs a singleuser.namespace of its own" -}}
{{- end -}}
{{- if not (or .Values.singleuser.namespace (eq $servers .Release.Namespace)) -}}
{{- range (lookup "v1" "PersistentVolumeClaim" .Release.Namespace "").items -}}
{{- if eq (dig "metadata" "labels" "app.kubernetes.io/managed-by" "" .) "perijove-spawner" -}}
{{- $faults = append $faults (printf "singleuser.namespace: users' home volumes are in %s, and servers would start with empty ones in %s. Set it to %s to leave servers there, or to %s once the volumes are moved (docs/operating.md)" $.Release.Namespace $servers $.Release.Namespace $servers) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson ($faults | uniq) -}}
{{- end -}}

{{/* Three times 0.33 is meant as 1, so a sum counts as 1 from 0.99 to 1.01. */}}
{{- define "perijove.faults.scheduling" -}}
{{- $faults := list -}}
{{- with .Values.scheduling -}}
{{- $sum := 0 -}}
{{- range $score, $weight := .weights -}}
{{- $millionths := include "perijove.millionths" $weight | int64 -}}
{{- $sum = add $sum $millionths -}}
{{- if and (not $millionths) (gt (toString $weight | float64) 0.0) -}}
{{- $faults = append $faults (printf "scheduling.weights.%s: %v is less than a millionth; 0 turns the score off" $score $weight) -}}
{{- end -}}
{{- end -}}
{{- if and .weights (ne .strategy "weights") -}}
{{- $faults = append $faults (printf "scheduling.weights: are those of the strategy weights, and scheduling.strategy is %q" .strategy) -}}
{{- else if and .weights (or (lt $sum 990000) (gt $sum 1010000)) -}}
{{- $faults = append $faults (printf "scheduling.weights: the sum must be 1 and is %v" (divf $sum 1000000)) -}}
{{- end -}}
{{- if and .userPlaceholder.replicas (not .podPriority.enabled) -}}
{{- $faults = append $faults (printf "scheduling.userPlaceholder.replicas: are %d and need scheduling.podPriority.enabled: without priorities servers would wait behind them" (int .userPlaceholder.replicas)) -}}
{{- end -}}
{{- if and .podPriority.enabled (ge (int64 .podPriority.userPlaceholderPriority) (int64 .podPriority.defaultPriority)) -}}
{{- $faults = append $faults (printf "scheduling.podPriority.userPlaceholderPriority: is %d and must be below defaultPriority, which is %d: servers would take no placeholder's place" (int64 .podPriority.userPlaceholderPriority) (int64 .podPriority.defaultPriority)) -}}
{{- end -}}
{{- end -}}
{{- toJson $faults -}}
{{- end -}}
