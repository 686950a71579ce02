#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The command killed in the middle, at each system call that changes something: the next command
# finds its way, and what the kernel is told stays consistent. And two commands at once.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

netns_init killed
lab_pod a
lab_pod b
build killat
KILLAT=$PROGRAM
TARGET=$(lab_cgroup a)
command -v bpftool >/dev/null || PATH=$PATH:/usr/sbin
# A process to find the pod's network namespace by, with a connection to find.
sink_start b
talk_start old a
talk old connect "$(lab_v4 b)" "$SINK" >/dev/null

# One line for what is wrong in the maps; nothing for nothing. The programs pass everything in a
# direction while its nlimits is 0, and look for no peer while nprefixes is; a pipe that no slot
# leads to is never used again. Pipes are counted by top: with bpftool that takes a second. Counts
# of limits are pairs, [egress,ingress].
inconsistent() {
	local dir slots pipes nlimits counting nprefixes prefixes
	dir=$(pins)
	[ -n "$dir" ] || { echo "nothing is pinned"; return; }
	slots=$(bpftool -j map dump pinned "$dir/pp_slots" |
		jq -c '[.[].formatted.value.pipe] | [map(.[0]), map(.[1])] |
			map(map(select(. != 0)) | length)')
	pipes=$(pp top --interval 1ms --count 1 -o json | jq -c '[.limits[].direction] |
		[map(select(. == "egress")), map(select(. == "ingress"))] | map(length)')
	prefixes=$(pp peers -o json | jq '.peers | length')
	read -r nlimits counting nprefixes <<<"$(bpftool -j map dump pinned "$dir/pp_state" |
		jq -r '.[0].formatted.value | "\(.nlimits | tojson) \(.counting) \(.nprefixes)"')"
	[ "$nprefixes" -ge "$prefixes" ] || echo "$prefixes peers, but nprefixes is $nprefixes"
	[ "$slots $pipes $counting" = "$nlimits $nlimits 0" ] ||
		echo "$slots in slots, $pipes pipes, but nlimits is $nlimits, counting $counting"
}

# True limits only: status says it, and a packet is counted.
in_force() {
	local before
	[ "$(field a '"\(.limit) \(.in_force)"')" = "$1 true" ] || return 1
	before=$(field a .packets)
	talk old send 0.05 >/dev/null
	[ "$(field a .packets)" -gt "$before" ]
}

# sweep NAME STEP BEFORE COMMAND...: kills the command at each STEP-th of its system calls. BEFORE
# brings about where it starts from; after each kill a limit is set, and must be as if nothing had
# been.
sweep() {
	local name=$1 step=$2 before=$3 n wrong kills=0 bad=0
	shift 3
	for ((n = 1; n < 400; n += step)); do
		eval "$before" >/dev/null 2>&1 || true
		"$KILLAT" "$n" "$PODPACE" --root "$(lab_cgroup)" "$@" >/dev/null 2>&1 || break
		kills=$((kills + 1))
		if ! limit a 20M 2>"$LAB_TMP/err"; then
			bad=$((bad + 1))
			diag "$name, killed at $n: limit fails: $(cat "$LAB_TMP/err")"
		elif wrong=$(inconsistent) && [ -n "$wrong" ]; then
			bad=$((bad + 1))
			diag "$name, killed at $n: $wrong"
			pp unload >/dev/null
		elif [ $((kills % 16)) = 0 ] && ! in_force 20000000; then
			bad=$((bad + 1))
			diag "$name, killed at $n: the limit is not in force"
		fi
	done
	is_between "$name: kills" "$kills" 3 400
	is "$name: of these, something was wrong after" "$bad" 0
}

sweep "limit that loads" 3 'pp unload' limit "$TARGET" --egress 10M
sweep "limit on what is loaded" 1 'limit a 5M; unlimit a' limit "$TARGET" --egress 10M
sweep "limit that changes" 1 'limit a 5M' limit "$TARGET" --egress 10M
sweep "unlimit" 1 'limit a 5M' unlimit "$TARGET"
sweep "limit in both directions" 2 'limit a 5M; unlimit a' limit "$TARGET" --egress 10M --ingress 30M
sweep "limit in the other direction" 3 'unlimit a; limit_in b 5M' \
	limit "$TARGET" --egress 10M --ingress 30M
sweep "unlimit in one direction" 1 'limit a 5M; limit_in a 5M' \
	unlimit "$TARGET" --direction ingress
sweep "unlimit in both directions" 2 'limit a 5M; limit_in a 5M' unlimit "$TARGET"
sweep "peers that are added" 3 'pp peers --remove 10.1.0.0/16; pp peers --remove 10.2.0.0/16' \
	peers --add 10.1.0.0/16,10.2.0.0/16
ok "peers that are added, killed: added again" pp peers --add 10.1.0.0/16,10.2.0.0/16
is "peers that are added, killed: these" "$(pp peers -o json | jq -c '[.peers[].prefix]')" \
	'["10.1.0.0/16","10.2.0.0/16"]'
sweep "peers that are removed" 3 'pp peers --add 10.1.0.0/16,10.2.0.0/16' \
	peers --remove 10.1.0.0/16,10.2.0.0/16
pp peers --add 10.1.0.0/16 && pp peers --remove 10.1.0.0/16
is "limits and peers killed: nprefixes in the end" "$(bpftool -j map dump pinned "$(pins)/pp_state" |
	jq '.[0].formatted.value.nprefixes')" "$(pp peers -o json | jq '.peers | length')"
