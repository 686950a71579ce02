#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# One pod in hard weather: flows that pause and go on together, elephants among thousands of mice, a
# stream just below the limit, a limit that changes ten times a second, a sender that is seldom let
# on a processor.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

netns_init hard
lab_pod a
lab_pod b

worst() {
	is_share "$1: worst 100 ms" "$(jq .wire.worst_100ms_bps "$2")" "$3" 5 "$4"
}

# Eight flows send 200 ms and pause 300 ms, all at once, beside two that send always. Of 100M the
# eight can get 32 and the two 68, if all are shared out equally at all times.
pulses_run() {
	run_start "s-$1" a b 6 --flows 2 --cc "$1"
	run_start "p-$1" a b 6 --flows 8 --on 200 --off 300 --cc "$1"
	run_wait "s-$1"
	run_wait "p-$1"
}

pulses() {
	local name="8 on and off beside 2, $1" s=$LAB_TMP/s-$1 p=$LAB_TMP/p-$1
	limit a 100M
	lab_calm 6 pulses_run "$1"
	is_share "$name" "$(jq .wire.rate_bps "$s-receive.json")" 100M 93 101
	worst "$name" "$s-receive.json" 100M 130
	is_share "$name: the steady ones" "$(jq .bulk.rate_bps "$s-receive.json")" 68M 70 105
	is_share "$name: the others" "$(jq .bulk.rate_bps "$p-receive.json")" 32M 95 155
	is_clean "$name: the steady ones" a "$s-send.json"
	is_clean "$name: the others" a "$p-send.json"
	unlimit a
}

mice() {
	local name="2 elephants, 2000 mice, $1"
	limit a 100M
	lab_traffic a b 5 --flows 2 --idle 2000 --idle-every 1000 --cc "$1"
	is_share "$name" "$(jq .wire.rate_bps "$LAB_RECEIVE")" 100M 97 100.5
	worst "$name" "$LAB_RECEIVE" 100M 112
	is_share "$name: the elephants" "$(jq .bulk.rate_bps "$LAB_RECEIVE")" 100M 95 98.5
	is "$name: the mice's sends" "$(jq '.idle | .sent >= 10000, .failed, .segs_retrans' \
		"$LAB_SEND" | xargs)" "true 0 0"
	is_clean "$name" a "$LAB_SEND"
	unlimit a
}

# 86.8M of payload are 90M with headers. It is written every 2 ms, which takes 1.8 ms at the limit:
# nothing of a piece is left when the next one comes.
stream() {
	local name="a stream at 90 %, $1"
	limit a 100M
	lab_traffic a b 4 --flows 1 --flow-rate 86.8M --probe 50 --cc "$1"
	is_share "$name" "$(jq .wire.rate_bps "$LAB_RECEIVE")" 90M 98.5 101
	is_between "$name: ms it is late" "$(jq '.flows[0].behind_ms' "$LAB_SEND")" 0 1
	is_between "$name: us that half of the probes take" "$(jq .probe.p50_us "$LAB_SEND")" 0 1000
	is "$name: refused" "$(field a .refused)" 0
	is_clean "$name" a "$LAB_SEND"
	unlimit a
}

# Limits, a tenth of a second each: Mbit/s.
alternating() {
	local i
	for ((i = 0; i < 50; i++)); do
		echo $((i % 2 ? 80 : 20))
	done
}

walking() {
	local i at=40
	RANDOM=6	# always the same walk
	for ((i = 0; i < 50; i++)); do
		at=$((at * (RANDOM % 2 ? 14 : 7) / 10))
		at=$((at < 5 ? 5 : at > 200 ? 200 : at))
		echo "$at"
	done
}

# The limits that a function prints, in turn: RATE is the mean between BEGIN and END, LAST the last,
# FAILED how many could not be set.
RATE='' LAST='' BEGIN='' END='' FAILED=0
changes_run() {
	local next now was='' sum=0
	limit a 40M
	run_start "$1-$2" a b 8 --flows 4 --cc "$2"
	sleep 1
	LAST=''
	while read -r next; do
		limit a "${next}M" || FAILED=$((FAILED + 1))
		now=$EPOCHREALTIME
		if [ -n "$LAST" ]; then
			sum=$(awk -v s="$sum" -v r="$LAST" -v t="$now" -v f="$was" \
				'BEGIN { print s + r * 1e6 * (t - f) }')
		else
			BEGIN=$now
		fi
		LAST=$next was=$now
		sleep "$(awk -v t="$EPOCHREALTIME" -v at="$BEGIN" 'BEGIN { print 0.1 - (t - at) % 0.1 }')"
	done < <("$1")
	END=$was
	RATE=$(awk -v s="$sum" -v t="$END" -v f="$BEGIN" 'BEGIN { printf "%.0f", s / (t - f) }')
	sleep 1
	run_stop "$1-$2"
}

