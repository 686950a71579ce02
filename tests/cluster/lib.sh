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
#                           as lab_traffic: $LAB_SEND, $LAB_RECEIVE are the JSON reports
#
# tests/lab.sh has TAP, lab_defer, $LAB_TMP. Pods that a test started are deleted at its end.

export LC_ALL=C
CLUSTER_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../lab.sh
. "$CLUSTER_HERE/../lab.sh"
# shellcheck source=names.sh
. "$CLUSTER_HERE/names.sh"

declare -A POD_IP=() POD_NODE=() POD_CGROUP=() POD_CONTAINER=()

cluster() {
	PPC_OWNER=$LAB_ID "$CLUSTER_HERE/cluster" "$@" 8>&-
}

# The lock ends with the test, and outlives clusters.
cluster_turn() {
	exec 8>>"$PPC_RUN.lock"
	flock -n 8 && return
	flock -w 1800 8 || skip_all "another test is at work on the cluster"
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

k() {
	(ppc_become_kubectl "$@")
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

lab_become() {
	local name=$1 pid
	shift
	pod_known "$name"
	pid=$(head -n 1 "${POD_CONTAINER[$name]}/cgroup.procs")
	echo "$BASHPID" >"${POD_CONTAINER[$name]}/cgroup.procs"
	trap - EXIT INT TERM
	exec nsenter --target "$pid" --net "$@"
}

lab_v4() {
	pod_ip "$1"
}

pod_run() { lab_exec "$@"; }
pod_spawn() { lab_spawn "$@"; }
traffic_between() { lab_traffic "$@"; }
