#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What is wrong is said in one line, exit 1 for a value and 2 for a command line, and what was in
# force stays in force.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

netns_init input
lab_pod a
A=$(lab_cgroup a)
command -v bpftool >/dev/null || PATH=$PATH:/usr/sbin
# begin: what is set at the beginning.
begin() {
	pp limit "$A" --egress 100M --ingress 200M
	pp peers --add 10.77.0.0/24
}

# still NAME: it is as it was.
still() {
	is "$1: the limits set before" \
		"$(field a '"\(.limit) \(.in_force)"') $(field_in a '"\(.limit) \(.in_force)"')" \
		"100000000 true 200000000 true"
	is "$1: the peers added before" "$(pp peers -o json | jq -c '[.peers[].prefix]')" '["10.77.0.0/24"]'
}

begin

# --- values: exit 1

is_refused "unknown cgroup" 1 "cgroup $A/none: there is no such cgroup" limit a/none 10M
is_refused "unknown cgroup, unlimit" 1 "$A/none: there is no such" unlimit a/none
is_refused "cgroup without a limit" 1 "$(lab_cgroup) has no limit" pp unlimit "$(lab_cgroup)"
is_refused "a file for a cgroup" 1 "$A/cgroup.procs" limit a/cgroup.procs 10M
is_refused "no slash" 1 'target "a".*slash' pp limit a --egress 10M
is_refused "a dot dot" 1 '"\.\."' pp limit "$A/../a" --egress 10M
is_refused "a name with a newline" 1 'x\\x0ay' pp limit "$A/x
y" --egress 10M
is_refused "empty target" 1 'target ""' pp limit "" --egress 10M
is_refused "a name that is too long" 1 'longer|too long' \
	pp limit "/$(printf 'x%.0s' {1..5000})" --egress 10M
is_refused "cgroup outside the root" 1 "not at or below $(lab_cgroup)" pp limit / --egress 10M
for rate in '' 10Mb 1,5G 999 0 -1 1.0000001P 2P 1e30 10K 10MB '10 M' M 10M10 .k 0x10 1e 50m ٣M; do
	is_refused "rate '$rate'" 1 '^podpace: rate ' limit a "$rate"
	is_refused "ingress rate '$rate'" 1 '^podpace: rate ' limit_in a "$rate"
done
is_refused "a good rate and a bad one" 1 '^podpace: rate "10Mb"' \
	pp limit "$A" --egress 10M --ingress 10Mb
is_refused "a bad rate and a good one" 1 '^podpace: rate "10Mb"' \
	pp limit "$A" --egress 10Mb --ingress 10M
for prefix in '' / 10 10.0.0 10.0.0.256 010.0.0.1 ' 10.0.0.0' host ::g fd00:::1 fe80::1%eth0; do
	is_refused "peers, prefix '$prefix'" 1 '^podpace: address prefix .* valid are 10' \
		pp peers --add "$prefix"
done
for prefix in 10.0.0.0/ 10.0.0.0/33 10.0.0.0/-1 10.0.0.0/8/8 fd00::/129 fd00::/x; do
	is_refused "peers, prefix '$prefix'" 1 '^podpace: address prefix .* length must be 0 to ' \
		pp peers --add "$prefix"
done
for prefix in 10.0.0.1/8 10.77.0.0/0 fd00::1/127; do
	is_refused "peers, prefix '$prefix'" 1 '^podpace: address prefix .* bits set behind' \
		pp peers --add "$prefix"
done
is_refused "peers, a newline" 1 '10.0.0.0\\x0a' pp peers --add '10.0.0.0
'
is_refused "peers, good and bad" 1 '^podpace: address prefix "10.0.0.1/8"' \
	pp peers --add 10.9.0.0/16,10.0.0.1/8
is_refused "peers, a comma too many" 1 '^podpace: address prefix ""' pp peers --add 10.9.0.0/16,
is_refused "peers, good to add, bad to remove" 1 '^podpace: address prefix "x"' \
	pp peers --add 10.9.0.0/16 --remove x
