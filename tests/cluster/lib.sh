# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Pods of a real Kubernetes to measure with. To be sourced.
#
#   . "$(dirname "$0")/lib.sh"
#   cluster_init NAME [OPTIONS of cluster up]
#                           uses the cluster that is up, or brings one up until the test's end
#   cluster_turn            waits for tests of other runs that are at work on a cluster
#   cluster_own [OPTIONS of cluster up]
#                           brings one up; what the test has brought up goes at its end
#   cluster WORD...         tests/cluster/cluster
#   k WORD...               kubectl
#   pod_start a 1 [kubernetes.io/egress-bandwidth=10M...]
#                           a pod on node 1 with these annotations; waits until it is ready
#   pod_apply a 1 <FILE     the same of a pod of your own making, whose name is a
#   pod_ip a; pod_node a    its address; the number of its node
#   pod_cgroup a            of the pod, below /sys/fs/cgroup of its node
#   pod_path a              the same as a path on this machine
#   pod_exec a COMMAND...   in its container, by kubectl exec
#   pod_run a COMMAND...    a program of this machine in the container's network namespace and
#                           cgroup, but with all rights; pod_spawn: in the background, LAB_PID
#   pod_delete a...
#   traffic_between a b SECONDS [OPTIONS of traffic send]
#                           as lab_traffic: $LAB_SEND, $LAB_RECEIVE are the JSON reports; to the
#                           address $LAB_TO of b, if it is set
#   service_start s a RUNS  a service of the pod a, for so many times of lab_traffic from now;
#                           service_ip s
#   run_start R a b SECONDS [OPTIONS]
#                           and the rest of tests/runs.sh
#   agent_deploy            the DaemonSet, until the test's end
#   annotate a "$INGRESS=50M" "$EGRESS-"
#   limit_of a [ingress]    what the agent says that it has in force, bytes/s
#   page 1 readyz; metric 1 PATTERN
#                           of the agent on node 1; the value of the one line that begins so
#   becomes NAME SECONDS WANTED COMMAND...
#                           the output comes to be that
#   share NAME a b LIMIT [OPTIONS]
#                           what arrives at b, of the limit, and that nothing was lost
#   each_cni NAME FUNCTION [CNI...]
#                           the test: on the cluster that is up, or on one of each CNI, of
#                           $PPC_NETWORKS (default bridge flannel)
#   network                 the CNI of the cluster that is up
#
# tests/lab.sh has TAP, lab_defer, $LAB_TMP. Pods that a test started are deleted at its end.

export LC_ALL=C
CLUSTER_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../lab.sh
. "$CLUSTER_HERE/../lab.sh"
# shellcheck source=../runs.sh
. "$CLUSTER_HERE/../runs.sh"
# shellcheck source=names.sh
. "$CLUSTER_HERE/names.sh"

AGENT_NS=podpace-system
EGRESS=kubernetes.io/egress-bandwidth
INGRESS=kubernetes.io/ingress-bandwidth

declare -A POD_IP=() POD_NODE=() POD_CGROUP=() POD_CONTAINER=()

cluster() {
	PPC_OWNER=$LAB_ID "$CLUSTER_HERE/cluster" "$@"
}

# One test at a time: the process whose number is in the lock file, while it lives. A cluster that
# belongs to a test then is one of a test that was killed.
cluster_turn() {
	local end=$((SECONDS + 1800))
	until cluster_take_turn 8<>"$PPC_RUN.lock"; do
		[ "$SECONDS" -lt "$end" ] || skip_all "another test is at work on the cluster"
		sleep 1
	done
	if grep -qsw 'OWNER=.\+' "$PPC_RUN/settings"; then
		cluster down || lab_fail "a cluster that a killed test has left cannot be taken down"
	fi
}

cluster_take_turn() {
	local pid
	flock 8
	read -r pid <&8 || pid=''
	[ -z "$pid" ] || [ "$pid" = $$ ] || [ ! -d "/proc/$pid" ] || return 1
	echo $$ >"$PPC_RUN.lock"
}

cluster_own() {
	lab_defer 'cluster_end'
	cluster up "$@" >"$LAB_TMP/up" 2>&1 || lab_fail "cluster up: $(tail -n 5 "$LAB_TMP/up")"
}

cluster_end() {
	if grep -qsw "OWNER=$LAB_ID" "$PPC_RUN/settings"; then
		cluster down
	fi
}

# Without a cluster it would make the first cgroup of one.
k() {
	ppc_is_up && (ppc_become_kubectl "$@")
}

