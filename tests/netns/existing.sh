#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Connections that are there when a limit comes, changes and goes: busy ones and idle ones.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

netns_init existing
lab_pod a
lab_pod b

# busy NAME LEAST LOW HIGH OPTIONS...: unlimited, limited, released. LEAST: Mbit/s sent without a
# limit; LOW, HIGH: percent of the limit in the first second under it.
busy() {
	local name=$1 least=$2 low=$3 high=$4 set gone
	shift 4
	run_start busy a b 5 "$@"
	sleep 0.8
	limit a 100M
	set=$(moment)
	sleep 2.05
	refused=$(field a '.refused - .refused_opening')
	unlimit a
	gone=$(moment)
	sleep 1
	run_stop busy
	is_between "$name before the limit, Mbit/s" \
		"$(($(run_rate busy "$set - 0.4" "$set - 0.1") / 1000000))" "$least" 1000000
	is_share "$name in the first second under it" \
		"$(run_rate busy "$set" "$set + 1")" 100M "$low" "$high"
	is_share "$name in the next second" "$(run_rate busy "$set + 1" "$set + 2")" 100M
	is_between "$name once it has gone, Mbit/s" \
		"$(($(run_rate busy "$gone + 0.2" "$gone + 0.9") / 1000000))" "$least" 1000000
}

busy "1 cubic flow of 200M" 190 30 110 --flows 1 --cc cubic --flow-rate 200M
is_kept "1 cubic flow of 200M" "$refused" "$LAB_TMP/busy-send.json"
LAB_FAMILY=6 busy "8 BBR flows of 50M" 350 30 110 --flows 8 --cc bbr --flow-rate 50M
is_kept "8 BBR flows of 50M" "$refused" "$LAB_TMP/busy-send.json"
# A window of 3 MB in flight is a quarter of that second.
busy "4 flows without bounds" 1000 30 150 --flows 4

# The second flow is connected before the limit comes and sends its first byte 1 s after.
run_start idle a b 5 --flows 2 --stagger 2500
sleep 1.5
limit a 100M
sleep 2
woke=$(moment)
sleep 1.5
run_stop idle
is_share "a busy and a once idle connection" "$(run_rate idle "$woke" "$woke + 1.4")" 100M
is_share "the once idle one alone" "$(run_report idle receive \
	'[.flows[].series_100ms | add] | min * 8 / 2.6')" 50M 80 110
is "idle connection: none is left unpaced" "$(field a '"\(.in_force) \(.note)"')" "true null"
unlimit a

# change NAME OPTIONS...: under load, down and up again. What the first 50 ms hold is not looked at.
change() {
	local name=$1 down up
	shift
	limit a 100M
	run_start change a b 5 "$@"
	sleep 1.5
	limit a 10M
	down=$(moment)
	sleep 1.6
	limit a 100M
	up=$(moment)
	sleep 1.3
	run_stop change
	is_share "$name before the change" "$(run_rate change "$down - 0.6" "$down - 0.1")" 100M
	is_share "$name, down, 50 to 150 ms after" \
		"$(run_rate change "$down + 0.05" "$down + 0.15")" 10M 0 110
	is_share "$name, down, 50 to 550 ms after" \
		"$(run_rate change "$down + 0.05" "$down + 0.55")" 10M 0 102
	is_share "$name, down, the second half second" \
		"$(run_rate change "$down + 0.5" "$down + 1.5")" 10M
	is_share "$name, up, 50 to 550 ms after" \
		"$(run_rate change "$up + 0.05" "$up + 0.55")" 100M 90 102
	is_share "$name, up, the second half second" \
		"$(run_rate change "$up + 0.5" "$up + 1.2")" 100M
	unlimit a
}

change "1 cubic flow" --flows 1 --cc cubic
change "8 BBR flows" --flows 8 --cc bbr
done_testing
