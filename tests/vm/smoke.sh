# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2317 # `ok` calls functions
#
# Guest test: podpace from the first limit to the unload, by packets counted in the pods.
#
#   tests/vm/run 6.1 tests/vm/smoke.sh tests/lab.sh build/traffic build/podpace
#
# Emulation is slow and shares its cores: rates are small, times short, and what is asserted about
# them is looser than on hardware.
LAB_BIN=/work
# shellcheck source=tests/lab.sh
. /work/lab.sh

port=5000

# Mbit/s of IP packets that pod b receives over the next $1 seconds.
rate() {
	local bytes from

	received
	bytes=$RECEIVED from=$NOW
	sleep "$1"
	received
	awk -v bytes=$((RECEIVED - bytes)) -v us=$((NOW - from)) \
		'BEGIN { printf "%.2f\n", bytes * 8 / us }'
}

# RECEIVED: bytes so far, NOW: at which microsecond. The receiver's namespace counts a packet of
# many segments as one in InReceives and InOctets, but its segments as many by their ECN bits: each
# but the first is short of a header of 20 + 32 bytes (TCP with timestamps).
received() {
	local ecn packets=0

	read_counters "$witness_b"
	for ecn in NoECT ECT0 ECT1 CE; do
		packets=$((packets + ${COUNT[IpExt.In${ecn}Pkts]}))
	done
	RECEIVED=$((${COUNT[IpExt.InOctets]} + 52 * (packets - ${COUNT[Ip.InReceives]})))
}

# Segments that pod a has sent again, without those of handshakes and without tail loss probes, which
# an emulated machine's late ACKs bring about.
retransmitted() {
	read_counters "$witness_a"
	echo $((${COUNT[Tcp.RetransSegs]} - ${COUNT[TcpExt.TCPSynRetrans]} -
		${COUNT[TcpExt.TCPLossProbes]} + ${COUNT[TcpExt.TCPLossProbeRecovery]}))
}

