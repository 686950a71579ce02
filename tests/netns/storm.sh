#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A connection for each request, as many as come: a server under a limit keeps to it by letting
# handshakes wait, and so does a pod under one that opens them. Nothing is lost for that, nobody
# fails, and nobody waits for a timeout.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=../web.sh
. "$LAB_TOP/tests/web.sh"

netns_init storm
lab_pod a
lab_pod b
web_start a

# storm NAME PATH CLIENTS keep|close LEAST: of 100M, LEAST percent arrives.
storm() {
	local name="$1, $2, $3 clients, $4"
	web_load b a 4 "$2" "$3" "$4"
	is_share "$name" "$WEB_BPS" 100M "$5" 101.5
	is "$name: failed" "$WEB_FAILED" 0
	is "$name: data sent again" "$WEB_RESENT" 0
	is "$name: timeouts of clients" "$WEB_TIMEOUTS" 0
	is_between "$name: ms that 99 of 100 take" "${WEB_P99_MS%.*}" 0 "$6"
}

limit a 100M
for n in 10 50 200; do
	storm sent 1k "$n" close 92 100
done
for n in 10 50 200; do
	LAB_FAMILY=6 storm "sent, IPv6" 10k "$n" close 93 $((3 * n + 100))
done
storm sent 10k 100 keep 95 300
is "a storm's handshakes wait" "$(pp status -o json | jq '.limits[0].delayed > 1000')" true

# Long flows beside it are not driven off: the storm waits so much longer.
run_start long a b 8 --flows 4 --cc cubic
sleep 1.5
storm "beside 4 long flows" 10k 50 close 95 200
is_share "what 4 long flows leave to it" $((${WEB_PAYLOAD%.*} * 8)) 100M 40 86
run_stop long
is_kept "4 long flows beside 50 clients, 10k: nothing refused, nothing sent again" \
	"$(field a '.refused - .refused_opening')" "$LAB_TMP/long-send.json"
unlimit a

# Below the limit nobody waits.
limit a 5G
web_load b a 2 1k 20 close
is "far below a limit: failed" "$WEB_FAILED" 0
is "far below a limit nobody waits" "$(pp status -o json | jq '.limits[0].delayed')" 0
unlimit a

# opened CLIENTS BYTES MOST: a itself connects. MOST percent of 100M in any 100 ms.
opened() {
	local name="opened, $1 clients, $2 bytes"
	lab_traffic a b 4 --short "$1" --bytes "$2"
	is "$name: failed" "$(jq .short.failed "$LAB_SEND")" 0
	# one counter is read after the other, while SYNs go on: there may be more of the second
	is "$name: timeouts, but of SYNs that waited" \
		"$(jq '[.timeouts - .syn_timeouts, 0] | max' "$LAB_SEND")" 0
	is "$name: sent again" "$(jq '.segs_retrans' "$LAB_SEND")" 0
	is_share "$name, worst 100 ms" "$(jq .wire.worst_100ms_bps "$LAB_RECEIVE")" 100M 50 "$3"
	is_share "$name, first second" "$(jq '.wire.first_second_bytes * 8' "$LAB_RECEIVE")" 100M 50 108
}

lab_in a sysctl -qw net.ipv4.ip_local_port_range='1024 65535'
limit a 100M
opened 50 1000 140
is "what opens them waits" "$(field a '.delayed > 1000')" true
is "and then is in order: nothing was refused" "$(field a .refused)" 0
opened 200 1000 140
opened 50 10000 150
opened 200 10000 180
is_share "opened, 200 clients, 10000 bytes" "$(jq .wire.rate_bps "$LAB_RECEIVE")" 100M 93 101.5

# A peer that is down for some seconds, meanwhile: a wait of 20 ms is not what a SYN's tries begin
# with, or the last of them would have failed after 2.6 s.
lab_pod c
run_start storm a b 12 --short 100 --bytes 10000
sleep 1
ip -n "$(lab_ns br)" link set "$(lab_veth c)" nomaster
before=$(field a .delayed) from=$(moment)
run_start down a c 1 --flows 1
sleep 6
ip -n "$(lab_ns br)" link set "$(lab_veth c)" master br0
run_wait down
is "a peer that was down for 6 s: connections that failed" "$(run_report down send .failed)" 0
is_between "and what was sent to it, bytes" "$(run_report down send .bytes_acked)" 10000 20000000
is_between "s that it took" "$(awk -v t="$from" -v now="$(moment)" 'BEGIN { print now - t }')" 6 40
run_wait storm
unlimit a
done_testing
