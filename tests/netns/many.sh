#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Many at once: a thousand connections that are kept, some thousands a second that are not beside a
# long one, two dozen pods with a limit each.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=../web.sh
. "$LAB_TOP/tests/web.sh"

PODS=24

netns_init many
lab_pod a
lab_pod b
web_start a

# kept PATH LATE MS: 1000 clients of a server, each as fast as it is answered. All begin at one
# moment; what is refused of their first ten segments comes 200 ms later, or 700, or 1200. LATE may
# take more than 2 s. From then on all are alike: half take MS at most.
kept() {
	local name="1000 kept connections, $1"
	limit a 100M
	lab_calm 6 web_load b a 6 "$1" 1000 keep
	is_share "$name" "$WEB_BPS" 100M 90 101.5
	is "$name: failed" $((WEB_FAILED - WEB_LATE)) 0
	is "$name: data sent again" "$WEB_RESENT" 0
	is_between "$name: above 2 s" "$WEB_LATE" 0 "$2"
	is_between "$name: ms that half take" "${WEB_P50_MS%.*}" 0 "$3"
	is "$name: refused, but as they opened" "$(field a '.refused - .refused_opening')" 0
	unlimit a
}

beside_run() {
	run_start "$1" a b 5 --flows 1
	sleep 0.5
	web_load b a 5 1k "$2" close
	run_wait "$1"
}

# beside LIMIT CLIENTS LEAST: a long flow gets LEAST percent of the limit beside so many clients,
# who open a connection for each request of 1 kB: no less than if all sent all the time.
beside() {
	local name="1 flow beside $2 clients, $1" run=beside-$1-$2
	limit a "$1"
	lab_calm 5 beside_run "$run" "$2"
	is_share "$name" "$(run_report "$run" receive .wire.rate_bps)" "$1" 92 101.5
	is_share "$name: the flow" "$(run_report "$run" receive .bulk.rate_bps)" "$1" "$3" 70
	is_share "$name: worst 100 ms" "$(run_report "$run" receive .wire.worst_100ms_bps)" "$1" 90 140
	is_between "$name: connections a second" $((WEB_PAYLOAD / 1240)) 1500 20000
	is "$name: requests that failed" "$WEB_FAILED" 0
	is "$name: data of answers sent again, timeouts of clients" "$WEB_RESENT $WEB_TIMEOUTS" "0 0"
	is_clean "$name" a "$LAB_TMP/$run-send.json"
	unlimit a
}

PODS_CC=(cubic cubic bbr bbr)
pods_run() {
	local n port senders=() receiver
	LAB_PORT=$((LAB_PORT + 4)) port=$LAB_PORT
	lab_spawn b "$LAB_BIN/traffic" receive --port "$port" --from 2 --to 9 --seconds 50 \
		>"$LAB_TMP/pods.json"
	receiver=$LAB_PID
	for ((n = 1; n <= PODS; n++)); do
		lab_spawn "p$n" "$LAB_BIN/traffic" send --to "$(lab_v4 b)" --port "$port" --seconds 9.5 \
			--flows $((1 + n % 2)) --cc "${PODS_CC[$((n % 4))]}" >"$LAB_TMP/p$n.json"
		senders+=("$LAB_PID")
	done
	wait "${senders[@]}"
	wait "$receiver"
}

# Pod pN has N Mbit/s, 1 or 2 flows, cubic or BBR. The window holds 583 packets of 1 Mbit/s: two
# more or less at its ends are none too many.
pods() {
	local n rate
	for ((n = 1; n <= PODS; n++)); do
		lab_pod "p$n"
		limit "p$n" "${n}M"
	done
	lab_calm 9 pods_run
	for ((n = 1; n <= PODS; n++)); do
		rate=$(jq --arg peer "$(lab_v4 "p$n")" '([.flows[] | select(.peer == $peer) |
			.window_bytes] | add) * 8 / (.to - .from)' "$LAB_TMP/pods.json")
		is_share "pod $n of $PODS, ${PODS_CC[$((n % 4))]}" "$rate" "${n}M" 97 \
			"$(awk -v n="$n" 'BEGIN { print 100.5 + 0.34 / n }')"
		is_clean "pod $n of $PODS" "p$n" "$LAB_TMP/p$n.json"
	done
}

kept 1k 400 150
kept 10k 800 1500
beside 100M 10 9
beside 200M 50 2
pods
done_testing
