#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What podpace check says of each NAME.yaml of this folder, beside NAME.out, which has its exit status
# in the last line. UPDATE=1 writes the latter anew: read the difference before you commit it.
set -u
cd "$(dirname "$0")" || exit 1
PODPACE=${PODPACE:-../../build/podpace}
COUNT=0 FAILED=0

for file in *.yaml; do
	name=${file%.yaml}
	said=$("$PODPACE" check "$file" 2>&1; echo "exit $?")
	COUNT=$((COUNT + 1))
	[ -z "${UPDATE:-}" ] || echo "$said" >"$name.out"
	if difference=$(diff -u "$name.out" - <<<"$said"); then
		echo "ok $COUNT - $name"
	else
		echo "not ok $COUNT - $name"
		sed 's/^/#   /' <<<"$difference"
		FAILED=1
	fi
done
echo "1..$COUNT"
exit "$FAILED"