is_refused "peers, not there" 1 '^podpace: 10.9.0.0/16 is not among the peers' \
	pp peers --remove 10.9.0.0/16
is_refused "peers, a part of one" 1 '^podpace: 10.77.0.0/25 is not among the peers' \
	pp peers --remove 10.77.0.0/25
is_refused "peers, one there and one not" 1 '^podpace: fd09::/64 is not among the peers' \
	pp peers --remove 10.77.0.0/24,fd09::/64
is_refused "peers, one to add, and one that is not there" 1 '^podpace: fd09::/64 is not among' \
	pp peers --add 10.9.0.0/16 --remove fd09::/64
for direction in '' both Ingress in 'ingress '; do
	is_refused "direction '$direction'" 1 '^podpace: direction .* valid are egress and ingress' \
		pp unlimit "$A" --direction "$direction"
done
mkdir "$LAB_CGROUP2$(lab_cgroup one)"
limit_in one 10M
is_refused "no limit in this direction" 1 "cgroup $(lab_cgroup one) has no egress limit" \
	pp unlimit "$(lab_cgroup one)" --direction egress
is "no limit in this direction: the other one" "$(field_in one .limit)" 10000000
ok "unlimit in one direction" pp unlimit "$(lab_cgroup one)" --direction ingress
is "unlimit in one direction: none is left" "$(field_in one .limit)" ""
is_refused "unlimit in one direction, again" 1 "cgroup $(lab_cgroup one) has no ingress limit" \
	pp unlimit "$(lab_cgroup one)" --direction ingress
for duration in '' 0 5 2x -1s 1s1h 1ns 400d; do
	is_refused "--for '$duration'" 1 '^podpace: duration ' limit a 10M --for "$duration"
done
is_refused "output format" 1 '"xml"; valid are text and json' pp status -o xml
is_refused "--count" 1 '"0"' pp top -n 0
still "values"

# --- command lines: exit 2

is_refused "unknown command" 2 'unknown command "frob"; valid are limit' pp frob
is_refused "unknown option" 2 'unknown option "--frob"' pp status --frob
is_refused "unknown short option" 2 'unknown option "-x"' pp status -x
is_refused "an option without its value" 2 'needs a value' pp limit "$A" --egress
is_refused "no target" 2 'TARGET is missing' pp limit --egress 10M
is_refused "no target, unlimit" 2 'TARGET is missing' pp unlimit
is_refused "two targets" 2 'too many words' pp limit "$A" "$A" --egress 10M
is_refused "no rate" 2 'valid are --egress RATE, --ingress RATE' pp limit "$A"
is_refused "an option of another command" 2 'does not take --for' pp unlimit "$A" --for 2s
is_refused "--direction of limit" 2 'does not take --direction' pp limit "$A" --egress 1M --direction egress
is_refused "--direction without its value" 2 'needs a value' pp unlimit "$A" --direction
is_refused "--ingress of unlimit" 2 'does not take --ingress' pp unlimit "$A" --ingress 10M
is_refused "peers with a target" 2 'too many words' pp peers "$A"
is_refused "--add without its value" 2 'needs a value' pp peers --add
is_refused "--add of another command" 2 'does not take --add' pp limit "$A" --egress 1M --add 10.0.0.0/8
still "command lines"

# --- where it runs: exit 1

# Nobody may not look into the lab's folder, nor perhaps to where the program lies.
chmod 711 "$LAB_TMP"
install -m 755 "$PODPACE" "$LAB_TMP/podpace"
# shellcheck disable=SC2317	# called by is_refused
nobody() {
	setpriv --reuid 65534 --regid 65534 --clear-groups "$LAB_TMP/podpace" \
		--root "$(lab_cgroup)" "$@"
}
is_refused "not root, limit" 1 'needs root' nobody limit "$A" --egress 10M
is_refused "not root, status" 1 'needs root' nobody status
is_refused "not root, unload" 1 'needs root' nobody unload
is_refused "not root, peers" 1 'needs root' nobody peers
is_refused "not root, peers --add" 1 'needs root' nobody peers --add 10.9.0.0/16
ok "not root, version" eval 'nobody version >/dev/null'

