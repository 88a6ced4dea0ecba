#!/bin/bash
# Keeps FILE up to date with the ready pods of the Service `teacher`. Run it in the cluster's network beside tinyllm.
#   examples/cluster/servers-from-kubernetes.sh servers.txt &
set -euo pipefail

FILE=${1:-servers.txt}
SERVICE=${SERVICE:-teacher}
while true; do
    if ADDRESSES=$(kubectl get endpointslices --selector "kubernetes.io/service-name=$SERVICE" --output \
        jsonpath='{range .items[*].endpoints[?(@.conditions.ready==true)]}{.addresses[0]}{"\n"}{end}'); then
        sed --quiet 's|^\([0-9.]*\)$|http://\1:8000/v1|p' <<< "$ADDRESSES" > "$FILE.new"
        mv "$FILE.new" "$FILE"
    fi
    sleep 5
done
