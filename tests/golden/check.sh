#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What podpace check says of each NAME.yaml of this folder, and podpace plan of each in plan, beside NAME.out, which
# has its exit status in the last line. UPDATE=1 writes the latter anew: read the difference before you commit it.
set -u
cd "$(dirname "$0")" || exit 1
PODPACE=$(realpath "${PODPACE:-../../build/podpace}")
COUNT=0 FAILED=0

# compare FOLDER NAME COMMAND...: what the command says, in the folder, is what NAME.out has.
compare() {
	local out=$1/$2.out said difference
	COUNT=$((COUNT + 1))
	said=$(cd "$1" && "${@:3}" 2>&1; echo "exit $?")
	[ -z "${UPDATE:-}" ] || echo "$said" >"$out"
	if difference=$(diff -u "$out" - <<<"$said"); then
		echo "ok $COUNT - $1/$2"
	else
		echo "not ok $COUNT - $1/$2"
		sed 's/^/#   /' <<<"$difference"
		FAILED=1
	fi
}

for file in *.yaml; do
	compare . "${file%.yaml}" "$PODPACE" check "$file"
done
for file in plan/*.yaml; do
	name=${file##*/}
	compare plan "${name%.yaml}" "$PODPACE" plan "$name"
done
compare plan nodes-one "$PODPACE" plan --node one nodes.yaml
compare plan nodes-two "$PODPACE" plan --node two nodes.yaml
compare plan nodes-twice "$PODPACE" plan nodes.yaml list.yaml
compare plan nodes-none "$PODPACE" plan --node three nodes.yaml
compare plan json "$PODPACE" plan -o json observe.yaml class-refused.yaml
compare plan json-rules "$PODPACE" plan -o json rules-cgroups.yaml
echo "1..$COUNT"
exit "$FAILED"
