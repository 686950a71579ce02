#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Objects in a folder, kept in force by an agent: tenants, their shares of an uplink, what only
# observes; files that change, break and go; an agent that is killed.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

netns_init config
for pod in a b c d e; do
	lab_pod "$pod"
done
CONF=$LAB_TMP/conf
mkdir "$CONF"
AGENT='' PAGES=127.0.0.1:9467

# The node is c: what is sent to it stays on the node. Nothing of the lab's limits the agent itself.
agent_start() {
	nsenter --net="/run/netns/$(lab_ns c)" "$PODPACE" --root "$(lab_cgroup)" agent --config "$CONF" --listen "$PAGES" \
		>"$LAB_TMP/agent.out" 2>>"$LAB_TMP/agent.log" &
	AGENT=$!
	eventually "the agent is ready" page readyz
}

page() {
	lab_in c curl -sf --max-time 5 "http://$PAGES/$1"
}

# eventually NAME COMMAND...: it succeeds within 5 s.
eventually() {
	local name=$1 tries
	shift
	for ((tries = 0; tries < 100; tries++)); do
		if "$@" >"$LAB_TMP/eventually" 2>&1; then
			pass "$name"
			return
		fi
		sleep 0.05
	done
	fail "$name"
	sed 's/^/#   /' "$LAB_TMP/eventually"
	tail -n 5 "$LAB_TMP/agent.log" | sed 's/^/#   agent: /'
}

# logged PATTERN: has the agent said it?
logged() {
	grep -qE -- "$1" "$LAB_TMP/agent.log"
}

# named NAME DIRECTION FILTER: of what status says of the limit that is called so.
named() {
	pp status -o json 2>/dev/null | jq -r --arg name "$1" --arg direction "$2" \
		".limits[] | select(.name == \$name and .direction == \$direction) | $3"
}

named_is() {
	[ "$(named "$1" "$2" "$3")" = "$4" ]
}

not() {
	! "$@" 2>/dev/null
}

none_left() {
	[ "$(pp status -o json | jq '.limits | length')" = 0 ]
}

tenant_binds() {
	[ "$(lab_in c "$PODPACE" explain "$A" -o json |
		jq -c '[.limits[] | select(.binds) | .limit]')" = '["tenant acme"]' ]
}

# file NAME: standard input becomes a file of the folder, at once.
file() {
	cat >"$LAB_TMP/new"
	mv "$LAB_TMP/new" "$CONF/$1"
}

# tenant NAME CGROUPS EGRESS [PER]
tenant() {
	cat <<-END
	apiVersion: podpace.io/v1alpha1
	kind: ClusterBandwidthPolicy
	metadata: {name: $1}
	spec:
	  subject: {cgroups: [$2]}
	  per: ${4:-Node}
	  egress: $3
	---
	END
}

A=$(lab_cgroup a) B=$(lab_cgroup b)
{
	tenant acme "$A" '{weight: 300}'
	tenant bolt "$B" '{weight: 100}'
} | file tenants.yaml
file uplink.yaml <<-END
	apiVersion: podpace.io/v1alpha1
	kind: ClusterBandwidthPolicy
	metadata: {name: wire}
	spec:
	  subject: {nodes: {}}
	  per: Node
	  egress: {ceil: 1G}
END
agent_start

# --- an uplink, two tenants

FLOWS_A=1 FLOWS_B=1 CC=cubic
# shares NAME: 3:1 of 1G; the second is there in the middle only.
shares() {
	local name=$1 begin end
	run_start a a d 7 --flows "$FLOWS_A" --cc "$CC"
	sleep 1.2
	begin=$(moment)
	run_start b b e 4 --flows "$FLOWS_B" --cc "$CC"
	sleep 2.5
	end=$(moment)
	run_stop b
	sleep 1.2
	run_stop a
	is_share "$name: alone" "$(run_rate a "$begin - 0.6" "$begin - 0.05")" 1G 98 101
	is_share "$name: 3" "$(run_rate a "$begin + 1" "$end - 0.05")" 750M 98 102
	is_share "$name: 1" "$(run_rate b "$begin + 1" "$end - 0.05")" 250M 98 102
	is_share "$name: what is idle is borrowed" "$(run_rate a "$end + 0.3" "$end + 1")" 1G 98 101
}

shares "uplink, cubic"
FLOWS_A=16 FLOWS_B=1 CC=bbr
shares "uplink, 16 flows and 1, bbr"
FLOWS_A=1 FLOWS_B=16
shares "uplink, 1 flow and 16, bbr"

# what stays on the node is no matter of the uplink
run_start a a c 3 --flows 2
run_start b b e 3 --flows 2
sleep 1.7
end=$(moment)
run_stop a
run_stop b
is_between "to the node itself: no limit" "$(run_rate a "$end - 1" "$end - 0.1")" 1500000000 1e12
is_share "and it takes nothing of the uplink" "$(run_rate b "$end - 1" "$end - 0.1")" 1G 95 101
run_start a a d 3 --flows 0 --udp 900M
run_start b b e 3 --flows 4
sleep 1.7
end=$(moment)
run_stop a
run_stop b
is_share "datagrams keep to their share of it" "$(run_rate a "$end - 1" "$end - 0.1")" 750M 90 102
is_share "the other has its own" "$(run_rate b "$end - 1" "$end - 0.1")" 250M 95 102
run_start a a c 3 --flows 0 --udp 900M
sleep 1.7
end=$(moment)
run_stop a
is_share "to the node itself: datagrams as well" "$(run_rate a "$end - 1" "$end - 0.1")" 900M 95 102

