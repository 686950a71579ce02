#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a provider sells, by objects alone: tenants that share a node's uplink, guarantees, classes,
# who may use them, what is only observed; and what the API says of each object.
#
#   tiers.sh [CNI...]   default flannel; a cluster that is up is used as it is
#
# shellcheck disable=SC2317	# each_cni calls the functions
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

apply() {
	k apply -f - >"$LAB_TMP/apply" 2>&1 || fail "apply: $(cat "$LAB_TMP/apply")"
}

# tenant NAME EGRESS INGRESS: the pods with its name
tenant() {
	apply <<-END
		apiVersion: podpace.io/v1alpha1
		kind: ClusterBandwidthPolicy
		metadata: {name: $1}
		spec:
		  subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {tenant: $1}}}}
		  per: Node
		  egress: $2
		  ingress: $3
	END
}

uplink() {
	apply <<-END
		apiVersion: podpace.io/v1alpha1
		kind: ClusterBandwidthPolicy
		metadata: {name: wire}
		spec:
		  subject: {nodes: {matchLabels: {kubernetes.io/hostname: n1}}}
		  per: Node
		  egress: {ceil: $1}
		  ingress: {ceil: $1}
	END
}

class() {
	apply <<-END
		apiVersion: podpace.io/v1alpha1
		kind: BandwidthClass
		metadata: {name: $1}
		spec:
		  namespaces: $2
		  egress: $3
	END
}

policy() {
	apply <<-END
		apiVersion: podpace.io/v1alpha1
		kind: BandwidthPolicy
		metadata: {name: $1, namespace: default}
		spec: $2
	END
}

ready() {
	k get "$1" "$2" -o 'jsonpath={range .status.conditions[?(@.type=="Ready")]}{.status} {.reason}{end}'
}

message() {
	k get "$1" "$2" -o 'jsonpath={range .status.conditions[?(@.type=="Ready")]}{.message}{end}'
}

# capacity NAME DIRECTION: of a limit of many on node 1, that of the uplink's tree, bytes/s
capacity() {
	metric 1 "podpace_limit_bytes_per_second{limit=\"$1\",direction=\"$2\",uplink=\"true\""
}

# explain POD FILTER
explain() {
	page "${POD_NODE[$1]}" "explain/pod/default/$1" | jq -c "$2"
}

# shares NAME FROM_A TO_A FROM_B TO_B A B: the first is there all the time, the second in the middle
shares() {
	local name=$1 begin end
	run_start a "$2" "$3" 8 --flows "$FLOWS_A" --cc "$CC"
	sleep 1.7
	begin=$(moment)
	run_start b "$4" "$5" 4 --flows "$FLOWS_B" --cc "$CC"
	sleep 2.8
	end=$(moment)
	run_stop b
	sleep 1.5
	run_stop a
	is_share "$name: alone" "$(run_rate a "$begin - 0.7" "$begin - 0.05")" 1G 98 101
	is_share "$name: the first" "$(run_rate a "$begin + 1" "$end - 0.05")" "$6" 98 102
	is_share "$name: the second" "$(run_rate b "$begin + 1" "$end - 0.05")" "$7" 98 102
	is_share "$name: what is idle is borrowed" "$(run_rate a "$end + 0.3" "$end + 1.2")" 1G 98 101
}