mkdir "$LAB_CGROUP2$(lab_cgroup other)"
# without NAME PATTERN COMMAND: limit, after a shell command in a mount namespace of its own.
without() {
	# shellcheck disable=SC2016	# the inner shell's
	is_refused "$1" 1 "$2" unshare -m bash -c 'eval "$0" && exec "$@"' "$3" \
		"$PODPACE" --root "$(lab_cgroup other)" limit "$(lab_cgroup other)" --egress 10M
}
pp unload
# shellcheck disable=SC2016	# the inner shell's
without "no cgroup v2" 'no cgroup v2 is mounted: mount' \
	'umount -l $(awk "\$3 == \"cgroup2\" { print \$2 }" /proc/self/mounts)'
without "no BTF" 'no BTF.*CONFIG_DEBUG_INFO_BTF' 'mount -t tmpfs none /sys/kernel/btf'
is_refused "without capabilities" 1 'no permission; podpace needs root, or CAP_BPF' \
	setpriv --bounding-set=-bpf,-sys_admin,-perfmon "$PODPACE" \
	--root "$(lab_cgroup other)" limit "$(lab_cgroup other)" --egress 10M
is "nothing is left of these" \
	"$(ls -d "$NETNS_PINS"/v*/"%2Fpodpace-test%2F$LAB_ID"* 2>/dev/null)" ""

is_refused "nothing loaded: peers" 1 'not loaded' pp peers
is_refused "nothing loaded: peers --remove" 1 'not loaded' pp peers --remove 10.77.0.0/24

# --- a root above or below another

begin
is_refused "a root below another" 1 "loaded at cgroup $(lab_cgroup) already" \
	"$PODPACE" --root "$A" limit "$A" --egress 10M
# It may name another lab's.
is_refused "a root above another" 1 "loaded at cgroup /podpace-test/[^ ]* already" \
	"$PODPACE" --root /podpace-test limit "$A" --egress 10M
still "a second root"

# --- a foreign program that was attached exclusively at the root

if command -v clang >/dev/null && command -v bpftool >/dev/null; then
	pp unload
	FOREIGN=/sys/fs/bpf/pp-foreign-$$
	lab_defer "rm -f '$FOREIGN'"
	clang -O2 -target bpf -c -x c -o "$LAB_TMP/foreign.o" - <<-'END'
		__attribute__((section("cgroup_skb/egress"), used)) int foreign(void *c) { return 1; }
		char gpl[] __attribute__((section("license"), used)) = "GPL";
	END
	bpftool prog load "$LAB_TMP/foreign.o" "$FOREIGN"
	bpftool cgroup attach "$LAB_CGROUP2$(lab_cgroup)" egress pinned "$FOREIGN"
	is_refused "an exclusive program at the root" 1 \
		"cgroup $(lab_cgroup): the kernel refused to attach pp_egress.*exclusive" \
		limit a 10M
	is "an exclusive program at the root: pins left" "$(pins)" ""
	bpftool cgroup detach "$LAB_CGROUP2$(lab_cgroup)" egress pinned "$FOREIGN"
	bpftool cgroup attach "$LAB_CGROUP2$(lab_cgroup)" egress pinned "$FOREIGN" multi
	ok "a program that shares" begin
	bpftool cgroup detach "$LAB_CGROUP2$(lab_cgroup)" egress pinned "$FOREIGN"
	still "a program that shares goes"
else
	skip "an exclusive program at the root" "needs clang and bpftool"
	skip "an exclusive program at the root: pins left" "needs clang and bpftool"
	skip "a program that shares" "needs clang and bpftool"
	skip "a program that shares goes" "needs clang and bpftool"
