#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a pod without a limit loses while another pod of its node has one, and prints a markdown
# table: requests of nginx's 1 kB by wrk, on a kept connection and with a connection for each, and
# the throughput of one TCP flow; cubic.
#
#   bench/unlimited.sh [--pairs N] [--seconds N] [CASE...]
#
# CASE is keep, close or flow. Of each, N pairs (default 20) of a run with podpace and one without,
# interleaved, now one and now the other first. A pair of which the machine's host stole more than a
# fiftieth is made again. The table has the median of the pairs' ratios and its 95 % interval, which
# are two of them by order (binomial). PODPACE is the command (default build/podpace).

set -eu -o pipefail

TOP=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=../tests/lab.sh
. "$TOP/tests/lab.sh"
# shellcheck source=../tests/web.sh
. "$TOP/tests/web.sh"

PODPACE=${PODPACE-$TOP/build/podpace}
PAIRS=20
SECONDS_EACH=2
LOADED=

usage() {
	sed -n '3,/^$/ s/^# \{0,1\}//p' "$0"
	exit 2
}

limiter() {
	if [ "$1" = podpace ]; then
		"$PODPACE" --root "$(lab_cgroup)" limit "$(lab_cgroup c)" --egress 100M >&2
		LOADED=1
	elif [ -n "$LOADED" ]; then
		"$PODPACE" --root "$(lab_cgroup)" unload >&2
		LOADED=
	fi
}

# What was reached, in bytes a second.
reached() {
	if [ "$1" = flow ]; then
		lab_traffic_once a b "$SECONDS_EACH" --flows 1 --cc cubic
		jq .wire.rate_bps "$LAB_RECEIVE" >"$LAB_TMP/reached"
	else
		web_load b a "$SECONDS_EACH" 1k 1 "$1"
		echo "$WEB_PAYLOAD" >"$LAB_TMP/reached"
	fi
}

# pair NUMBER CASE: appends to $LAB_TMP/CASE what it reached with and without, and the ratio.
pair() {
	local order=(podpace none) which stolen try
	declare -A value=()
	[ $(($1 % 2)) = 0 ] || order=(none podpace)
	for try in 1 2 3 4 5; do
		stolen=$(lab_stolen)
		for which in "${order[@]}"; do
			limiter "$which"
			reached "$2"
			value[$which]=$(<"$LAB_TMP/reached")
		done
		stolen=$(($(lab_stolen) - stolen))
		[ $((stolen * 50)) -gt $((2 * SECONDS_EACH * 100 * $(nproc))) ] || break
		echo "# try $try: $stolen ticks were stolen" >&2
	done
	awk -v on="${value[podpace]}" -v off="${value[none]}" \
		'BEGIN { print on, off, on * 100 / off }' >>"$LAB_TMP/$2"
}

# The interval goes from the order statistic k to n + 1 - k, with k the greatest of which at most
# 2.5 % lie below by chance.
row() {
	sort -n -k 3 "$LAB_TMP/$1" | awk -v what="$1" '
		{ ratio[NR] = $3; on[NR] = $1; off[NR] = $2 }
		function median(x, n) { return (x[int((n + 1) / 2)] + x[int((n + 2) / 2)]) / 2 }
		END {
			n = NR
			term = below = 0.5 ^ n
			for (k = 0; below <= 0.025; k++) {
				term *= (n - k) / (k + 1)
				below += term
			}
			k = k < 1 ? 1 : k
			order(on, n)
			order(off, n)
			printf "| %s | %d | %.4g | %.4g | %.2f | %.2f-%.2f | %.2f-%.2f |\n", what, n,
				median(off, n), median(on, n), median(ratio, n), ratio[k], ratio[n + 1 - k],
				ratio[1], ratio[n]
		}
		function order(x, n,   i, j, t) {
			for (i = 2; i <= n; i++)
				for (j = i; j > 1 && x[j] < x[j - 1]; j--) {
					t = x[j]; x[j] = x[j - 1]; x[j - 1] = t
				}
		}'
}

while [ $# -gt 0 ]; do
	case $1 in
	--pairs) PAIRS=$2; shift ;;
	--seconds) SECONDS_EACH=$2; shift ;;
	-*) usage ;;
	*) break ;;
	esac
	shift
done
CASES=("$@")
[ ${#CASES[@]} -gt 0 ] || CASES=(keep close flow)

lab_init unlimited
for pod in a b c; do
	lab_pod "$pod"
done
lab_defer "'$PODPACE' --root '$(lab_cgroup)' unload >/dev/null 2>&1"
web_start a
for ((i = 0; i < PAIRS; i++)); do
	for each in "${CASES[@]}"; do
		pair "$i" "$each"
	done
done
echo "| what | pairs | without | with podpace | median % | 95 % interval | all |"
echo "| --- | --- | --- | --- | --- | --- | --- |"
for each in "${CASES[@]}"; do
	row "$each"
done
