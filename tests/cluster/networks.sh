# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The lab's networks between pods: connect_NAME for each of $PPC_NETWORKS, which gives node N what
# kubelet waits for. To be sourced by tests/cluster/cluster.

# --- addresses and routes

pod_net() {
	(ppc_become_kubectl get node "n$1" -o 'jsonpath={.spec.podCIDR}' 2>/dev/null)
}

has_pod_net() {
	[ -n "$(pod_net "$1")" ]
}

# Pods and control plane reach each other through the node, with any network.
route_control() {
	ip -n "$PPC_NS-cp" route replace "$(pod_net "$1")" via "$(ppc_address "$1")"
}

# The other nodes reach node $1's pods through it.
route_nodes() {
	local node=$1 other
	for ((other = 1; other <= NODES; other++)); do
		[ "$other" = "$node" ] ||
			ip -n "$PPC_NS-n$other" route replace "$(pod_net "$node")" via "$(ppc_address "$node")"
	done
}

# pool NODE: the addresses that Kubernetes gave the node, for a plugin's configuration
pool() {
	echo "\"type\": \"host-local\", \"subnet\": \"$(pod_net "$1")\", \"routes\": [{\"dst\": \"0.0.0.0/0\"}]"
}

# write_cni NODE PLUGIN POOL: a standard plugin, and host ports. In one write to where it belongs: containerd does
# not look at a file that was moved there.
write_cni() {
	(ppc_become "$1" tools sh -c 'cat >/etc/cni/net.d/10-lab.conflist') <<-END
		{
			"cniVersion": "1.0.0",
			"name": "lab",
			"plugins": [
				{$2, "ipam": {$3}},
				{"type": "portmap", "capabilities": {"portMappings": true}}
			]
		}
	END
}

# write_bridge NODE MTU
write_bridge() {
	write_cni "$1" '"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "mtu": '"$2" \
		"$(pool "$1")"
}

# --- the standard plugins

connect_bridge() {
	route_nodes "$1"
	write_bridge "$1" 1500
}

connect_ptp() {
	route_nodes "$1"
	write_cni "$1" '"type": "ptp", "mtu": 1500' "$(pool "$1")"
}

# All pods are on the wire between the nodes, in one network. A node cannot be reached by what has
# its eth0 for a parent: it has an interface of its own among its pods, which is their way to
# everything else, ClusterIPs included. A pod behind one of these would answer its peer at once,
# past the node that changed the address: kube-proxy puts the node's own address in the peer's place.
connect_macvlan() {
	local node=$1 ns=$PPC_NS-n$1 net
	net=$(pod_net "$node")
	net=${net%.*}
	# pods of other nodes ask for the address of pods0 on the wire that it shares with eth0
	nsenter --net="/run/netns/$ns" sysctl -qw net.ipv4.conf.all.arp_ignore=1
	ip -n "$ns" link add pods0 link eth0 type macvlan mode bridge
	ip -n "$ns" addr add "$net.1/${PPC_POD_NET#*/}" dev pods0
	ip -n "$ns" link set pods0 up
	write_cni "$node" '"type": "macvlan", "master": "eth0", "mode": "bridge"' \
		"\"type\": \"host-local\", \"subnet\": \"$PPC_POD_NET\", \"rangeStart\": \"$net.2\", \"rangeEnd\": \"$net.254\",
			\"gateway\": \"$net.1\", \"routes\": [{\"dst\": \"0.0.0.0/0\"}]"
}

# --- Flannel

start_flanneld() {
	launch_node "$1" flanneld -kube-subnet-mgr -kubeconfig-file "$PPC_RUN/pki/flannel.conf" \
		-net-config-path "$PPC_RUN/etc/flannel.json" -iface eth0 \
		-ip-masq=false -iptables-forward-rules=false
}

# What flanneld found out, of node $1: FLANNEL_MTU
flannel_mtu() {
	(ppc_become "$1" tools sed -n 's/^FLANNEL_MTU=//p' /run/flannel/subnet.env 2>/dev/null)
}

has_flannel_mtu() {
	[ -n "$(flannel_mtu "$1")" ]
}

