#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What status, top and version say, to people and to programs, and that they say so when a limit is
# not in force.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

netns_init status
lab_pod a
lab_pod b
A=$(lab_cgroup a)
command -v bpftool >/dev/null || PATH=$PATH:/usr/sbin

# says NAME STATUS PATTERN COMMAND...: exit status and what is on stdout.
says() {
	local name=$1 want=$2 pattern=$3 status=0
	shift 3
	"$@" >"$LAB_TMP/out" 2>"$LAB_TMP/err" || status=$?
	if [ "$status" = "$want" ] && grep -qE -- "$pattern" "$LAB_TMP/out"; then
		pass "$name"
	else
		fail "$name"
		diag "exit $status, want $want; stderr, and stdout, to match '$pattern':"
		sed 's/^/#   /' "$LAB_TMP/err" "$LAB_TMP/out"
	fi
}

# schema NAME JQ COMMAND...: it prints one JSON value, of which JQ is true. c, s: a count, a string.
schema() {
	local name=$1 test=$2
	shift 2
	"$@" >"$LAB_TMP/json" 2>/dev/null || true
	if [ "$(jq -s 'def c: type == "number" and . >= 0 and . == floor; def s: type == "string";
		length == 1 and (.[0] | '"$test"')' "$LAB_TMP/json")" = true ]; then
		pass "$name"
	else
		fail "$name"
		sed 's/^/#   /' "$LAB_TMP/json"
	fi
}

STATUS='(keys == ["events", "limits", "loaded", "root"]) and (.root | s) and .loaded == true and
	(.events | keys == ["no_pace", "no_storage", "pairs_full", "path_full", "slot_freed"] and all(.[]; c)) and
	all(.limits[]; (.target | s) and (.direction | IN("egress", "ingress")) and
		all(.limit, .rate, .fair_rate, .capacity; c) and all(.weight, .guarantee, .missed; . == null) and
		all(.flows, .bytes, .packets, .refused, .delayed, .unheard; c) and
		([to_entries[] | select(.key | startswith("refused_")) | .value] |
			length >= 4 and all(.[]; c)) and
		.refused == ([to_entries[] | select(.key | startswith("refused_")) | .value] | add) and
		(.ends_in == null or (.ends_in | c)) and (.in_force | type == "boolean") and
		(.note == null or (.note | s)) and .set_by == "command" and
		.name == null and .peer == null and .observe == false and .uplink == false and
		([keys[] | select(startswith("refused_") | not)] == ["bytes", "capacity", "delayed", "direction",
			"ends_in", "fair_rate", "flows", "guarantee", "in_force", "limit", "marked", "missed", "name",
			"note", "observe", "packets", "peer", "rate", "refused", "set_by", "target", "unheard", "uplink", "weight"]))'
TOP='keys == ["limits"] and all(.limits[]; (.target | s) and (.direction | IN("egress", "ingress")) and
	all(.limit, .rate, .fair_rate; c) and all(.flows, .refused; c) and
	all(.used, .limited; type == "number" and . >= 0) and (.in_force | type == "boolean") and
	(keys == ["direction", "fair_rate", "flows", "in_force", "limit", "limited", "peer",
		"rate", "refused", "target", "used"]))'

# --- version, and nothing loaded

says "version" 0 '^podpace [0-9]+\.[0-9]+\.[0-9]+' "$PODPACE" version
schema "version, JSON" 'keys == ["abi", "version"] and (.version | s) and (.abi | c)' \
	"$PODPACE" version -o json
says "--help" 0 '^usage: podpace' "$PODPACE" --help
says "not loaded: status" 0 "^podpace is not loaded at cgroup $(lab_cgroup): nothing is limited" \
	pp status
schema "not loaded: status, JSON" '.loaded == false and .limits == [] and .events == {} and
	.root == "'"$(lab_cgroup)"'"' pp status -o json
