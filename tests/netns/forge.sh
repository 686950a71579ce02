#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Forged options of feedback: from elsewhere they have no effect; from the receiver's own side they
# slow its own connection and no more, whatever they look like, and no longer than they come.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

netns_init forge
lab_pod a
lab_pod b
lab_pod c
build forge
FORGE=$PROGRAM
pp peers --add 10.77.0.0/24
limit a 100M

sink_start b
talk_start t a

# fresh NAME: another connection from a to b, which has opened.
fresh() {
	local tries
	for ((tries = 0; tries < 50; tries++)); do
		talk t socket 4 >/dev/null
		[ "$(talk t connect "$(lab_v4 b)" "$SINK")" != ok ] || break
		sleep 0.1
	done
	is_between "$1: opens" "$(rate 0.5)" 1000000 101000000
}

# forging FROM blind|path COUNT SECONDS [RATE]: starts to forge segments of the last connection, at
# its end b, from the pod FROM.
forging() {
	local pod=$1 how=$2
	shift 2
	spawn_at "$pod" "$FORGE" "$how" "$(lab_v4 b)" "$SINK" "$(lab_v4 a)" \
		"$(lab_in a ss -tnH state established dport = ":$SINK" | awk 'NR == 1 { sub(".*:", "", $3); print $3 }')" \
		"$@" >"$LAB_TMP/forged"
	FORGER=$LAB_PID
	sleep 0.2
}

# forged NAME COUNT: it has come to its end.
forged() {
	wait "$FORGER" || true
	is "$1: forged" "$(cat "$LAB_TMP/forged")" "$2"
}

# rate SECONDS: bits/s of L3 that the connection sends.
rate() {
	talk t send "$1" | cut -d ' ' -f 1
}

# most TIMES: the highest of so many half seconds.
most() {
	local i
	for ((i = 0; i < $1; i++)); do
		rate 0.5
	done | sort -n | tail -n 1
}

# --- the forger is a good one: what it tells is heard, and forgotten after true rates

fresh "a connection to forge on"
forging b path 3000 3 1250000
sleep 0.5
is_share "10M told from the receiver's side" "$(rate 1.5)" 10M 50 105
forged "10M told from the receiver's side" 3000
limit_in b 200M
sleep 0.3
is_share "the receiver's true rate after it" "$(rate 1)" 100M 95 101
unlimit b

# --- no more than the sender's own limit

fresh "a second"
forging b path 3000 3 1250000000
is_share "10G told from the receiver's side" "$(most 5)" 100M 90 103
forged "10G told from the receiver's side" 3000

# --- from a third pod, with guessed numbers

forging c blind 100000 4 1000
is_share "1000 bytes/s, told blindly from a third pod" "$(rate 3)" 100M 95 101
forged "blindly, one rate" 100000
forging c blind 100000 4
is_share "mutated, blindly from a third pod" "$(rate 3)" 100M 95 101
forged "blindly, mutated" 100000

# --- all that can be done to an option, in sequence, on a connection with a limit at each end

fresh "a third"
limit_in b 200M
forging b path 100000 10
is_share "mutated in sequence: the most of any half second" "$(most 18)" 100M 0 103
forged "mutated in sequence" 100000
# A packet that TCP sent at the least rate, 1500 bytes/s, makes it wait: half its window, some eight
# segments, is 8 s.
for ((seconds = 1; seconds < 30; seconds++)); do
	[ "$(rate 1)" -lt 95000000 ] || break
done
is_between "mutated in sequence: seconds until the limit is full again" "$seconds" 1 20
is_share "and then" "$(rate 1)" 100M 90 101
is "the limits" "$(field a .in_force) $(field_in b .in_force)" "true true"
unlimit b

# --- in what begins a connection

limit_in b 200M
spawn_at c "$FORGE" syn "$(lab_v4 c)" 0 "$(lab_v4 b)" "$SINK" 20000 2 >"$LAB_TMP/forged"
FORGER=$LAB_PID
fresh "a connection among forged SYNs"
forged "mutated SYNs" 20000
is_share "a connection among forged SYNs" "$(rate 1)" 100M 90 101
unlimit b

# --- from an address that is not among the peers

pp peers --remove 10.77.0.0/24
fresh "one with a stranger"
forging b path 3000 3 1250
is_share "told by a host that is not among the peers" "$(rate 2)" 100M 90 101
forged "told by a host that is not among the peers" 3000
done_testing
