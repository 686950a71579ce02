#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# podpace's objects on a real API server: what it takes and what it refuses, with which words; what
# kubectl shows of them; and their status, as agents with no other rights than the agent's write it.
# The nodes of these agents are objects alone.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

TELL=$LAB_BIN/tests/tell
LABELS="[PREFIX/]NAME"
RATE="valid is a number of bits/s with k, M, G, T, P"

# object KIND NAME SPEC
object() {
	echo "{apiVersion: podpace.io/v1alpha1, kind: $1, metadata: {name: $2, namespace: $(
		[ "$1" = BandwidthPolicy ] && echo default)}, spec: $3}"
}

# refused KIND SPEC MESSAGE...: with all of them
refused() {
	local kind=$1 spec=$2 out message
	shift 2
	if out=$(object "$kind" x "$spec" | k create --dry-run=server -f - 2>&1); then
		out="it is accepted"
	fi
	for message in "$@"; do
		case $out in *"$message"*) continue ;; esac
		fail "refused: $kind $spec"
		diag "have: $out" "want: $message"
		return
	done
	pass "refused: $kind $spec: ${*: -1}"
}

accepted() {
	local out
	if out=$(object "$1" x "$2" | k create --dry-run=server -f - 2>&1); then
		pass "accepted: $1 $2"
	else
		fail "accepted: $1 $2"
		diag "$out"
	fi
}

# What the command takes, too: the namespaces of these are not there.
examples() {
	ok "tests/golden/valid.yaml is accepted" eval "sed 's/namespace: shop/namespace: default/' \
		'$LAB_TOP/tests/golden/valid.yaml' | k create --dry-run=server -f - >/dev/null"
	ok "tests/golden/rules.yaml is accepted" eval "sed 's/namespace: shop/namespace: default/' \
		'$LAB_TOP/tests/golden/rules.yaml' | k create --dry-run=server -f - >/dev/null"
}

valid() {
	local rate
	for rate in 1k 1000 1P 1000000000000000 1.5G +5M .5M '"5.M"' 800k 1Mi 1e6 '"1E6"' 1000000m; do
		accepted BandwidthClass "{egress: {ceil: $rate}}"
	done
	accepted BandwidthClass '{description: paid, default: true, namespaces: {}, egress: {ceil: 1G, guarantee: 1000M, weight: 1000}, ingress: {weight: 1}}'
	accepted BandwidthClass '{namespaces: {matchLabels: {a.b/c: "", d: e}, matchExpressions: [{key: f, operator: In, values: [g]}, {key: h, operator: Exists}]}, ingress: {guarantee: 1M}}'
	accepted BandwidthPolicy '{podSelector: {}, class: gold}'
	accepted BandwidthPolicy '{podSelector: {}, class: gold, per: Pod, enforcement: Enforce}'
	accepted BandwidthPolicy '{podSelector: {}, egress: {ceil: 1M}, per: Policy}'
	accepted BandwidthPolicy '{podSelector: {}, egress: {ceil: 1M}, ingress: {ceil: 1M}, enforcement: Observe}'
	accepted ClusterBandwidthPolicy '{subject: {namespaces: {}}, per: Namespace, egress: {ceil: 1M, weight: 5}}'
	accepted ClusterBandwidthPolicy '{subject: {pods: {namespaceSelector: {}, podSelector: {}}}, per: Pod, egress: {guarantee: 1M}}'
	accepted ClusterBandwidthPolicy '{subject: {cgroups: [/a.slice]}, per: Node, ingress: {ceil: 1M}, enforcement: Observe}'
	accepted ClusterBandwidthPolicy '{subject: {nodes: {}}, per: Node, egress: {ceil: 10G}, ingress: {ceil: 10G}}'
}

