#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The client against a real API server: what it says there is, is what there is, after churn, a
# restart, a compaction of etcd that takes its place in history away, and a network that was gone.
# The pods are objects alone: their node has no kubelet.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

NODE=podpace-api
PODS=500
FOLLOW=$LAB_BIN/tests/follow

objects() {
	local i
	for ((i = $1; i < $2; i++)); do
		cat <<-END
			---
			apiVersion: v1
			kind: Pod
			metadata: {name: api-$i, labels: {podpace.test: api}}
			spec: {nodeName: $NODE, containers: [{name: c, image: none}]}
		END
	done
}

create() {
	objects "$1" "$2" | k create -f - >/dev/null
}

delete() {
	local i names=()
	for ((i = $1; i < $2; i++)); do
		names+=("api-$i")
	done
	k delete pods --force --grace-period=0 --wait=false "${names[@]}" >/dev/null 2>&1
}

remove_objects() {
	k delete pods -l podpace.test=api --force --grace-period=0 --ignore-not-found
	k delete node "$NODE" --ignore-not-found
} >/dev/null 2>&1

# From node 1's network, as the agent would.
follow_start() {
	(
		ppc_join tools
		exec nsenter --net="/run/netns/$PPC_NS-n1" "$FOLLOW" "$PPC_RUN/pki/admin.conf" \
			/api/v1/pods "fieldSelector=spec.nodeName%3D$NODE"
	) >"$LAB_TMP/follow" &
	FOLLOWER=$!
	lab_defer "kill $FOLLOWER 2>/dev/null"
}

told() {
	awk '$2 == "put" { have[$3 " " $4] = 1 } $2 == "gone" { delete have[$3 " " $4] }
		END { for (pod in have) print pod }' "$LAB_TMP/follow" | sort
}

there_is() {
	k get pods --field-selector "spec.nodeName=$NODE" -o \
		'jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {.metadata.uid}{"\n"}{end}' |
		sort
}

count_told() {
	grep -c " $1" "$LAB_TMP/follow" || true
}

# agrees NAME SECONDS: what was told comes to be what there is
agrees() {
	local end=$((SECONDS + $2)) want
	want=$(there_is)
	until [ "$(told)" = "$want" ]; do
		[ "$SECONDS" -lt "$end" ] || break
		sleep 0.3
	done
	is "$1: $(wc -l <<<"$want") pods" "$(diff <(told) - <<<"$want" | head -n 5)" ''
}

# etcd's own gateway: forgets all that was before now
compact() {
	local revision
	revision=$(etcd kv/range '{"key":"AA=="}' | jq -r .header.revision)
	etcd kv/compaction "{\"revision\":\"$revision\",\"physical\":true}" >/dev/null
}

etcd() {
	nsenter --net="/run/netns/$PPC_NS-cp" curl -sS --max-time 10 \
		"http://127.0.0.1:2379/v3/$1" -d "$2"
}

# The node's end of the fabric loses its carrier: its routes stay.
network() {
	ip -n "$PPC_NS-cp" link set port1 "$1"
}

churn() {
	create 0 "$PODS"
	agrees "500 pods that were made" 30
	delete 0 250
	create 0 250
	agrees "half of them made anew under their names" 30
	is "nobody was told twice" \
		"$(awk '$2 == "put" { print $3, $4 }' "$LAB_TMP/follow" | sort -u | wc -l)" 750
	delete 100 200
	create 100 150 &
	create 150 200 &
	wait $!
	delete 300 400
	wait -n || true
	agrees "after more of it, from two sides" 30
}

restarted() {
	cluster restart api
	delete 400 450
	agrees "the API server was restarted" 60
}

# While it hears nothing its place in history is compacted away, and the API server forgets it too.
compacted() {
	local lists
	lists=$(count_told synced)
	network down
	# or what is to be missed waits in the sockets of a server that is gone, and still arrives
	cluster restart api
	delete 450 500
	create 400 420
	cluster stop api
	compact
	cluster start api
	network up
	agrees "etcd was compacted meanwhile" 90
	is_between "it was listed anew" "$(count_told synced)" $((lists + 1)) 1000
}

parted() {
	local failed
	failed=$(count_told failed)
	network down
	create 420 440
	delete 0 10
	sleep 35
	is_between "a network that is gone is told" "$(count_told failed)" $((failed + 1)) 1000
	network up
	agrees "and is back" 60
}

[ -x "$FOLLOW" ] || lab_fail "$FOLLOW is missing: make build-kube"
cluster_init api
remove_objects
lab_defer remove_objects
echo "{apiVersion: v1, kind: Node, metadata: {name: $NODE}}" | k apply -f - >/dev/null
follow_start
churn
restarted
compacted
parted
done_testing
