#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# podpace beside what else limits a pod's bandwidth, each row with each limiter in turn.
#
#   bench/peers.sh [--full] [--seconds N] [--limiters "NAME..."] [--out DIR] [ROW...]
#
# ROW is LIMIT:FLOWS:CC and, after these, in (the receiving pod is limited, and its senders take
# part) or udp (beside the flows a datagram sender of twice the limit). Without rows a choice of
# them, in some 25 minutes; --full: 10M, 100M, 1G, 5G with 1, 8, 64 flows, cubic and BBR, both
# directions, in two hours. Limiters are those of bench/limiters.sh (default: all).
#
# Writes DIR/peers.csv (default build/bench), DIR/peers.md and, with gnuplot, DIR/peers.svg. Columns:
#   rate         of the second half of the run, percent of the limit, all IP packets
#   worst        fullest 100 ms, from the first packet on, percent of the limit
#   ahead_ms     the most that had arrived in the first second above limit * time, as time at the
#                limit
#   jain         of the flows' bytes
#   resent       data segments sent again, without tail loss probes
#   p50 p99      us, of a request of 100 bytes in the same pod, beside its flows
#   n50 n99      us, of the same in two pods beside, which have no limit
#   cpu          s of processor time for each GB received, all of the machine's
#   udp          percent of the limit that were datagrams
#   stolen       clock ticks that the machine's host kept for itself

set -eu -o pipefail

TOP=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=../tests/lab.sh
. "$TOP/tests/lab.sh"
# shellcheck source=limiters.sh
. "$TOP/bench/limiters.sh"

PODPACE=${PODPACE:-$TOP/build/podpace}
SECONDS_EACH=6
OUT=$TOP/build/bench
STOLEN=0
LIMITERS='podpace none tbf htb cni naive edt'
COLUMNS=limiter,limit,flows,cc,direction,rate,worst,ahead_ms,jain,resent,p50,p99,n50,n99,cpu,udp,stolen
ROWS=()
DEFAULT_ROWS=(
	100M:1:cubic 100M:1:bbr 100M:8:cubic 100M:8:bbr 100M:64:cubic 100M:64:bbr
	10M:8:cubic 1G:8:cubic 1G:8:bbr 5G:8:cubic
	100M:1:cubic:udp 100M:8:cubic:in 100M:8:bbr:in 1G:8:cubic:in
)

usage() {
	sed -n '3,/^$/ s/^# \{0,1\}//p' "$0"
	exit 2
}

parse_row() {
	local word
	IFS=: read -r ROW_LIMIT ROW_FLOWS ROW_CC word <<<"$1"
	ROW_BPS=$(numfmt --from=si "$ROW_LIMIT")
	ROW_DIRECTION=out ROW_UDP=0
	case $word in
	'') ;;
	in) ROW_DIRECTION=in ;;
	udp) ROW_UDP=$((2 * ROW_BPS)) ;;
	*) echo "peers.sh: what is '$word' in row '$1'?" >&2; exit 2 ;;
	esac
}

busy_ticks() {
	awk '$1 == "cpu" { print $2 + $3 + $4 + $7 + $8; exit }' /proc/stat
}

# Beside the run: requests between two other pods.
neighbour_start() {
	local port=$((LAB_PORT + 8))
	LAB_PORT=$port
	lab_spawn d "$LAB_BIN/traffic" receive --port "$port" --seconds $((SECONDS_EACH + 40)) >/dev/null
	NEIGHBOURS=("$LAB_PID")
	lab_spawn c "$LAB_BIN/traffic" send --to "$(lab_v4 d)" --port "$port" --flows 0 \
		--seconds "$SECONDS_EACH" --probe 200 >"$LAB_TMP/neighbour.json"
	NEIGHBOURS+=("$LAB_PID")
	LAB_PORT=$((LAB_PORT + 4))
}