rates() {
	local rate
	for rate in 999 0.9k 1.1P 10K -5M '""' 5Mb '"5,5M"' '" 5M"' 1500m '"1e-9"' '"1e999"'; do
		refused BandwidthClass "{egress: {ceil: $rate}}" spec.egress.ceil "$RATE"
	done
	refused BandwidthClass '{egress: {ceil: true}}' 'integer,string: "boolean"'
	refused BandwidthClass '{egress: {ceil: 1000.5}}' 'integer,string: "number"'
	refused BandwidthClass '{ingress: {guarantee: 10K}}' spec.ingress.guarantee "$RATE"
	refused BandwidthClass '{egress: {ceil: 1M, guarantee: 1001k}}' spec.egress.guarantee 'is more than the ceil'
	refused BandwidthClass '{egress: {ceil: 2000, guarantee: 1M}}' spec.egress.guarantee 'is more than the ceil'
	refused BandwidthClass '{egress: {}}' spec.egress 'says nothing; valid are ceil, guarantee, weight'
	refused BandwidthClass '{egress: {weight: 0}}' spec.egress.weight 'greater than or equal to 1'
	refused BandwidthClass '{egress: {weight: 1001}}' spec.egress.weight 'less than or equal to 1000'
}

selectors() {
	refused BandwidthPolicy '{class: c, podSelector: {matchLabels: {"a b": c}}}' spec.podSelector.matchLabels "$LABELS"
	refused BandwidthPolicy '{class: c, podSelector: {matchLabels: {a: "b c"}}}' spec.podSelector.matchLabels "no label's"
	refused BandwidthPolicy '{class: c, podSelector: {matchLabels: {a: 5}}}' spec.podSelector.matchLabels.a string
	refused BandwidthPolicy '{class: c, podSelector: {matchExpressions: [{key: _, operator: Exists}]}}' '[0].key' "$LABELS"
	refused BandwidthPolicy '{class: c, podSelector: {matchExpressions: [{key: a, operator: Gt}]}}' '"In", "NotIn", "Exists", "DoesNotExist"'
	refused BandwidthPolicy '{class: c, podSelector: {matchExpressions: [{key: a, operator: In}]}}' 'In and NotIn need values'
	refused BandwidthPolicy '{class: c, podSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}' 'Exists and DoesNotExist take none'
	refused BandwidthPolicy '{class: c, podSelector: {matchExpressions: [{key: a, operator: In, values: ["?"]}]}}' 'values[0]' "no label's value"
}

classes_and_policies() {
	refused BandwidthClass '{default: true}' 'limits nothing; valid are egress, ingress'
	refused BandwidthClass '{egress: {ceil: 1M}, colour: red}' 'unknown field "spec.colour"'
	refused BandwidthPolicy '{class: gold}' 'spec.podSelector: Required'
	refused BandwidthPolicy '{podSelector: {}}' 'valid is either a class, or egress and ingress'
	refused BandwidthPolicy '{podSelector: {}, class: gold, egress: {ceil: 1M}}' 'valid is either a class, or egress and ingress'
	refused BandwidthPolicy '{podSelector: {}, class: gold, per: Policy}' spec.per 'a class is for each pod; valid is Pod'
	refused BandwidthPolicy '{podSelector: {}, egress: {ceil: 1M}, per: Node}' spec.per 'valid are Pod, Policy'
	refused BandwidthPolicy '{podSelector: {}, egress: {ceil: 1M}, per: Pair}' spec.per 'Pair is of rules; valid are Pod, Policy'
	refused BandwidthPolicy '{podSelector: {}, egress: {ceil: 1M}, enforcement: Audit}' spec.enforcement '"Enforce", "Observe"'
	refused BandwidthPolicy '{podSelector: {}, egress: {weight: 5}, enforcement: Observe}' 'with enforcement: Observe each direction has a ceil, or rules, and nothing else'
	refused BandwidthPolicy '{podSelector: {}, ingress: {ceil: 5M, guarantee: 1M}, enforcement: Observe}' 'with enforcement: Observe each direction has a ceil, or rules, and nothing else'
	refused BandwidthPolicy '{podSelector: {}, egress: [{to: [], ceil: 1M}]}' 'spec.egress'
}

