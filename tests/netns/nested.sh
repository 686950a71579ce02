#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Which limits bind a socket: nested ones all do, cgroups in one network namespace each have their
# own, an accepted connection has its listener's, loopback has none.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

netns_init nested
lab_pod a
lab_pod b

# L3 bits/s of the run's own connections; both runs share b's wire.
bulk() {
	run_report "$1" receive .bulk.rate_bps
}

mkdir -p "$LAB_CGROUP2$(lab_cgroup a/in)" "$LAB_CGROUP2$(lab_cgroup a/other)"
limit a 200M
limit a/in 100M

run_start in a/in b 4 --flows 2
run_wait in
is_share "inner 100M below 200M, alone" "$(bulk in)" 100M
is_clean "inner 100M below 200M, alone" a/in "$LAB_TMP/in-send.json"

# An equal share of the outer limit would be 33M a flow: the inner one holds four of them at 25M,
# the others get what that leaves.
run_start in a/in b 4 --flows 4
run_start other a/other b 4 --flows 2 --cc cubic
run_wait in
run_wait other
is_share "inner and outer together: inner" "$(bulk in)" 100M
is_share "inner and outer together: sum" "$(jq -n "$(bulk in) + $(bulk other)")" 200M
is_clean "inner and outer together" a "$LAB_TMP/other-send.json"

limit a/in 300M
run_start in a/in b 4 --flows 2
run_wait in
is_share "inner 300M below 200M" "$(bulk in)" 200M
is_clean "inner 300M below 200M" a/in "$LAB_TMP/in-send.json"
unlimit a
run_start in a/in b 4 --flows 2
run_wait in
is_share "the outer one gone: inner 300M" "$(bulk in)" 300M
unlimit a/in

limit a/in 50M
limit a/other 120M
run_start in a/in b 4 --flows 2 --cc cubic
run_start other a/other b 4 --flows 3 --cc bbr
run_wait in
run_wait other
is_share "two cgroups in one network namespace: 50M" "$(bulk in)" 50M
is_share "two cgroups in one network namespace: 120M" "$(bulk other)" 120M
is_clean "two cgroups in one network namespace: 50M" a/in "$LAB_TMP/in-send.json"
is_clean "two cgroups in one network namespace: 120M" a/other "$LAB_TMP/other-send.json"

# The listener is made in one cgroup; whoever holds it then goes to the other and accepts.
# accepted NAME LISTENER NOW WANTED
accepted() {
	local name=$1 port=$((LAB_PORT += 4)) client
	talk_start "$name" "$2"
	talk "$name" socket 4 >/dev/null
	is "$name: listens" "$(talk "$name" listen "$port")" ok
	talk "$name" cgroup "$LAB_CGROUP2$(lab_cgroup "$3")" >/dev/null
	# shellcheck disable=SC2016	# the inner shell's
	lab_spawn b bash -c 'exec cat <>"/dev/tcp/$0/$1" >/dev/null' "$(lab_v4 a)" "$port"
	client=$LAB_PID
	is "$name: accepts" "$(talk "$name" accept)" ok
	talk "$name" send 0.5 >/dev/null
	read -r l3 _ retransmitted <<<"$(talk "$name" send 2)"
	is_share "$name" "$l3" "$4"
	is "$name: retransmitted" "$retransmitted" 0
	kill "$client"
}

accepted "listener-50M" a/in a/other 50M
accepted "listener-120M" a/other a/in 120M

# Within the pod, to its own address: not counted, not slowed.
bytes=$(field a/in .bytes)
LAB_PORT=$((LAB_PORT + 4))
spawn_at a/in "$LAB_BIN/traffic" receive --port "$LAB_PORT" --from 0.5 --to 1.5 --seconds 30 \
	>"$LAB_TMP/lo-receive.json"
receiver=$LAB_PID
exec_at a/in "$LAB_BIN/traffic" send --to "$(lab_v4 a)" --port "$LAB_PORT" --seconds 1.6 \
	--flows 2 --flow-rate 500M --udp 100M >"$LAB_TMP/lo-send.json"
wait "$receiver"
is_between "loopback, Mbit/s" \
	"$(jq '.all.rate_bps / 1e6 | floor' "$LAB_TMP/lo-receive.json")" 1000 1200
is "loopback: nothing counted" "$(($(field a/in .bytes) - bytes))" 0
done_testing
