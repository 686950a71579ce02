#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a limited pod sends is the limit: both families, cubic and BBR, the MTUs of CNI plugins, one
# flow and several.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# limit, flows, congestion control, family, MTU: each value occurs, not each combination. With the
# MTU 65535 20M would be 40 packets a second.
ROWS='
20M 1 cubic 4 1500
20M 8 bbr 6 1280
20M 1 bbr 4 9000
100M 1 bbr 6 1500
100M 8 cubic 4 9000
100M 1 cubic 6 65535
100M 8 cubic 6 1280
1G 1 cubic 4 1280
1G 8 bbr 6 9000
1G 8 cubic 4 65535
1G 1 bbr 4 65535
'

netns_init rate
lab_pod a
lab_pod b
while read -r rate flows cc LAB_FAMILY mtu; do
	[ -n "$rate" ] || continue
	name="$rate, $flows flows, $cc, IPv$LAB_FAMILY, MTU $mtu"
	if ! grep -qw "$cc" /proc/sys/net/ipv4/tcp_available_congestion_control; then
		skip "$name" "this kernel has no $cc"
		continue
	fi
	lab_mtu "$mtu"
	limit a "$rate"
	LAB_RECEIVE_OPTIONS='--from 1.5' lab_traffic a b 4 --flows "$flows" --cc "$cc" </dev/null
	is_share "$name" "$(jq .wire.rate_bps "$LAB_RECEIVE")" "$rate"
	is_clean "$name" a "$LAB_SEND"
	unlimit a
done <<<"$ROWS"
done_testing