cluster_policies() {
	local kind=ClusterBandwidthPolicy all='namespaces: {}'
	refused $kind '{per: Node, egress: {ceil: 1M}}' 'needs a subject: namespaces, pods, cgroups or nodes'
	refused $kind '{subject: {}, per: Node, egress: {ceil: 1M}}' spec.subject 'valid is one of namespaces, pods, cgroups, nodes'
	refused $kind "{subject: {$all, nodes: {}}, per: Node, egress: {ceil: 1M}}" spec.subject 'valid is one of namespaces, pods, cgroups, nodes'
	refused $kind '{subject: {pods: {podSelector: {}}}, per: Node, egress: {ceil: 1M}}' 'spec.subject.pods.namespaceSelector: Required'
	refused $kind '{subject: {cgroups: [a]}, per: Node, egress: {ceil: 1M}}' 'cgroups[0]' 'valid is one that begins with /'
	refused $kind '{subject: {cgroups: []}, per: Node, egress: {ceil: 1M}}' 'at least 1 items'
	refused $kind "{subject: {$all}, egress: {ceil: 1M}}" 'needs per: valid are Pod, Namespace, Node'
	refused $kind "{subject: {$all}, per: Node}" 'limits nothing; valid are egress, ingress'
	refused $kind "{subject: {$all}, per: Policy, egress: {ceil: 1M}}" spec.per 'valid are Pod, Namespace, Node'
	refused $kind "{subject: {$all}, per: Cluster, egress: {ceil: 1M}}" spec.per 'not built yet; valid are Pod, Namespace, Node'
	refused $kind "{subject: {$all}, per: Pair, egress: {ceil: 1M}}" spec.per 'Pair is of rules; valid are Pod, Namespace, Node'
	refused $kind '{subject: {cgroups: [/a]}, per: Namespace, egress: {ceil: 1M}}' spec.per 'cgroups have no namespace; valid are Pod, Node'
	refused $kind '{subject: {nodes: {}}, per: Pod, egress: {ceil: 1M}}' spec.per "an uplink is its node's; valid is Node"
	refused $kind '{subject: {nodes: {}}, per: Node, egress: {weight: 5}}' 'an uplink has a ceil in each direction and nothing else'
	refused $kind '{subject: {nodes: {}}, per: Node, egress: {ceil: 1M}, enforcement: Observe}' spec.enforcement 'an uplink is not observed; valid is Enforce'
	refused $kind "{subject: {$all}, per: Node, egress: {guarantee: 1M}, enforcement: Observe}" 'with enforcement: Observe each direction has a ceil, or rules, and nothing else'
}

# rule RULE: a policy that has it as its only one
rule() {
	echo "{podSelector: {}, egress: {rules: [$1]}}"
}

# peer PEER: a policy with a rule of this peer
peer() {
	rule "{name: a, ceil: 1M, to: [$1]}"
}

# port PORT: a policy with a rule of this port
port() {
	rule "{name: a, ceil: 1M, ports: [$1]}"
}

