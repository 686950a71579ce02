#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Limits towards some: a cgroup's to one peer, to many, and to all hold at once, in both directions,
# for connections that are there and for datagrams; others are not touched.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# An address of the internet's, for documentation (RFC 5737): the pod net has it too.
ABROAD=198.51.100.7

netns_init between
for pod in web db net other; do
	lab_pod "$pod"
done
ip -n "$(lab_ns net)" addr add "$ABROAD/32" dev eth0
ip -n "$(lab_ns web)" route add "$ABROAD/32" dev eth0
ip -n "$(lab_ns web)" neigh replace "$ABROAD" lladdr "$(lab_mac net)" nud permanent dev eth0

to() {
	local pod=$1 rate=$2
	shift 2
	pp limit "$(lab_cgroup "$pod")" --egress "$rate" --to "$@"
}

# of LIMITED PEER JQ: what status says of a limit towards that peer.
of() {
	pp status -o json 2>/dev/null | jq -r --arg target "$(lab_cgroup "$1")" --arg peer "$2" \
		".limits[] | select(.target == \$target and .peer == \$peer) | $3"
}

sent() {	# NAME FROM TO RATE [OPTIONS]
	local name=$1 from=$2 to=$3 rate=$4
	shift 4
	lab_traffic "$from" "$to" 4 "$@"
	is_share "$name" "$(jq '.wire.rate_bps | floor' "$LAB_RECEIVE")" "$rate"
	is "$name: sent again" "$(sent_again "$LAB_SEND")" 0
}

free() {	# NAME FROM TO
	lab_traffic "$2" "$3" 2 --flows 1
	is_between "$1, Mbit/s" "$(jq '.wire.rate_bps / 1e6 | floor' "$LAB_RECEIVE")" 300 1000000
}

limit web 60M
to web 50M "$(lab_v4 db)"
to web 50M "$(lab_v6 db)"
to web 20M internet
is "status says to whom" "$(of web internet '"\(.limit) \(.in_force)"')" "20000000 true"
for flows in 1 8; do
	sent "to one peer, $flows flows" web db 50M --flows "$flows"
	LAB_FAMILY=6 sent "to one peer, IPv6, $flows flows" web db 50M --flows "$flows" --cc bbr
	sent "to another, $flows flows: the limit on all" web other 60M --flows "$flows"
done

# The traffic program sends where the pod's own address is: to another one by hand.
lab_address() {
	if [ "$1" = net ]; then echo "$ABROAD"; else lab_v4 "$1"; fi
}
for flows in 1 8; do
	sent "to the internet, $flows flows" web net 20M --flows "$flows"
	run_start db web db 5 --flows "$flows"
	run_start net web net 5 --flows "$flows"
	sleep 4.6
	end=$(moment)
	run_stop db
	run_stop net
	internet=$(run_rate net "$end - 3" "$end - 0.1") database=$(run_rate db "$end - 3" "$end - 0.1")
	is_share "both at once, $flows flows: to the internet" "$internet" 20M 98 101
	is_share "both at once, $flows flows: all" "$((internet + database))" 60M 98 101
done
is "of all of it nothing was refused but what connections open with" \
	"$(pp status -o json | jq '[.limits[] | .refused - .refused_opening] | add')" 0
free "what others send is not touched" other db
free "nor what is sent back" db web

# Under load: a connection that was there is held too, and let go again.
unlimit web
run_start there web db 7 --flows 2
sleep 1.5
to web 40M "$(lab_v4 db)/32"
set=$(moment)
sleep 2
pp unlimit "$(lab_cgroup web)" --to "$(lab_v4 db)"
gone=$(moment)
sleep 1.5
run_stop there
is_share "set under load, from half a second on" "$(run_rate there "$set + 0.5" "$set + 2")" 40M 97 101
is_between "taken away, Mbit/s" "$(($(run_rate there "$gone + 0.3" "$gone + 1.2") / 1000000))" 300 1000000
is_refused "it is gone" 1 'has no egress limit to 10\.77\.0\.' \
	pp unlimit "$(lab_cgroup web)" --to "$(lab_v4 db)"

# What is received: senders are hosts that take no part, and then ones that do.
pp limit "$(lab_cgroup db)" --ingress 50M --from "$(lab_v4 web)"
sent "from one peer that takes no part, 1 flow" web db 50M --flows 1
free "from another" other db
pp peers --add "$(lab_v4 web)/32,$(lab_v4 db)/32"
sent "from one peer that takes part, 1 flow" web db 50M --flows 1
sent "from one peer that takes part, 8 flows" web db 50M --flows 8
unlimit db

# Datagrams, of one socket to one peer each.
to web 50M "$(lab_v4 db)"
LAB_RECEIVE_OPTIONS='--from 0.5' lab_traffic web db 3 --udp 100M
is_share "datagrams to it" "$(jq '.udp.rate_bps | floor' "$LAB_RECEIVE")" 50M 95 101
LAB_RECEIVE_OPTIONS='--from 0.5' lab_traffic web other 3 --udp 100M
is_share "datagrams to another" "$(jq '.udp.rate_bps | floor' "$LAB_RECEIVE")" 100M 97 101
unlimit web

# The same by objects, of which one has a pipe for each pair.
cat >"$LAB_TMP/rules.yaml" <<-END
	apiVersion: podpace.io/v1alpha1
	kind: ClusterBandwidthPolicy
	metadata: {name: web}
	spec:
	  subject: {cgroups: ["$(lab_cgroup web)"]}
	  egress:
	    rules:
	    - {name: database, to: [{ipBlock: {cidr: $(lab_v4 db)/32}}], ceil: 50M}
	    - name: others
	      to: [{ipBlock: {cidr: 10.77.0.0/24, except: [$(lab_v4 db)/32]}}]
	      per: Pair
	      ceil: 30M
END
pp apply "$LAB_TMP/rules.yaml" >/dev/null
sent "by an object, to a block" web db 50M --flows 2
sent "by an object, to another: a pair" web other 30M --flows 2
lab_address() { lab_v4 "$1"; }
run_start other web other 4 --flows 2
run_start net web net 4 --flows 2
sleep 3.6
end=$(moment)
run_stop other
run_stop net
is_share "two pairs at once, one" "$(run_rate other "$end - 2" "$end - 0.1")" 30M 97 101
is_share "two pairs at once, the other" "$(run_rate net "$end - 2" "$end - 0.1")" 30M 97 101
is "status has the rules" "$(pp status -o json | jq -r '[.limits[].peer] | sort | join("; ")')" \
	"10.77.0.0/24 except $(lab_v4 db)/32; $(lab_v4 db)/32"
pp unlimit "$(lab_cgroup web)"

is_refused "no peer" 1 'prefix.*internet' to web 50M nowhere
is_refused "host bits" 1 '10\.0\.0\.1/8' to web 50M 10.0.0.1/8
is_refused "no rate" 2 'to needs --egress RATE' pp limit "$(lab_cgroup web)" --ingress 5M --to 10.0.0.0/8
is_refused "with a share" 2 'no share' pp limit "$(lab_cgroup web)" --egress 5M --to 10.0.0.0/8 --weight 3
for i in 1 2 3 4; do
	to web 5M "10.77.0.0/$((24 + i))"
done
is_refused "a fifth for one peer" 1 'more than 4 of its limits' to web 5M 10.77.0.0/24
is "after all of it no event was counted" \
	"$(pp status -o json | jq -c '.events | [.path_full, .pairs_full, .no_storage]')" "[0,0,0]"
done_testing