changes() {
	local name="a limit that changes, $1, $2" run=$1-$2
	lab_calm 8 changes_run "$@"
	is "$name: changes that failed" "$FAILED" 0
	is_share "$name" "$(run_rate "$run" "$BEGIN" "$END")" "$RATE" 92 103
	is_share "$name: the last one" "$(run_rate "$run" "$END + 0.2" "$END + 1")" "${LAST}M" 96 101.5
	is_kept "$name" "$(field a '.refused - .refused_opening')" "$LAB_TMP/$run-send.json"
	unlimit a
}

# The pod a is let on a processor for 20 of 100 ms: TIGHT is the group that says so. Where processors
# are shared out with cgroup v1 the sender joins a group of that kind.
TIGHT=''
tight_open() {
	local at=$LAB_CGROUP2 part
	if grep -qw cpu "$at/cgroup.controllers"; then
		for part in . podpace-test "$LAB_ID"; do
			at=$at/$part
			echo +cpu >"$at/cgroup.subtree_control" || return 1
		done
		TIGHT=$at/a
		echo '20000 100000' >"$TIGHT/cpu.max"
		return
	fi
	at=$(awk '$3 == "cgroup" && $4 ~ /(^|,)cpu(,|$)/ { print $2; exit }' /proc/mounts)
	[ -n "$at" ] && mkdir "$at/podpace-test-$LAB_ID" || return 1
	TIGHT=$at/podpace-test-$LAB_ID
	lab_defer tight_close
	echo 100000 >"$TIGHT/cpu.cfs_period_us" && echo 20000 >"$TIGHT/cpu.cfs_quota_us"
}

# The lab kills what runs in its own cgroups, and only after this.
tight_close() {
	local pid tries
	disown -a	# lest bash tells of each process killed
	while read -r pid; do
		kill -KILL "$pid" 2>/dev/null
	done <"$TIGHT/cgroup.procs"
	for ((tries = 0; tries < 50; tries++)); do
		! rmdir "$TIGHT" 2>/dev/null || return 0
		sleep 0.02
	done
}

throttled() {
	awk '$1 == "nr_throttled" { print $2 }' "$TIGHT/cpu.stat"
}

# Sending alone costs less than that: something computes in the pod, too.
tight_busy() {
	lab_spawn a bash -c 'while :; do :; done'
	[ -e "$TIGHT/cpu.max" ] || echo "$LAB_PID" >"$TIGHT/cgroup.procs"
}

tight_run() {
	run_start "$1" a b 4 --flows "$3" --cc "$2"
	[ -e "$TIGHT/cpu.max" ] || echo "${RUN_SENDER[$1]}" >"$TIGHT/cgroup.procs"
	run_wait "$1"
}

# tight LIMIT CC FLOWS LEAST
tight() {
	local name="20 of 100 ms of a processor, $1, $3 flows, $2" run=tight-$1-$2 before report
	report=$LAB_TMP/$run-receive.json before=$(throttled)
	limit a "$1"
	lab_calm 4 tight_run "$run" "$2" "$3"
	is_between "$name: times it was stopped" $(($(throttled) - before)) 20 300
	is_share "$name" "$(jq .wire.rate_bps "$report")" "$1" "$4" 101
	worst "$name" "$report" "$1" 115
	is_clean "$name" a "$LAB_TMP/$run-send.json"
	unlimit a
}

pulses cubic
pulses bbr
mice cubic
stream cubic
stream bbr
changes alternating cubic
changes walking bbr
if tight_open; then
	tight_busy
	tight 100M cubic 2 25
	tight 1G bbr 8 10
else
	skip "a sender that is seldom let on a processor" "no cgroup here has the cpu controller"
fi
done_testing