rules() {
	local kind=BandwidthPolicy at='egress.rules[0]'
	refused BandwidthClass '{egress: {ceil: 1M, rules: [{name: a}]}}' spec.egress.rules 'a class has no rules'
	refused ClusterBandwidthPolicy '{subject: {nodes: {}}, per: Node, egress: {ceil: 1M, rules: [{name: a, ceil: 1M}]}}' 'an uplink has no rules; valid is a ceil'
	refused $kind '{podSelector: {}, class: gold, egress: {rules: [{name: a, ceil: 1M}]}}' 'valid is either a class, or egress and ingress'
	refused $kind '{podSelector: {}, egress: {rules: []}}' 'says nothing; valid are ceil, guarantee, weight, rules'
	refused $kind '{podSelector: {}, egress: {weight: 5, rules: [{name: a, ceil: 1M}]}, enforcement: Observe}' 'with enforcement: Observe'
	refused ClusterBandwidthPolicy '{subject: {namespaces: {}}, egress: {rules: [{name: a, ceil: 1M}]}, ingress: {ceil: 1M}}' 'needs per'
	refused $kind "$(rule '{ceil: 1M}')" "$at.name: Required"
	refused $kind "$(rule '{name: a}')" "$at.ceil: Required"
	refused $kind "$(rule '{name: a, ceil: 10K}')" "$at.ceil" "$RATE"
	refused $kind "$(rule '{name: A, ceil: 1M}')" "$at.name" 'valid are at most 63 small letters, digits and -'
	refused $kind "$(rule '{name: a, ceil: 1M}, {name: a, ceil: 2M}')" 'egress.rules[1]: Duplicate value'
	refused $kind "$(rule '{name: a, ceil: 1M, from: [{podSelector: {}}]}')" "$at.from" 'is of ingress; valid is to'
	refused $kind '{podSelector: {}, ingress: {rules: [{name: a, ceil: 1M, to: []}]}}' 'rules[0].to' 'is of egress; valid is from'
	refused $kind "$(rule '{name: a, ceil: 1M, per: Node}')" "$at.per" 'valid are Pod, Pair, Policy'
	refused ClusterBandwidthPolicy '{subject: {namespaces: {}}, egress: {rules: [{name: a, ceil: 1M, per: Policy}]}}' "$at.per" 'valid are Pod, Pair, Namespace, Node'
	refused ClusterBandwidthPolicy '{subject: {namespaces: {}}, egress: {rules: [{name: a, ceil: 1M, per: Cluster}]}}' "$at.per" 'Cluster is not built yet'
	refused ClusterBandwidthPolicy '{subject: {cgroups: [/a]}, egress: {rules: [{name: a, ceil: 1M, per: Namespace}]}}' 'cgroups have no namespace; valid are Pod, Pair, Node'
	refused $kind "$(rule "$(seq -f '{name: r-%g, ceil: 1M}' -s ', ' 17)")" 'must have at most 16 items'
	peers_and_ports $kind "$at"
}

# peers_and_ports KIND FIELD
peers_and_ports() {
	refused "$1" "$(peer '{}')" "$2.to[0]" 'says nothing; valid are podSelector, namespaceSelector, ipBlock'
	refused "$1" "$(peer '{podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}')" "$2.to[0]" 'an ipBlock is alone in its peer'
	refused ClusterBandwidthPolicy '{subject: {namespaces: {}}, ingress: {rules: [{name: a, ceil: 1M, from: [{podSelector: {}}]}]}}' 'from[0]' 'needs a namespaceSelector beside the podSelector'
	refused "$1" "$(peer '{ipBlock: {}}')" 'ipBlock.cidr: Required'
	refused "$1" "$(peer '{ipBlock: {cidr: here}}')" 'ipBlock.cidr' 'valid are 10.244.0.0/16, fd00:10::/56, 10.1.2.3'
	refused "$1" "$(peer '{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}')" 'ipBlock.except' 'valid is a part of the cidr'
	refused "$1" "$(peer '{ipBlock: {cidr: "::/0", except: [10.0.0.0/8]}}')" 'ipBlock.except' 'valid is a part of the cidr'
	refused "$1" "$(peer '{podSelector: {matchLabels: {"a b": c}}}')" "$LABELS"
	refused "$1" "$(peer '{podSelector: {matchLabels: {a: "b c"}}}')" 'podSelector.matchLabels.a'
	refused "$1" "$(peer '{podSelector: {matchExpressions: [{key: a, operator: In}]}}')" 'In and NotIn need values'
	refused "$1" "$(port '{port: http}')" "$2.ports[0].port" 'named ports are not built yet; valid is a number from 1 to 65535'
	refused "$1" "$(port '{port: 65536}')" "$2.ports[0].port" 'valid is a number from 1 to 65535'
	refused "$1" "$(port '{protocol: ICMP}')" '"TCP", "UDP", "SCTP"'
	refused "$1" "$(port '{endPort: 5}')" "$2.ports[0].endPort" 'needs a port, where the range begins'
	refused "$1" "$(port '{port: 5, endPort: 4}')" "$2.ports[0].endPort" 'is less than the port'
}

