# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Limits between pods, by objects: to pods that labels select, by their own addresses and through a
# ClusterIP, to the internet, and to all, at once; per pod and per pair; on one node and across.
# Labels that change, in force on connections that are there. For tests/cluster/cni.sh, to be
# sourced after lib.sh.
#
#   between CNI

# An address of the internet's, for documentation (RFC 5737): of a namespace behind the control
# plane's, since a receiver counts all that its namespace gets.
ABROAD=198.51.100.7
ABROAD_NS=$PPC_NS-abroad

abroad_start() {
	local cp=$PPC_NS-cp near=169.254.7.1
	ip netns del "$ABROAD_NS" 2>/dev/null || true
	ip netns add "$ABROAD_NS"
	lab_defer "ip netns del '$ABROAD_NS' 2>/dev/null"
	ip -n "$cp" link add abroad0 type veth peer name eth0 netns "$ABROAD_NS"
	ip -n "$cp" addr add "$near/32" dev abroad0
	ip -n "$cp" link set abroad0 up
	ip -n "$cp" route add "$ABROAD/32" dev abroad0
	ip -n "$ABROAD_NS" addr add "$ABROAD/32" dev eth0
	ip -n "$ABROAD_NS" link set lo up
	ip -n "$ABROAD_NS" link set eth0 up
	ip -n "$ABROAD_NS" route add "$near/32" dev eth0
	ip -n "$ABROAD_NS" route add default via "$near"
	nsenter --net="/run/netns/$cp" sysctl -qw net.ipv4.ip_forward=1
}

lab_become() {
	if [ "$1" = abroad ]; then
		trap - EXIT INT TERM
		exec nsenter --net="/run/netns/$ABROAD_NS" "${@:2}"
	fi
	pod_become "$@"
}

lab_v4() {
	if [ -n "${LAB_TO:-}" ]; then
		echo "$LAB_TO"
	elif [ "$1" = abroad ]; then
		echo "$ABROAD"
	else
		pod_ip "$1"
	fi
}

label() {
	k label pod "$1" --overwrite "$2" >/dev/null
}

# policy PER [CEIL]: of what web sends, 60M in all if nothing else is said.
policy() {
	k apply -f - >/dev/null <<-END
		apiVersion: podpace.io/v1alpha1
		kind: BandwidthPolicy
		metadata: {name: web}
		spec:
		  podSelector: {matchLabels: {app: web}}
		  egress:
		    ceil: ${2:-60M}
		    rules:
		    - name: database
		      to: [{podSelector: {matchLabels: {app: db}}}]
		      ports: [{protocol: TCP, port: 10000, endPort: 40000}]
		      ceil: 50M
		      per: $1
		    - name: internet
		      to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]
		      ceil: 20M
		      per: $1
	END
}

# rule POD NAME JQ: what explain says of a rule of the pod.
rule() {
	page "${POD_NODE[$1]}" "explain/pod/default/$1" | jq -r --arg rule " $2 of " \
		".limits[] | select(.limit | contains(\$rule)) | $3"
}

sent() {	# NAME FROM TO RATE [OPTIONS]
	local name="$CNI, $1" from=$2 to=$3 rate=$4
	shift 4
	traffic_between "$from" "$to" 4 "$@"
	is_share "$name" "$(jq '.wire.rate_bps | floor' "$LAB_RECEIVE")" "$rate" 98 101
	is "$name: sent again" "$(sent_again "$LAB_SEND")" 0
}

free() {	# NAME FROM TO
	traffic_between "$2" "$3" 2 --flows 1
	is_between "$CNI, $1, Mbit/s" "$(jq '.wire.rate_bps / 1e6 | floor' "$LAB_RECEIVE")" 150 1000000
}

# both NAME A B RATE_A RATE_BOTH: web to two at once; RATE_A "" is not asked for.
both() {
	local end a b
	run_start a web "$2" 5 --flows 2
	run_start b web "$3" 5 --flows 2
	sleep 4.6
	end=$(moment)
	run_stop a
	run_stop b
	a=$(run_rate a "$end - 3" "$end - 0.1") b=$(run_rate b "$end - 3" "$end - 0.1")
	[ -z "$4" ] || is_share "$CNI, $1: to the first" "$a" "$4" 97 101
	is_share "$CNI, $1: together" "$((a + b))" "$5" 97 101
}

limited() {
	local per=$1
	policy "$per"
	becomes "$CNI, per: $per: in force" 10 "50000000 true $per" \
		rule web database '"\(.ceil) \(.in_force) \(.per)"'
	becomes "$CNI, per: $per: it knows its peers" 10 2 rule web database .matched
	becomes "$CNI, per: $per: its status counts them, and a block" 30 3 \
		k get bandwidthpolicy web -o 'jsonpath={.status.peers}'
	sent "per: $per, to its database on the node, 1 flow" web near 50M --flows 1
	sent "per: $per, across nodes, 8 flows" web far 50M --flows 8
	LAB_TO=$(service_ip database) sent "per: $per, through a ClusterIP, 1 flow" web far 50M --flows 1
	sent "per: $per, to the internet" web abroad 20M --flows 2
	both "per: $per, internet and database" abroad far 20M 60M
	if [ "$per" = Pair ]; then
		both "per: Pair, two databases" near far '' 60M
		is "$CNI, per: Pair: its pairs" "$(rule web database '[.pairs[].peer] | sort | join(", ")')" \
			"pod default/far, pod default/near"
	else
		both "per: Pod, two databases" near far '' 50M
	fi
	free "per: $per, another pod of the node to the same database" other near
	free "per: $per, what comes back" near web
}