# COUNT: the counters of process $1's network namespace, NOW: their time. By the shell alone: while
# traffic keeps both cores busy, a process takes long to start, and the time must be that of the
# counters.
declare -A COUNT
read_counters() {
	local i names netstat snmp values

	mapfile -t snmp <"/proc/$1/net/snmp"
	mapfile -t netstat <"/proc/$1/net/netstat"
	NOW=${EPOCHREALTIME/./}
	set -- "${snmp[@]}" "${netstat[@]}"
	while [ $# -ge 2 ]; do	# a line of names, a line of values
		read -ra names <<<"$1"
		read -ra values <<<"$2"
		for i in "${!names[@]}"; do
			COUNT[${names[0]%:}.${names[i]}]=${values[i]}
		done
		shift 2
	done
}

# Starts a process in pod $1, by which the pod's counters can be read as long as the test lasts:
# WITNESS.
witness() {
	lab_spawn "$1" sleep 1000
	WITNESS=$LAB_PID
	until [ "/proc/$WITNESS/ns/net" -ef "/run/netns/$(lab_ns "$1")" ]; do
		sleep 0.05
	done
}

# start FLOWS CC: traffic from a to b until stop.
start() {
	port=$((port + 4))
	lab_spawn b traffic receive --port "$port" --seconds 60 >"$LAB_TMP/receive"
	receiver=$LAB_PID
	lab_spawn a traffic send --to "$(lab_v4 b)" --port "$port" --flows "$1" --cc "$2" \
		--seconds 60 >"$LAB_TMP/send"
	sender=$LAB_PID
}

stop() {
	kill "$sender" "$receiver" 2>/dev/null || true
	wait "$sender" "$receiver" || true
}

within_percent() {
	is_between "$1, Mbit/s" "$2" "$(awk -v m="$3" -v p="$4" 'BEGIN { print m * p / 100 }')" \
		"$(awk -v m="$3" -v p="$5" 'BEGIN { print m * p / 100 }')"
}

programs() {
	bpftool prog show | grep -c '^[0-9]' || true
}

# The kernel frees programs a grace period after the last reference is gone.
programs_come_to() {
	local tries

	for ((tries = 0; tries < 30; tries++)); do
		[ "$(programs)" -gt "$1" ] || return 0
		sleep 0.1
	done
	bpftool prog show | sed 's/^/# /'
	return 1
}

shows_limit() {
	podpace status >"$LAB_TMP/status" &&
		grep -F "$1" "$LAB_TMP/status" | grep -qF "$2" && return
	sed 's/^/# /' "$LAB_TMP/status"
	return 1
}

lab_init smoke
lab_pod a
lab_pod b
witness a
witness_a=$WITNESS
witness b
witness_b=$WITNESS
a=$(lab_cgroup a)
b=$(lab_cgroup b)
before=$(programs)

# An emulated processor stands still now and then, for as long as the machine has better to do: less
# than the limit says little, more would be wrong.

# Connections that are older than the datapath. Where the kernel lends no callbacks to them (before
# about 6.12) they are paced with caution: held for certain, but not to the last percent.
start 2 cubic
sleep 1
within_percent "without a limit" "$(rate 0.5)" 20 300 100000
ok "limit of running connections" podpace limit "$a" --egress 20M
sleep 0.5
within_percent "running connections, limit 20M" "$(rate 3)" 20 50 101
stop

again=$(retransmitted)
start 4 bbr
sleep 2
within_percent "new connections, limit 20M" "$(rate 4)" 20 80 101
is_between "segments sent again by new connections" "$(($(retransmitted) - again))" -1000 0
ok "status has cgroup and limit" shows_limit "$a" 20M
ok "status in JSON" eval "podpace status -o json | grep -qF '\"$a\"'"
ok "limit changed" podpace limit "$a" --egress 40M
sleep 0.5
within_percent "the same connections, limit 40M" "$(rate 3)" 40 80 101
ok "unlimit" podpace unlimit "$a"
sleep 0.5
within_percent "the same connections, no limit" "$(rate 1)" 40 150 100000
ok "limit once more" podpace limit "$a" --egress 20M
sleep 0.5
within_percent "the same connections, limit 20M" "$(rate 3)" 20 80 101

ok "unlimit once more" podpace unlimit "$a"
stop

# What b receives. First from a sender that is not told: its connections are older than the peers.
# A window and withheld ACKs hold it, by the clock of a machine that stands still now and then.
start 2 cubic
sleep 1
ok "limit of what b receives" podpace limit "$b" --ingress 20M
sleep 1
within_percent "senders that are not told, 20M to b" "$(rate 3)" 20 10 110
stop
ok "peers" podpace peers --add "$(lab_v4 a)/32,$(lab_v4 b),$(lab_v6 a),$(lab_v6 b)"
again=$(retransmitted)
start 4 bbr
sleep 2
within_percent "new connections, 20M to b" "$(rate 4)" 20 80 101
is_between "segments sent again by connections that are told" "$(($(retransmitted) - again))" -1000 0
ok "status has cgroup and direction" shows_limit "$b" ingress
ok "limit of what b receives changed" podpace limit "$b" --ingress 40M
sleep 0.5
within_percent "the same connections, 40M to b" "$(rate 3)" 40 80 101
ok "beside a limit of what a sends" podpace limit "$a" --egress 20M
sleep 0.5
within_percent "the same connections, 20M from a, 40M to b" "$(rate 3)" 20 80 101
ok "unlimit in one direction" podpace unlimit "$b" --direction ingress
ok "unlimit in the other" podpace unlimit "$a"
sleep 0.5
within_percent "the same connections, no limit again" "$(rate 1)" 40 150 100000
ok "limit of what b receives once more" podpace limit "$b" --ingress 20M
sleep 0.5
within_percent "the same connections, 20M to b" "$(rate 3)" 20 80 101

ok "unload" podpace unload
is "pins left" "$(find /sys/fs/bpf -mindepth 1 | wc -l)" 0
ok "programs are gone" programs_come_to "$before"
sleep 0.5
within_percent "the same connections, unloaded" "$(rate 1)" 20 300 100000
stop
done_testing
