#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Short connections, one after another: together they get the limit and keep to it, and none waits
# for a timeout. Their flows are counted while they send, and no longer.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

netns_init short
lab_pod a
lab_pod b
pp peers --add 10.77.0.0/24,fd77::/64

# short NAME LIMIT CLIENTS BYTES LEAST CC: of what the limit lets through, LEAST percent arrives.
short() {
	local name="$1, $3 clients, $4 bytes, $6, $2" most
	lab_traffic a b 4 --short "$3" --bytes "$4" --cc "$6"
	is_share "$name" "$(jq .wire.rate_bps "$LAB_RECEIVE")" "$2" "$5" 102
	is "$name: failed" "$(jq .short.failed "$LAB_SEND")" 0
	is "$name: timeouts" "$(jq '.timeouts - .syn_timeouts' "$LAB_SEND")" 0
	is_between "$name: SYNs sent again" "$(jq .syn_timeouts "$LAB_SEND")" 0 \
		"$(pp status -o json | jq '.limits[0].delayed')"
	# each of so many at a time; twice that, and 50 ms
	most=$(awk -v n="$3" -v bytes="$4" -v bps="$(bits "$2")" \
		'BEGIN { printf "%d", 2000 * n * bytes * 8 / bps + 50 }')
	is_between "$name: ms that 99 of 100 take" "$(jq '.short.p99_ms | floor' "$LAB_SEND")" 0 "$most"
}

# both LIMIT CLIENTS BYTES LEAST CC
both() {
	limit a "$1"
	short "sent" "$@"
	is "sent: packets without a record" "$(pp status -o json | jq .events.no_storage)" 0
	unlimit a
	limit_in b "$1"
	short "received" "$@"
	is "received: refused" "$(field_in b .refused)" 0
	is "received: packets without a record" "$(pp status -o json | jq .events.no_storage)" 0
	unlimit b
}

both 100M 20 100000 95 cubic
LAB_FAMILY=6 both 100M 50 10000 95 bbr
both 1G 20 100000 80 bbr