# A line of the CSV from the three reports.
line() {
	jq -nr --arg limiter "$1" --arg limit "$ROW_LIMIT" --argjson flows "$ROW_FLOWS" --arg cc "$ROW_CC" \
		--arg direction "$ROW_DIRECTION" --argjson bps "$ROW_BPS" --argjson busy "$2" \
		--argjson stolen "$3" --slurpfile s "$LAB_SEND" --slurpfile r "$LAB_RECEIVE" \
		--slurpfile n "$LAB_TMP/neighbour.json" '
		def round(digits): . * pow(10; digits) | round / pow(10; digits);
		$s[0] as $s | $r[0] as $r | $n[0].probe as $n | ($bps / 8) as $rate |
		[foreach $r.series_10ms[:100][] as $x ([0, 0]; [.[0] + $x, .[1] + $rate / 100];
			.[0] - .[1])] as $ahead |
		[$limiter, $limit, $flows, $cc, $direction,
		 ($r.wire.rate_bps * 100 / $bps | round(2)),
		 ($r.wire.worst_100ms_bps * 100 / $bps | round(1)),
		 (([$ahead[], 0] | max) * 1000 / $rate | round(1)), ($r.jain | round(4)),
		 ([$s.segs_retrans - $s.loss_probes, 0] | max),
		 ($s.probe.p50_us | round), ($s.probe.p99_us | round), ($n.p50_us | round),
		 ($n.p99_us | round), ($busy / 100 / ($r.wire.total_bytes / 1e9) | round(2)),
		 ($r.udp.rate_bps * 100 / $bps | round(1)), $stolen] | @csv' | tr -d '"'
}

# Of a run of which the host of this machine takes more than a fiftieth, a second and third try.
measure() {
	local try
	for try in 1 2 3; do
		measure_once "$1" >"$LAB_TMP/line"
		[ $((STOLEN * 50)) -gt $((SECONDS_EACH * 100 * $(nproc))) ] || break
		echo "# try $try: $STOLEN ticks were stolen" >&2
	done
	cat "$LAB_TMP/line"
}

measure_once() {
	local limiter=$1 busy stolen options=(--flows "$ROW_FLOWS" --cc "$ROW_CC" --probe 100)
	[ "$ROW_UDP" = 0 ] || options+=(--udp "$ROW_UDP")
	if [ "$ROW_DIRECTION" = in ]; then
		limiter_on_in "$limiter" b "$ROW_BPS"
	else
		limiter_on "$limiter" a "$ROW_BPS"
	fi
	neighbour_start
	busy=$(busy_ticks) stolen=$(lab_stolen)
	LAB_RECEIVE_OPTIONS=--series lab_traffic_once a b "$SECONDS_EACH" "${options[@]}"
	busy=$(($(busy_ticks) - busy)) STOLEN=$(($(lab_stolen) - stolen))
	wait "${NEIGHBOURS[@]}"
	if [ "$ROW_DIRECTION" = in ]; then
		limiter_off "$limiter" b
	else
		limiter_off "$limiter" a
	fi
	line "$limiter" "$busy" "$STOLEN"
}

table() {
	awk -F, '
		NR == 1 { for (i = 1; i <= NF; i++) rule = rule "| --- " }
		{ gsub(",", " | "); print "| " $0 " |" }
		NR == 1 { print rule "|" }' "$1"
}

# Of one row, if it was measured.
plot() {
	if ! command -v gnuplot >/dev/null || ! grep -q ',100M,8,cubic,out,' "$1"; then
		return 0
	fi
	gnuplot -e "csv='$1'; svg='$2'" "$TOP/bench/peers.gp"
}

while [ $# -gt 0 ]; do
	case $1 in
	--full)
		for limit in 10M 100M 1G 5G; do
			for flows in 1 8 64; do
				ROWS+=("$limit:$flows:"{cubic,bbr}{,:in})
			done
		done
		ROWS+=(100M:1:cubic:udp)
		;;
	--seconds) SECONDS_EACH=$2; shift ;;
	--limiters) LIMITERS=$2; shift ;;
	--out) OUT=$2; shift ;;
	-*) usage ;;
	*) ROWS+=("$1") ;;
	esac
	shift
done
[ ${#ROWS[@]} -gt 0 ] || ROWS=("${DEFAULT_ROWS[@]}")
for row in "${ROWS[@]}"; do
	parse_row "$row"
done

lab_init peers
for pod in a b c d; do
	lab_pod "$pod"
done
lab_defer "'$PODPACE' --root '$(lab_cgroup)' unload >/dev/null 2>&1"
LIMITER_PEERS=10.77.0.0/24,fd77::/64
mkdir -p "$OUT"
echo "$COLUMNS" >"$OUT/peers.csv"
for row in "${ROWS[@]}"; do
	parse_row "$row"
	for limiter in $LIMITERS; do
		limiter_can "$limiter" "$ROW_DIRECTION" || continue
		measure "$limiter" >>"$OUT/peers.csv"
		tail -n 1 "$OUT/peers.csv" >&2
	done
done
table "$OUT/peers.csv" | tee "$OUT/peers.md"
plot "$OUT/peers.csv" "$OUT/peers.svg"