cluster_init() {
	local name=$1
	shift
	command -v jq >/dev/null || skip_all "needs jq"
	lab_init "$name"
	cluster_turn
	ppc_is_up || cluster_own "$@"
	lab_defer 'pod_delete_all'
}

# --- pods

# The annotations as YAML; a value may hold '='.
pod_annotations() {
	local pair
	for pair in "$@"; do
		printf '    "%s": "%s"\n' "${pair%%=*}" "${pair#*=}"
	done
}

pod_start() {
	local name=$1 node=$2
	shift 2
	pod_apply "$name" "$node" <<-END
		apiVersion: v1
		kind: Pod
		metadata:
		  name: $name
		  annotations:
		    podpace.test/pod: "$LAB_ID"
		$(pod_annotations "$@")
		spec:
		  nodeName: n$node
		  dnsPolicy: Default
		  terminationGracePeriodSeconds: 0
		  containers:
		  - {name: main, image: "$PPC_IMAGE", imagePullPolicy: Never}
	END
}

pod_apply() {
	local name=$1 node=$2
	POD_NODE[$name]=$node
	k apply -f - >"$LAB_TMP/apply" 2>&1 || lab_fail "pod $name: $(cat "$LAB_TMP/apply")"
	k wait --for=condition=Ready "pod/$name" --timeout=60s >"$LAB_TMP/apply" 2>&1 ||
		pod_failed "$name"
	pod_look "$name"
}

pod_failed() {
	{
		k get events --field-selector "involvedObject.name=$1"
		cluster status || true
		tail -n 8 "$PPC_RUN/log/n${POD_NODE[$1]}-kubelet.log"
	} 2>&1 | cut -c 1-300 | sed 's/^/# /'
	lab_fail "pod $1 is not ready"
}

# Where the pod is now: containers that were restarted are elsewhere.
pod_look() {
	local name=$1 ip container root="$PPC_CG/n${POD_NODE[$1]}" dir
	read -r ip container < <(k get pod "$name" \
		-o 'jsonpath={.status.podIP} {.status.containerStatuses[0].containerID}{"\n"}')
	dir=$(find "$root/kubepods" -type d -name "${container#containerd://}")
	[ -n "$dir" ] || lab_fail "pod $name: no cgroup of its container $container"
	POD_IP[$name]=$ip
	POD_CONTAINER[$name]=$dir
	dir=$(dirname "$dir")
	POD_CGROUP[$name]=${dir#"$root"}
}

pod_known() {
	[ -n "${POD_IP[$1]:-}" ] || lab_fail "no pod $1"
}

pod_ip() { pod_known "$1" && echo "${POD_IP[$1]}"; }
pod_node() { pod_known "$1" && echo "${POD_NODE[$1]}"; }
pod_cgroup() { pod_known "$1" && echo "${POD_CGROUP[$1]}"; }
pod_path() { pod_known "$1" && echo "$PPC_CG/n${POD_NODE[$1]}${POD_CGROUP[$1]}"; }

pod_exec() {
	local name=$1
	shift
	k exec "$name" -- "$@"
}

pod_delete() {
	local name
	k delete pod "$@" --ignore-not-found --wait --timeout=60s >/dev/null
	for name in "$@"; do
		unset "POD_IP[$name]" "POD_NODE[$name]" "POD_CGROUP[$name]" "POD_CONTAINER[$name]"
	done
}

pod_delete_all() {
	[ "${#POD_NODE[@]}" = 0 ] || pod_delete "${!POD_NODE[@]}"
}

# --- programs in pods: what tests/lab.sh does with its own pods works with these

lab_become() { pod_become "$@"; }

pod_become() {
	local name=$1 pid
	shift
	pod_known "$name"
	pid=$(head -n 1 "${POD_CONTAINER[$name]}/cgroup.procs")
	echo "$BASHPID" >"${POD_CONTAINER[$name]}/cgroup.procs"
	trap - EXIT INT TERM
	exec nsenter --target "$pid" --net "$@"
}

lab_v4() {
	if [ -n "${LAB_TO:-}" ]; then echo "$LAB_TO"; else pod_ip "$1"; fi
}

pod_run() { lab_exec "$@"; }
pod_spawn() { lab_spawn "$@"; }
run_spawn() { lab_spawn "$@"; }
traffic_between() { lab_traffic "$@"; }

# A service has no ranges of ports: one for each that lab_traffic will use, three tries each.
service_start() {
	local name=$1 pod=$2 port last=$((LAB_PORT + 3 + 12 * $3)) ports=''
	for ((port = LAB_PORT + 4; port <= last; port++)); do
		ports+="{name: p$port, port: $port},"
	done
	k label pod "$pod" --overwrite "podpace.test/service=$name" >/dev/null
	k apply -f - >/dev/null <<-END
		apiVersion: v1
		kind: Service
		metadata: {name: $name}
		spec: {selector: {podpace.test/service: $name}, ports: [${ports%,}]}
	END
	lab_defer "k delete service '$name' --ignore-not-found >/dev/null 2>&1"
	for node in 1 2; do
		becomes "service $name: node $node has it" 10 1 node_serves "$node" "$(service_ip "$name")" "$last"
	done
}

# How many translations of ADDRESS PORT node $1 has that lead to a pod: kube-proxy's, or Cilium's,
# whose pods do not ask kube-proxy.
node_serves() {
	case $(network) in
	cilium*) cluster node "$1" "$PPC_RUN/cilium/bin/cilium-dbg" service list |
		grep -c "[ 	]$2:$3/TCP .*(active)" ;;
	*) cluster node "$1" iptables-save -t nat |
		grep -c -- "-d $2/32 .* --dport $3 -j KUBE-SVC" ;;
	esac
}

