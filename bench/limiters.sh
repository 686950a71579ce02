#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What podpace is measured beside, in a lab of tests/lab.sh. To be sourced.
#
#   limiter_on NAME POD BITS/S      puts NAME in force on what POD sends
#   limiter_on_in NAME POD BITS/S   on what it receives
#   limiter_off NAME POD            takes either away
#
#   podpace   PODPACE is the command; LIMITER_PEERS, if not empty, are the prefixes of its peers
#   none      nothing
#   tbf       a token bucket filter: for what is sent on the pod's device, else on the host's end of
#             it; bucket of 32 kB, queue of 25 ms
#   htb       a class of HTB on the pod's device, as tc makes it by default: a queue of 1000 packets
#   cni       the bandwidth plugin (bench/build-cni), as a container runtime calls it for the
#             annotations kubernetes.io/*-bandwidth, with the bucket that these come to: 2^31-1 bits
#   naive     a token bucket in a cgroup_skb program that drops (naive.bpf.c), for what is sent
#   edt       departure times by a tc program, and fq on the pod's device (edt.bpf.c), for what is
#             sent
#
# limiter_can NAME in|out: 0 if it is there and limits that direction; or says why not on stderr.

LIMITER_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LIMITER_PEERS=
LIMITER_CNI=
LIMITER_BURST=32768
LIMITER_PINS=/sys/fs/bpf/pp

limiter_can() {
	local name=$1 direction=$2
	case $name-$direction in
	podpace-* | none-* | tbf-* | htb-out) ;;
	naive-out | edt-out)
		[ -e "$LAB_BIN/bench/$name.bpf.o" ] || {
			echo "$name: left out: $LAB_BIN/bench/$name.bpf.o is missing: make build-bench" >&2
			return 1
		}
		[ "$name" = naive ] || limiter_has_fq
		;;
	cni-*)
		LIMITER_CNI=$("$LIMITER_TOP/bench/build-cni") || {
			echo "cni: left out: the plugin cannot be built here" >&2
			return 1
		}
		;;
	*)
		echo "$name: left out: it does not limit what a pod receives" >&2
		return 1
		;;
	esac
}

limiter_has_fq() {
	lab_in br tc qdisc add dev lo root fq 2>/dev/null || {
		echo "edt: left out: this kernel has no fq" >&2
		return 1
	}
	lab_in br tc qdisc del dev lo root
}

limiter_tbf() {
	lab_in "$1" tc qdisc add dev "$2" root tbf rate "${3}bit" burst "$LIMITER_BURST" latency 25ms
}

limiter_htb() {
	lab_in "$1" tc qdisc add dev eth0 root handle 1: htb default 1
	# it warns that a turn of the class is long, which matters between classes
	lab_in "$1" tc class add dev eth0 parent 1: classid 1:1 htb rate "${2}bit" ceil "${2}bit" \
		2>/dev/null
}

# limiter_pin NAME MAP BITS/S: loads $LAB_BIN/bench/NAME.bpf.o, whose map begins with its rate.
limiter_pin() {
	local pin=$LIMITER_PINS-$LAB_ID
	mkdir -p "$pin"
	lab_defer "rm -rf '$pin'"
	bpftool prog load "$LAB_BIN/bench/$1.bpf.o" "$pin/prog" pinmaps "$pin"
	# shellcheck disable=SC2046 # a word for each byte
	bpftool map update pinned "$pin/$2" key 0 0 0 0 value \
		$(awk -v x=$(($3 / 8)) 'BEGIN { for (i = 0; i < 24; i++) {
			printf "%d ", i < 8 ? x % 256 : 0; x = int(x / 256) } }')
}

limiter_naive() {
	limiter_pin naive bucket "$2"
	bpftool cgroup attach "$LAB_CGROUP2$(lab_cgroup "$1")" cgroup_inet_egress \
		pinned "$LIMITER_PINS-$LAB_ID/prog"
}

limiter_edt() {
	limiter_pin edt limit "$2"
	lab_in "$1" tc qdisc add dev eth0 root fq
	lab_in "$1" tc qdisc add dev eth0 clsact
	lab_in "$1" tc filter add dev eth0 egress bpf direct-action \
		object-pinned "$LIMITER_PINS-$LAB_ID/prog"
}

