#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Pods to measure with: network namespaces on a bridge, each with a cgroup, and TAP helpers. To be
# sourced.
#
#   . tests/lab.sh
#   lab_init egress         namespaces pp-egress-PID-..., cgroups below podpace-test/egress-PID
#   lab_pod a; lab_pod b    eth0 of each: $(lab_v4 a), $(lab_v6 a)
#   lab_mtu 9000            of all pods, now and to come
#   lab_exec a COMMAND...   in a's network namespace and cgroup
#   lab_spawn a COMMAND...  the same in the background; LAB_PID is its process
#   lab_cgroup a            a's cgroup, a path below the cgroup2 mount; lab_cgroup: the test's own
#   lab_traffic a b SECONDS [OPTIONS of traffic send]
#                           measures from a to b; $LAB_SEND, $LAB_RECEIVE are the JSON reports
#   lab_calm SECONDS COMMAND...
#                           runs it again if the host of this machine was not calm
#   lab_far a b 10          beside their bridge, a wire between a and b with a round trip of 10 ms:
#                           LAB_FAR=1 lab_traffic a b ... takes it; a new one takes its place
#   lab_defer COMMAND       runs at the end, last one first, before anything is taken down
#
# Everything is taken down at exit, with all processes in it, and what crashed runs left behind at
# the next lab_init. Nothing leaves the namespaces: neighbours are static, and there is no route to
# elsewhere.
# A pod's name is letters and digits. Functions return 0 or stop the test by set -e.

set -eu

LAB_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
LAB_TOP=$(dirname "$LAB_HERE")
LAB_BIN=${LAB_BIN:-$LAB_TOP/build}	# where traffic lies
LAB_MTU=${LAB_MTU:-1500}
LAB_PODS=()
LAB_DEFERRED=()
LAB_PORT=20000
LAB_ID='' LAB_PID='' LAB_FAR_PID='' LAB_SEND='' LAB_RECEIVE=''
LAB_CGROUP2=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)

lab_fail() {
	echo "Bail out! $*"
	exit 1
}

# --- namespaces and cgroups

lab_init() {
	[ "$(id -u)" = 0 ] || skip_all "needs root"
	[ -n "$LAB_CGROUP2" ] || skip_all "no cgroup2 mount"
	lab_reap
	LAB_ID=$1-$$
	trap lab_exit EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	LAB_TMP=$(mktemp -d "${TMPDIR:-/tmp}/pp-$LAB_ID.XXXXXX")
	mkdir -p "$LAB_CGROUP2/podpace-test/$LAB_ID"
	ip netns add "$(lab_ns br)"
	# Nothing but the pods' own traffic: no IPv6 of the bridge's own, no multicast bookkeeping.
	lab_in br sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
	ip -n "$(lab_ns br)" link add br0 type bridge stp_state 0 mcast_snooping 0
	ip -n "$(lab_ns br)" link set br0 mtu "$LAB_MTU" up
}

lab_ns() {
	echo "pp-$LAB_ID-$1"
}

# In the pod's network namespace, but the caller's mounts and cgroup: what tc and ip need.
lab_in() {
	local ns
	ns=$(lab_ns "$1")
	shift
	nsenter --net="/run/netns/$ns" "$@"
}

lab_index() {
	local i
	for i in "${!LAB_PODS[@]}"; do
		if [ "${LAB_PODS[$i]}" = "$1" ]; then
			echo $((i + 10))
			return
		fi
	done
	lab_fail "no pod $1"
}

lab_v4() { echo "10.77.0.$(lab_index "$1")"; }
lab_v6() { echo "fd77::$(lab_index "$1")"; }
lab_mac() { printf '02:77:00:00:00:%02x\n' "$(lab_index "$1")"; }
# The host side of the pod's eth0, in the namespace br.
lab_veth() { echo "v$(lab_index "$1")"; }

# Over the long wire: an address of the pod at each of its ends.
lab_far_v4() { echo "10.78.0.$(lab_index "$1")"; }
lab_far_v6() { echo "fd78::$(lab_index "$1")"; }

# The address by which the pod is reached: LAB_FAMILY=6 for IPv6, LAB_FAR=1 over the long wire.
lab_address() {
	if [ "${LAB_FAMILY:-4}" = 4 ]; then
		if [ -n "${LAB_FAR:-}" ]; then lab_far_v4 "$1"; else lab_v4 "$1"; fi
	elif [ -n "${LAB_FAR:-}" ]; then
		lab_far_v6 "$1"
	else
		lab_v6 "$1"
	fi
}