# A pod in its node's network has no address of its own: it is known by who it says it is. Of macvlan
# the way from a pod to another node is not the way back, and kube-proxy drops what it sees half of.
host_peer() {
	local node=2
	[ "$CNI" != macvlan ] || node=1
	policy Pod
	pod_apply hostdb "$node" <<-END
		apiVersion: v1
		kind: Pod
		metadata: {name: hostdb, labels: {app: db}}
		spec:
		  nodeName: n$node
		  hostNetwork: true
		  dnsPolicy: Default
		  terminationGracePeriodSeconds: 0
		  containers:
		  - {name: main, image: "$PPC_IMAGE", imagePullPolicy: Never}
	END
	becomes "$CNI, per: Pod, one in its node's network is a peer" 10 3 rule web database .matched
	learn web hostdb
	sent "per: Pod, to one in its node's network" web hostdb 50M --flows 2
	pod_delete hostdb
	becomes "$CNI, per: Pod, and is none when it is gone" 10 2 rule web database .matched
}

# A pod joins and leaves under load. The whole pod may send 400M.
relabelled() {
	local joined left
	policy Pod 400M
	becomes "$CNI, in all 400M" 10 400000000 eval "page 1 explain/pod/default/web |
		jq '.limits[] | select(.limit == \"pod default/web\") | .ceil'"
	run_start live web other 8 --flows 2
	sleep 2
	label other app=db
	joined=$(moment)
	sleep 2.5
	label other app=none
	left=$(moment)
	sleep 2.2
	run_stop live
	is_share "$CNI, a pod joins: within a second" "$(run_rate live "$joined + 1" "$joined + 2.4")" 50M 95 101
	is_share "$CNI, a pod leaves: within a second" "$(run_rate live "$left + 1" "$left + 2")" 400M 90 101
}

# The agent is killed, and the next one begins without an API: whom rules are for stays.
agent_away() {
	policy Pod
	becomes "$CNI, in all 60M again" 10 60000000 eval "page 1 explain/pod/default/web |
		jq '.limits[] | select(.limit == \"pod default/web\") | .ceil'"
	becomes "$CNI, and its peers are known" 10 2 rule web database .matched
	cluster stop api
	kill -KILL "$(agent_pid 1)"
	sent "no API, and the agent is killed" web far 50M --flows 2
	becomes "$CNI, an agent that begins without the API" 60 ok page 1 livez
	sent "no API, the next agent" web far 50M --flows 2
	cluster start api
	becomes "$CNI, the API is back" 120 2 rule web database .matched
	sent "the API is back" web far 50M --flows 2
}

# What is received: of web's no more than 30M, of others' as much as they like.
received() {
	k delete bandwidthpolicy web >/dev/null
	k apply -f - >/dev/null <<-END
		apiVersion: podpace.io/v1alpha1
		kind: BandwidthPolicy
		metadata: {name: db}
		spec:
		  podSelector: {matchLabels: {app: db}}
		  ingress:
		    rules:
		    - name: web
		      from: [{podSelector: {matchLabels: {app: web}}}]
		      ceil: 30M
	END
	becomes "$CNI, from some: in force" 10 true rule near web .in_force
	becomes "$CNI, from some: also on the other node" 10 true rule far web .in_force
	sent "from some, on the node" web near 30M --flows 1
	sent "from some, across nodes" web far 30M --flows 8
	LAB_TO=$(service_ip database) sent "from some, through a ClusterIP" web far 30M --flows 2
	free "from others" other near
	k delete bandwidthpolicy db >/dev/null
}

between() {
	local begin=$SECONDS
	CNI=$1
	abroad_start
	pod_start web 1
	pod_start near 1
	pod_start other 1
	pod_start far 2
	label web app=web
	label near app=db
	label far app=db
	service_start database far 40
	lab_defer 'k delete bandwidthpolicy --all >/dev/null 2>&1'
	learn web far
	LAB_TO=$(service_ip database) learn web far
	limited Pod
	limited Pair
	host_peer
	relabelled
	received
	becomes "$CNI, of objects that are gone nothing is left" 10 0 \
		eval "page 1 explain/pod/default/web | jq '.limits | length'"
	# last: agents may take a minute to find an API that is back
	[ "$CNI" != bridge ] || agent_away
	pod_delete web near other far
	diag "$CNI, between: $((SECONDS - begin)) s"
}