fi

# --- no room

# Seven cgroups, one in the other, below a.
path=a
mkdir -p "$LAB_CGROUP2$(lab_cgroup a/1/2/3/4/5/6/7/8)"
for ((i = 1; i <= 7; i++)); do
	path=$path/$i
	limit "$path" 10M
done
is_refused "nine limits on a way" 1 '9 limits.*at most 8' limit "$path/8" 10M
is_refused "nine limits on a way, from above" 1 '9 limits.*at most 8' \
	pp limit "$(lab_cgroup)" --egress 10M
is_refused "nine limits on a way, and one in the other direction" 1 '9 limits.*at most 8' \
	pp limit "$(lab_cgroup "$path/8")" --egress 10M --ingress 10M
is "eight limits on a way: all in force" \
	"$(pp status -o json | jq '[.limits[] | select(.in_force)] | length')" 9
still "nine limits on a way"
ok "two limits in the other direction" limit_in "$path/8" 10M
path=a
for ((i = 1; i <= 6; i++)); do
	path=$path/$i
	limit_in "$path" 10M
done

unlimit a/1/2/3/4/5/6/7
is_refused "eight limits, and nine in the other direction" 1 '9 limits.*at most 8' \
	pp limit "$(lab_cgroup a/1/2/3/4/5/6/7)" --egress 10M --ingress 10M
is "eight limits, and nine in the other direction: neither is set" \
	"$(field a/1/2/3/4/5/6/7 .limit)$(field_in a/1/2/3/4/5/6/7 .limit)" ""
unlimit "$path/7/8"
limit a/1/2/3/4/5/6/7 10M
still "nine limits in the other direction"

# The map of slots takes 4096, of which eight are taken. Cgroups with a slot and a pipe each, as
# limit makes them (abi.h), fill it; made by limit itself they would take half a minute.
if command -v bpftool >/dev/null; then
	mkdir "$LAB_CGROUP2$(lab_cgroup many)"
	size=$(bpftool -j map show pinned "$(pins)/pp_pipes" | jq .bytes_value)
	slot=$(bpftool -j map show pinned "$(pins)/pp_slots" | jq .bytes_value)
	(cd "$LAB_CGROUP2$(lab_cgroup many)" && mkdir {1..4088} && stat -c %i {1..4088}) |
		awk -v pins="$(pins)" -v size="$size" -v slot="$slot" '
		function bytes(x, n, s) {
			for (s = ""; n--; x = int(x / 256))
				s = s " " x % 256
			return s
		}
		{
			pipe = NR + 1000
			print "map update pinned " pins "/pp_pipes key" bytes(pipe, 4) " value" \
				bytes(1000, 8) bytes($1, 8) bytes(0, size - 16)
			print "map update pinned " pins "/pp_slots key" bytes($1, 8) " value" \
				bytes(pipe, 4) bytes(0, slot - 4)
		}' >"$LAB_TMP/batch"
	bpftool batch file "$LAB_TMP/batch" >/dev/null
	is_refused "a full map" 1 "cgroup $(lab_cgroup other): the map.* is full" limit other 10M
	is "a full map: no limit is left of it" "$(field other .limit)" ""
	ok "a full map: a limit in it changes" limit a 50M
	ok "a full map: and back" limit a 100M
	ok "a full map: the other direction of one in it" limit_in a/1/2/3/4/5/6/7 10M
	still "a full map"
	unlimit a/1/2/3/4/5/6/7
	ok "room again" limit other 10M
	find "$LAB_CGROUP2$(lab_cgroup many)" -depth -type d -exec rmdir {} +
	is "all cgroups but eight removed: slots" \
		"$(bpftool -j map dump pinned "$(pins)/pp_slots" | jq length)" 8
else
	skip "a full map" "needs bpftool"
fi
done_testing
