# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The command under test in a lab of its own, traffic that runs while limits change, and what is
# asserted of both. To be sourced.
#
#   . "$(dirname "$0")/lib.sh"
#   netns_init udp              a lab; podpace works at the lab's cgroup, and is unloaded at the end
#   pp WORD...                  the command
#   limit a 100M [OPTIONS]      a limit on the lab's cgroup a (or a/in: a cgroup in the pod a)
#   limit_in a 100M             a limit on what a receives
#   field a .rate               of what status says of a's limit, in jq's words;
#                               field_in: of that on what a receives
#   run_start R a/in b SECONDS [OPTIONS]
#                               and the rest of tests/runs.sh: from a's cgroup in to b
#   talk_start T a/in           the program pacing in a's cgroup in, called T
#   talk T ORDER...             gives it an order, prints its answer
#
# PODPACE is the command (default build/podpace), LAB_BIN the folder where traffic lies.

export LC_ALL=C
NETNS_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../lab.sh
. "$NETNS_HERE/../lab.sh"
# shellcheck source=../runs.sh
. "$NETNS_HERE/../runs.sh"

PODPACE=${PODPACE:-$LAB_TOP/build/podpace}
NETNS_PINS=/sys/fs/bpf/podpace
declare -A TALK_IN=() TALK_OUT=()
SINK='' PROGRAM=''

netns_init() {
	[ -x "$PODPACE" ] || lab_fail "$PODPACE is missing: make"
	[ -x "$LAB_BIN/traffic" ] || lab_fail "$LAB_BIN/traffic is missing: make build/traffic"
	command -v jq >/dev/null || skip_all "needs jq"
	lab_init "$1"
	netns_reap
	lab_defer 'pp unload >/dev/null 2>&1'
}

# Datapaths of labs whose process is gone.
netns_reap() {
	local dir root
	for dir in "$NETNS_PINS"/v*/%2Fpodpace-test%2F*; do
		root=${dir##*%2F}
		if [ -d "$dir" ] && [ ! -d "/proc/${root##*-}" ]; then
			"$PODPACE" --root "/podpace-test/$root" unload >/dev/null 2>&1 || true
		fi
	done
}

# build NAME: compiles NAME.c of this folder, if that has not been done; PROGRAM is the result.
build() {
	PROGRAM=$LAB_BIN/tests/$1
	[ "$PROGRAM" -nt "$NETNS_HERE/$1.c" ] && return
	mkdir -p "$LAB_BIN/tests"
	"${CC:-cc}" -std=gnu17 -O2 -Wall -Wextra -Werror -o "$LAB_TMP/$1" "$NETNS_HERE/$1.c" ||
		lab_fail "$1.c does not compile"
	mv "$LAB_TMP/$1" "$PROGRAM"
}

pp() {
	"$PODPACE" --root "$(lab_cgroup)" "$@"
}

limit() {
	local at=$1 rate=$2
	shift 2
	pp limit "$(lab_cgroup "$at")" --egress "$rate" "$@"
}

limit_in() {
	local at=$1 rate=$2
	shift 2
	pp limit "$(lab_cgroup "$at")" --ingress "$rate" "$@"
}

unlimit() {
	pp unlimit "$(lab_cgroup "$1")"
}

# Where the lab's datapath is pinned; empty if nowhere.
pins() {
	local dir
	for dir in "$NETNS_PINS"/v*/"%2Fpodpace-test%2F$LAB_ID"; do
		[ ! -d "$dir" ] || echo "$dir"
	done
}

# Exit status and all: status fails where a limit is not in force.
field() {
	field_of egress "$@"
}

field_in() {
	field_of ingress "$@"
}

field_of() {
	pp status -o json 2>/dev/null |
		jq -r --arg target "$(lab_cgroup "$2")" --arg direction "$1" \
			".limits[] | select(.target == \$target and .direction == \$direction) | $3"
}

# --- traffic in the background

# spawn_at CGROUP COMMAND...: in the network namespace of the pod that CGROUP begins with.
spawn_at() {
	local dir pod=${1%%/*}
	dir=$LAB_CGROUP2$(lab_cgroup "$1")
	shift
	mkdir -p "$dir"
	# shellcheck disable=SC2016	# the inner shell's
	lab_spawn "$pod" bash -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$dir" "$@"
}

run_spawn() {
	spawn_at "$@"
}

exec_at() {
	spawn_at "$@"
	wait "$LAB_PID"
}

# --- one connection that obeys orders

talk_start() {
	local name=$1 at=$2 in out
	build pacing
	mkfifo "$LAB_TMP/$name.in" "$LAB_TMP/$name.out"
	# Both ways, or opening would wait for the other end.
	exec {in}<>"$LAB_TMP/$name.in" {out}<>"$LAB_TMP/$name.out"
	TALK_IN[$name]=$in TALK_OUT[$name]=$out
	# What runs in the background has its input from /dev/null, until it opens another itself.
	# shellcheck disable=SC2016	# the inner shell's
	spawn_at "$at" bash -c 'exec "$0" <"$1" >"$2"' "$PROGRAM" \
		"$LAB_TMP/$name.in" "$LAB_TMP/$name.out"
}

talk() {
	local name=$1 answer
	shift
	echo "$*" >&"${TALK_IN[$name]}"
	read -r -t 20 answer <&"${TALK_OUT[$name]}" || answer='no answer'
	echo "$answer"
}

# A receiver in the pod for connections of talk, until the end; SINK is its port.
sink_start() {
	LAB_PORT=$((LAB_PORT + 4))
	lab_spawn "$1" "$LAB_BIN/traffic" receive --port "$LAB_PORT" --keep --seconds 300 >/dev/null
	# shellcheck disable=SC2034	# for the tests
	SINK=$LAB_PORT
}

# --- assertions

# is_clean NAME CGROUP REPORT: nothing refused but what new connections open with, and nothing sent
# again, after the whole of a run of traffic send.
is_clean() {
	is_kept "$1" "$(field "$2" '.refused - .refused_opening')" "$3"
	is "$1: connections that failed" "$(jq .failed "$3")" 0
}

# is_clean_in NAME CGROUP REPORT: the same of a limit on what CGROUP receives: nothing was dropped.
is_clean_in() {
	is_kept "$1" "$(field_in "$2" .refused)" "$3"
	is "$1: connections that failed" "$(jq .failed "$3")" 0
}

# is_kept NAME REFUSED REPORT: the same of a run that was stopped, where status was asked earlier.
is_kept() {
	is "$1: refused and sent again" "$2 $(sent_again "$3")" "0 0"
}

# is_refused NAME STATUS PATTERN COMMAND...: fails so, with one line on stderr that matches.
is_refused() {
	local name=$1 want=$2 pattern=$3 status=0
	shift 3
	"$@" >"$LAB_TMP/out" 2>"$LAB_TMP/err" </dev/null || status=$?
	if [ "$status" = "$want" ] && [ ! -s "$LAB_TMP/out" ] &&
		[ "$(wc -l <"$LAB_TMP/err")" = 1 ] && grep -qE "$pattern" "$LAB_TMP/err"; then
		pass "$name"
	else
		fail "$name"
		diag "exit $status, want $want; stderr, to match '$pattern', and stdout:"
		sed 's/^/#   /' "$LAB_TMP/err" "$LAB_TMP/out"
	fi
}