tiers() {
	local cni=$1 counted FLOWS_A=1 FLOWS_B=16 CC=cubic
	agent_deploy
	lab_defer "k delete clusterbandwidthpolicies,bandwidthpolicies,bandwidthclasses --all -A --ignore-not-found >/dev/null 2>&1"
	for pod in a:1 b:1 c:2 d:2; do
		pod_start "${pod%:*}" "${pod#*:}"
	done
	k label pod a tenant=acme >/dev/null
	k label pod b tenant=bolt >/dev/null
	uplink 1G
	tenant acme '{weight: 300}' '{weight: 300}'
	tenant bolt '{weight: 100}' '{weight: 100}'
	becomes "$cni: the uplink is limited" 10 125000000 capacity "uplink wire" egress
	becomes "$cni: pods have shares of their tenants" 5 '["pod default/a","tenant acme","uplink wire"]' \
		explain a '[.limits[] | select(.uplink and .direction == "egress") | .limit]'

	shares "$cni, 3:1 of the uplink, 1 and 16 flows, cubic" a c b d 750M 250M
	FLOWS_A=16 FLOWS_B=1 CC=bbr
	shares "$cni, 3:1 of the uplink, 16 flows and 1, bbr" a c b d 750M 250M
	shares "$cni, 3:1, received" c a d b 750M 250M
	tenant acme '{weight: 100}' '{weight: 100}'
	tenant bolt '{weight: 1, guarantee: 400M}' '{weight: 1, guarantee: 400M}'
	becomes "$cni: a guarantee" 5 400000000 explain b \
		'[.limits[] | select(.uplink and .direction == "egress" and .limit == "tenant bolt") | .guarantee][0]'
	FLOWS_A=64 CC=cubic
	shares "$cni, a guarantee of 400M against 64 flows" a c b d 594059K 405940K
	run_start a a b 3 --flows 4
	sleep 2
	end=$(moment)
	run_stop a
	is_between "$cni: what stays on the node is no matter of the uplink" \
		"$(run_rate a "$end - 1" "$end - 0.1")" 1200000000 1e12

	# changed under load, by objects
	tenant acme '{weight: 300}' '{weight: 300}'
	tenant bolt '{weight: 100}' '{weight: 100}'
	class gold '{}' '{ceil: 600M, weight: 300}'
	class bronze '{}' '{ceil: 100M}'
	policy tier '{podSelector: {matchLabels: {tenant: acme}}, class: gold}'
	becomes "$cni: a class" 5 75000000 limit_of a
	run_start a a c 6 --flows 4 --cc cubic
	sleep 1.5
	for class in bronze gold bronze gold; do
		policy tier "{podSelector: {matchLabels: {tenant: acme}}, class: $class}"
		sleep 0.9
	done
	run_stop a
	is_share "$cni: classes change under load: the fullest 100 ms" \
		"$(run_report a receive .wire.worst_100ms_bps)" 600M 90 110

	# --- nobody promotes himself
	class silver '{matchLabels: {paid: "yes"}}' '{ceil: 2G, weight: 1000}'
	policy tier '{podSelector: {matchLabels: {tenant: acme}}, class: silver}'
	becomes "$cni: a class that is not open to the namespace: its status says so" 40 'False ChoiceNotAllowed' \
		ready bandwidthpolicy tier
	is "$cni: and which are" "$(message bandwidthpolicy tier | grep -c 'is not open to the namespace; valid in namespace default: ')" 1
	is "$cni: it has no effect" "$(limit_of a)" ""
	annotate a podpace.io/class=silver
	becomes "$cni: nor has an annotation: an event says so" 10 1 eval \
		"k get events --field-selector reason=BandwidthNoEffect,involvedObject.name=a -o name | wc -l"
	policy tier '{podSelector: {matchLabels: {tenant: acme}}, egress: {ceil: 50M}}'
	annotate a "$EGRESS=500M"
	becomes "$cni: an annotation lowers a limit, and raises none" 5 6250000 limit_of a
	annotate a "$EGRESS=20M"
	becomes "$cni: lowered" 5 2500000 limit_of a
	annotate a "$EGRESS-" podpace.io/class-
	share "$cni: a policy's limit" a c 50M --flows 4
	becomes "$cni: a policy that is in force is ready" 40 'True InForce' ready bandwidthpolicy tier
	is "$cni: and on how many pods" "$(k get bandwidthpolicy tier -o 'jsonpath={.status.pods}')" 1
	becomes "$cni: so is a tenant" 20 'True InForce' ready clusterbandwidthpolicy acme
	is "$cni: the node's own report" "$(k get bandwidthnode n1 -o 'jsonpath={.status.ready}')" true

	# --- observed
	policy tier '{podSelector: {matchLabels: {tenant: acme}}, egress: {ceil: 50M}, enforcement: Observe}'
	becomes "$cni: observed" 5 true explain a '[.limits[] | select(.observe)] | length > 0'
	run_start a a c 4 --flows 4
	sleep 3
	end=$(moment)
	run_stop a
	is_between "$cni: and not held" "$(run_rate a "$end - 1" "$end - 0.1")" 500000000 1010000000
	k delete bandwidthpolicy tier >/dev/null

	# --- what is counted goes on
	policy tier '{podSelector: {matchLabels: {tenant: acme}}, class: gold}'
	becomes "$cni: the class again" 5 75000000 limit_of a
	traffic_between a c 3 --flows 2
	counted=$(metric 1 'podpace_class_bytes_total{class="gold",direction="egress"}')
	is_between "$cni: the class counts" "$counted" 1e8 1e12
	kill -KILL "$(agent_pid 1)"
	becomes "$cni: an agent is killed, and another comes" 60 true eval \
		"page 1 readyz >/dev/null && [ \"\$(limit_of a)\" = 75000000 ] && echo true"
	is_between "$cni: it goes on counting" \
		"$(metric 1 'podpace_class_bytes_total{class="gold",direction="egress"}')" "$counted" 1e12
	pod_delete a
	becomes "$cni: the pod is gone, what it did is not" 10 true eval \
		"[ \"\$(metric 1 'podpace_class_bytes_total{class=\"gold\",direction=\"egress\"}' | cut -d . -f 1)\" -ge ${counted%%.*} ] && echo true"
	k delete clusterbandwidthpolicies,bandwidthpolicies,bandwidthclasses --all -A >/dev/null
	becomes "$cni: without objects nothing is limited" 10 "" capacity "uplink wire" egress
	pod_delete b c d
}

if [ $# = 0 ]; then
	each_cni tiers tiers flannel
else
	each_cni tiers tiers "$@"
fi
done_testing