says "not loaded: bare podpace" 0 'not loaded' pp
is_refused "not loaded: top" 1 'not loaded' pp top -n 1
is_refused "not loaded: unlimit" 1 'not loaded' unlimit a
is_refused "not loaded: unload" 1 'not loaded' pp unload
is "not loaded: none of these loaded it" "$(pins)" ""

# --- limits

is "limit says" "$(limit b 1.5G 2>&1)" ""
limit a 100M
is "unlimit says" "$(unlimit a 2>&1)" ""
limit a 100M
mkdir "$LAB_CGROUP2$(lab_cgroup a/in)"
limit a/in 800k --for 1h
unlimit b
is "limit in both directions says" \
	"$(pp limit "$(lab_cgroup b)" --egress 30M --ingress 40M --for 2h 2>&1)" ""
schema "status, JSON" "$STATUS and (.limits | length) == 4" pp status -o json
is "status: both directions, egress first" \
	"$(pp status -o json | jq -c '.limits | map(select(.target | endswith("/b")) |
		[.direction, .limit, .in_force])')" \
	'[["egress",30000000,true],["ingress",40000000,true]]'
says "status: a limit on what comes in" 0 \
	"^$(lab_cgroup b) +ingress +40M +0 +0 +40\\.0+M +0 +1h59m +yes +-$" pp
pp top -n 1 --interval 50ms -o json >"$LAB_TMP/top"
schema "top, JSON: both directions" "$TOP and (.limits | length) == 4" cat "$LAB_TMP/top"
pp limit "$(lab_cgroup b)" --ingress 50M
is "limit in one direction: the other stays" "$(field b .limit) $(field_in b .limit)" "30000000 50000000"
pp unlimit "$(lab_cgroup b)" --direction egress
is "unlimit in one direction: the other stays" "$(field b .limit) $(field_in b .limit)" " 50000000"
unlimit b
is "unlimit: both directions" "$(field b .limit)$(field_in b .limit)" ""

# --- peers

says "peers: none" 0 '^no peers' pp peers
schema "peers, JSON: none" '. == {"peers": []}' pp peers -o json
is "peers --add says" "$(pp peers --add fd77::/64,10.77.0.0/24,10.9.8.7 2>&1)" ""
is "peers --add again says" "$(pp peers --add 10.77.0.0/24 2>&1)" ""
says "peers: the head" 0 '^PREFIX +SET BY$' pp peers
says "peers: a prefix" 0 '^10\.77\.0\.0/24 +command$' pp peers
PEERS='{"peers": [{"prefix": "10.9.8.7/32", "set_by": "command"},
	{"prefix": "10.77.0.0/24", "set_by": "command"}, {"prefix": "fd77::/64", "set_by": "command"}]}'
schema "peers, JSON" ". == $PEERS" pp peers -o json
schema "bare podpace, JSON" "$STATUS" pp -o json
says "status: the head" 0 \
	'^TARGET +DIR +LIMIT +RATE +FLOWS +FAIR +REFUSED +ENDS IN +IN FORCE +NOTE$' \
	pp status
says "status: a limit" 0 "^$A +egress +100M +0 +0 +100\.0+M +0 +- +yes +-$" pp status
says "status: a limit that ends" 0 "^$A/in +egress +800k .* 59m5[0-9]s +yes +-$" pp
is "status: sorted" \
	"$(pp status -o json | jq '[.limits[] | [.target, .direction]] | . == sort')" true

# --- under load

run_start load a b 4 --flows 4
sleep 1
schema "status under load, JSON" "$STATUS" pp status -o json
is_share "status under load: rate" "$(field a .rate)" 100M 90 110
is "status under load: flows" "$(field a .flows)" 4
is_share "status under load: fair rate" "$(field a .fair_rate)" 25M 90 115
pp top -n 2 --interval 300ms -o json >"$LAB_TMP/top"
is "top -n 2: objects" "$(jq -s length "$LAB_TMP/top")" 2
schema "top, JSON: the first" "$TOP" jq -s '.[0]' "$LAB_TMP/top"
schema "top, JSON: the second" "$TOP" jq -s '.[1]' "$LAB_TMP/top"
is_between "top: used, percent" \
	"$(jq -s --arg t "$A" '.[1].limits[] | select(.target == $t) | .used' "$LAB_TMP/top")" 90 110
