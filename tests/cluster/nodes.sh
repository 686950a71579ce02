# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The lab's nodes: namespaces, containerd, kubelet, kube-proxy. To be sourced by
# tests/cluster/cluster.

# --- birth

# Controllers of cgroup v2 that the machine has to give. On hybrid machines v1 has most of them.
controllers() {
	cat "$PPC_CG/cgroup.controllers"
}

has_controller() {
	grep -qw "$1" "$PPC_CG/cgroup.controllers"
}

node_is_born() {
	[ -n "$(ppc_holder "$1")" ] && grep -q "^node $1 is ready" "$PPC_RUN/log/n$1.log"
}

make_node() {
	local node=$1 ns=$PPC_NS-n$1
	ip netns add "$ns"
	ip -n "$ns" link set lo up
	ip -n "$PPC_NS-cp" link add "port$node" type veth peer name eth0 netns "$ns"
	ip -n "$PPC_NS-cp" link set "port$node" master fabric up
	ip -n "$ns" addr add "$(ppc_address "$node")/24" dev eth0
	ip -n "$ns" link set eth0 up
	ip -n "$ns" route add default via "$PPC_FABRIC.1"
	mkdir -p "$PPC_RUN/n$node"
	# The cgroup it is in when it enters a cgroup namespace becomes the root that it sees.
	launch "n$node" nsenter --net="/run/netns/$ns" \
		unshare --mount --uts --cgroup --propagation private \
		"$PPC_HERE/node" "$node" "$(controllers)"
	await 20 "node $node" node_is_born "$node"
}

# --- containerd

