# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The lab's control plane: certificates, and the four daemons in the network namespace ppc-cp. To
# be sourced by tests/cluster/cluster.

PKI=$PPC_RUN/pki

# --- certificates

# certificate NAME SUBJECT [ALTERNATIVE NAMES]: NAME.key, NAME.crt
certificate() {
	local extensions=()
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$2" \
		-keyout "$PKI/$1.key" -out "$PKI/$1.csr" 2>/dev/null
	if [ -n "${3:-}" ]; then
		echo "subjectAltName=$3" >"$PKI/$1.ext"
		extensions=(-extfile "$PKI/$1.ext")
	fi
	openssl x509 -req -in "$PKI/$1.csr" -CA "$PKI/ca.crt" -CAkey "$PKI/ca.key" -CAcreateserial \
		-days 30 "${extensions[@]}" -out "$PKI/$1.crt" 2>/dev/null
}

# account NAME SUBJECT [ALTERNATIVE NAMES]: a certificate, and NAME.conf to log in with it
account() {
	certificate "$@"
	cat >"$PKI/$1.conf" <<-END
		apiVersion: v1
		kind: Config
		current-context: lab
		clusters:
		- {name: lab, cluster: {server: "https://$PPC_FABRIC.1", certificate-authority: $PKI/ca.crt}}
		users:
		- {name: user, user: {client-certificate: $PKI/$1.crt, client-key: $PKI/$1.key}}
		contexts:
		- {name: lab, context: {cluster: lab, user: user}}
	END
}

make_certificates() {
	local node
	mkdir -m 700 "$PKI"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
		-subj /CN=podpace-lab -keyout "$PKI/ca.key" -out "$PKI/ca.crt" 2>/dev/null
	openssl ecparam -name prime256v1 -genkey -noout -out "$PKI/accounts.key" 2>/dev/null
	openssl ec -in "$PKI/accounts.key" -pubout -out "$PKI/accounts.pub" 2>/dev/null
	certificate api /CN=kube-apiserver "IP:$PPC_FABRIC.1,IP:$PPC_API_SERVICE,IP:127.0.0.1,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
	certificate to-kubelet /O=system:masters/CN=kube-apiserver
	account admin /O=system:masters/CN=admin
	account manager /CN=system:kube-controller-manager
	account scheduler /CN=system:kube-scheduler
	account flannel /O=system:masters/CN=flannel
	account cilium /O=system:masters/CN=cilium
	account proxy /CN=system:kube-proxy
	for ((node = 1; node <= NODES; node++)); do
		account "n$node" "/O=system:nodes/CN=system:node:n$node" \
			"DNS:n$node,IP:$(ppc_address "$node")"
	done
}

# --- network

# The address of the service "kubernetes" is the bridge's too, and the API server's port is that of
# the service: pods and nodes get there by plain routing, before their kube-proxy has begun.
make_fabric() {
	ip netns add "$PPC_NS-cp"
	ip -n "$PPC_NS-cp" link set lo up
	ip -n "$PPC_NS-cp" link add fabric type bridge stp_state 0 mcast_snooping 0
	ip -n "$PPC_NS-cp" addr add "$PPC_FABRIC.1/24" dev fabric
	ip -n "$PPC_NS-cp" addr add "$PPC_API_SERVICE/32" dev fabric
	ip -n "$PPC_NS-cp" link set fabric up
}

# --- daemons

launch_control() {
	local name=$1
	shift
	launch "control/$name" nsenter --net="/run/netns/$PPC_NS-cp" \
		env PATH="$PPC_PATH:$PATH" "$name" "$@"
}

start_etcd() {
	launch_control etcd --data-dir "$PPC_RUN/etcd" --unsafe-no-fsync \
		--listen-client-urls http://127.0.0.1:2379 \
		--advertise-client-urls http://127.0.0.1:2379 \
		--listen-peer-urls http://127.0.0.1:2380
}

start_api() {
	launch_control kube-apiserver --etcd-servers http://127.0.0.1:2379 \
		--bind-address 0.0.0.0 --advertise-address "$PPC_FABRIC.1" --secure-port 443 \
		--tls-cert-file "$PKI/api.crt" --tls-private-key-file "$PKI/api.key" \
		--client-ca-file "$PKI/ca.crt" --anonymous-auth=false \
		--authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
		--allow-privileged \
		--service-cluster-ip-range "$PPC_SERVICE_NET" \
		--service-account-issuer https://kubernetes.default.svc.cluster.local \
		--service-account-key-file "$PKI/accounts.pub" \
		--service-account-signing-key-file "$PKI/accounts.key" \
		--kubelet-client-certificate "$PKI/to-kubelet.crt" \
		--kubelet-client-key "$PKI/to-kubelet.key" \
		--kubelet-certificate-authority "$PKI/ca.crt" \
		--kubelet-preferred-address-types InternalIP
}

start_manager() {
	launch_control kube-controller-manager --kubeconfig "$PKI/manager.conf" \
		--leader-elect=false --use-service-account-credentials \
		--service-account-private-key-file "$PKI/accounts.key" \
		--root-ca-file "$PKI/ca.crt" \
		--allocate-node-cidrs --cluster-cidr "$PPC_POD_NET"
}

start_scheduler() {
	launch_control kube-scheduler --kubeconfig "$PKI/scheduler.conf" --leader-elect=false
}

api_answers() {
	(ppc_become_kubectl get --raw /readyz >/dev/null 2>&1)
}

# The last thing that a pod needs of the control plane
account_exists() {
	(ppc_become_kubectl get serviceaccount default >/dev/null 2>&1)
}

start_control() {
	start_etcd
	start_api
	start_manager
	start_scheduler
	await 60 'an answer of the API server' api_answers
}
