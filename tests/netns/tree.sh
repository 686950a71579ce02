#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Limits that share another one: weights, guarantees, borrowing, both directions, and what the
# command says of them.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

netns_init tree
for pod in a b c d; do
	lab_pod "$pod"
done
FLOWS_A=1 FLOWS_B=1 CC=cubic
WAY_A=(a c) WAY_B=(b d)	# who sends to whom

weigh() {
	local pod=$1
	shift
	pp limit "$(lab_cgroup "$pod")" "$@"
}

# shares NAME A B: the first way is used all the time, the second in the middle. A and B are what
# they are to get then, in Mbit/s of 1G.
shares() {
	local name=$1 a=$2 b=$3 begin end
	run_start a "${WAY_A[@]}" 7 --flows "$FLOWS_A" --cc "$CC"
	sleep 1.5
	begin=$(moment)
	run_start b "${WAY_B[@]}" 4 --flows "$FLOWS_B" --cc "$CC"
	sleep 2.5
	end=$(moment)
	run_stop b
	sleep 1.5
	run_stop a
	is_share "$name: the first alone" "$(run_rate a "$begin - 0.7" "$begin - 0.05")" 1G 98 101
	# the second begins some 50 ms later
	is_share "$name: what was borrowed is given back within 300 ms" \
		"$(run_rate a "$begin + 0.35" "$begin + 0.85")" "$a" 0 103
	is_share "$name: the first has its share" \
		"$(run_rate a "$begin + 1" "$end - 0.05")" "$a" 98 102
	is_share "$name: and the second" "$(run_rate b "$begin + 1" "$end - 0.05")" "$b" 98 102
	is_share "$name: what is idle is borrowed within 300 ms" \
		"$(run_rate a "$end + 0.3" "$end + 1.3")" 1G 98 101
	is "$name: no data was sent again" "$(sent_again "$LAB_TMP/a-send.json")" 0
}

limit "" 1G
for CC in cubic bbr; do
	weigh a --weight 300
	weigh b --weight 100
	for FLOWS_A in 1 16; do
		for FLOWS_B in 1 16; do
			shares "3:1, $FLOWS_A and $FLOWS_B flows, $CC" 750M 250M
		done
	done
	# what is left is shared 100:1
	FLOWS_B=1
	weigh a --weight 100
	weigh b --weight 1 --guarantee 400M
	for FLOWS_A in 1 64; do
		shares "a guarantee against $FLOWS_A flows, $CC" 594059K 405940K
	done
done

# Three levels: of a's 750 Mbit/s two thirds are for one of its cgroups.
weigh a --weight 300
weigh b --weight 100
mkdir -p "$LAB_CGROUP2$(lab_cgroup a/in)" "$LAB_CGROUP2$(lab_cgroup a/out)"
weigh a/in --weight 200
weigh a/out --weight 100
run_start in a/in c 4 --flows 1 --cc bbr
run_start out a/out d 4 --flows 8 --cc cubic
run_start b b d 4 --flows 16
sleep 3.6
end=$(moment)
for run in in out b; do
	run_stop "$run"
done
is_share "three levels: two thirds of three quarters" \
	"$(run_rate in "$end - 2.5" "$end - 0.1")" 500M 98 102
# both arrive in d
is_share "a third of three quarters, and a quarter" \
	"$(run_rate out "$end - 2.5" "$end - 0.1")" 500M 98 102
unlimit a/in
unlimit a/out

# One that has a ceil and no share: it shares what the cgroup above sends itself, of weight 100.
pp unlimit "$(lab_cgroup b)"
weigh a --weight 300
weigh b --egress 900M
run_start a a c 4 --flows 1
run_start b b d 4 --flows 16
sleep 3.6
end=$(moment)
run_stop a
run_stop b
is_share "a share beside a ceil without one" "$(run_rate a "$end - 2.5" "$end - 0.1")" 750M 98 102
is_share "the ceil without a share" "$(run_rate b "$end - 2.5" "$end - 0.1")" 250M 97 102

# Datagrams are held to the share of their pod, and leave the other its own.
weigh a --weight 300
weigh b --weight 100
run_start a a c 4 --flows 4
run_start b b d 4 --flows 0 --udp 900M
sleep 3.6
end=$(moment)
run_stop a
run_stop b
is_share "beside a flood of datagrams" "$(run_rate a "$end - 2.5" "$end - 0.1")" 750M 95 102
is_share "the flood" "$(run_rate b "$end - 2.5" "$end - 0.1")" 250M 90 102

