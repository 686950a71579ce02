#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A web server under a limit, nginx in a pod and wrk in another, beside TBF on the pod's device in
# the same run, and prints a markdown table.
#
#   bench/web.sh [--limit RATE] [--seconds N] [--limiters "NAME..."] [CASE...]
#
# CASE is PATH:CLIENTS:keep or PATH:CLIENTS:close, as in 10k:200:close: so many clients fetch /10k,
# each over one connection that it keeps, or with a connection for each request. Without cases, the
# default ones. Limiters are podpace, tbf and none (default "podpace tbf"). PODPACE is the command
# (default build/podpace).
#
# Times are from request to response: the handshake, where podpace lets connections wait, is not in
# them, but in the requests per second. Each case runs for a second before it is measured.

set -eu -o pipefail

TOP=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=../tests/lab.sh
. "$TOP/tests/lab.sh"
# shellcheck source=../tests/web.sh
. "$TOP/tests/web.sh"

PODPACE=${PODPACE-$TOP/build/podpace}
LIMIT=100M
SECONDS_EACH=8
LIMITERS='podpace tbf'
DEFAULT_CASES=(
	10k:100:keep 100k:20:keep 1m:4:keep
	1k:10:close 1k:50:close 1k:200:close 10k:10:close 10k:50:close 10k:200:close
)

usage() {
	sed -n '3,/^$/ s/^# \{0,1\}//p' "$0"
	exit 2
}

limiter_on() {
	case $1 in
	podpace) "$PODPACE" --root "$(lab_cgroup)" limit "$(lab_cgroup a)" --egress "$LIMIT" >&2 ;;
	tbf)
		lab_in a tc qdisc add dev eth0 root tbf rate "$(numfmt --from=si "$LIMIT")bit" \
			burst 32768 latency 25ms
		;;
	esac
}

limiter_off() {
	case $1 in
	podpace) "$PODPACE" --root "$(lab_cgroup)" unload >&2 ;;
	tbf) lab_in a tc qdisc del dev eth0 root ;;
	esac
}

measure() {
	local limiter=$1 path=$2 clients=$3 mode=$4 stolen
	limiter_on "$limiter"
	web_load b a 1 "$path" "$clients" "$mode"
	stolen=$(lab_stolen)
	web_load b a "$SECONDS_EACH" "$path" "$clients" "$mode"
	stolen=$(($(lab_stolen) - stolen))
	limiter_off "$limiter"
	awk -v limiter="$limiter" -v what="$path" -v n="$clients" -v mode="$mode" \
		-v bps="$WEB_BPS" -v limit="$(numfmt --from=si "$LIMIT")" -v payload="$WEB_PAYLOAD" \
		-v p50="$WEB_P50_MS" -v p99="$WEB_P99_MS" -v failed="$WEB_FAILED" \
		-v resent="$WEB_RESENT" -v timeouts="$WEB_TIMEOUTS" -v stolen="$stolen" 'BEGIN {
		printf "| %s | %s | %d | %s | %.2f | %.2f | %.2f | %.2f | %d | %d | %d | %d |\n", limiter,
			what, n, mode, payload / 1e6, bps * 100 / limit, p50, p99, failed, resent,
			timeouts, stolen }'
}

while [ $# -gt 0 ]; do
	case $1 in
	--limit) LIMIT=$2; shift ;;
	--seconds) SECONDS_EACH=$2; shift ;;
	--limiters) LIMITERS=$2; shift ;;
	-*) usage ;;
	*) break ;;
	esac
	shift
done
CASES=("$@")
[ ${#CASES[@]} -gt 0 ] || CASES=("${DEFAULT_CASES[@]}")

lab_init web
lab_pod a
lab_pod b
lab_defer "'$PODPACE' --root '$(lab_cgroup)' unload >/dev/null 2>&1"
web_start a
echo "| limiter | response | clients | connections | payload MB/s | L3 % | p50 ms | p99 ms |" \
	"failed | data sent again | timeouts of clients | ticks stolen |"
echo "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
for each in "${CASES[@]}"; do
	IFS=: read -r path clients mode <<<"$each"
	for limiter in $LIMITERS; do
		measure "$limiter" "$path" "$clients" "$mode"
	done
done
