# SPDX-License-Identifier: Apache-2.0
# From `series`, the rate at store in steps of 10 ms, and `phases`, to a line of results a phase
# (result.sh says which). Writes rate-LIMITER, 100 ms a point, for the plot, and marks, what the
# plot says of each phase. The reports of requests are in dir/KEY.batch and dir/KEY.web.

FNR == NR { at[NR] = $1; bps[NR] = $2; steps = NR; next }
FNR == 1 { zero = $5 }

# A member of a report of traffic, us in ms.
function member(file, name,	words, found) {
	while ((getline line < file) > 0)
		if (split(line, words, /[": ,]+/) > 2 && words[2] == name)
			found = words[3] / 1000
	close(file)
	return found
}

# The mean from begin to end, in bits/s, and in `worst` the most of any ten steps from `early` on.
function measure(early, begin, end,	i, j, sum, n, ten) {
	worst = sum = n = 0
	for (i = 1; i <= steps; i++) {
		if (at[i] >= begin && at[i] + 0.01 <= end) {
			sum += bps[i]
			n++
		}
		if (at[i] < early || at[i] + 0.1 > end)
			continue
		ten = 0
		for (j = i; j < i + 10; j++)
			ten += bps[j] / 10
		if (ten > worst)
			worst = ten
	}
	return n ? sum / n : 0
}

function points(file, begin, end,	i, j, ten) {
	for (i = 1; i + 9 <= steps; i++) {
		if (at[i] < begin || at[i] + 0.1 > end)
			continue
		ten = 0
		for (j = i; j < i + 10; j++)
			ten += bps[j] / 10
		printf "%.3f %.3f\n", at[i] + 0.05, ten / 1e6 >file
		i += 9
	}
	print "" >file
}

{
	begin = ($5 - zero) / 1e6
	end = ($6 - zero) / 1e6
	web = $8 * 8 / (end - begin)
	rate = measure(begin, begin + 2, end) - web
	worst -= web
	print $1, $2, $3, $4, begin, end, $7, rate, worst, member(dir "/" $1 ".batch", "p50_us"),
		member(dir "/" $1 ".batch", "p99_us"), member(dir "/" $1 ".web", "p50_us"),
		member(dir "/" $1 ".web", "p99_us")
	points(dir "/rate-" $2, begin, end)
	print begin, end, $3 / 1e6, $2, $4, rate / 1e6 >(dir "/marks")
}