# shares change under load: what arrives in d, all of it, stays below the limit in any 100 ms
run_start a a d 6 --flows 4 --cc cubic
run_start b b d 6 --flows 4 --cc bbr
sleep 1.5
for weights in "100 300" "1000 50" "300 100" "50 1000" "300 100"; do
	{
		tenant acme "$A" "{weight: ${weights% *}}"
		tenant bolt "$B" "{weight: ${weights#* }}"
	} | file tenants.yaml
	sleep 0.6
done
end=$(moment)
run_stop a
run_stop b
is_share "weights change under load: the fullest 100 ms" \
	"$(run_report a receive .wire.worst_100ms_bps)" 1G 99 110
is_share "weights change under load: all that time" "$(run_rate a "$end - 2.5" "$end - 0.1")" 1G 90 101
is "weights change under load: no data was sent again" "$(sent_again "$LAB_TMP/a-send.json")" 0

# --- files change

counted=$(named "tenant acme" egress .bytes)
{
	tenant acme "$A" '{weight: 100, ceil: 100M}'
	tenant bolt "$B" '{weight: 100}'
} | file tenants.yaml
eventually "a changed file is in force" named_is "cgroup $A" egress 'select(.uplink) | .in_force' true
eventually "with a ceil of the tenant's" named_is "tenant acme" egress 'select(.uplink | not) | .limit' 100000000
ok "nothing counted is lost" test "$(named "tenant acme" egress 'select(.uplink) | .bytes')" -ge "$counted"
run_start a a c 3 --flows 4
sleep 1.7
end=$(moment)
run_stop a
is_share "which binds on the node, too" "$(run_rate a "$end - 1" "$end - 0.1")" 100M