service_ip() {
	k get service "$1" -o 'jsonpath={.spec.clusterIP}'
}

# --- the agent

annotate() {
	local pod=$1
	shift
	k annotate pod "$pod" --overwrite "$@" >/dev/null
}

# From where the API server is.
page() {
	nsenter --net="/run/netns/$PPC_NS-cp" curl -sS --max-time 5 "http://$(ppc_address "$1"):9467/$2"
}

metric() {
	page "$1" metrics | awk -v p="$2" 'index($0, p) == 1 { print $NF }'
}

becomes() {
	local name=$1 end=$((SECONDS + $2)) want=$3 have
	shift 3
	until have=$("$@" 2>/dev/null) && [ "$have" = "$want" ]; do
		[ "$SECONDS" -lt "$end" ] || break
		sleep 0.2
	done
	is "$name" "$have" "$want"
}

pod_metric() {
	metric "${POD_NODE[$2]}" "podpace_pod_$1{namespace=\"default\",pod=\"$2\",direction=\"$3\"}"
}

limit_of() {
	pod_metric limit_bytes_per_second "$1" "${2:-egress}"
}

agent_pod() {
	k -n "$AGENT_NS" get pod --field-selector "spec.nodeName=n$1" \
		-o 'jsonpath={.items[0].metadata.name}'
}

# The agent's process on a node.
agent_pid() {
	local dir
	for dir in "$PPC_CG/n$1"/kubepods/*/pod*/* "$PPC_CG/n$1"/kubepods/pod*/*; do
		[ -d "$dir" ] || continue
		while read -r pid; do
			case $(readlink "/proc/$pid/exe") in */podpace) echo "$pid" ;; esac
		done <"$dir/cgroup.procs"
	done 2>/dev/null | head -n 1
}

agent_deploy() {
	cluster import "$LAB_BIN/podpace-image.tar"
	k apply -k "$LAB_TOP/deploy/base" >"$LAB_TMP/apply" 2>&1 || lab_fail "deploy: $(cat "$LAB_TMP/apply")"
	ok "the DaemonSet is ready on all nodes" \
		k -n "$AGENT_NS" rollout status daemonset/podpace --timeout=90s
	lab_defer "k delete -k '$LAB_TOP/deploy/base' --ignore-not-found >/dev/null 2>&1"
}

share() {
	local name=$1 from=$2 to=$3 limit=$4
	shift 4
	traffic_between "$from" "$to" 6 "$@"
	is_share "$name" "$(jq '.wire.rate_bps | floor' "$LAB_RECEIVE")" "$limit" 95 101
	is "$name: sent again" "$(sent_again "$LAB_SEND")" 0
}

network() {
	sed -n 's/^CNI=\([^ ]*\).*/\1/p' "$PPC_RUN/settings"
}

each_cni() {
	local name=$1 test=$2 cni
	shift 2
	[ -e "$LAB_BIN/podpace-image.tar" ] ||
		lab_fail "$LAB_BIN/podpace-image.tar is missing: make image"
	[ $# -gt 0 ] || set -- bridge flannel
	if ppc_is_up; then
		cluster_init "$name"
		"$test" "the cluster that is up"
		return
	fi
	lab_init "$name"
	cluster_turn
	for cni in "$@"; do
		cluster_own --cni "$cni"
		"$test" "$cni"
		cluster down
	done
}
