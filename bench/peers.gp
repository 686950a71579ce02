# SPDX-License-Identifier: Apache-2.0
# bench/peers.sh's plot: of what is sent at 100M by 8 flows with cubic, for each limiter the round
# trip in the same pod, what comes in the first second above the limit, and the fairness.
set terminal svg size 900,360 font "sans,11" background "white"
set output svg
set datafile separator ","
set style data histograms
set style fill solid 0.8 noborder
set boxwidth 0.7
set xtics rotate by -30 nomirror
set ytics nomirror
set border 3
unset key
row(x) = (strcol("limit") eq "100M" && strcol("flows") eq "8" && strcol("cc") eq "cubic" && strcol("direction") eq "out") ? x : NaN
set multiplot layout 1,3
set logscale y
set title "round trip of a request, p99, ms"
plot csv using (row(column("p99") / 1000)):xtic(strcol("limiter")) linecolor rgb "#2f6db5"
set title "ahead of the limit in the first second, ms"
plot csv using (row(column("ahead_ms") + 0.1)):xtic(strcol("limiter")) linecolor rgb "#2f6db5"
unset logscale y
set title "Jain's index of 8 flows"
set yrange [0:1]
plot csv using (row(column("jain"))):xtic(strcol("limiter")) linecolor rgb "#2f6db5"
unset multiplot
