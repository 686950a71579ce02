#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A limit on what a pod receives: its senders are told their rate, one pod or four, beside limits of
# their own, before and after the connection began; and let go again, also when the receiver's host
# falls silent.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

netns_init ingress
for pod in a b c d e; do
	lab_pod "$pod"
done

# received NAME LIMIT SECONDS OPTIONS...: a run from a to b.
received() {
	local name=$1 limit=$2 seconds=$3
	shift 3
	limit_in b "$limit"
	lab_traffic a b "$seconds" "$@"
	is_share "$name" "$(jq .bulk.rate_bps "$LAB_RECEIVE")" "$limit"
	is_clean_in "$name" b "$LAB_SEND"
	unlimit b
}

pp peers --add 10.77.0.0/24,fd77::/64

received "1 cubic flow" 100M 4 --flows 1 --cc cubic
received "1 BBR flow" 100M 4 --flows 1 --cc bbr
received "4 cubic flows" 100M 4 --flows 4 --cc cubic
LAB_FAMILY=6 received "4 BBR flows, IPv6" 100M 4 --flows 4 --cc bbr
received "16 cubic flows" 100M 4 --flows 16 --cc cubic
received "16 BBR flows" 100M 4 --flows 16 --cc bbr
received "8 cubic flows at 1G" 1G 4 --flows 8 --cc cubic
LAB_FAMILY=6 received "8 BBR flows at 1G, IPv6" 1G 4 --flows 8 --cc bbr
lab_mtu 9000
received "4 BBR flows, MTU 9000" 100M 4 --flows 4 --cc bbr
lab_mtu 65535
received "4 cubic flows, MTU 65535" 500M 4 --flows 4 --cc cubic
lab_mtu 1500

# sum NAME...: what the runs brought, bits/s.
sum() {
	local run
	for run in "$@"; do
		run_report "$run" receive .bulk.rate_bps
	done | jq -s 'add | floor'
}

# Four pods, each with its own kind of flows: an equal share for each flow, whoever sends it.
limit_in b 100M
run_start a a b 5 --flows 1 --cc cubic
run_start c c b 5 --flows 2 --cc bbr
run_start d d b 5 --flows 1 --cc bbr
run_start e e b 5 --flows 4 --cc cubic
for run in a c d e; do
	run_wait "$run"
done
is_share "four pods: sum" "$(sum a c d e)" 100M
for run in a c d e; do
	flows=$(run_report "$run" receive '.flows | length')
	is_share "four pods: $run's $flows" "$(sum "$run")" "$((flows * 12500000))" 90 110
	is_clean_in "four pods: $run" b "$LAB_TMP/$run-send.json"
done

# The strictest binds; who cannot use its share leaves it to the others.
limit a 30M
run_start a a b 4 --flows 2 --cc bbr
run_start c c b 4 --flows 2 --cc cubic
run_wait a
run_wait c
is_share "limits at both ends: a sends 30M" "$(sum a)" 30M
is_share "limits at both ends: b receives 100M" "$(sum a c)" 100M
for run in a c; do
	is_clean_in "limits at both ends: $run" b "$LAB_TMP/$run-send.json"
done
limit a 300M
run_start a a b 4 --flows 4 --cc cubic
run_wait a
is_share "limits at both ends: a sends 300M, b receives 100M" "$(sum a)" 100M
is_clean_in "limits at both ends" b "$LAB_TMP/a-send.json"
unlimit a
unlimit b

# Under load: set, changed, removed. The flows' own rates are 150M each.
run_start live a b 7 --flows 2 --cc cubic --flow-rate 150M
sleep 1
limit_in b 100M
set=$(moment)
sleep 2
limit_in b 20M
down=$(moment)
sleep 1.5
limit_in b 100M
up=$(moment)
sleep 1.2
refused=$(field_in b .refused)
unlimit b
gone=$(moment)
sleep 1
run_stop live
is_share "under load: before, percent of its own" "$(run_rate live "$set - 0.6" "$set - 0.1")" 300M 90 110
is_share "under load: the first second" "$(run_rate live "$set" "$set + 1")" 100M 80 110
is_share "under load: the next" "$(run_rate live "$set + 1" "$set + 1.9")" 100M
is_share "under load: down, from 0.3 s on" "$(run_rate live "$down + 0.3" "$down + 1.4")" 20M 85 105
is_share "under load: up, from 0.3 s on" "$(run_rate live "$up + 0.3" "$up + 1.1")" 100M 90 102
is_share "under load: gone" "$(run_rate live "$gone + 0.2" "$gone + 0.9")" 300M 90 110
is_kept "under load" "$refused" "$LAB_TMP/live-send.json"

# UDP towards the pod, at twice the limit, beside TCP; and within it.
limit_in b 100M
for options in "1 cubic" "1 bbr" "4 bbr"; do
	name="UDP at twice the limit beside $options"
	LAB_RECEIVE_OPTIONS='--from 1.5' lab_traffic a b 4 --flows "${options% *}" --cc "${options#* }" --udp 200M
	is_share "$name: TCP" "$(jq .bulk.rate_bps "$LAB_RECEIVE")" 100M 45 100
	is_share "$name: sum" "$(jq '.bulk.rate_bps + .udp.rate_bps' "$LAB_RECEIVE")" 100M 90 101
	is "$name: TCP sent again" "$(sent_again "$LAB_SEND")" 0
done
LAB_RECEIVE_OPTIONS='--from 0.5' lab_traffic a b 2 --udp 80M
is_share "UDP alone within the limit" "$(jq .udp.rate_bps "$LAB_RECEIVE")" 80M 99 101
unlimit b

# A sender that takes no part: its window is held, then its ACKs. On this wire a round trip is some
# 50 us, a window of two segments 450 Mbit/s.
pp peers --remove 10.77.0.0/24,fd77::/64
limit_in b 100M
for cc in cubic bbr; do
	lab_traffic a b 5 --flows 1 --cc "$cc"
	is_share "a sender that takes no part, $cc" "$(jq .bulk.rate_bps "$LAB_RECEIVE")" 100M 70 102
done
unlimit b
pp unload

# Two hosts, as far as podpace can tell: a datapath of its own at each pod's cgroup.
host() {
	local pod=$1
	shift
	"$PODPACE" --root "$(lab_cgroup "$pod")" "$@"
}
lab_defer 'host a unload >/dev/null 2>&1; host b unload >/dev/null 2>&1'
host a peers --add 10.77.0.0/24
host b peers --add 10.77.0.0/24
host b limit "$(lab_cgroup b)" --ingress 100M
run_start silent a b 12 --flows 2 --cc cubic --flow-rate 150M
sleep 3
# without a word: unload would tell the end of the limit
rm -r "$NETNS_PINS"/v*/"%2Fpodpace-test%2F$LAB_ID%2Fb"
gone=$(moment)
sleep 8
run_stop silent
is_share "another host: its limit" "$(run_rate silent "$gone - 1.5" "$gone - 0.2")" 100M
is_share "another host falls silent: the first second" \
	"$(run_rate silent "$gone + 0.2" "$gone + 1.2")" 100M 95 102
is_share "another host falls silent: 7 s later" "$(run_rate silent "$gone + 7" "$gone + 7.8")" 300M 90 110
is "another host: sent again" "$(sent_again "$LAB_TMP/silent-send.json")" 0
done_testing
