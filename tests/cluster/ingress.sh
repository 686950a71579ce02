#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A pod is limited in what it receives, under each CNI: from its own node, from the other, through a
# service, beside limits of its senders. The peers that this takes are found from the cluster and
# follow it; without the right to see nodes the limits hold.
#
#   ingress.sh [CNI...]   default bridge; a cluster that is up is used as it is
#
# shellcheck disable=SC2317	# each_cni calls the functions
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

peers() {
	k -n "$AGENT_NS" exec "$(agent_pod "$1")" -- podpace peers -o json |
		jq -r '[.peers[] | select(.set_by == "agent") | .prefix] | join(" ")'
}

# What the API has.
cluster_peers() {
	{
		k get nodes -o 'jsonpath={range .items[*]}{.spec.podCIDR}{"\n"}{end}'
		k get nodes -o 'jsonpath={range .items[*]}{.status.addresses[?(@.type=="InternalIP")].address}{"/32\n"}{end}'
		echo "$PPC_SERVICE_NET"
	} | grep '^[1-9]' | sort -V | xargs
}

found() {
	local node
	for node in 1 2; do
		becomes "node $node: its peers are the cluster's" 10 "$(cluster_peers)" peers "$node"
		is "node $node: and that is told" "$(metric "$node" podpace_peers_complete)" 1
	done
	echo '{apiVersion: v1, kind: Node, metadata: {name: ingress-more}}' | k apply -f - >/dev/null
	lab_defer 'k delete node ingress-more --ignore-not-found >/dev/null 2>&1'
	k wait --for='jsonpath={.spec.podCIDR}' node/ingress-more --timeout=20s >/dev/null
	becomes "a node more: its pods are peers" 5 "$(cluster_peers)" peers 1
	k delete node ingress-more >/dev/null
	becomes "a node less" 5 "$(cluster_peers)" peers 1
}

# The slots of a node's datapath, as JSON.
slots() {
	local abi
	abi=$("$LAB_BIN/podpace" version -o json | jq .abi)
	bpftool -j map dump id "$(cluster node "$1" \
		bpftool -j map show pinned "/sys/fs/bpf/podpace/v$abi/host/pp_slots" | jq .id)"
}

# What the datapath of a pod's node has for its cgroup: 16 hexadecimal digits, from bytes (40 are before
# it in pp_slot), since jq
# does not count so far.
identity() {
	slots "${POD_NODE[$1]}" | jq -r --argjson id "$(stat -c %i "$(pod_path "$1")")" \
		'.[] | select(.formatted.key == $id) | .value[40:48] | reverse | map(ltrimstr("0x")) | join("")'
}

uid_begin() {
	k get pod "$1" -o 'jsonpath={.metadata.uid}' | tr -d - | cut -c 1-16
}

limited() {
	becomes "the limit of a new pod is in force" 5 12500000 limit_of b ingress
	share "from its node, 1 flow" a b 100M --flows 1
	share "from its node, 8 flows" a b 100M --flows 8
	share "from the other node, 1 flow" c b 100M --flows 1
	share "from the other node, 8 flows" c b 100M --flows 8
	share "from a pod with hostNetwork" host b 100M --flows 2
	is "all of it by senders that hear the rate" "$(pod_metric unheard_packets_total b ingress)" 0
}

service() {
	service_start s b 6
	LAB_TO=$(service_ip s)
	share "through a service, its node, 1 flow" a b 100M --flows 1
	share "through a service, the other node, 8 flows" c b 100M --flows 8
	annotate c "$EGRESS=200M"
	becomes "the sender is limited too" 5 25000000 limit_of c
	share "limits at both ends, the receiver's is less, 8 flows" c b 100M --flows 8
	annotate c "$EGRESS=50M"
	becomes "the sender is limited to less" 5 6250000 limit_of c
	share "limits at both ends, the sender's is less, 1 flow" c b 50M --flows 1
	share "limits at both ends, the sender's is less, 8 flows" c b 50M --flows 8
	LAB_TO=''
	annotate c "$EGRESS=100M" "$INGRESS=30M"
	becomes "a pod with both" 5 3750000 limit_of c ingress
	annotate c "$EGRESS-"
	becomes "one goes" 5 '' limit_of c
	is "the other stays" "$(limit_of c ingress)" 3750000
	annotate c "$INGRESS-"
	is "all by senders that hear the rate" "$(pod_metric unheard_packets_total b ingress)" 0
}

