#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the option of feedback costs a receiver's GRO: bulk goes from b to a, which merges what comes
# (GRO on its veth, no TSO at b and at the bridge), while b receives from a under a limit, so that
# b's data carries the rate. Prints segments a merged packet with and without the limit, side by side, as a markdown
# table. Needs ethtool.
#
#   bench/gro.sh [SECONDS]		default 6

set -eu -o pipefail

TOP=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=../tests/lab.sh
. "$TOP/tests/lab.sh"
# shellcheck source=../tests/runs.sh
. "$TOP/tests/runs.sh"

PODPACE=${PODPACE:-$TOP/build/podpace}
SECONDS_EACH=${1:-6}

run_spawn() {
	lab_spawn "$@"
}

podpace() {
	"$PODPACE" --root "$(lab_cgroup)" "$@"
}

# Packets that a's device has taken, and that its IP layer has.
packets() {
	lab_in a cat /proc/net/dev /proc/net/snmp | awk '
		$1 == "eth0:" { device = $3 }
		$1 == "Ip:" { if (seen) ip = $4; seen = 1 }
		END { print device, ip }'
}

# measure NAME: b sends to a over 4 connections, and receives from it over 4.
measure() {
	local before after
	run_start data b a "$SECONDS_EACH" --flows 4 --cc cubic --flow-rate 500M
	run_start other a b "$SECONDS_EACH" --flows 4 --cc cubic --flow-rate 24M
	sleep 2
	before=$(packets)
	sleep $((SECONDS_EACH - 3))
	after=$(packets)
	run_wait data
	run_wait other
	awk -v name="$1" -v before="$before" -v after="$after" \
		-v rate="$(run_report data receive .bulk.rate_bps)" \
		-v other="$(run_report other receive .bulk.rate_bps)" 'BEGIN {
		split(before, b); split(after, a)
		printf "| %s | %.0f | %.1f | %.2f |\n", name, rate / 1e6, other / 1e6,
			(a[1] - b[1]) / (a[2] - b[2]) }'
}

lab_init gro
lab_defer "podpace unload >/dev/null 2>&1"
lab_pod a
lab_pod b
lab_in b ethtool -K eth0 tso off gso off >/dev/null
# a veth merges only what comes from an end that cannot send super-packets itself
lab_in br ethtool -K "$(lab_veth a)" tso off >/dev/null
lab_in a ethtool -K eth0 gro on >/dev/null
podpace peers --add 10.77.0.0/24
echo "| b receives | b sends, Mbit/s | b receives, Mbit/s | segments a merged packet at a |"
echo "|---|---|---|---|"
measure "without a limit"
podpace limit "$(lab_cgroup b)" --ingress 80M
measure "limited to 80M, told on every segment"
podpace unlimit "$(lab_cgroup b)"
measure "without a limit, again"
