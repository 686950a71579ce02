#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kubectl podpace, as a person has it: what it says of a cluster's limits, and limits that it sets, for a
# time too; through the API server alone, with no more rights than the documents ask for.
#
#   kubectl.sh [CNI...]     default flannel; a cluster that is up is used as it is
#
# shellcheck disable=SC2317	# each_cni calls the functions
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# As kubectl finds a plugin: on its path.
plugin() {
	(
		ppc_join tools
		exec nsenter --net="/run/netns/$PPC_NS-cp" env "PATH=$LAB_TMP/bin:$PATH" \
			"KUBECONFIG=${AS:-$PPC_RUN/pki/admin.conf}" "$PPC_RUN/bin/kubectl" podpace "$@"
	)
}

said() {
	plugin "$@" 2>&1 || true
}

# A person who may use it in the namespace default, by the rights of docs/kubernetes.md.
person() {
	local token
	sed -n '/^<!-- kubectl rights -->$/,/^```$/p' "$LAB_TOP/docs/kubernetes.md" |
		sed '1,/^```yaml$/d; /^```$/d' >"$LAB_TMP/rights.yaml"
	k apply -f "$LAB_TMP/rights.yaml" >/dev/null || lab_fail "rights of docs/kubernetes.md"
	k create serviceaccount operator >/dev/null
	lab_defer "k delete serviceaccount operator --ignore-not-found >/dev/null 2>&1; k delete -f '$LAB_TMP/rights.yaml' --ignore-not-found >/dev/null 2>&1"
	k -n "$AGENT_NS" create rolebinding operator --role=podpace-view --serviceaccount=default:operator >/dev/null
	k create rolebinding operator --clusterrole=podpace-limit --serviceaccount=default:operator >/dev/null
	lab_defer "k -n $AGENT_NS delete rolebinding operator --ignore-not-found >/dev/null 2>&1; k delete rolebinding operator --ignore-not-found >/dev/null 2>&1"
	token=$(k create token operator)
	AS=$LAB_TMP/operator.conf
	k config view --raw --minify --flatten -o json | jq --arg token "$token" \
		'.users[0].user = {token: $token} | .contexts[0].context.namespace = "default"' >"$AS"
}

of_pod() {
	plugin status -o json | jq -r --arg pod "$1" \
		".limits[] | select(.pod == \$pod and .direction == \"egress\") | $2"
}

test_plugin() {
	local begin end
	mkdir -p "$LAB_TMP/bin"
	cp "$LAB_BIN/podpace" "$LAB_TMP/bin/kubectl-podpace"
	agent_deploy
	person
	is "nothing is limited" "$(said status)" "2 agents: nothing is limited"
	pod_start a 1 "$EGRESS=100M"
	pod_start b 1
	pod_start c 2
	becomes "status: a limit, its node, and where it is from" 10 \
		"n1 default 100000000 annotation $EGRESS true" \
		of_pod a '"\(.node) \(.namespace) \(.ceil) \(.ceil_from) \(.in_force)"'
	is "status of a namespace that has none" "$(said status -n kube-system)" \
		"2 agents: nothing is limited in namespace kube-system"

	ok "limit: returns when it is in force" plugin limit a --egress 20M
	is "and it is" "$(of_pod a '"\(.ceil) \(.ceil_from) \(.in_force)"')" \
		"20000000 annotation podpace.io/egress-limit true"
	share "20M" a c 20M --flows 4
	ok "limit: more than what is allowed" plugin limit pod/default/a --egress 1G
	is "is not given" "$(of_pod a .ceil)" 100000000
	ok "unlimit" plugin unlimit a
	is "what others allow is left" "$(of_pod a '"\(.ceil) \(.ceil_from)"')" \
		"100000000 annotation $EGRESS"

	begin=$EPOCHREALTIME
	ok "limit for a time, of a pod without another" plugin limit default/b --egress 30M --ingress 40M --for 6s
	is "in force" "$(of_pod b .ceil)" 30000000
	run_start for b c 9 --flows 2
	becomes "it ends by itself" 15 "" of_pod b .ceil
	end=$EPOCHREALTIME
	run_stop for
	is_between "after so many seconds" "$(awk -v b="$begin" -v e="$end" 'BEGIN { print e - b }')" 5 10
	is_share "until then it holds" "$(run_rate for "$begin + 3" "$begin + 5")" 30M 95 101
	ok "the annotation says when" grep -q '^30M until 20..-..-..T..:..:..Z$' \
		<(k get pod b -o 'jsonpath={.metadata.annotations.podpace\.io/egress-limit}')

	is "explain: by which object, and whether it is in force" "$(plugin explain a -o json |
		jq -r '"\(.target), \(.node): \(.limits[0].ceil_from) \(.limits[0].in_force)"')" \
		"pod default/a, n1: annotation $EGRESS true"
	ok "explain: as text" grep -q "pod default/a.*egress.*100M.*$EGRESS" <(said explain a | tr '\n' ' ')
	run_start top a c 4 --flows 1
	sleep 1.5
	is_between "top: the rate of now, Mbit/s" "$(plugin top --count 1 -o json | jq '.limits[] |
		select(.pod == "a" and .direction == "egress") | .rate / 1e6')" 90 101
	run_stop top

	annotate b "podpace.io/egress-limit=20M until noon"
	becomes "one that is not valid makes an event on the pod" 10 InvalidBandwidth \
		k get events.events.k8s.io --field-selector regarding.name=b,reason=InvalidBandwidth \
		-o 'jsonpath={.items[0].reason}'
	ok "and a row of status, which says why" grep -q "default/b .* no .*egress-limit: .*noon.* is no time" \
		<(said status)
	is "a pod that is not there" "$(said explain nobody)" \
		"kubectl podpace: pods \"nobody\" not found (HTTP 404 NotFound)"
	ok "and what is no rate" grep -q "50Mb" <(said limit a --egress 50Mb)
	ok "what may not be annotated says so" grep -q "forbidden" <(said limit kube-system/x --egress 1M)
	k -n "$AGENT_NS" delete rolebinding operator >/dev/null
	ok "who may not ask agents is told" grep -q "the agents of the cluster cannot be listed: .*forbidden" <(said status)
}

each_cni kubectl test_plugin "${@:-flannel}"