# shellcheck disable=SC2016	# jq's
is "explain: the limits, and where they are from" "$(lab_in c "$PODPACE" explain "$A" -o json |
	jq -c '[.limits[] | [.limit, .uplink, .ceil, .ceil_from, .weight_from]]')" \
	"[[\"cgroup $A\",false,null,null,\"default\"],[\"tenant acme\",false,100000000,\"ClusterBandwidthPolicy acme\",null]\
,[\"cgroup $A\",true,null,null,\"default\"],[\"tenant acme\",true,null,null,\"ClusterBandwidthPolicy acme\"]\
,[\"uplink wire\",true,1000000000,\"ClusterBandwidthPolicy wire\",null]]"
run_start a a c 3 --flows 4
sleep 1.2
eventually "explain: which binds" tenant_binds
run_stop a
ok "explain: in words" sh -c "lab() { nsenter --net=/run/netns/$(lab_ns c) \"\$@\"; }
	lab '$PODPACE' explain '$A' | grep -q 'ClusterBandwidthPolicy acme'"
is_refused "explain: nobody names it" 1 'no such pod on this node, nor a cgroup that an object names' \
	lab_in c "$PODPACE" explain "$(lab_cgroup d)"
is_refused "explain: no agent" 1 'no agent answers at' "$PODPACE" explain "$A" --listen 127.0.0.1:1

tenant acme "$A" '{ceil: 20O}' | file tenants.yaml
eventually "a fault is told" logged 'tenants.yaml:7: ClusterBandwidthPolicy acme: spec.egress.ceil: '
is "and what it said before is in force" "$(named "tenant acme" egress 'select(.uplink | not) | .limit')" 100000000
is "what is not there any more is not" "$(named "tenant bolt" egress .limit)" ""
echo '{' | file tenants.yaml
eventually "a file that is no YAML is told" logged 'tenants.yaml:2: '
is "and changes nothing" "$(named "tenant acme" egress 'select(.uplink | not) | .limit')" 100000000
rm "$CONF/uplink.yaml"
eventually "without the uplink's file there is no uplink" named_is "uplink wire" egress .limit ""
ok "what has nothing to share is gone, too" test -z "$(named "tenant acme" egress 'select(.uplink) | .limit')"

# --- both directions, one for each

{
	tenant acme "$A" '{ceil: 50M}' Pod
	cat <<-END
	apiVersion: podpace.io/v1alpha1
	kind: ClusterBandwidthPolicy
	metadata: {name: later}
	spec:
	  subject: {cgroups: [$(lab_cgroup a/later), $B]}
	  per: Node
	  ingress: {ceil: 200M}
	END
} | file tenants.yaml
eventually "a limit for each" named_is "cgroup $A" egress '"\(.limit) \(.in_force)"' "50000000 true"
eventually "and of what is received" named_is "tenant later" ingress '"\(.limit) \(.in_force)"' "200000000 true"
is "a cgroup that is not there has nothing yet" "$(named "cgroup $(lab_cgroup a/later)" ingress .in_force)" ""
mkdir "$LAB_CGROUP2$(lab_cgroup a/later)"
eventually "one that comes has it at once" \
	named_is "cgroup $(lab_cgroup a/later)" ingress .in_force true
rmdir "$LAB_CGROUP2$(lab_cgroup a/later)"
eventually "and not when it is gone" named_is "cgroup $(lab_cgroup a/later)" ingress .in_force ""

# --- what only observes

file tenants.yaml <<-END
	apiVersion: podpace.io/v1alpha1
	kind: ClusterBandwidthPolicy
	metadata: {name: seen}
	spec:
	  subject: {cgroups: [$A]}
	  per: Node
	  egress: {ceil: 100M}
	  enforcement: Observe
END
eventually "observed" named_is "tenant seen observed by ClusterBandwidthPolicy seen" egress .observe true
run_start a a c 3 --flows 2
sleep 1.7
end=$(moment)
run_stop a
is_between "observed: no limit" "$(run_rate a "$end - 1" "$end - 0.1")" 500000000 1e12
is_between "observed: what would have been too much is counted" \
	"$(page metrics | awk '/^podpace_refused_bytes_total.*observed by/ { print $NF }')" 5e7 1e12
is_between "observed: and for how long" \
	"$(page metrics | awk '/^podpace_limited_seconds_total.*observed by/ { print $NF }')" 1 4

# --- the agent ends

tenant acme "$A" '{ceil: 50M}' | file tenants.yaml
eventually "enforced" named_is "tenant acme" egress .in_force true
run_start a a c 3 --flows 2
run_wait a
counted=$(named "tenant acme" egress .bytes)
kill -KILL "$AGENT"
wait "$AGENT" 2>/dev/null || true
run_start a a c 3 --flows 2
sleep 1.7
end=$(moment)
run_stop a
is_share "without an agent the limit holds" "$(run_rate a "$end - 1" "$end - 0.1")" 50M
agent_start
ok "the next one takes over what was counted" test "$(named "tenant acme" egress .bytes)" -gt "$counted"
tenant acme "$A" '{ceil: 5O0M}' | file tenants.yaml
eventually "a fault" logged 'rate .x225O0M'
kill -KILL "$AGENT"
wait "$AGENT" 2>/dev/null || true
agent_start
eventually "an agent that begins with a fault says that it takes nothing away" \
	logged 'no limit is taken away, and none is raised'
is "and does not" "$(named "tenant acme" egress '"\(.limit) \(.in_force)"')" "50000000 true"
tenant acme "$A" '{ceil: 60M}' | file tenants.yaml
eventually "until it is mended" named_is "tenant acme" egress .limit 60000000
mv "$CONF" "$CONF.away"
eventually "the folder goes: told" logged '/conf: No such file or directory'
is "and the limit stays" "$(named "tenant acme" egress .in_force)" true
mv "$CONF.away" "$CONF"
eventually "it comes back" logged 'configuration is read again'
rm "$CONF"/*
eventually "no objects, no limits" none_left
kill "$AGENT"
wait "$AGENT" || fail "the agent's exit status: $?"
# --- without an agent

tenant acme "$A" '{ceil: 70M}' >"$LAB_TMP/one.yaml"
is "apply: the objects are in force" "$(pp apply "$LAB_TMP/one.yaml")" "1 object, 2 limits are in force"
is "apply: which say so" "$(named "tenant acme" egress '"\(.limit) \(.in_force)"')" "70000000 true"
limit b 33M
tenant acme "$A" '{ceil: 7OM}' >"$LAB_TMP/two.yaml"
ok "apply: a fault" not pp apply "$LAB_TMP/one.yaml" "$LAB_TMP/two.yaml"
is "apply: changes nothing" "$(named "tenant acme" egress .limit)" 70000000
tenant bolt "$A" '{ceil: 80M}' >"$LAB_TMP/two.yaml"
is "apply: others" "$(pp apply "$LAB_TMP/two.yaml")" "1 object, 2 limits are in force"
is "apply: take the place of what it has set" "$(named "tenant acme" egress .limit) $(named "tenant bolt" egress .limit)" \
	" 80000000"
is "apply: and of nothing else" "$(field b .limit)" 33000000
tenant acme "$(lab_cgroup nowhere)" '{ceil: 80M}' >"$LAB_TMP/two.yaml"
is "apply: a cgroup that is not there" "$(pp apply "$LAB_TMP/two.yaml")" \
	"1 object, 0 limits are in force; 1 cgroup is not there"
agent_start
is_refused "apply: where an agent keeps the limits" 1 'an agent keeps the limits at cgroup .*; valid is to put the files into its folder' \
	lab_in c "$PODPACE" --root "$(lab_cgroup)" apply "$LAB_TMP/one.yaml"
kill "$AGENT"
wait "$AGENT" || true

is_refused "no such folder" 1 'valid is a folder with files' \
	"$PODPACE" --root "$(lab_cgroup)" agent --config "$LAB_TMP/nowhere" --listen 127.0.0.1:0
done_testing
