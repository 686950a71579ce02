# SPDX-License-Identifier: Apache-2.0
# One moment of the demo as text. Reads /proc/PID/net/snmp and netstat of store, netstat of web, and
# the reports of requests so far, of batch and of web. Prints the bytes of IP packets that store has
# received from batch, then the rate since `bytes`, `us` microseconds ago, beside `limit` bits/s
# in a bar as long as `full` bits/s, and the last round-trip times.

# Lines of names and of values in turn.
FNR == 1 { title = ""; file++ }
file <= 3 && $1 == title { for (i = 2; i <= NF; i++) value[file, name[i]] = $i }
file <= 3 && $1 != title { title = $1; split($0, name) }
file > 3 && /"p50_us"/ { p50 = $2 / 1000 }
file > 3 && /"max_us"/ { most = $2 / 1000 }
file > 3 && $1 == "at" { typical[file] = p50; worst[file] = most }

# InOctets counts a GSO packet once, with one set of headers of 52 bytes; the ECN counters count
# the segments it stands for (tests/traffic/wire.c). What is not from batch is from web.
function arrived(	segments) {
	segments = value[2, "InNoECTPkts"] + value[2, "InECT1Pkts"]
	segments += value[2, "InECT0Pkts"] + value[2, "InCEPkts"]
	return value[2, "InOctets"] + (segments - value[1, "InReceives"]) * 52 - value[3, "OutOctets"]
}

function rate_text(bps) {
	if (bps >= 1e9)
		return sprintf("%.1f Gbit/s", bps / 1e9)
	return sprintf("%.1f Mbit/s", bps / 1e6)
}

# A bar of `width` cells, to eighths of a cell where the terminal can; a mark at `mark` cells.
function bar(part, width, mark,		text, cells, i, eighth) {
	cells = part * width
	for (i = 0; i < width; i++) {
		eighth = int((cells - i) * 8)
		if (i == mark && cells < i + 1)
			text = text (utf8 ? "│" : "|")
		else if (!utf8)
			text = text (eighth >= 4 ? "#" : " ")
		else
			text = text (eighth >= 8 ? "█" : eighth < 1 ? " " : eighths[eighth])
	}
	return text
}

function paint(code, text) {
	return colour ? "\033[" code "m" text "\033[m" : text
}

function line(label, code, picture, text) {
	printf "%s  %-15s%s %s\n", tty ? "\r\033[K" : "", label, paint(code, picture), text
}

function requests(label, i, width) {
	line(label, typical[i] < 5 ? 32 : 31, bar(typical[i] / FULL_MS, width, -1),
	     (i in typical) ? sprintf("%6.2f ms   worst %6.2f ms", typical[i], worst[i]) : "")
}

function block(bps,	width, code, picture, text) {
	split("▏ ▎ ▍ ▌ ▋ ▊ ▉", eighths, " ")
	width = (columns > 110 ? 110 : columns) - 18 - 31
	code = limiter == "podpace" ? 34 : limiter == "tbf" ? 33 : 37
	picture = bar(1, width, -1)
	text = sprintf("%12s", rate_text(bps))
	if (limit) {
		picture = bar(bps / full, width, int(limit / full * width))
		text = sprintf("%s %6.1f %% of limit", text, bps / limit * 100)
	}
	line("batch sends", code, picture, text)
	requests("its requests", 4, width)
	requests("web's requests", 5, width)
}

END {
	FULL_MS = 30
	printf "%.0f\n", arrived()
	if (only == "count")
		exit
	bps = (arrived() - bytes) * 8e6 / us
	if (tty) {
		block(bps)
		exit
	}
	printf "  %2.0f s  %s%s, request RTT: batch %.2f ms, web %.2f ms\n", at / 1e6,
		rate_text(bps), limit ? sprintf(" (%.1f %% of limit)", bps / limit * 100) : "",
		typical[4], typical[5]
}