# A ceil holds below the share, and what it leaves is the other's.
weigh a --weight 300 --egress 500M
weigh b --weight 100
run_start a a c 3 --flows 4
run_start b b d 3 --flows 4
sleep 2.6
end=$(moment)
run_stop a
run_stop b
is_share "a ceil below the share" "$(run_rate a "$end - 1.5" "$end - 0.1")" 500M
is_share "the other has the rest" "$(run_rate b "$end - 1.5" "$end - 0.1")" 500M 98 102

# Weights, guarantees and ceils change under load: what arrives in c, all of it, stays below the
# limit in any 100 ms.
weigh a --weight 300
weigh b --weight 100
for CC in cubic bbr; do
	run_start a a c 7 --flows 4 --cc "$CC"
	run_start b b c 7 --flows 4 --cc "$CC"
	sleep 1
	for change in "100 100" "100 300" "1000 1" "100 100 --guarantee 600M" "100 200 --egress 300M" \
		"500 100" "1 1000" "300 100"; do
		read -r one other options <<<"$change"
		weigh a --weight "$one"
		# shellcheck disable=SC2086	# options are words
		weigh b --weight "$other" $options
		sleep 0.3
	done
	sleep 0.7
	end=$(moment)
	run_stop a
	run_stop b
	is_share "changes under load, $CC: the fullest 100 ms" \
		"$(run_report a receive .wire.worst_100ms_bps)" 1G 99 110
	is_share "changes under load, $CC: all that time" "$(run_rate a "$end - 3.5" "$end - 0.1")" 1G 90 101
	is "changes under load, $CC: no data was sent again" "$(sent_again "$LAB_TMP/a-send.json")" 0
done

# --- what status says

is "status: a share, its weight, and the limit that all share" "$(pp status -o json | jq -c \
	'[.limits[] | [.limit, .weight, .guarantee, .flows == null]]')" \
	'[[1000000000,null,null,true],[null,300,null,false],[null,100,null,false]]'
ok "status: in words" sh -c \
	"'$PODPACE' --root '$(lab_cgroup)' status | grep -q 'WEIGHT *GUARANTEE *CAPACITY'"
weigh b --guarantee 10M
is "a guarantee alone has the usual weight" "$(field b '"\(.weight) \(.guarantee)"')" "100 10000000"
weigh a --egress 500M
is "a limit without a weight has no share" "$(field a .weight)" null
unlimit a
unlimit b
is "the last share has gone: the limit is its flows'" "$(field "" .flows)" 0
run_start a a c 2 --flows 4
sleep 1.6
end=$(moment)
run_stop a
is_share "and is kept by them" "$(run_rate a "$end - 1" "$end - 0.1")" 1G

# --- what is wrong

refuses() {
	local name=$1 message=$2
	shift 2
	if "$@" 2>"$LAB_TMP/err"; then
		fail "$name: it did not fail"
	elif grep -qF -- "$message" "$LAB_TMP/err"; then
		pass "$name"
	else
		fail "$name"
		sed 's/^/#   /' "$LAB_TMP/err"
	fi
}

unlimit ""
refuses "a weight of nothing" "is a share of the limit above" weigh a --weight 10
refuses "a weight of nothing, with a ceil" "no cgroup above it has an egress limit" \
	weigh a --weight 10 --egress 1M
is "nothing was set" "$(pp status -o json | jq '.limits | length')" 0
limit "" 1G
refuses "a share that ends by itself" "a share lasts as long as the limit" \
	weigh a --weight 10 --for 1m
refuses "a weight of 0" '--weight "0": valid is a number from 1 to 1000' weigh a --weight 0
refuses "a weight of 1001" '--weight "1001": valid is a number from 1 to 1000' weigh a --weight 1001
weigh a --weight 300
weigh b --weight 100 --egress 10M
unlimit ""
is "the limit above has gone: a share is not in force" "$(field a '"\(.in_force) \(.note)"')" \
	"false the limit above, of which it had a share, is gone: set both again"
is "a ceil is" "$(field b .in_force)" true
run_start b b d 2 --flows 1
sleep 1.6
end=$(moment)
run_stop b
is_share "and holds" "$(run_rate b "$end - 1" "$end - 0.1")" 10M

limit "" 1G --for 1s
weigh a --weight 300
sleep 1.2
is "the limit above has ended by itself: a share is not in force" "$(field a .in_force)" false

# --- what they receive

pp unload >/dev/null
pp peers --add 10.77.0.0/24,fd77::/64
limit_in "" 1G
weigh a --weight 300
weigh b --weight 100
WAY_A=(c a) WAY_B=(d b)
for CC in cubic bbr; do
	FLOWS_A=1 FLOWS_B=16
	shares "received, 3:1, 1 and 16 flows, $CC" 750M 250M
	FLOWS_A=16 FLOWS_B=1
	shares "received, 3:1, 16 flows and 1, $CC" 750M 250M
done
done_testing
