# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Traffic that runs in the background while limits change, and what is asserted of it. To be sourced
# after tests/lab.sh, by libraries that say with run_spawn WHERE COMMAND... how a process is started
# (LAB_PID is its process).
#
#   run_start R a b SECONDS [OPTIONS of traffic send]
#                               traffic from a to b, called R
#   run_stop R                  ends its receiving end, waits for both
#   run_rate R FROM TO          bits/s that arrived between two moments of EPOCHREALTIME, each an
#                               arithmetic expression ("$t + 0.5"); after run_stop
#   run_report R send JQ        of the reports (send, receive)

declare -A RUN_RECEIVER=() RUN_SENDER=() RUN_STOPPED=()

moment() {
	echo "$EPOCHREALTIME"
}

run_start() {
	local name=$1 from=$2 to=$3 seconds=$4 addr
	shift 4
	LAB_STOLEN=
	addr=$(lab_address "$to")
	LAB_PORT=$((LAB_PORT + 4))
	run_spawn "$to" "$LAB_BIN/traffic" receive --port "$LAB_PORT" --series \
		--from "${RUN_FROM:-1.5}" --to "$seconds" --seconds $((seconds + 40)) \
		>"$LAB_TMP/$name-receive.json"
	RUN_RECEIVER[$name]=$LAB_PID
	run_spawn "$from" "$LAB_BIN/traffic" send --to "$addr" --port "$LAB_PORT" \
		--seconds "$seconds" "$@" >"$LAB_TMP/$name-send.json"
	RUN_SENDER[$name]=$LAB_PID
}

# The receiver's report ends at the moment of the signal: that ties its clock to ours.
run_stop() {
	RUN_STOPPED[$1]=$EPOCHREALTIME
	kill -TERM "${RUN_RECEIVER[$1]}"
	wait "${RUN_RECEIVER[$1]}"
	wait "${RUN_SENDER[$1]}"
}

# Lets it end by itself: the whole report is of use, run_rate is not.
run_wait() {
	wait "${RUN_SENDER[$1]}"
	wait "${RUN_RECEIVER[$1]}"
}

run_report() {
	jq -r "$3" "$LAB_TMP/$1-$2.json"
}

run_rate() {
	run_report "$1" receive "(${RUN_STOPPED[$1]} - .ended) as \$first | .series_10ms as \$s |
		def upto(t): ((t - \$first) * 100) as \$bins | (\$bins | floor) as \$n |
			(\$s[:\$n] | add // 0) + (\$s[\$n] // 0) * (\$bins - \$n);
		(upto($3) - upto($2)) * 8 / (($3) - ($2)) | floor"
}

# Segments that a run of traffic send (its report) sent again because they were lost: without tail
# loss probes, and without what TCP itself found to have been overtaken and no more.
sent_again() {
	jq 'if .full_undos + .partial_undos + .dsack_undos + .loss_undos > 0 then 0
		else [.segs_retrans - .loss_probes, 0] | max end + .loss_probes_repaired' "$1"
}

bits() {
	numfmt --from=si "$1"
}

# is_share NAME BITS/S LIMIT [LOW HIGH]: in percent of the limit; 95 to 101 if not told.
is_share() {
	is_between "$1, percent of $3" \
		"$(awk -v x="$2" -v of="$(bits "$3")" 'BEGIN { printf "%.2f", x * 100 / of }')" \
		"${4:-95}" "${5:-101}"
}