is_between "top: limited, percent" \
	"$(jq -s --arg t "$A" '.[1].limits[] | select(.target == $t) | .limited' "$LAB_TMP/top")" \
	80 100
says "top: the head" 0 \
	'^TARGET +DIR +LIMIT +RATE +USED +LIMITED +FLOWS +FAIR +REFUSED +IN FORCE$' \
	pp top -n 1 --interval 50ms
run_wait load
is_between "bytes counted, percent of those that arrived" "$(jq -n \
	"$(field a .bytes) * 100 / $(run_report load receive .wire.total_bytes)")" 99 101
is_refused "a full device" 1 'standard output: ' \
	bash -c '"$@" >/dev/full' - "$PODPACE" --root "$(lab_cgroup)" status
is_refused "a full device: version" 1 'standard output: ' \
	bash -c '"$@" >/dev/full' - "$PODPACE" version

# --- not in force: said, with the reason, by status again and again, until limit repairs it

# broken NAME PATTERN: a's limit is not in force, for this reason.
broken() {
	says "$1: status" 1 "^$A +egress +100M .* no +.*$2" pp status
	says "$1: status again" 1 "^$A +egress +100M .* no +.*$2" pp status
	is "$1: one line on stderr" "$(wc -l <"$LAB_TMP/err")" 1
	is "$1: JSON" "$(field a '"\(.in_force) \(.note | test("'"$2"'"))"')" "false true"
	pp top -n 1 --interval 10ms -o json >"$LAB_TMP/json" || true
	is "$1: top" "$(jq --arg t "$A" '.limits[] | select(.target == $t) | .in_force' \
		"$LAB_TMP/json")" false
}

# whole NAME: in force again, a's too, though the command was about another.
whole() {
	ok "$1: a limit on another cgroup" limit b 50M
	is "$1: in force again" "$(pp status -o json | jq -c '[.limits[] | .in_force] | [length, all]')" \
		'[3,true]'
	LAB_RECEIVE_OPTIONS='--from 0.5' lab_traffic a b 2 --flows 2
	is_share "$1: held again" "$(jq .wire.rate_bps "$LAB_RECEIVE")" 100M
}

if command -v bpftool >/dev/null; then
	bpftool link detach pinned "$(pins)/pp_egress"
	broken "detached" 'pp_egress.*detached'
	whole "detached"
fi
for program in pp_sockops pp_ingress; do
	rm "$(pins)/$program"
	broken "no $program" "$program"
	whole "no $program"
	schema "no $program: peers are as they were" ". == $PEERS" pp peers -o json
done
# Only limit needs the iterator.
rm "$(pins)/pp_iter_tcp"
whole "no pp_iter_tcp"
rm "$(pins)/pp_sockops"
ok "no pp_sockops: unload" pp unload
is "no pp_sockops: nothing is left" "$(pins)" ""
limit_in a 100M
is "pins" "$(cd "$(pins)" && echo pp_*)" "pp_blocks pp_egress pp_flows pp_getsockopt pp_groups\
 pp_inflows pp_ingress pp_iter_tcp pp_links pp_locals pp_matches pp_names pp_pairs pp_parties pp_pipes pp_prefixes\
 pp_rmdir pp_setsockopt pp_slots pp_sockops pp_state"
pp unload
is "unload: pins left" "$(find "$NETNS_PINS" -path "*$LAB_ID*")" ""
limit a 100M
rm -r "$(pins)"
says "no pins: status" 0 'not loaded' pp status
limit a 100M
is "no pins: set again" "$(field a .in_force)" true
done_testing
