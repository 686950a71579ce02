# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# From what the demo measured to its table and its plot. To be sourced; files are in $LAB_TMP.

# A line a phase, of what `phases` says and what was measured:
# key limiter limit flows begin end resent rate worst batch-p50 batch-p99 web-p50 web-p99
# with times in seconds since the first phase began, rates in bits/s, round-trip times in ms.
# series: seconds since then, and bits/s in the 10 ms from there on.
result_collect() {
	local told empty
	told=$(now_us)
	kill "$RECEIVER"
	wait "$RECEIVER" || die_of_traffic "store stopped"
	# The receiver does not say when its series begins, but it ends when the receiver is told to.
	jq -r '.series_10ms | length, .[]' "$LAB_TMP/receive.json" | awk -v told="$told" '
		FNR == NR { if (NR == 1) zero = $5; next }
		FNR == 1 { start = (told - zero) / 1e6 - $1 / 100; next }
		{ printf "%.3f %.0f\n", start + (FNR - 2) / 100, $1 * 800 }
		' "$LAB_TMP/phases" - >"$LAB_TMP/series"
	awk -v dir="$LAB_TMP" -f "$DEMO/result.awk" "$LAB_TMP/series" "$LAB_TMP/phases" \
		>"$LAB_TMP/results"
	empty=$(awk '$8 <= 0 || $9 <= 0 || $10 <= 0 || $12 <= 0 { print $1 }' "$LAB_TMP/results")
	[ -z "$empty" ] || die "nothing measured in phase ${empty//$'\n'/, }"
}

result_name() {
	case $1 in
	none) echo "no limit" ;;
	at-store) echo "at store $(numfmt --to=si "$2")" ;;
	tbf) echo "TBF $(numfmt --to=si "$2")" ;;
	*) echo "$1 $(numfmt --to=si "$2")" ;;
	esac
}

result_table() {
	local limiter limit flows resent rate worst p50 p99 web50 web99
	screen_say ""
	screen_paint 1 "Measured                     % of   worst   its RTT, ms    web's, idle    data"
	screen_paint 1 "             flows    rate  limit  100 ms    p50    p99    p50    p99  resent"
	while read -r _ limiter limit flows _ _ resent rate worst p50 p99 web50 web99; do
		printf '%-13s %4d %7s %6s %7s %6.2f %6.2f %6.2f %6.2f %7d\n' \
			"$(result_name "$limiter" "$limit")" "$flows" \
			"$(result_rate "$rate")" "$(result_percent "$rate" "$limit" 2)" \
			"$(result_percent "$worst" "$limit" 1)" \
			"$p50" "$p99" "$web50" "$web99" "$resent"
	done < <(grep -v '^back ' "$LAB_TMP/results")
	screen_say "" \
		"Rate: IP bits/s from batch that arrived, of each phase but its first 2 s; worst" \
		"100 ms, RTT of small requests, and segments sent again are of all of it. TBF may" \
		"queue for $TBF_QUEUE, as the CNI bandwidth plugin has it. \"At store\" is podpace's limit on" \
		"what store receives."
}

result_rate() {
	awk -v r="$1" 'BEGIN { big = r >= 1e9; printf "%.2f%s", r / (big ? 1e9 : 1e6), big ? "G" : "M" }'
}

# result_percent VALUE LIMIT DECIMALS
result_percent() {
	[ "$2" != 0 ] || { echo -; return; }
	awk -v v="$1" -v l="$2" -v d="$3" 'BEGIN { printf "%.*f", d, v / l * 100 }'
}

# Points of the latencies on the screen: seconds, p50 and worst in ms, by phase.
result_latency() {
	awk '
		FNR == 1 { file++ }
		file == 1 { if (NR == 1) zero = $5 / 1e6; begin[NR] = $5 / 1e6; end[NR] = $6 / 1e6
			    phases = NR; next }
		/"p50_us"/ { p50 = $2 / 1000 }
		/"max_us"/ { most = $2 / 1000 }
		$1 == "at" {
			for (i = 1; i <= phases; i++)
				if ($2 - 0.5 > begin[i] && $2 < end[i]) {
					if (last && last != i)
						print ""
					last = i
					printf "%.3f %.4f %.4f\n", $2 - 0.2 - zero, p50, most
				}
		}' "$LAB_TMP/phases" "$LAB_TMP/$1.live" >"$LAB_TMP/latency-$1"
}

result_plot() {
	result_latency batch
	result_latency web
	gnuplot -e "dir='$LAB_TMP/'; out='$1'" "$DEMO/plot.gp" >>"$LAB_TMP/errors" 2>&1 ||
		die_of_traffic "gnuplot failed"
}