write_containerd() {
	cat >"$PPC_RUN/etc/containerd.toml" <<-END
		version = 3
		root = "/var/lib/containerd"
		state = "/run/containerd"
		# would make a folder in /opt
		disabled_plugins = ["io.containerd.internal.v1.opt"]

		[grpc]
		address = "/run/containerd/containerd.sock"

		[plugins.'io.containerd.cri.v1.runtime']
		# below its own score only root of the machine may go, which containers are not
		restrict_oom_score_adj = true

		[plugins.'io.containerd.cri.v1.runtime'.cni]
		bin_dirs = ["$PPC_RUN/bin", "$PPC_RUN/cilium/bin"]
		conf_dir = "/etc/cni/net.d"

		[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
		runtime_type = "io.containerd.runc.v2"

		[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
		BinaryName = "$PPC_RUN/bin/runc"
		SystemdCgroup = false

		[plugins.'io.containerd.cri.v1.images']
		snapshotter = "overlayfs"

		[plugins.'io.containerd.cri.v1.images'.pinned_images]
		sandbox = "$PPC_PAUSE_IMAGE"
	END
}

launch_node() {
	local node=$1 name=$2
	shift 2
	launch "n$node/system/$name" nsenter --target "$(ppc_holder "$node")" \
		--mount --uts --net --cgroup \
		env PATH="$PPC_PATH:$PATH" NODE_NAME="n$node" "$name" "$@"
}

start_containerd() {
	launch_node "$1" containerd --config "$PPC_RUN/etc/containerd.toml"
}

in_ctr() {
	local node=$1
	shift
	(ppc_become "$node" tools "$PPC_RUN/bin/ctr" --namespace k8s.io "$@")
}

containerd_answers() {
	in_ctr "$1" version >/dev/null 2>&1
}

# --- kubelet

# Images are not collected and pods not evicted: both would judge the lab by the machine's disk and
# memory. Without the memory controller there is no memory.oom.group to set.
write_kubelet() {
	local node=$1 single=false
	has_controller memory || single=true
	cat >"$PPC_RUN/etc/kubelet-n$node.yaml" <<-END
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
		cgroupDriver: cgroupfs
		authentication: {anonymous: {enabled: false}, x509: {clientCAFile: $PPC_RUN/pki/ca.crt}}
		tlsCertFile: $PPC_RUN/pki/n$node.crt
		tlsPrivateKeyFile: $PPC_RUN/pki/n$node.key
		resolvConf: ""
		failSwapOn: false
		oomScoreAdj: 0
		singleProcessOOMKill: $single
		localStorageCapacityIsolation: false
		volumePluginDir: /var/lib/kubelet/plugins
		imageGCHighThresholdPercent: 100
		evictionHard: {nodefs.available: "1%"}
		shutdownGracePeriod: 0s
	END
}

start_kubelet() {
	launch_node "$1" kubelet --config "$PPC_RUN/etc/kubelet-n$1.yaml" \
		--kubeconfig "$PPC_RUN/pki/n$1.conf" --root-dir /var/lib/kubelet \
		--hostname-override "n$1" --node-ip "$(ppc_address "$1")"
}

# It listens once it has found containerd; without one it ends.
kubelet_answers() {
	nsenter --net="/run/netns/$PPC_NS-n$1" bash -c '</dev/tcp/127.0.0.1/10248' 2>/dev/null
}

# --- services

# Addresses of services become those of pods, by the machine's iptables in the node's network. What
# it would write for the whole machine (conntrack's size) is left as it is.
start_proxy() {
	local options=()
	[ "$CNI" != macvlan ] || options=(--masquerade-all)	# see connect_macvlan
	launch_node "$1" kube-proxy --kubeconfig "$PPC_RUN/pki/proxy.conf" \
		--hostname-override "n$1" --proxy-mode iptables --cluster-cidr "$PPC_POD_NET" \
		--iptables-localhost-nodeports=false --conntrack-max-per-core 0 \
		--conntrack-tcp-timeout-established 0 --conntrack-tcp-timeout-close-wait 0 \
		"${options[@]}"
}

nodes_are_ready() {
	local count
	count=$( (ppc_become_kubectl get nodes --no-headers 2>/dev/null) | grep -cw Ready || true)
	[ "$count" = "$NODES" ]
}

# --- images

make_images() {
	local applet links=()
	mkdir "$PPC_RUN/images"
	for applet in $(busybox --list); do
		[ "$applet" = busybox ] || links+=(--link "/bin/$applet=busybox")
	done
	"$PPC_HERE/image" --name "$PPC_IMAGE" --out "$PPC_RUN/images/test.tar" \
		--folder /tmp --folder /etc --folder /proc --folder /sys --folder /dev \
		--add "$(command -v busybox)=/bin/busybox" "${links[@]}" \
		--add "$LAB_BIN/traffic=/usr/bin/traffic" -- /bin/sleep infinity
	"${CC:-cc}" -O2 -o "$PPC_RUN/images/pause" "$PPC_HERE/pause.c"
	"$PPC_HERE/image" --name "$PPC_PAUSE_IMAGE" --out "$PPC_RUN/images/pause.tar" \
		--add "$PPC_RUN/images/pause=/pause" -- /pause
}

# To node $1, an image in a tar
import_image() {
	in_ctr "$1" images import --digests=false - <"$2" >>"$PPC_RUN/log/import.log" 2>&1
}

start_nodes() {
	local node
	for ((node = 1; node <= NODES; node++)); do
		make_node "$node"
		start_containerd "$node"
	done
	for ((node = 1; node <= NODES; node++)); do
		await 30 "containerd on node $node" containerd_answers "$node"
		import_image "$node" "$PPC_RUN/images/pause.tar"
		import_image "$node" "$PPC_RUN/images/test.tar"
		write_kubelet "$node"
		start_kubelet "$node"
	done
	for ((node = 1; node <= NODES; node++)); do
		await 60 "the registration of node $node" has_pod_net "$node"
		route_control "$node"
		"connect_${CNI%-kpr}" "$node"
		[ "$CNI" = cilium-kpr ] || start_proxy "$node"
	done
	await 90 'all nodes being ready' nodes_are_ready
}
