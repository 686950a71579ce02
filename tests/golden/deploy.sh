#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What deploy/ gives users is valid: the examples to podpace check, the unit to systemd.
set -u
cd "$(dirname "$0")/../.." || exit 1
PODPACE=${PODPACE:-build/podpace}
COUNT=0 FAILED=0 GOOD=()

# result NAME STATUS OUTPUT
result() {
	COUNT=$((COUNT + 1))
	if [ "$2" = 0 ]; then
		echo "ok $COUNT - $1"
	else
		echo "not ok $COUNT - $1"
		sed 's/^/#   /' <<<"$3"
		FAILED=1
	fi
}

for file in deploy/examples/*.yaml; do
	said=$("$PODPACE" check "$file" 2>&1)
	status=$?
	case $said in
	*': nodes is not known;'*)
		COUNT=$((COUNT + 1))
		echo "ok $COUNT - $file # SKIP spec.subject.nodes is not built yet"
		continue
		;;
	esac
	result "$file" "$status" "$said"
	GOOD+=("$file")
done
said=$("$PODPACE" check "${GOOD[@]}" 2>&1)
result "all in one cluster" $? "$said"

# the program's place is PREFIX's; here it is the one that was built
if command -v systemd-analyze >/dev/null; then
	UNIT=$(mktemp -d)/podpace.service
	sed "s|/usr/local/sbin/podpace|$(realpath "$PODPACE")|" deploy/podpace.service >"$UNIT"
	said=$(systemd-analyze verify --man=no "$UNIT" 2>&1)
	result "deploy/podpace.service" $? "$said"
	# what systemd does not know it only warns of
	result "deploy/podpace.service: no warning" "$([ -z "$said" ] && echo 0 || echo 1)" "$said"
	rm -r "$(dirname "$UNIT")"
else
	COUNT=$((COUNT + 1))
	echo "ok $COUNT - deploy/podpace.service # SKIP no systemd-analyze"
fi
echo "1..$COUNT"
exit "$FAILED"