lab_cgroup() {
	echo "/podpace-test/$LAB_ID${1:+/$1}"
}

lab_pod() {
	local pod=$1 ns br veth other
	case $pod in *[!a-z0-9]* | '' | br) lab_fail "not a name for a pod: $pod" ;; esac
	LAB_PODS+=("$pod")
	ns=$(lab_ns "$pod") br=$(lab_ns br) veth=$(lab_veth "$pod")
	mkdir -p "$LAB_CGROUP2$(lab_cgroup "$pod")"
	ip netns add "$ns"
	lab_in "$pod" sysctl -qw net.ipv6.conf.default.accept_dad=0 \
		net.ipv6.conf.default.accept_ra=0 net.ipv6.conf.default.router_solicitations=0 \
		net.ipv6.conf.default.addr_gen_mode=1
	ip -n "$ns" link set lo up
	ip -n "$br" link add "$veth" mtu "$LAB_MTU" type veth \
		peer name eth0 mtu "$LAB_MTU" address "$(lab_mac "$pod")" netns "$ns"
	ip -n "$br" link set "$veth" master br0 up
	ip -n "$ns" addr add "$(lab_v4 "$pod")/24" dev eth0
	ip -n "$ns" addr add "$(lab_v6 "$pod")/64" dev eth0 nodad
	ip -n "$ns" link set eth0 up
	for other in "${LAB_PODS[@]}"; do
		[ "$other" != "$pod" ] || continue
		lab_neighbour "$pod" "$other"
		lab_neighbour "$other" "$pod"
	done
}

# One at a time. Windows may grow to 32 MB in both pods: that is 2 Gbit/s at 100 ms.
lab_far() {
	local a=$1 b=$2 pod other tries
	if [ -n "$LAB_FAR_PID" ]; then
		kill "$LAB_FAR_PID"
		wait "$LAB_FAR_PID" || true
	fi
	lab_spawn "$a" "$LAB_BIN/traffic" delay --from "/run/netns/$(lab_ns "$a")" \
		--to "/run/netns/$(lab_ns "$b")" --device far0 --rtt "$3" >"$LAB_TMP/far.json"
	LAB_FAR_PID=$LAB_PID
	for pod in "$a" "$b"; do
		for ((tries = 0; tries < 100; tries++)); do
			! ip -n "$(lab_ns "$pod")" link show far0 >/dev/null 2>&1 || break
			sleep 0.02
		done
		[ "$pod" = "$a" ] && other=$b || other=$a
		ip -n "$(lab_ns "$pod")" link set far0 mtu 1500 txqueuelen 20000 up
		ip -n "$(lab_ns "$pod")" addr add "$(lab_far_v4 "$pod")" peer "$(lab_far_v4 "$other")" dev far0
		ip -n "$(lab_ns "$pod")" addr add "$(lab_far_v6 "$pod")" peer "$(lab_far_v6 "$other")" \
			dev far0 nodad
		# Large enough from the start: a window arrives as one burst here, and where the receiver reads
		# only after it, autotuning (tcp_rcv_space_adjust, since 6.15) may stay at 64 kB for
		# seconds, limit or not.
		lab_in "$pod" sysctl -qw net.ipv4.tcp_rmem="4096 1048576 33554432" \
			net.ipv4.tcp_wmem="4096 65536 33554432"
	done
}

# $1 knows $2 without asking.
lab_neighbour() {
	local addr
	for addr in "$(lab_v4 "$2")" "$(lab_v6 "$2")"; do
		echo "neigh replace $addr lladdr $(lab_mac "$2") nud permanent dev eth0"
	done | ip -n "$(lab_ns "$1")" -batch -
}

lab_mtu() {
	local pod
	LAB_MTU=$1
	ip -n "$(lab_ns br)" link set br0 mtu "$LAB_MTU"
	for pod in "${LAB_PODS[@]}"; do
		ip -n "$(lab_ns br)" link set "$(lab_veth "$pod")" mtu "$LAB_MTU"
		ip -n "$(lab_ns "$pod")" link set eth0 mtu "$LAB_MTU"
	done
	# A bridge takes the least MTU of its ports until it is told again.
	ip -n "$(lab_ns br)" link set br0 mtu "$LAB_MTU"
}