sweep "the first share" 1 'limit "" 100M; unlimit a' limit "$TARGET" --weight 300
sweep "the last share, that goes" 1 'limit "" 100M; pp limit "$TARGET" --weight 300' unlimit "$TARGET"
sweep "a limit that is shared, and goes" 1 'limit "" 100M; pp limit "$TARGET" --weight 300' \
	unlimit "$(lab_cgroup)"
limit "" 100M
limit a 20M
is "shares killed: in the end the limit is its flows'" "$(field "" .flows)" 0
is "shares killed: pipes in the end" "$(bpftool -j map dump pinned "$(pins)/pp_pipes" |
	jq '[.[].formatted.value | select(.rate > 0)] | length')" "$(pp status -o json | jq '.limits | length')"
unlimit ""
sweep "unload" 1 'limit a 5M' unload

# At any time at all.
bad=0
for ((i = 0; i < 30; i++)); do
	[ $((i % 2)) = 0 ] || pp unload >/dev/null 2>&1 || true
	"$PODPACE" --root "$(lab_cgroup)" limit "$TARGET" --egress 10M --ingress 30M 2>/dev/null &
	sleep "0.0$((RANDOM % 6))$((RANDOM % 10))"
	kill -KILL $! 2>/dev/null || true
	wait $! 2>/dev/null || true
	if ! limit a 20M || ! wrong=$(inconsistent) || [ -n "$wrong" ]; then
		bad=$((bad + 1))
		diag "killed in run $i: ${wrong:-}"
		pp unload >/dev/null 2>&1 || true
	fi
done
is "limit killed at random moments: something was wrong after" "$bad" 0
ok "the limit is in force" in_force 20000000
unlimit a
pp unload >/dev/null
is "unload: what is left" "$(find "$NETNS_PINS" -path "*$LAB_ID*")" ""
is "unload: pace of the connection" "$(talk old get8)" 18446744073709551615

# Two at once, that both find nothing loaded; then both to change the same.
limit a 30M & one=$!
limit b 40M & two=$!
status=0
wait "$one" || status=1
wait "$two" || status=1
is "two limits at once" "$status" 0
is "two limits at once: both are in force" \
	"$(field a '"\(.limit) \(.in_force)"'), $(field b '"\(.limit) \(.in_force)"')" \
	"30000000 true, 40000000 true"
pids=()
for ((i = 1; i <= 20; i++)); do
	limit a "${i}M" & pids+=($!)
	limit b "${i}M" & pids+=($!)
done
status=0
for pid in "${pids[@]}"; do
	wait "$pid" || status=1
done
is "forty limits at once" "$status" 0
is "forty limits at once: in the maps" "$(inconsistent)" ""
limit a 30M & one=$!
pp unload >/dev/null 2>&1 & two=$!
wait "$one" "$two" || true
limit a 20M
ok "limit and unload at once, then limit: in force" in_force 20000000
is "limit and unload at once: in the maps" "$(inconsistent)" ""
done_testing
