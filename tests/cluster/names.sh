# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# What the lab's parts are called and where they are, for tests/cluster/cluster and
# tests/cluster/lib.sh. To be sourced, after tests/lab.sh.
#
# On the machine: the folder $PPC_RUN, the cgroup $PPC_CG, the network namespaces ppc-cp, ppc-n1,
# ppc-n2, ... All else lives in these: nothing has to be remembered to take the lab down.
# PPC_LAB, a word of small letters, makes these names others: of a lab beside the usual one.

PPC_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PPC_LAB=${PPC_LAB:-}
PPC_NS=ppc${PPC_LAB}
PPC_RUN=/run/podpace-cluster${PPC_LAB:+-$PPC_LAB}	# bin, cilium, pki, etc, log; also the path of these inside a node
PPC_PATH=$PPC_RUN/bin:$PPC_RUN/cilium/bin:$PPC_RUN/cilium/llvm:$LAB_BIN	# where the lab's daemons are
PPC_CG=$LAB_CGROUP2/ppc-cluster${PPC_LAB:+-$PPC_LAB}	# up, tools, control/DAEMON, nN/{hold,tools,system/DAEMON,kubepods}
PPC_FABRIC=10.99.0	# the network between control plane (.1) and nodes (.11, .12, ...)
PPC_POD_NET=10.97.0.0/16
PPC_SERVICE_NET=10.98.0.0/16
PPC_API_SERVICE=10.98.0.1	# the first of it: what pods get as KUBERNETES_SERVICE_HOST
PPC_MAX_NODES=9
PPC_NETWORKS='bridge flannel ptp macvlan overlay cilium cilium-kpr'	# see networks.sh
PPC_IMAGE=localhost/podpace/test:1
PPC_PAUSE_IMAGE=localhost/podpace/pause:1

ppc_address() { echo "$PPC_FABRIC.$((10 + $1))"; }

ppc_namespaces() {
	ip netns list 2>/dev/null | awk -v ns="$PPC_NS" \
		'$1 ~ "^" ns "-(cp|n[0-9])$" { print $1 }'
}

# One whose processes were all killed is none: the nodes are held by processes.
ppc_is_up() {
	[ -e "$PPC_RUN/ready" ] && grep -qsx 'populated 1' "$PPC_CG/cgroup.events"
}

# The process that holds node $1's namespaces.
ppc_holder() {
	head -n 1 "$PPC_CG/n$1/hold/cgroup.procs" 2>/dev/null
}

# For subshells only: moves to a cgroup (a path below $PPC_CG) of the cluster.
ppc_join() {
	mkdir -p "$PPC_CG/$1"
	echo "$BASHPID" >"$PPC_CG/$1/cgroup.procs"
}

# For subshells only: becomes the command inside node $1, in its cgroup $2.
ppc_become() {
	local node=$1 cgroup=$2
	shift 2
	ppc_join "n$node/$cgroup"
	exec nsenter --target "$(ppc_holder "$node")" --mount --uts --net --cgroup "$@"
}

# For subshells only: becomes kubectl, as administrator, where the API server can be reached.
ppc_become_kubectl() {
	ppc_join tools
	exec nsenter --net="/run/netns/$PPC_NS-cp" \
		"$PPC_RUN/bin/kubectl" --kubeconfig "$PPC_RUN/pki/admin.conf" "$@"
}
