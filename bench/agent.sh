#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Measures the agent against a real API server, with pods that are no more than an object and a
# cgroup each: its memory, its processor time while nothing happens, and how long an annotation
# takes to be in force.
#
#   bench/agent.sh [PODS [SECONDS]]     default 100 pods, idle for 30 s
#
# Needs a cluster that is up (make cluster). The node "podpace-bench" has no kubelet.
set -eu -o pipefail
TOP=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=../tests/cluster/lib.sh
. "$TOP/tests/cluster/lib.sh"

PODS=${1:-100}
IDLE=${2:-30}
ANNOTATED=50
NODE=podpace-bench
PORT=19467

objects() {
	local i
	echo "{apiVersion: v1, kind: Node, metadata: {name: $NODE}}"
	for ((i = 0; i < PODS; i++)); do
		cat <<-END
			---
			apiVersion: v1
			kind: Pod
			metadata: {name: bench-$i, labels: {podpace.test: bench}}
			spec: {nodeName: $NODE, containers: [{name: c, image: none}]}
		END
	done
}

remove_objects() {
	k delete pods -l podpace.test=bench --force --grace-period=0 --ignore-not-found
	k delete node "$NODE" --ignore-not-found
} >/dev/null 2>&1

cgroups() {
	local uid
	for uid in $(k get pods -l podpace.test=bench -o 'jsonpath={.items[*].metadata.uid}'); do
		mkdir -p "$LAB_CGROUP2$(lab_cgroup)/kubepods/besteffort/pod$uid"
	done
}

page() {
	nsenter --net="/run/netns/$PPC_NS-cp" curl -sS --max-time 5 "http://127.0.0.1:$PORT/$1"
}

# ticks of 10 ms
cpu() {
	awk '{ print $14 + $15 }' "/proc/$AGENT/stat"
}

memory() {
	awk -v key="$1:" '$1 == key { printf "%.1f MiB", $2 / 1024 }' "/proc/$AGENT/status"
}

# Unix time of the log's line that says that the pod's limit is in force, as often as $2 times.
in_force_at() {
	awk -v pod="pod=\"$1\"" -v n="$2" '/limit in force/ && $0 ~ pod " " && ++seen == n {
		sub("ts=", "", $1); print $1 }' "$LAB_TMP/agent.log"
}

# Milliseconds from before kubectl begins until the limit is in force, of each of the pods in turn.
latencies() {
	local i begin at tries
	for ((i = 0; i < ANNOTATED && i < PODS; i++)); do
		begin=$EPOCHREALTIME
		k annotate pod "bench-$i" kubernetes.io/egress-bandwidth=100M >/dev/null
		for ((tries = 0; tries < 500; tries++)); do
			at=$(in_force_at "bench-$i" 1)
			[ -z "$at" ] || break
			sleep 0.02
		done
		[ -n "$at" ] || lab_fail "bench-$i: no limit in force"
		awk -v from="$begin" -v to="$(date -d "$at" +%s.%3N)" 'BEGIN { printf "%d\n", (to - from) * 1000 }'
	done | sort -n >"$LAB_TMP/latencies"
}

ppc_is_up || lab_fail "no cluster is up: make cluster"
lab_init benchagent
lab_defer remove_objects
objects | k apply -f - >/dev/null
cgroups
lab_defer '"$LAB_BIN/podpace" --root "$(lab_cgroup)" unload 2>/dev/null'
nsenter --net="/run/netns/$PPC_NS-cp" "$LAB_BIN/podpace" --root "$(lab_cgroup)" agent --node "$NODE" \
	--kubeconfig "$PPC_RUN/pki/admin.conf" --listen "127.0.0.1:$PORT" 2>"$LAB_TMP/agent.log" &
AGENT=$!
lab_defer "kill $AGENT 2>/dev/null; wait $AGENT"
for ((tries = 0; tries < 100; tries++)); do
	page readyz >/dev/null 2>&1 && [ "$(page metrics | awk '$1 == "podpace_pods" { print $2 }')" = "$PODS" ] && break
	sleep 0.1
done
latencies
sleep 2
busy=$(memory VmRSS)
sleep 33	# the agent gives memory back when nothing has changed for 30 s
before=$(cpu)
sleep "$IDLE"
used=$(($(cpu) - before))
echo "| pods | resident, at work | resident, at rest | of it anonymous | idle, of a core | annotation to in force, p50 | p99 |"
echo "|---|---|---|---|---|---|---|"
awk -v pods="$PODS" -v busy="$busy" -v rss="$(memory VmRSS)" -v anon="$(memory RssAnon)" -v used="$used" \
	-v idle="$IDLE" '{ a[NR] = $1 } END {
	p99 = int(NR * 0.99 + 0.999999)
	if (p99 > NR)
		p99 = NR
	printf "| %d | %s | %s | %s | %.2f %% | %d ms | %d ms |\n", pods, busy, rss, anon, used / idle,
		a[int((NR + 1) / 2)], a[p99] }' "$LAB_TMP/latencies"
