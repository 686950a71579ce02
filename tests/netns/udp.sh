#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What cannot be paced: UDP beyond the limit is held to its share and starves nobody, and its
# sender sees no error; ping goes through.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

netns_init udp
lab_pod a
lab_pod b

# flood FAMILY FLOWS CC: UDP at twice the limit, beside TCP flows or alone.
flood() {
	local name="IPv$1, $2 TCP flows, UDP at twice the limit" options=(--udp 200M)
	[ "$2" = 0 ] || options+=(--flows "$2" --cc "$3")
	limit a 100M
	LAB_FAMILY=$1 LAB_RECEIVE_OPTIONS='--from 1.5' lab_traffic a b 4 "${options[@]}"
	is_share "$name: sum" "$(jq .wire.rate_bps "$LAB_RECEIVE")" 100M
	if [ "$2" != 0 ]; then
		is_share "$name: TCP" "$(jq .bulk.rate_bps "$LAB_RECEIVE")" 100M 45 100
		is_share "$name: UDP" "$(jq .udp.rate_bps "$LAB_RECEIVE")" 100M \
			$((70 / ($2 + 1))) $((110 / ($2 + 1)))
		is "$name: TCP sent again" "$(sent_again "$LAB_SEND")" 0
	fi
	is "$name: errors the sender saw" "$(jq '.udp.refused + .udp.failed' "$LAB_SEND")" 0
	is "$name: lost elsewhere" "$(jq .udp.receiver_drops "$LAB_RECEIVE")" 0
	is_between "$name: refused to UDP" "$(field a '.refused_share + .refused_queue')" 1000 1000000
	is "$name: refused to TCP" "$(field a .refused_hard)" 0
	unlimit a
}

flood 4 1 cubic
flood 4 1 bbr
flood 6 4 cubic
flood 4 0
flood 6 0

# Within the limit next to nothing is lost: packets of some ms, when the machine was busy elsewhere.
for LAB_FAMILY in 4 6; do
	limit a 100M
	LAB_RECEIVE_OPTIONS='--from 0.5' lab_traffic a b 2 --udp 80M
	is_share "IPv$LAB_FAMILY, UDP alone within the limit" \
		"$(jq .udp.rate_bps "$LAB_RECEIVE")" 80M 99 101
	is_between "IPv$LAB_FAMILY, UDP alone within the limit: lost of 15000" \
		"$(($(jq .udp.sent "$LAB_SEND") - $(jq .udp.datagrams "$LAB_RECEIVE")))" 0 75
	unlimit a
done
LAB_FAMILY=4

limit a 100M
run_start load a b 4 --flows 4 --udp 200M
sleep 1
for address in "$(lab_v4 b)" "$(lab_v6 b)"; do
	answers=$(exec_at a ping -q -c 20 -i 0.05 -W 1 "$address" |
		sed -n 's/.* \([0-9]*\) received.*/\1/p')
	is "ping under load, $address: answers" "$answers" 20
done
run_stop load
done_testing