# Under load, from both nodes: a limit that comes, changes and goes. Each receiver counts what comes
# in by the pod's device: that of both.
changed() {
	local set down none
	annotate b "$INGRESS-"
	becomes "no limit" 5 '' limit_of b ingress
	run_start near a b 9 --flows 2
	run_start far c b 9 --flows 2
	sleep 2
	annotate b "$INGRESS=100M"
	set=$(moment)
	sleep 2.2
	annotate b "$INGRESS=40M"
	down=$(moment)
	sleep 2.2
	annotate b "$INGRESS-"
	none=$(moment)
	sleep 2.2
	run_stop near
	run_stop far
	# how exactly is asked elsewhere; here, whether it is in force
	is_share "set under load, the second after next" "$(run_rate far "$set + 1" "$set + 2")" 100M 75 101
	is_share "changed under load, the second after next" \
		"$(run_rate far "$down + 1" "$down + 2")" 40M 75 101
	is_between "removed, the second after next, Mbit/s" \
		"$(($(run_rate far "$none + 1" "$none + 2") / 1000000))" 300 1000000
}

# Without kubelets nobody starts the agents again: the programs of both ends are on their own.
agents_killed() {
	local node
	annotate b "$INGRESS=100M"
	becomes "before the agents are killed" 5 12500000 limit_of b ingress
	for node in 1 2; do
		cluster stop kubelet "$node"
		kill -KILL "$(agent_pid "$node")"
	done
	share "agents killed, kubelets stopped" c b 100M --flows 4
	for node in 1 2; do
		cluster start kubelet "$node"
	done
	annotate b "$INGRESS=60M"
	becomes "the next agent corrects what has changed" 60 7500000 limit_of b ingress
}

by_hand() {
	local path
	path=$(pod_cgroup b)
	annotate b "$INGRESS-"
	becomes "the annotation is gone" 5 '' limit_of b ingress
	k -n "$AGENT_NS" exec "$(agent_pod 1)" -- podpace limit "$path" --ingress 70M
	annotate b "$INGRESS=60M" "$EGRESS=80M"
	becomes "a limit set by hand stays, which makes an event" 10 BandwidthNotLimited \
		k get events.events.k8s.io --field-selector regarding.name=b,reason=BandwidthNotLimited \
		-o 'jsonpath={.items[0].reason}'
	becomes "the other direction is in force" 5 10000000 limit_of b
	k -n "$AGENT_NS" exec "$(agent_pod 1)" -- podpace unlimit "$path" --direction ingress
	annotate b "$EGRESS-"
	becomes "without it the annotation's takes its place" 40 7500000 limit_of b ingress
}

# An agent that may not see nodes: it says so once, and keeps limits and what is pinned.
refused() {
	local pod
	k get clusterrole podpace -o json | jq 'del(.rules[] | select(.resources == ["nodes"]))' |
		k apply -f - >/dev/null 2>&1
	pod=$(agent_pod 1)
	k -n "$AGENT_NS" delete pod "$pod" --wait >/dev/null
	becomes "without the right to see nodes: the agent is ready" 30 true k -n "$AGENT_NS" get pod \
		--field-selector spec.nodeName=n1 -o 'jsonpath={.items[0].status.containerStatuses[0].ready}'
	becomes "its pages tell" 5 1 eval "page 1 readyz | grep -c '^.!.peers: nodes are not known'"
	is "and its metrics" "$(metric 1 'podpace_watch_synced{resource="nodes"}')" 0
	is "peers are not all" "$(metric 1 podpace_peers_complete)" 0
	annotate b "$INGRESS=50M"
	becomes "limits apply" 5 6250000 limit_of b ingress
	is "and nothing is taken away" "$(peers 1)" "$(cluster_peers)"
	share "from the other node" c b 50M --flows 2
	is "its log tells once" \
		"$(k -n "$AGENT_NS" logs "$(agent_pod 1)" | grep -c 'resource="nodes"')" 1
	k apply -f "$LAB_TOP/deploy/base/rbac.yaml" -n "$AGENT_NS" >/dev/null 2>&1
	becomes "with the right again" 60 1 metric 1 podpace_peers_complete
}

one() {
	local pod
	diag "$1"
	agent_deploy
	found
	pod_start a 1
	pod_start b 1 "$INGRESS=100M"
	pod_start c 2
	pod_apply host 2 <<-END
		apiVersion: v1
		kind: Pod
		metadata: {name: host}
		spec:
		  nodeName: n2
		  hostNetwork: true
		  dnsPolicy: Default
		  terminationGracePeriodSeconds: 0
		  containers:
		  - {name: main, image: "$PPC_IMAGE", imagePullPolicy: Never}
	END
	for pod in b c; do
		becomes "$pod is known by its UID" 5 "$(uid_begin "$pod")" identity "$pod"
	done
	limited
	service
	changed
	agents_killed
	by_hand
	refused
	pod_delete a b c host
	becomes "nothing is known of pods that are gone: the agent's own is left" 10 1 eval \
		'slots 1 | jq length'
}

[ $# -gt 0 ] || set -- bridge
each_cni ingress one "$@"
done_testing