connect_flannel() {
	echo "{\"Network\": \"$PPC_POD_NET\", \"Backend\": {\"Type\": \"vxlan\"}}" \
		>"$PPC_RUN/etc/flannel.json"
	start_flanneld "$1"
	await 30 "Flannel on node $1" has_flannel_mtu "$1"
	write_bridge "$1" "$(flannel_mtu "$1")"
}

# --- an overlay in user space, see overlay.c

# The device outlives the daemon, and routes with it.
start_overlay() {
	local node=$1 other others=()
	for ((other = 1; other <= NODES; other++)); do
		[ "$other" = "$node" ] || others+=("$(pod_net "$other")=$(ppc_address "$other")")
	done
	launch_node "$node" overlay wire0 6783 "${others[@]}"
}

# Pods may send packets of 65535 bytes to their own node; to others 1376, Weave Net's, which they
# find out by what the node tells them of packets that are too large (path MTU discovery).
connect_overlay() {
	local node=$1 ns=$PPC_NS-n$1 other
	ip -n "$ns" tuntap add dev wire0 mode tun
	ip -n "$ns" link set wire0 mtu 1376 txqueuelen 1000 up
	for ((other = 1; other <= NODES; other++)); do
		[ "$other" != "$node" ] || continue
		await 60 "the registration of node $other" has_pod_net "$other"
		ip -n "$ns" route replace "$(pod_net "$other")" dev wire0
	done
	start_overlay "$node"
	write_bridge "$node" 65535
}

# --- Cilium

# Makes the kinds of objects that agents wait for. Outside a pod nothing tells it its namespace.
start_operator() {
	CILIUM_K8S_NAMESPACE=kube-system launch_control cilium-operator-generic \
		--k8s-kubeconfig-path "$PPC_RUN/pki/cilium.conf" --ipam=kubernetes \
		--enable-ipv4=true --enable-ipv6=false --identity-allocation-mode=crd \
		--remove-cilium-node-taints=false --set-cilium-node-taints=false \
		--unmanaged-pod-watcher-interval=0 --gops-port=0 \
		--operator-prometheus-serve-addr=127.0.0.1:9963
}

# VXLAN, with the addresses that Kubernetes gave the node. Maps are for a cluster of this size. By
# default the agent would mount the cgroup tree a second time. The last options are of parts that
# are not here: Envoy, Hubble, health checks.
start_cilium() {
	local node=$1 options=(--kube-proxy-replacement=false)
	[ "$CNI" = cilium ] || options=(--kube-proxy-replacement=true --bpf-lb-sock=true
		--enable-bpf-masquerade=true --direct-routing-device=eth0
		--k8s-api-server-urls="https://$PPC_FABRIC.1")
	CILIUM_K8S_NAMESPACE=kube-system K8S_NODE_NAME=n$node launch_node "$node" cilium-agent \
		--k8s-kubeconfig-path "$PPC_RUN/pki/cilium.conf" --cluster-name=default --cluster-id=0 \
		--lib-dir "$PPC_RUN/cilium/lib" --state-dir=/run/cilium \
		--bpf-root=/sys/fs/bpf --cgroup-root=/sys/fs/cgroup \
		--enable-ipv4=true --enable-ipv6=false --ipam=kubernetes --identity-allocation-mode=crd \
		--routing-mode=tunnel --tunnel-protocol=vxlan --devices=eth0 \
		--bpf-map-dynamic-size-ratio=0.0005 --preallocate-bpf-maps=false \
		--write-cni-conf-when-ready=/etc/cni/net.d/05-cilium.conflist --cni-exclusive=true \
		--enable-l7-proxy=false --enable-envoy-config=false --enable-hubble=false \
		--enable-health-checking=false --enable-endpoint-health-checking=false "${options[@]}"
}

cilium_answers() {
	(ppc_become "$1" tools "$PPC_RUN/cilium/bin/cilium-dbg" status --brief 2>/dev/null) | grep -q OK
}

connect_cilium() {
	[ "$1" != 1 ] || start_operator
	start_cilium "$1"
}
