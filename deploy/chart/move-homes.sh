#!/bin/sh
# Moves people's home volumes from one namespace to another, for a release whose servers
# get a namespace of their own (docs/operating.md says what to do before and after).
# What is in a volume is not touched; if this is interrupted, run it again.
#
#   ./move-homes.sh perijove perijove-servers
set -eu
from=$1 to=$2
KUBECTL=${KUBECTL:-kubectl}
ours=app.kubernetes.io/managed-by=perijove-spawner

if [ -n "$($KUBECTL -n "$from" get pods -l "$ours" -o name)" ]; then
    echo "people's servers still run in $from; stop them first: kubectl -n $from delete pods -l $ours" >&2
    exit 1
fi
$KUBECTL get namespace "$to" -o name

# Kubernetes would take a new claim with this annotation for one that lost its volume.
unbound='s#"pv.kubernetes.io/bind-completed":"yes",##; s#,"pv.kubernetes.io/bind-completed":"yes"##'

# Written down before anything changes: a claim that is deleted is forgotten.
notes=homes-of-$from
mkdir -p "$notes"
for claim in $($KUBECTL -n "$from" get persistentvolumeclaims -l "$ours" -o jsonpath='{.items[*].metadata.name}'); do
    get() { $KUBECTL -n "$from" get persistentvolumeclaim "$claim" -o jsonpath="{$1}"; }
    volume=$(get .spec.volumeName)
    if [ -z "$volume" ]; then
        echo "$claim has no volume yet and stays; nobody has started a server with it" >&2
        continue
    fi
    printf '%s %s\n' "$volume" "$($KUBECTL get persistentvolume "$volume" -o jsonpath='{.spec.persistentVolumeReclaimPolicy}')" >"$notes/$claim.volume"
    printf '{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"%s","labels":%s,"annotations":%s},"spec":%s}\n' \
        "$claim" "$(get .metadata.labels)" "$(get .metadata.annotations | sed "$unbound")" "$(get .spec)" >"$notes/$claim.json"
done

for file in "$notes"/*.json; do
    [ -e "$file" ] || break
    claim=$(basename "$file" .json)
    read -r volume policy <"$notes/$claim.volume"
    $KUBECTL patch persistentvolume "$volume" -p '{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}'
    $KUBECTL -n "$from" delete persistentvolumeclaim "$claim" --ignore-not-found
    if [ "$($KUBECTL get persistentvolume "$volume" -o jsonpath='{.spec.claimRef.namespace}')" = "$from" ]; then
        # Named at once, so that no other claim takes the volume.
        $KUBECTL patch persistentvolume "$volume" -p "{\"spec\":{\"claimRef\":{\"namespace\":\"$to\",\"name\":\"$claim\",\"uid\":null,\"resourceVersion\":null}}}"
    fi
    $KUBECTL -n "$to" apply -f "$file"
    $KUBECTL -n "$to" wait "persistentvolumeclaim/$claim" --for=jsonpath='{.status.phase}'=Bound --timeout=60s
    $KUBECTL patch persistentvolume "$volume" -p "{\"spec\":{\"persistentVolumeReclaimPolicy\":\"$policy\"}}"
    mv "$file" "$file.done"
done
echo "done; what was moved is written down in $notes"
