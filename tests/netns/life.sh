#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# How limits end: by themselves, with their cgroup, by unload under load.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

netns_init life
lab_pod a
lab_pod b
command -v bpftool >/dev/null || PATH=$PATH:/usr/sbin

# --- --for: it ends 2 s after a moment between $begin and $set

run_start for a b 5 --flows 2 --flow-rate 100M
sleep 0.5
begin=$(moment)
limit a 20M --for 2s
set=$(moment)
is_between "--for 2s: time left, ms" "$(field a '.ends_in / 1e6 | floor')" 1000 2000
is "--for 2s: in force" "$(field a .in_force)" true
sleep 3
run_stop for
is_share "--for 2s: the second second" "$(run_rate for "$set + 1" "$begin + 1.95")" 20M
is_between "--for 2s: 0.2 s after its end, Mbit/s" \
	"$(($(run_rate for "$set + 2.2" "$set + 3") / 1000000))" 150 1000
is "--for 2s: in force after its end" "$(field a .in_force | grep -c true || true)" 0

# What b receives, by senders that are told, and by ones that are held by their window. What these
# had in flight when the limit came was dropped in part: a second after its end one of the two may
# still wait for a retransmission timeout that has grown.
for peers in --add --remove; do
	pp peers "$peers" 10.77.0.0/24
	name="--for 2s, what comes in, peers $peers"
	run_start for a b 6 --flows 2 --flow-rate 100M
	sleep 0.5
	begin=$(moment)
	limit_in b 20M --for 2s
	set=$(moment)
	sleep 4
	run_stop for
	[ "$peers" = --add ] && bounds=(95 101) least=150 || bounds=(30 120) least=90
	is_share "$name: the second second" "$(run_rate for "$set + 1" "$begin + 1.95")" 20M "${bounds[@]}"
	is_between "$name: a second after its end, Mbit/s" \
		"$(($(run_rate for "$set + 3" "$set + 3.9") / 1000000))" "$least" 1000
	is "$name: in force after its end" "$(field_in b .in_force | grep -c true || true)" 0
done

# Without --for it is for ever, whatever was said before.
limit a 20M --for 300ms
limit a 20M
sleep 0.4
is "set again without --for" "$(field a '"\(.in_force) \(.ends_in)"')" "true null"
# Time over, and set again.
limit a 20M --for 100ms
sleep 0.2
limit a 30M
is "set again after its end" "$(field a '"\(.limit) \(.in_force) \(.ends_in)"')" \
	"30000000 true null"
unlimit a

# --- a removed cgroup

# slots: how many there are in the map, and how many limits the programs believe, out and in.
slots() {
	echo "$(bpftool -j map dump pinned "$(pins)/pp_slots" | jq length)" \
		"$(bpftool -j map dump pinned "$(pins)/pp_state" |
			jq -r '.[0].formatted.value.nlimits | join(" ")')"
}

mkdir "$LAB_CGROUP2$(lab_cgroup a/gone)"
limit a/gone 10M
limit_in a/gone 300M
is "limited cgroup: slots" "$(slots)" "1 1 1"
run_start gone a/gone b 2 --flows 1
run_wait gone
is_between "limited cgroup, Mbit/s" "$(run_report gone receive '.all.l3_bytes * 0 +
	.all.total_bytes * 8 / 2e6 | floor')" 9 11
rmdir "$LAB_CGROUP2$(lab_cgroup a/gone)"
is "removed cgroup: slots" "$(slots)" "0 0 0"
is "removed cgroup: limits in status" "$(pp status -o json | jq '.limits | length')" 0
is "removed cgroup: counted" "$(pp status -o json | jq .events.slot_freed)" 1
mkdir "$LAB_CGROUP2$(lab_cgroup a/gone)"
is_refused "the same name again has no limit" 1 'no limit' unlimit a/gone
run_start gone a/gone b 2 --flows 1 --flow-rate 200M
run_wait gone
is_between "the same name again, Mbit/s" \
	"$(run_report gone receive '.all.total_bytes * 8 / 2e6 | floor')" 150 300
limit a/gone 10M
is "the same name again, limited: slots" "$(slots)" "1 1 0"

# A tree of limited cgroups, and more than once: nothing adds up.
for ((i = 0; i < 5; i++)); do
	mkdir -p "$LAB_CGROUP2$(lab_cgroup a/x/y)"
	limit a/x 10M
	limit_in a/x 10M
	limit_in a/x/y 10M
	rmdir "$LAB_CGROUP2$(lab_cgroup a/x/y)" "$LAB_CGROUP2$(lab_cgroup a/x)"
done
is "removed five times: slots" "$(slots)" "1 1 0"
unlimit a/gone

# A socket that outlives its cgroup is not limited any more, and does no harm.
mkdir -p "$LAB_CGROUP2$(lab_cgroup a/short)"
sink_start b
talk_start survivor a/short
talk survivor connect "$(lab_v4 b)" "$SINK" >/dev/null
limit a/short 10M
talk survivor send 0.3 >/dev/null
read -r l3 _ <<<"$(talk survivor send 1)"
is_share "before its cgroup is removed" "$l3" 10M
talk survivor cgroup "$LAB_CGROUP2$(lab_cgroup a)" >/dev/null
rmdir "$LAB_CGROUP2$(lab_cgroup a/short)"
talk survivor send 0.3 >/dev/null
is_between "after its cgroup is removed, Mbit/s" \
	"$(talk survivor send 0.5 | awk '{ print int($1 / 1e6) }')" 200 1000000

# --- unload under load

# The ids of the datapath's own programs.
programs() {
	local pin
	for pin in "$(pins)"/pp_{egress,ingress,sockops,setsockopt,getsockopt,iter_tcp,rmdir}; do
		[ ! -e "$pin" ] || bpftool -j link show pinned "$pin" | jq .prog_id
	done
}

# Which of them the kernel still has; it frees them some time after they are detached.
programs_left() {
	local id left='' tries
	for ((tries = 0; tries < 20; tries++)); do
		left=''
		for id in "$@"; do
			! bpftool prog show id "$id" >/dev/null 2>&1 || left="$left $id"
		done
		[ -n "$left" ] || break
		sleep 0.1
	done
	echo "$left"
}

paced() {
	lab_in a ss -tinH state established | grep -c 'pacing_rate [^ ]*/[^ ]*' || true
}

limit a 100M
limit b 50M
limit_in b 200M
run_start load a b 5 --flows 4 --udp 200M --probe 100 --idle 3
sleep 1.5
mapfile -t ids < <(programs)
is_between "programs" "${#ids[@]}" 6 7
is_between "paced sockets under load" "$(paced)" 8 9
is "unload says" "$(pp unload 2>&1)" ""
gone=$(moment)
is "pins left" "$(pins)" ""
is "programs left" "$(programs_left "${ids[@]}")" ""
is "paced sockets left" "$(paced)" 0
sleep 1
run_stop load
is_between "0.2 s after unload, Mbit/s" \
	"$(($(run_rate load "$gone + 0.2" "$gone + 1") / 1000000))" 400 1000000
is_refused "unload again" 1 'not loaded' pp unload
done_testing
