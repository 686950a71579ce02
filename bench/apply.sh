#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A node with many limits: 1000 cgroups in 10 tenants at an uplink, 2000 objects. What the agent
# takes to begin, to begin again, and to follow a change of one. Without traffic.
#
#   apply.sh [CGROUPS]   default 1000
set -eu
cd "$(dirname "$0")/.."
PODPACE=${PODPACE:-build/podpace}
N=${1:-1000}
MOUNT=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
ROOT=/podpace-bench-$$
TMP=$(mktemp -d)
AGENT=''

end() {
	[ -z "$AGENT" ] || kill "$AGENT" 2>/dev/null || true
	wait
	"$PODPACE" --root "$ROOT" unload >/dev/null 2>&1 || true
	find "$MOUNT$ROOT" -depth -type d -exec rmdir {} + 2>/dev/null || true
	rm -rf "$TMP"
}
trap end EXIT

# one NUMBER CEIL: two objects of one cgroup
one() {
	local kind
	for kind in a b; do
		cat <<-END
		apiVersion: podpace.io/v1alpha1
		kind: ClusterBandwidthPolicy
		metadata: {name: one-$1-$kind}
		spec: {subject: {cgroups: [$ROOT/t$(($1 % 10))/c$1]}, per: Pod, egress: {ceil: $2M, weight: 100}, ingress: {ceil: $2M}}
		---
		END
	done
}

metric() {
	curl -s --max-time 5 http://127.0.0.1:19467/metrics | awk -v m="podpace_$1" '$1 == m { printf "%.1f\n", $2 * 1000 }'
}

# agent: begins; prints how long it took until all was in force, ms
agent() {
	local begin
	begin=$(date +%s%N)
	"$PODPACE" --root "$ROOT" agent --config "$TMP/conf" --listen 127.0.0.1:19467 2>"$TMP/log" &
	AGENT=$!
	until curl -sf --max-time 5 http://127.0.0.1:19467/readyz >/dev/null; do sleep 0.02; done
	echo "$1: in force after $((($(date +%s%N) - begin) / 1000000)) ms; plan $(metric compile_seconds) ms, apply $(metric apply_seconds) ms; $(awk '/VmRSS/ { print $2 }' /proc/$AGENT/status) kB"
}

mkdir -p "$TMP/conf" "$MOUNT$ROOT"
for ((t = 0; t < 10; t++)); do
	mkdir -p "$MOUNT$ROOT/t$t"
	cat <<-END
	apiVersion: podpace.io/v1alpha1
	kind: ClusterBandwidthPolicy
	metadata: {name: tenant-$t}
	spec: {subject: {cgroups: [$ROOT/t$t]}, per: Node, egress: {ceil: 1G, weight: 100}}
	---
	END
done >"$TMP/conf/tenants.yaml"
cat >"$TMP/conf/uplink.yaml" <<-END
	apiVersion: podpace.io/v1alpha1
	kind: ClusterBandwidthPolicy
	metadata: {name: wire}
	spec: {subject: {nodes: {}}, per: Node, egress: {ceil: 10G}}
END
for ((i = 0; i < N; i++)); do
	mkdir -p "$MOUNT$ROOT/t$((i % 10))/c$i"
	one "$i" 100 >"$TMP/conf/c$i.yaml"
done
agent "begins"
kill "$AGENT"
wait "$AGENT" || true
agent "begins again, all is there"
for ceil in 200 300 400 500 600; do
	one 7 "$ceil" >"$TMP/new"
	mv "$TMP/new" "$TMP/conf/c7.yaml"
	sleep 0.5
	echo "one of $N changes: plan $(metric compile_seconds) ms, apply $(metric apply_seconds) ms"
done
"$PODPACE" --root "$ROOT" status -o json | jq -r '"\(.limits | length) limits, \([.limits[] | select(.in_force | not)] | length) not in force"'
