#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An application's own SO_MAX_PACING_RATE: honoured below a limit, no way out of it above, read back
# as it was set, and left alone when the limit goes. No pace of podpace's outlives its limit.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

NONE4=4294967295 NONE8=18446744073709551615

netns_init pacing
lab_pod a
lab_pod b
sink_start b
sinks=$(lab_v4 b)

# fresh NAME [ORDER...]: a connection, after one order to the socket.
fresh() {
	local name=$1
	shift
	[ -n "${TALK_IN[$name]:-}" ] || talk_start "$name" a
	talk "$name" socket 4 >/dev/null
	[ $# = 0 ] || talk "$name" "$@" >/dev/null
	is "$name connects" "$(talk "$name" connect "$sinks" "$SINK")" ok
}

# sends NAME TALK l3|payload LIMIT: the kernel paces payload, a limit is on L3 bytes. A super-packet
# of the kernel's own pacing is 2 % of a second at 20M.
sends() {
	local l3 payload retransmitted
	talk "$2" send 0.4 >/dev/null
	# shellcheck disable=SC2034	# one of them is used, by its name
	read -r l3 payload retransmitted <<<"$(talk "$2" send 1)"
	is_share "$1, $3" "${!3}" "$4" 95 "$([ "$3" = l3 ] && echo 101 || echo 103)"
	is "$1: retransmitted" "$retransmitted" 0
}

limit a 100M

fresh before set4 2500000
is "set before connect: 4 bytes" "$(talk before get4)" 2500000
is "set before connect: 8 bytes" "$(talk before get8)" 2500000
sends "below the limit, set before connect" before payload 20M

fresh during
is "nothing set: 4 bytes" "$(talk during get4)" "$NONE4"
is "nothing set: 8 bytes" "$(talk during get8)" "$NONE8"
sends "nothing set" during l3 100M
talk during set8 2500000 >/dev/null
is "set by 8 bytes: 8 bytes" "$(talk during get8)" 2500000
is "set by 8 bytes: 4 bytes" "$(talk during get4)" 2500000
sends "below the limit, set by 8 bytes" during payload 20M
talk during set4 5000000 >/dev/null
sends "raised, still below the limit, set by 4 bytes" during payload 40M
talk during set4 62500000 >/dev/null
is "above the limit, set by 4 bytes" "$(talk during get4)" 62500000
sends "above the limit, set by 4 bytes" during l3 100M
talk during set8 5000000000 >/dev/null
is "more than 4 bytes hold: 8 bytes" "$(talk during get8)" 5000000000
is "more than 4 bytes hold: 4 bytes" "$(talk during get4)" "$NONE4"
sends "above the limit, set by 8 bytes" during l3 100M
talk during set4 2500000 >/dev/null
talk during set4 "$NONE4" >/dev/null
is "taken back by 4 bytes" "$(talk during get8)" "$NONE8"
sends "taken back by 4 bytes" during l3 100M
talk during set8 2500000 >/dev/null
talk during set8 "$NONE8" >/dev/null
is "taken back by 8 bytes" "$(talk during get8)" "$NONE8"
sends "taken back by 8 bytes" during l3 100M

fresh above set8 125000000
sends "above the limit, set before connect" above l3 100M

# In bits/s; ss asks the kernel's structures, past all programs.
paces() {
	lab_in a ss -tinH state established | grep -o 'pacing_rate [^ ]*/[^ ]*' |
		sed 's,.*/,,; s/bps//; s/K$/000/; s/M$/000000/; s/G$/000000000/' | sort | tr '\n' ' '
}

# What each shall have when no limit is left: its own, or nothing.
is_own() {
	is "$1: before's is its own" "$(talk before get4) $(talk before get8)" "2500000 2500000"
	is "$1: during has none" "$(talk during get4) $(talk during get8)" "$NONE4 $NONE8"
	is "$1: above's is its own" "$(talk above get4) $(talk above get8)" "125000000 125000000"
	is "$1: older's is its own" "$(talk older get4) $(talk older get8)" "3750000 3750000"
	is "$1: paces the kernel knows" "$(paces)" "1000000000 20000000 30000000 "
}

unlimit a
# Programs are loaded, no limit is set.
fresh older set4 3750000
sends "no limit" older payload 30M
is_own "limit removed"
limit a 100M
is "limited again: older's is its own" "$(talk older get4) $(talk older get8)" "3750000 3750000"
is "limited again: during has none" "$(talk during get4) $(talk during get8)" "$NONE4 $NONE8"
sends "limited again: older" older payload 30M
sends "limited again: during" during l3 100M
unlimit a
is_own "limit removed again"
limit a 100M
talk during send 0.2 >/dev/null
pp unload >/dev/null
is_own "unloaded"
sends "unloaded: before" before payload 20M
is_between "unloaded: during, Mbit/s" \
	"$(talk during send 0.4 >/dev/null; talk during send 0.5 | awk '{ print int($1 / 1e6) }')" \
	200 1000000
# Loaded anew: what sockets bring along is theirs.
limit a 100M
is "loaded anew: older's is its own" "$(talk older get4) $(talk older get8)" "3750000 3750000"
sends "loaded anew: older" older payload 30M
sends "loaded anew: during" during l3 100M
limit a 10M --for 2s
sends "its time is running" during l3 10M
sleep 0.8
talk during send 0.3 >/dev/null
is_between "its time is over, Mbit/s" \
	"$(talk during send 0.5 | awk '{ print int($1 / 1e6) }')" 200 1000000
is "its time is over: during has none" "$(talk during get4) $(talk during get8)" "$NONE4 $NONE8"
# The idle ones keep its pace until they send again, but not beyond podpace.
pp unload >/dev/null
is_own "its time is over, unloaded"
done_testing
