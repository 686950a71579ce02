#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A limit on what a pod receives from far away: from senders that hear their rate, and from those
# that take no part and are held by their window.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

netns_init far
lab_pod a
lab_pod b
export LAB_FAR=1

# What the wire itself does.
lab_far a b 10
lab_traffic a b 2 --probe 50
is_between "10 ms: a request takes, us" "$(jq '.probe.p50_us | floor' "$LAB_SEND")" 10000 10600
lab_traffic a b 4 --flows 1 --cc cubic
is_between "10 ms, no limit, Mbit/s" "$(($(jq '.bulk.rate_bps | floor' "$LAB_RECEIVE") / 1000000))" \
	300 1000000
is "10 ms, no limit: sent again" "$(sent_again "$LAB_SEND")" 0

# far NAME LOW HIGH FLOWS CC
far() {
	LAB_RECEIVE_OPTIONS="--from 3" lab_traffic a b 8 --flows "$4" --cc "$5"
	is_share "$1, $4 $5" "$(jq .bulk.rate_bps "$LAB_RECEIVE")" 100M "$2" "$3"
}

limit_in b 100M
for rtt in 1 10 50; do
	lab_far a b "$rtt"
	for cc in cubic bbr; do
		far "$rtt ms, takes no part" 90 102 1 "$cc"
	done
done
far "50 ms, takes no part" 90 102 8 cubic
is_between "senders that take no part: segments" "$(field_in b .unheard)" 100000 10000000

# Counts begin anew: those senders may lose a packet to the limit, the next ones not.
unlimit b
limit_in b 100M
pp peers --add 10.78.0.0/24,fd78::/64
for options in "1 cubic" "8 bbr"; do
	# shellcheck disable=SC2086	# two words
	far "50 ms, hears" 95 101 $options
	is_clean_in "50 ms, hears, $options" b "$LAB_SEND"
done
lab_far a b 10
for options in "8 bbr" "8 cubic"; do
	# shellcheck disable=SC2086	# two words
	LAB_FAMILY=6 far "10 ms, hears, IPv6" 95 101 $options
	is_clean_in "10 ms, hears, IPv6, $options" b "$LAB_SEND"
done
done_testing
