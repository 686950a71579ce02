# SPDX-License-Identifier: Apache-2.0
# The demo's plot: dir is where its data is (result.sh), out the PNG to write. Above, what arrived
# from batch beside the limit; below, the round-trip times of its small requests, and of web's.

stats dir.'marks' using 2 nooutput
n = int(STATS_records)
array begin[n]; array end[n]; array limit[n]; array flows[n]; array mean[n]; array limiter[n]
stats dir.'marks' using (i = int($0) + 1, begin[i] = $1, end[i] = $2, limit[i] = $3, \
	limiter[i] = strcol(4), flows[i] = $5, mean[i] = $6) nooutput
most = 0	# the highest limit, Mbit/s
do for [i = 1:n] { if (limit[i] > most) { most = limit[i] } }

dark = '#374151'; grey = '#6b7280'; blue = '#1d4ed8'; orange = '#c2600a'; red = '#dc2626'
green = '#059669'
tint(l) = l eq 'podpace' ? 0xeaf1fe : l eq 'at-store' ? 0xe3f6ee : l eq 'tbf' ? 0xfdf0e1 : 0xf3f4f6
ink(l) = l eq 'podpace' ? blue : l eq 'at-store' ? green : l eq 'tbf' ? orange : grey
rate(m) = m >= 1e3 ? sprintf('%gG', m / 1e3) : m >= 1 ? sprintf('%gM', m) : sprintf('%gk', m * 1e3)
# A phase that is narrow has no room for who limits.
name(i) = limiter[i] eq 'none' ? 'no limit' : \
	(end[i] - begin[i] < end[n] / 8 ? '' : limiter[i] eq 'tbf' ? 'TBF ' : \
	limiter[i] eq 'at-store' ? 'at store ' : limiter[i].' ') . \
	rate(limit[i])
count(i) = end[i] - begin[i] < end[n] / 8 && limiter[i] ne 'none' ? 'same' : \
	sprintf('%d connection%s', flows[i], flows[i] == 1 ? '' : 's')

set terminal pngcairo size 1400,880 font 'DejaVu Sans,13' background '#ffffff' linewidth 1.5
set output out
set multiplot
set lmargin at screen 0.07
set rmargin at screen 0.985
set border 3 linecolor rgb dark linewidth 0.8
set tics nomirror scale 0.6 textcolor rgb dark
set grid y linecolor rgb '#c3c9d4' linewidth 0.8 dashtype 1
set key off
set xrange [0:end[n]]
do for [i = 1:n] {
	set object i rectangle from begin[i], graph 0 to end[i], graph 1 behind \
		fillcolor rgb tint(limiter[i]) fillstyle solid noborder
}
set label 100 'What the pod batch sends, and how long its small requests take' \
	at screen 0.07, 0.965 font ',17' textcolor rgb '#111827'

# rates
set tmargin at screen 0.86
set bmargin at screen 0.49
set yrange [0:most * 1.5]
set ylabel 'rate at the receiver, Mbit/s' textcolor rgb dark offset 0.5
set format x ''
do for [i = 1:n] {
	middle = (begin[i] + end[i]) / 2
	set label 10 + i name(i) at middle, graph 1.11 center textcolor rgb ink(limiter[i])
	set label 30 + i count(i) at middle, graph 1.045 center textcolor rgb grey font ',10'
	if (limit[i] > 0) {
		set arrow 10 + i from begin[i], limit[i] to end[i], limit[i] nohead front \
			linecolor rgb red linewidth 1 dashtype (8, 6)
		set label 50 + i 'limit '.rate(limit[i]) at begin[i] + end[n] / 150, \
			limit[i] + most * 0.07 textcolor rgb red font ',11'
	} else {
		set label 50 + i sprintf("%.1f Gbit/s,\noff the scale", mean[i] / 1e3) \
			at middle, graph 0.58 center textcolor rgb grey
		set arrow 10 + i from middle, graph 0.66 to middle, graph 0.97 \
			linecolor rgb grey linewidth 1.5
	}
}
plot for [l in 'none podpace at-store tbf'] dir.'rate-'.l using 1:2 with lines \
	linecolor rgb ink(l) linewidth 1.8

# round-trip times
unset label
unset arrow
set tmargin at screen 0.425
set bmargin at screen 0.085
set logscale y
set yrange [0.01:100]
set format x '%g'
set ytics ('0.01' 0.01, '0.1' 0.1, '1' 1, '10' 10, '100' 100)
set ylabel 'round-trip time, ms' textcolor rgb dark offset 0.5
set xlabel 'seconds' textcolor rgb dark offset 0, 0.3
set key at screen 0.985, screen 0.455 right center horizontal Left reverse samplen 2 width 1 \
	textcolor rgb dark
plot dir.'latency-batch' using 1:2:3 with filledcurves fillcolor rgb '#93c5fd' \
		fillstyle transparent solid 0.5 noborder title 'batch, worst', \
	dir.'latency-batch' using 1:2 with linespoints linecolor rgb blue pointtype 7 \
		pointsize 0.5 linewidth 1.5 title 'batch, median', \
	dir.'latency-web' using 1:2 with linespoints linecolor rgb green pointtype 7 \
		pointsize 0.4 linewidth 1.2 title 'web, idle, median'
unset multiplot