# For subshells only: becomes the command, inside the pod.
lab_become() {
	local pod=$1
	shift
	echo "$BASHPID" >"$LAB_CGROUP2$(lab_cgroup "$pod")/cgroup.procs"
	trap - EXIT INT TERM
	exec nsenter --net="/run/netns/$(lab_ns "$pod")" "$@"
}

# Waited for in the background: bash runs no trap while a command runs in the foreground.
lab_exec() {
	lab_become "$@" <&0 &
	wait "$!"
}

lab_spawn() {
	lab_become "$@" &
	LAB_PID=$!
}

lab_defer() {
	LAB_DEFERRED+=("$*")
}

# --- end of a lab

# Kills what runs in a cgroup tree (given in full) and removes it.
lab_cgroup_remove() {
	local dir=$1 tries pid procs
	[ -d "$dir" ] || return 0
	for ((tries = 0; tries < 100; tries++)); do
		if grep -q 'populated 0' "$dir/cgroup.events"; then
			find "$dir" -depth -type d -exec rmdir {} + 2>/dev/null || true
			[ -d "$dir" ] || return 0
		elif [ -w "$dir/cgroup.kill" ]; then
			echo 1 >"$dir/cgroup.kill"
		else	# kernels before 5.14
			procs=$(find "$dir" -name cgroup.procs -exec cat {} +)
			for pid in $procs; do
				kill -KILL "$pid" 2>/dev/null || true
			done
		fi
		sleep 0.02
	done
	echo "# cannot remove $dir" >&2
}

# Takes down the lab NAME-PID.
lab_remove() {
	local ns
	lab_cgroup_remove "$LAB_CGROUP2/podpace-test/$1"
	for ns in $(lab_namespaces); do
		case $ns in "pp-$1-"*) ip netns del "$ns" || true ;; esac
	done
	rmdir "$LAB_CGROUP2/podpace-test" 2>/dev/null || true
	rm -rf "${TMPDIR:-/tmp}/pp-$1."*
}

lab_namespaces() {
	ip netns list 2>/dev/null | awk '/^pp-/ { print $1 }'
}

