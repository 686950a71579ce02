#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Measures limits on what a pod sends, or receives, in a lab of network namespaces, and prints a
# markdown table.
#
#   bench/limit.sh [--peers] [--reps N] [--results FILE] [--keep DIR] [ROW...]
#
# ROW is LIMIT[:FLOWS[:WORD...]] with the words cubic, bbr, v4, v6, mtu=N, seconds=N, idle=N
# (near-idle connections beside the flows) and udp=RATE: 10M:16:bbr, 100M:8:cubic:v6:mtu=9000.
# With `in` the receiver has the limit and its sender hears the rate; with `alone` as well, the
# sender takes no part; `pods=4`: the flows are those of each of so many pods; `rtt=10`: over a wire
# of so many ms. Without rows, the default ones; `default-in` stands for those of receivers. --peers measures each row with TBF as well, --reps each N times
# (default 1), --results keeps a JSON line for each run, --keep the full reports with time series.
# PODPACE is the command (default build/podpace); PODPACE=none measures without a limiter, and an
# empty PODPACE only the peers.

set -eu -o pipefail

TOP=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=../tests/lab.sh
. "$TOP/tests/lab.sh"

PODPACE=${PODPACE-$TOP/build/podpace}
REPS=1
RESULTS=/dev/null
KEEP=
LIMITERS=()
FAR_RTT=
DEFAULT_ROWS=(
	100M:1:cubic 100M:1:bbr 100M:8:cubic 100M:8:bbr 100M:64:cubic 100M:64:bbr
	1M:1:cubic 5M:4:bbr 10M:16:bbr 37M:3:bbr:v6 640M:24:bbr 1G:64:cubic 5G:8:cubic
	100M:2:cubic:idle=40 100M:2:bbr:idle=40
)
DEFAULT_IN=(
	100M:1:cubic:in 100M:1:bbr:in 100M:4:cubic:in 100M:4:bbr:in 100M:16:cubic:in 100M:16:bbr:in
	1G:8:cubic:in 1G:8:bbr:in 100M:1:bbr:in:pods=4 100M:4:cubic:in:pods=4 1G:8:bbr:in:pods=4
	100M:8:bbr:in:rtt=10 100M:1:cubic:in:rtt=50
	100M:1:cubic:in:alone 100M:1:bbr:in:alone 100M:16:cubic:in:alone
	100M:1:cubic:in:alone:rtt=1 100M:1:bbr:in:alone:rtt=1
	100M:1:cubic:in:alone:rtt=10 100M:1:bbr:in:alone:rtt=10
	100M:1:cubic:in:alone:rtt=50 100M:1:bbr:in:alone:rtt=50
)
PODS=(a c d e)	# that send
declare -A BASE=()	# report of the unloaded probe, by rate and family

usage() {
	sed -n '3,/^$/ s/^# \{0,1\}//p' "$0"
	exit 2
}

parse_row() {
	local words word
	IFS=: read -r -a words <<<"$1"
	ROW_LIMIT=${words[0]} ROW_FLOWS=${words[1]:-1}
	ROW_CC=cubic ROW_FAMILY=4 ROW_MTU=1500 ROW_SECONDS=10 ROW_IDLE=0 ROW_UDP=
	ROW_IN='' ROW_ALONE='' ROW_PODS=1 ROW_RTT=''
	ROW_BPS=$(numfmt --from=si "$ROW_LIMIT")
	for word in "${words[@]:2}"; do
		case $word in
		cubic | bbr | reno) ROW_CC=$word ;;
		v4 | v6) ROW_FAMILY=${word#v} ;;
		mtu=*) ROW_MTU=${word#*=} ;;
		seconds=*) ROW_SECONDS=${word#*=} ;;
		idle=*) ROW_IDLE=${word#*=} ;;
		udp=*) ROW_UDP=${word#*=} ;;
		in) ROW_IN=1 ;;
		alone) ROW_ALONE=1 ;;
		pods=[1-4]) ROW_PODS=${word#*=} ;;
		rtt=*) ROW_RTT=${word#*=} ;;
		*) echo "limit.sh: what is '$word' in row '$1'?" >&2; exit 2 ;;
		esac
	done
	# Requests of 152 bytes, 200 in a second, but not much more than a hundredth of the limit.
	ROW_PROBE=$(awk -v bps="$ROW_BPS" 'BEGIN { hz = int(bps / 100 / (152 * 8));
		print(hz < 10 ? 10 : hz > 200 ? 200 : hz) }')
}

# The probe of this row in a pod that neither sends anything else nor has a limit.
measure_base() {
	local key=$ROW_PROBE-$ROW_FAMILY-$ROW_RTT-$1
	if [ -z "${BASE[$key]:-}" ]; then
		LAB_FAMILY=$ROW_FAMILY LAB_FAR=$ROW_RTT lab_traffic a b 5 --probe "$ROW_PROBE"
		BASE[$key]=$(jq -c .probe "$LAB_SEND")
	fi
	BASE_PROBE=${BASE[$key]}
}

tbf() {
	local burst=32768
	[ "$burst" -ge $((2 * ROW_MTU)) ] || burst=$((2 * ROW_MTU))
	lab_in "$1" tc qdisc add dev "$2" root tbf rate "${ROW_BPS}bit" burst "$burst" latency 25ms
}

limiter_on() {
	case $1 in
	podpace)
		if [ -z "$ROW_IN" ]; then
			"$PODPACE" --root "$(lab_cgroup)" limit "$(lab_cgroup a)" --egress "$ROW_LIMIT"
		else
			[ -n "$ROW_ALONE" ] || "$PODPACE" --root "$(lab_cgroup)" peers \
				--add 10.77.0.0/24,10.78.0.0/24,fd77::/64,fd78::/64
			"$PODPACE" --root "$(lab_cgroup)" limit "$(lab_cgroup b)" --ingress "$ROW_LIMIT"
		fi >&2
		;;
	tbf-pod) tbf a eth0 ;;
	# A host-side device sends towards its pod: the one sender is held at the receiver's.
	tbf-host) tbf br "$(lab_veth b)" ;;
	esac
}

