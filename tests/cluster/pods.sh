#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The cluster itself, with either network: pods and traffic between them, their cgroups, the API
# from within, a restart of the API server, and that nothing is left behind. It brings up clusters
# of its own.
#
# shellcheck disable=SC2317	# ok calls the functions
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

lab_init pods
cluster_turn
ppc_is_up && skip_all "a cluster is up: make cluster-down"

# What a cluster could leave behind or change. Another one may be up meanwhile.
traces() {
	ls -d "$PPC_RUN" "$PPC_CG" 2>&1 || true
	ppc_namespaces
	ip -o link | awk '{ print $2 }' | grep '^cni\|^flannel\|^port' || true
	grep -E "$PPC_NS-|$PPC_RUN|kubelet|containerd|cni" /proc/mounts || true
	processes
	ls -d /etc/cni /var/lib/kubelet /var/lib/containerd /var/lib/cni /var/log/pods /opt/cni \
		/opt/containerd /run/containerd /run/flannel 2>&1 || true
	sysctl vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops \
		kernel.keys.root_maxkeys kernel.keys.root_maxbytes kernel.hostname net.ipv4.ip_forward
}

# Those of programs of the cache, but of clusters beside this.
processes() {
	local dir
	for dir in /proc/[0-9]*; do
		case $(readlink "$dir/exe") in
		*/cluster-*/bin/* | */podpace-cluster*/bin/*) ;;
		*) continue ;;
		esac
		grep -q "^0::/ppc-cluster" "$dir/cgroup" || echo "$dir $(readlink "$dir/exe")"
	done 2>/dev/null
}

# is_left NAME: nothing is
is_left() {
	traces >"$LAB_TMP/after"
	is "$1: nothing is left" "$(diff "$LAB_TMP/before" "$LAB_TMP/after")" ''
}

quietly() {
	"$@" >/dev/null
}

flows() {
	local name=$1
	shift
	traffic_between "$@" --flows 4
	is_between "$name, Mbit/s" "$(jq '.bulk.rate_bps / 1e6 | floor' "$LAB_RECEIVE")" 200 1000000
	is "$name: connections that failed" "$(jq .failed "$LAB_SEND")" 0
}

# An agent as a DaemonSet would have it: the node's network, processes, cgroups and BPF file system.
agent() {
	pod_apply agent 1 <<-END
		apiVersion: v1
		kind: Pod
		metadata: {name: agent}
		spec:
		  nodeName: n1
		  hostNetwork: true
		  hostPID: true
		  terminationGracePeriodSeconds: 0
		  containers:
		  - name: main
		    image: "$PPC_IMAGE"
		    imagePullPolicy: Never
		    securityContext: {privileged: true}
		    volumeMounts:
		    - {name: cgroup, mountPath: /node/cgroup}
		    - {name: bpf, mountPath: /node/bpf}
		  volumes:
		  - {name: cgroup, hostPath: {path: /sys/fs/cgroup}}
		  - {name: bpf, hostPath: {path: /sys/fs/bpf}}
	END
}

# who POD: asks the API server, from the pod and as the pod's service account
who() {
	local server token
	# shellcheck disable=SC2016	# the pod's shell's
	server=$(pod_exec "$1" sh -c 'echo https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT')
	token=$(pod_exec "$1" cat /var/run/secrets/kubernetes.io/serviceaccount/token)
	pod_run "$1" "$PPC_RUN/bin/kubectl" --kubeconfig /dev/null --server "$server" \
		--certificate-authority "$PPC_RUN/pki/ca.crt" --token "$token" \
		auth whoami -o 'jsonpath={.status.userInfo.username}'
}

cgroups() {
	local inside id
	inside=$(pod_cgroup a)
	case $inside in
	/kubepods/*) pass "the pod's cgroup is below kubepods" ;;
	*) fail "the pod's cgroup is $inside" ;;
	esac
	ok "node 1 has it" cluster node 1 test -d "/sys/fs/cgroup$inside"
	ok "node 2 does not" cluster node 2 test ! -d "/sys/fs/cgroup$inside"
	id=$(k get pod a -o 'jsonpath={.metadata.uid}')
	is "it is named by the pod's uid" "${inside##*/pod}" "$id"
	is "so is the agent's view" "$(pod_exec agent stat -c %i "/node/cgroup$inside")" \
		"$(stat -c %i "$(pod_path a)")"
	is "the agent has the node's BPF file system" \
		"$(pod_exec agent stat -f -c %t /node/bpf)" cafe4a11
}

restart() {
	local before
	before=$(k get pods -o 'jsonpath={.items[*].status.containerStatuses[0].containerID}')
	cluster stop api
	flows "$1: while the API server is away" a c 2
	cluster start api
	ok "$1: the API server is back" quietly k get --raw /readyz
	cluster restart kubelet 1
	cluster restart containerd 1
	pod_start d 1
	is "$1: the same containers run, after a restart of kubelet and containerd too" \
		"$(k get pods a b c agent -o 'jsonpath={.items[*].status.containerStatuses[0].containerID}' |
			tr ' ' '\n' | sort)" "$(tr ' ' '\n' <<<"$before" | sort)"
	flows "$1: to a new pod" c d 2
}

# Kubelet removes cgroups when it next tidies up.
goes() {
	local tries
	for ((tries = 0; tries < 100; tries++)); do
		[ -d "$1" ] || return 0
		sleep 0.2
	done
	return 1
}

one() {
	local cni=$1 dir
	cluster_own --cni "$cni"
	diag "$(tail -n 1 "$LAB_TMP/up")"
	is "$cni: a second cluster is refused" "$(cluster up 2>&1 || echo "$?")" \
		"cluster: one is up already: 'cluster status', 'cluster down'
1"
	pod_start a 1 kubernetes.io/egress-bandwidth=100M
	pod_start b 1
	pod_start c 2
	agent
	is "$cni: pods running" "$(k get pods --no-headers | grep -c Running)" 4
	ok "$cni: status" quietly cluster status
	is "$cni: annotations" "$(k get pod a -o \
		'jsonpath={.metadata.annotations.kubernetes\.io/egress-bandwidth}')" 100M
	flows "$cni: on a node" a b 3
	flows "$cni: across nodes" a c 3
	flows "$cni: and back" c a 3
	is "$cni: exec" "$(pod_exec c hostname)" c
	is "$cni: the API from a pod" "$(who c)" system:serviceaccount:default:default
	is "$cni: the API from the node's network" "$(who agent)" system:serviceaccount:default:default
	cgroups
	restart "$cni"
	dir=$(pod_path a)
	pod_delete a
	ok "$cni: a pod's cgroup goes with it, if late" goes "$dir"
	POD_NODE=()
	cluster down
	is_left "$cni"
}

# A cluster whose making was killed, after so many seconds.
killed() {
	local up
	"$CLUSTER_HERE/cluster" up >/dev/null 2>&1 &
	up=$!
	sleep "$1"
	kill -KILL "$up"
	wait "$up" 2>/dev/null || true
	cluster down
	is_left "killed after $1 s"
}

traces >"$LAB_TMP/before"
one bridge
one flannel
killed 1
killed 5
done_testing
