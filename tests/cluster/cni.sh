#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The same limits under each CNI: what pods and pods with hostNetwork send, what pods receive, on
# one node, across nodes and through ClusterIPs, what a tenant's pods have together, and limits
# between pods (between.sh). Of limits that change, break and go, under two of them, see agent.sh
# and ingress.sh.
#
#   cni.sh [CNI...]     default all of $PPC_NETWORKS; a cluster that is up is used as it is
#
# shellcheck disable=SC2317	# each_cni calls the functions
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=between.sh
. "$(dirname "$0")/between.sh"

# pods a and b and one with hostNetwork, h, on node 1; c and d on node 2
start_pods() {
	pod_start a 1 "$EGRESS=100M"
	pod_start b 1
	pod_start c 2
	pod_start d 2
	pod_apply h 1 <<-END
		apiVersion: v1
		kind: Pod
		metadata: {name: h, annotations: {$EGRESS: 100M}}
		spec:
		  nodeName: n1
		  hostNetwork: true
		  dnsPolicy: Default
		  terminationGracePeriodSeconds: 0
		  containers:
		  - {name: main, image: "$PPC_IMAGE", imagePullPolicy: Never}
	END
}

# learn FROM TO: under an overlay a pod finds out by a loss that the way to another node takes less
# than its own network does. What it sends again is counted after that.
learn() {
	[ "$(network)" != overlay ] || traffic_between "$1" "$2" 1 --flows 1
}

sends() {
	becomes "$1, sent: in force" 10 12500000 limit_of a
	share "$1, sent, same node, 1 flow" a b 100M --flows 1
	learn a c
	share "$1, sent, across nodes, 8 flows" a c 100M --flows 8
	learn h c
	share "$1, sent with hostNetwork, 2 flows" h c 100M --flows 2
}

receives() {
	annotate b "$INGRESS=100M"
	becomes "$1, received: in force" 10 12500000 limit_of b ingress
	annotate a "$EGRESS-"
	becomes "$1, received: the sender has no limit" 5 '' limit_of a
	share "$1, received, same node, 8 flows" a b 100M --flows 8
	learn c b
	share "$1, received, across nodes, 1 flow" c b 100M --flows 1
}

services() {
	local LAB_TO
	annotate a "$EGRESS=100M"
	becomes "$1, ClusterIP: in force" 5 12500000 limit_of a
	service_start to-c c 2
	LAB_TO=$(service_ip to-c)
	learn a c
	share "$1, sent through a ClusterIP, across nodes, 4 flows" a c 100M --flows 4
	service_start to-b b 2
	LAB_TO=$(service_ip to-b)
	learn c b
	share "$1, received through a ClusterIP, across nodes, 4 flows" c b 100M --flows 4
	is "$1, received: all of it by senders that hear the rate" \
		"$(pod_metric unheard_packets_total b ingress)" 0
}

# The network's own daemon ends and comes back, under load, where no packet goes through it.
restarted() {
	local begin end daemon
	case $1 in
	flannel) daemon=flanneld ;;
	cilium*) daemon=cilium ;;
	*) return 0 ;;
	esac
	run_start r a c 20 --flows 4
	sleep 2
	begin=$(moment)
	cluster restart "$daemon" 1
	sleep 2
	end=$(moment)
	run_stop r
	is_share "$1, $daemon restarted, 4 flows" "$(run_rate r "$begin" "$end - 0.1")" 100M
	is "$1, $daemon restarted: sent again" "$(sent_again "$LAB_TMP/r-send.json")" 0
}

tenant_limit() {
	metric 1 "podpace_limit_bytes_per_second{limit=\"tenant acme\",direction=\"$1\""
}

# together NAME FROM TO FROM TO: what two runs have in the same two seconds, of 100M. What receives
# sees all that its pod does: not two in one.
together() {
	local end
	run_start x "$2" "$3" 5 --flows 2
	run_start y "$4" "$5" 5 --flows 6
	sleep 4
	end=$(moment)
	run_stop x
	run_stop y
	is_share "$1" "$(($(run_rate x "$end - 2" "$end - 0.1") + $(run_rate y "$end - 2" "$end - 0.1")))" 100M
	is_share "$1: the first" "$(run_rate x "$end - 2" "$end - 0.1")" 50M 90 110
}

tenant() {
	annotate a "$EGRESS-"
	annotate b "$INGRESS-"
	k label pod a b tenant=acme >/dev/null
	k apply -f - >/dev/null <<-END
		apiVersion: podpace.io/v1alpha1
		kind: ClusterBandwidthPolicy
		metadata: {name: acme}
		spec:
		  subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {tenant: acme}}}}
		  per: Node
		  egress: {ceil: 100M}
		  ingress: {ceil: 100M}
	END
	lab_defer "k delete clusterbandwidthpolicy acme --ignore-not-found >/dev/null 2>&1"
	becomes "$1, tenant: in force" 10 12500000 tenant_limit egress
	learn b d
	learn c a
	learn d b
	together "$1, tenant, sent by two pods" a c b d
	together "$1, tenant, received by two pods" c a d b
	k delete clusterbandwidthpolicy acme >/dev/null
}

one() {
	local begin=$SECONDS cni
	cni=$(network)
	agent_deploy
	[ -z "${ONLY_BETWEEN:-}" ] || {
		between "$cni"
		return
	}
	start_pods
	sends "$cni"
	receives "$cni"
	services "$cni"
	restarted "$cni"
	tenant "$cni"
	pod_delete a b c d h
	between "$cni"
	diag "$cni: $((SECONDS - begin)) s"
}

# shellcheck disable=SC2086	# words
[ $# -gt 0 ] || set -- $PPC_NETWORKS
each_cni cni one "$@"
done_testing