# --- status

# The rows of a table without AGE, single spaces.
table() {
	k get "$@" | awk '{ NF--; $1 = $1; print }' | paste -sd '|'
}

# May the agent do that? can VERB RESOURCE [OPTIONS]
can() {
	k auth can-i "$@" --as="system:serviceaccount:$AGENT_NS:podpace" 2>/dev/null || true
}

rights() {
	is "the agent may patch the status of policies" \
		"$(can patch bandwidthpolicies.podpace.io --subresource=status)" yes
	is "but not their spec" "$(can patch bandwidthpolicies.podpace.io)" no
	is "nor delete what nodes say" "$(can delete bandwidthnodes.podpace.io)" no
	is "nor take a lease elsewhere" "$(can update leases.coordination.k8s.io)" no
}

# As the agent logs in, without the rest of its pod.
login() {
	k -n "$AGENT_NS" create token podpace >"$LAB_TMP/token"
	cat >"$LAB_TMP/agent.conf" <<-END
		apiVersion: v1
		kind: Config
		current-context: lab
		clusters:
		- {name: lab, cluster: {server: "https://$PPC_FABRIC.1", certificate-authority: $PPC_RUN/pki/ca.crt}}
		users:
		- {name: agent, user: {tokenFile: $LAB_TMP/token}}
		contexts:
		- {name: lab, context: {cluster: lab, user: agent}}
	END
}

declare -A TELL_PID=()

# tell_start NODE: its stdin is $LAB_TMP/NODE
tell_start() {
	mkfifo "$LAB_TMP/$1"
	(
		ppc_join tools
		exec nsenter --net="/run/netns/$PPC_NS-cp" "$TELL" "$LAB_TMP/agent.conf" "$AGENT_NS" "$1" \
			<>"$LAB_TMP/$1"
	) >"$LAB_TMP/$1.out" 2>"$LAB_TMP/$1.err" &
	TELL_PID[$1]=$!
	lab_defer "kill ${TELL_PID[$1]} 2>/dev/null"
}

tell() {
	local node=$1
	shift
	printf '%s\n' "$@" >"$LAB_TMP/$node"
}

leader() {
	local node
	for node in "${!TELL_PID[@]}"; do
		[ "$(tail -n 1 "$LAB_TMP/$node.out")" != leads ] || echo "$node"
	done
}

leaders() {
	leader | wc -l
}

make_objects() {
	local node
	for node in podpace-o1 podpace-o2; do
		echo "{apiVersion: v1, kind: Node, metadata: {name: $node}}" | k create -f - >/dev/null
	done
	{
		object BandwidthClass gold '{egress: {ceil: 1G, weight: 300}, namespaces: {}}'
		echo ---
		object BandwidthPolicy web '{podSelector: {}, egress: {ceil: 50M}, ingress: {ceil: 20000000}}'
		echo ---
		object ClusterBandwidthPolicy tenant '{subject: {namespaces: {}}, per: Namespace, egress: {ceil: 1G}}'
	} | k create -f - >/dev/null
}