limiter_edt_off() {
	lab_in "$1" tc qdisc del dev eth0 clsact
	lab_in "$1" tc qdisc del dev eth0 root
	rm -rf "$LIMITER_PINS-$LAB_ID"
}

limiter_naive_off() {
	bpftool cgroup detach "$LAB_CGROUP2$(lab_cgroup "$1")" cgroup_inet_egress \
		pinned "$LIMITER_PINS-$LAB_ID/prog"
	rm -rf "$LIMITER_PINS-$LAB_ID"
}

# The plugin comes after the one that made the pod's device, whose result it is handed. Its devices
# lie where that device's other end does.
limiter_cni() {
	local command=$1 pod=$2 rates=${3:-'{}'} ns
	ns=/run/netns/$(lab_ns "$pod")
	jq -n --arg veth "$(lab_veth "$pod")" --arg ns "$ns" --arg address "$(lab_v4 "$pod")/24" \
		--argjson rates "$rates" '{
			cniVersion: "1.0.0", name: "lab", type: "bandwidth",
			prevResult: { cniVersion: "1.0.0",
				interfaces: [{ name: $veth, sandbox: "" }, { name: "eth0", sandbox: $ns }],
				ips: [{ address: $address, interface: 1 }] } } + $rates' |
		CNI_COMMAND=$command CNI_CONTAINERID=$LAB_ID-$pod CNI_NETNS=$ns CNI_IFNAME=eth0 \
			CNI_PATH=${LIMITER_CNI%/*} lab_in br "$LIMITER_CNI" >"$LAB_TMP/cni.json" ||
		lab_fail "the bandwidth plugin: $(jq -c . "$LAB_TMP/cni.json")"
}

limiter_on() {
	local name=$1 pod=$2 rate=$3
	case $name in
	podpace)
		"$PODPACE" --root "$(lab_cgroup)" limit "$(lab_cgroup "$pod")" --egress "$rate" >&2
		;;
	none) ;;
	tbf) limiter_tbf "$pod" eth0 "$rate" ;;
	htb) limiter_htb "$pod" "$rate" ;;
	naive | edt) "limiter_$name" "$pod" "$rate" >&2 ;;
	cni) limiter_cni ADD "$pod" "{\"egressRate\": $rate, \"egressBurst\": 2147483647}" ;;
	esac
}

limiter_on_in() {
	local name=$1 pod=$2 rate=$3
	case $name in
	podpace)
		[ -z "$LIMITER_PEERS" ] ||
			"$PODPACE" --root "$(lab_cgroup)" peers --add "$LIMITER_PEERS" >&2
		"$PODPACE" --root "$(lab_cgroup)" limit "$(lab_cgroup "$pod")" --ingress "$rate" >&2
		;;
	none) ;;
	tbf) limiter_tbf br "$(lab_veth "$pod")" "$rate" ;;
	cni) limiter_cni ADD "$pod" "{\"ingressRate\": $rate, \"ingressBurst\": 2147483647}" ;;
	esac
}

limiter_off() {
	local name=$1 pod=$2
	case $name in
	podpace) "$PODPACE" --root "$(lab_cgroup)" unload >&2 ;;
	tbf)
		lab_in "$pod" tc qdisc del dev eth0 root 2>/dev/null ||
			lab_in br tc qdisc del dev "$(lab_veth "$pod")" root
		;;
	htb) lab_in "$pod" tc qdisc del dev eth0 root ;;
	naive | edt) "limiter_${name}_off" "$pod" ;;
	cni)
		limiter_cni DEL "$pod"
		# what it puts on the host's end it leaves to the end's own removal
		lab_in br tc qdisc del dev "$(lab_veth "$pod")" root 2>/dev/null || true
		lab_in br tc qdisc del dev "$(lab_veth "$pod")" clsact 2>/dev/null || true
		lab_in br tc qdisc del dev "$(lab_veth "$pod")" ingress 2>/dev/null || true
		;;
	esac
}