lab_down() {
	local i
	[ -n "$LAB_ID" ] || return 0
	for ((i = ${#LAB_DEFERRED[@]} - 1; i >= 0; i--)); do
		eval "${LAB_DEFERRED[$i]}" || true
	done
	LAB_DEFERRED=()
	disown -a	# lest bash tells of each process killed
	lab_remove "$LAB_ID"
	LAB_ID='' LAB_PODS=()
}

lab_exit() {
	local status=$?
	trap - EXIT INT TERM
	set +e
	lab_down
	exit "$status"
}

# Labs whose process is gone: killed tests leave them.
lab_reap() {
	local id
	{
		lab_namespaces | sed -n 's/^pp-\(.*-[0-9]*\)-[a-z0-9]*$/\1/p'
		find "$LAB_CGROUP2/podpace-test" -mindepth 1 -maxdepth 1 -type d \
			-printf '%f\n' 2>/dev/null || true
	} | sort -u | while read -r id; do
		case ${id##*-} in *[!0-9]* | '') continue ;; esac
		[ -d "/proc/${id##*-}" ] || lab_remove "$id"
	done
}

# --- traffic

# What the host of this machine, if it is a virtual one, took of the last run of lab_calm; empty
# if that was too little to matter.
LAB_STOLEN=

# Clock ticks that the host has kept for itself.
lab_stolen() {
	awk '$1 == "cpu" { print $9 }' /proc/stat
}

# lab_traffic FROM TO SECONDS [OPTIONS of traffic send]: SECONDS is an integer; measures from 2 s
# on, runs of 3 s or less in their second half. LAB_FAMILY=6 for IPv6; LAB_RECEIVE_OPTIONS are for
# traffic receive, which gives up after 40 s more.
#
# It is made again where the host stole from it (lab_calm).
lab_traffic() {
	lab_calm "$3" lab_traffic_once "$@"
}

# lab_calm SECONDS COMMAND...: a run of COMMAND, which takes so long at least. One of which the host
# stole more than a fiftieth says little: it is made again, twice at most, whatever it was to show.
# If it stole from all three, is_between does not take too little for a failure of ours, and says
# so; too much is one.
lab_calm() {
	local seconds=$1 before try stolen=''
	shift
	for try in 1 2 3; do
		before=$(lab_stolen)
		LAB_STOLEN=
		stolen=
		"$@"
		before=$(($(lab_stolen) - before))
		[ $((before * 50)) -gt $((seconds * 100 * $(nproc))) ] || break
		stolen="$((before / seconds / $(nproc))) % of the processors"
		echo "# try $try: $before ticks were stolen from a run of $seconds s" >&2
	done
	LAB_STOLEN=$stolen
}

lab_traffic_once() {
	local from=$1 to=$2 seconds=$3 addr begin=2 receiver failed=''
	shift 3
	[ "$seconds" -gt 3 ] || begin=$(awk -v s="$seconds" 'BEGIN { print s / 2 }')
	addr=$(lab_address "$to")
	LAB_PORT=$((LAB_PORT + 4))
	LAB_SEND=$LAB_TMP/send-$LAB_PORT.json LAB_RECEIVE=$LAB_TMP/receive-$LAB_PORT.json
	# shellcheck disable=SC2086	# options are words
	lab_spawn "$to" "$LAB_BIN/traffic" receive --port "$LAB_PORT" \
		--from "$begin" --to "$seconds" --seconds $((seconds + 40)) \
		${LAB_RECEIVE_OPTIONS:-} >"$LAB_RECEIVE"
	receiver=$LAB_PID
	# A little longer than the window: it opens at the first byte received.
	lab_exec "$from" "$LAB_BIN/traffic" send --to "$addr" --port "$LAB_PORT" \
		--seconds "$(awk -v s="$seconds" 'BEGIN { print s + 0.2 }')" "$@" >"$LAB_SEND" ||
		failed=1
	[ -z "$failed" ] || kill "$receiver"
	wait "$receiver"
	[ -z "$failed" ]
}

# --- TAP

TAP_COUNT=0 TAP_FAILED=0 TAP_PLAN=

plan() {
	TAP_PLAN=$1
	echo "1..$1"
}

tap_line() {
	TAP_COUNT=$((TAP_COUNT + 1))
	echo "$1 $TAP_COUNT - $2"
}

pass() { tap_line ok "$1"; }

fail() {
	TAP_FAILED=$((TAP_FAILED + 1))
	tap_line 'not ok' "$1"
}

# ok NAME COMMAND...: passes if the command returns 0.
ok() {
	local name=$1
	shift
	if "$@"; then pass "$name"; else fail "$name"; fi
}

# is NAME VALUE WANTED: equal as text.
is() {
	if [ "$2" = "$3" ]; then
		pass "$1"
	else
		fail "$1"
		echo "#   have '$2', want '$3'"
	fi
}

# is_between NAME VALUE LOW HIGH: numbers, bounds included. The value is shown either way.
is_between() {
	if awk -v v="$2" -v lo="$3" -v hi="$4" 'BEGIN {
		number = v ~ /^[-+0-9.]+(e[-+]?[0-9]+)?$/
		exit !(number && v + 0 >= lo + 0 && v + 0 <= hi + 0) }'; then
		pass "$1: $2 in $3..$4"
	elif [ -n "$LAB_STOLEN" ] && awk -v v="$2" -v lo="$3" 'BEGIN { exit !(v > 0 && v < lo + 0) }'; then
		skip "$1: $2 not in $3..$4" "the host of this machine took $LAB_STOLEN meanwhile, three times"
	else
		fail "$1: $2 not in $3..$4"
	fi
}

# skip NAME REASON: one test that cannot run here.
skip() {
	tap_line ok "$1 # SKIP $2"
}

skip_all() {
	echo "1..0 # SKIP $*"
	exit 0
}

diag() {
	echo "# $*"
}

# The last line of a test.
done_testing() {
	[ -n "$TAP_PLAN" ] || plan "$TAP_COUNT"
	[ "$TAP_COUNT" = "$TAP_PLAN" ] || diag "planned $TAP_PLAN tests, ran $TAP_COUNT"
	[ "$TAP_FAILED" = 0 ] && [ "$TAP_COUNT" = "$TAP_PLAN" ] && exit 0
	exit 1
}