spoken_of() {
	tell podpace-o1 "BandwidthPolicy default web 1 2 2 - -" \
		"ClusterBandwidthPolicy - tenant 1 2 2 - -" ready
	tell podpace-o2 "BandwidthPolicy default web 1 1 1 - -" \
		"ClusterBandwidthPolicy - tenant 1 3 2 - no room for another limit" ready
	becomes "one of two leads" 30 1 leaders
	becomes "a policy in force" 25 "NAME CLASS EGRESS INGRESS PER PODS READY REASON|web 50M 20000000 Pod 3 True InForce" \
		table bandwidthpolicies
	becomes "a tenant that is not" 5 "NAME EGRESS INGRESS PER PODS READY REASON|tenant 1G Namespace 5 False NotEnforced" \
		table cbwp
	is "which node says so" \
		"$(k get cbwp tenant -o 'jsonpath={.status.nodes} {.status.conditions[0].message}')" \
		'2 node podpace-o2: no room for another limit'
	becomes "a class that no pod has" 25 "NAME EGRESS INGRESS DEFAULT PODS READY REASON|gold 1G 0 True NoPods" \
		table bwc
	is "what a node says" "$(k get bwn podpace-o1 --no-headers | awk '{ print $1, $2, $3 }')" \
		"podpace-o1 test true"
	is "all of them together" "$(k get podpace -A --no-headers | wc -l)" 5
}

# A condition's time is that of its status, not of its words.
changed() {
	local since
	since=$(k get bwp web -o 'jsonpath={.status.conditions[0].lastTransitionTime}')
	k patch bwp web --type merge -p '{"spec":{"egress":{"ceil":"60M"}}}' >/dev/null
	tell podpace-o1 "BandwidthPolicy default web 2 2 2 - -" ready
	tell podpace-o2 "BandwidthPolicy default web 2 2 2 - -" ready
	becomes "a policy that changes" 30 "2 4 True $since" k get bwp web -o \
		'jsonpath={.status.observedGeneration} {.status.pods} {.status.conditions[0].status} {.status.conditions[0].lastTransitionTime}'
	tell podpace-o2 "not the cgroup tree is gone"
	becomes "a node without agents' work has no pods of it" 30 "2 1" \
		k get bwp web -o 'jsonpath={.status.pods} {.status.nodes}'
	is "and says why" "$(k get bwn podpace-o2 -o 'jsonpath={.status.ready} {.status.message}')" \
		"false the cgroup tree is gone"
}

restarted() {
	cluster restart api
	tell podpace-o2 "BandwidthPolicy default web 2 7 7 - -" ready
	becomes "the API server was restarted" 60 "9 2" \
		k get bwp web -o 'jsonpath={.status.pods} {.status.nodes}'
}

succeeded() {
	local first second
	first=$(leader)
	second=$([ "$first" = podpace-o1 ] && echo podpace-o2 || echo podpace-o1)
	kill -KILL "${TELL_PID[$first]}"
	wait "${TELL_PID[$first]}" 2>/dev/null || true
	rm "$LAB_TMP/$first.out"
	unset "TELL_PID[$first]"
	becomes "another leads when the first is killed" 45 "$second" leader
	is "by the Lease" "$(k -n "$AGENT_NS" get lease podpace \
		-o 'jsonpath={.spec.holderIdentity}' | sed 's/_[0-9]*//')" "$second"
	k delete node "$first" >/dev/null
	becomes "what a node said goes with it" 30 0 eval "k get bwn '$first' --no-headers --ignore-not-found | wc -l"
}

begin() {
	k apply -f "$LAB_TOP/deploy/base/namespace.yaml" -f "$LAB_TOP/deploy/base/crds.yaml" >/dev/null
	k apply -n "$AGENT_NS" -f "$LAB_TOP/deploy/base/rbac.yaml" >/dev/null
	ok "the API server takes the definitions" \
		k wait --for=condition=Established crd -l app.kubernetes.io/name=podpace --timeout=20s
}

end() {
	k delete node podpace-o1 podpace-o2 --ignore-not-found
	# definitions that go take their objects with them
	k delete -k "$LAB_TOP/deploy/base" --ignore-not-found
} >/dev/null 2>&1

[ -x "$TELL" ] || lab_fail "$TELL is missing: make build-kube"
cluster_init objects --nodes 1
lab_defer end
begin
examples
valid
rates
selectors
classes_and_policies
cluster_policies
rules
rights
login
make_objects
tell_start podpace-o1
tell_start podpace-o2
spoken_of
changed
restarted
succeeded
done_testing