limiter_off() {
	case $1 in
	podpace) "$PODPACE" --root "$(lab_cgroup)" unload >&2 ;;
	tbf-pod) lab_in a tc qdisc del dev eth0 root ;;
	tbf-host) lab_in br tc qdisc del dev "$(lab_veth b)" root ;;
	esac
}

# Of the first N of PODS; the other pods' senders have no probe and no report. Their flows are in
# the receiver's.
lab_traffic_from() {
	local n=$1 to=$2 seconds=$3 pod port=$((LAB_PORT + 4)) others=()
	shift 3
	for pod in "${PODS[@]:1:n-1}"; do
		lab_spawn "$pod" "$LAB_BIN/traffic" send --to "$(lab_address "$to")" --port "$port" \
			--seconds "$seconds.2" --flows "$ROW_FLOWS" --cc "$ROW_CC" >/dev/null
		others+=("$LAB_PID")
	done
	if [ "$n" = 1 ]; then
		lab_traffic "${PODS[0]}" "$to" "$seconds" "$@"
	else
		lab_traffic_once "${PODS[0]}" "$to" "$seconds" "$@"
	fi
	for pod in "${others[@]}"; do
		wait "$pod"
	done
}

# One run: a JSON line.
measure() {
	local limiter=$1 rep=$2
	local options=(--flows "$ROW_FLOWS" --cc "$ROW_CC" --probe "$ROW_PROBE")
	[ "$ROW_IDLE" = 0 ] || options+=(--idle "$ROW_IDLE")
	[ -z "$ROW_UDP" ] || options+=(--udp "$ROW_UDP")
	lab_mtu "$ROW_MTU"
	if [ -n "$ROW_RTT" ] && [ "$ROW_RTT" != "$FAR_RTT" ]; then
		lab_far a b "$ROW_RTT"
		FAR_RTT=$ROW_RTT
	fi
	measure_base "$rep"
	limiter_on "$limiter"
	LAB_FAMILY=$ROW_FAMILY LAB_FAR=$ROW_RTT LAB_RECEIVE_OPTIONS=${KEEP:+--series} \
		lab_traffic_from "$ROW_PODS" b "$ROW_SECONDS" "${options[@]}"
	limiter_off "$limiter"
	if [ -n "$KEEP" ]; then
		cp "$LAB_SEND" "$KEEP/$limiter-${ROW//[:=]/-}-$rep-send.json"
		cp "$LAB_RECEIVE" "$KEEP/$limiter-${ROW//[:=]/-}-$rep-receive.json"
	fi
	jq -nc --arg limiter "$limiter" --arg limit "$ROW_LIMIT" --argjson bps "$ROW_BPS" \
		--argjson flows "$ROW_FLOWS" --arg cc "$ROW_CC" --argjson family "$ROW_FAMILY" \
		--argjson mtu "$ROW_MTU" --argjson seconds "$ROW_SECONDS" \
		--argjson idle "$ROW_IDLE" --arg udp "$ROW_UDP" --argjson rep "$rep" \
		--arg in "${ROW_IN:+in}" --arg alone "${ROW_ALONE:+alone}" --argjson pods "$ROW_PODS" \
		--arg rtt "$ROW_RTT" \
		--argjson base "$BASE_PROBE" \
		--slurpfile send "$LAB_SEND" --slurpfile receive "$LAB_RECEIVE" \
		'{limiter: $limiter, limit: $limit, bps: $bps, flows: $flows, cc: $cc,
		  family: $family, mtu: $mtu, seconds: $seconds, idle: $idle, udp: $udp,
		  "in": $in, alone: $alone, pods: $pods, rtt: $rtt,
		  rep: $rep, base: $base, send: ($send[0] | del(.flows)),
		  receive: ($receive[0] | del(.flows) |
			    with_entries(select(.key | test("series") | not)))}'
}

measure_all() {
	local limiter rep
	for ROW in "${ROWS[@]}"; do
		parse_row "$ROW"
		for limiter in "${LIMITERS[@]}"; do
			for ((rep = 1; rep <= REPS; rep++)); do
				measure "$limiter" "$rep"
			done
		done
	done
}

case $PODPACE in
'') ;;
none) LIMITERS+=(none) ;;
*) LIMITERS+=(podpace) ;;
esac
while [ $# -gt 0 ]; do
	case $1 in
	--peers) LIMITERS+=(tbf-pod tbf-host) ;;
	--reps) REPS=$2; shift ;;
	--results) RESULTS=$2; shift ;;
	--keep) KEEP=$2; mkdir -p "$KEEP"; shift ;;
	-*) usage ;;
	*) break ;;
	esac
	shift
done
ROWS=("$@")
[ ${#ROWS[@]} -gt 0 ] || ROWS=("${DEFAULT_ROWS[@]}")
[ "${ROWS[*]}" != default-in ] || ROWS=("${DEFAULT_IN[@]}")
for ROW in "${ROWS[@]}"; do
	parse_row "$ROW"
done

lab_init bench
lab_pod b
for pod in "${PODS[@]}"; do
	lab_pod "$pod"
done
case " ${LIMITERS[*]} " in
*' podpace '*) lab_defer "'$PODPACE' --root '$(lab_cgroup)' unload >/dev/null 2>&1" ;;
esac
measure_all | tee "$RESULTS" | python3 "$TOP/bench/table.py" "$REPS"
