# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Guest test: that the guest is the host that the other guest tests count on. Needs no FILE.
set -eu

fail() {
	echo "guest: $*" >&2
	exit 1
}

# What a file system is, by where it is mounted.
[ "$(stat -f -c %t /sys/fs/cgroup)" = 63677270 ] || fail "/sys/fs/cgroup is not cgroup v2"
! grep -q ' cgroup ' /proc/mounts || fail "a cgroup v1 hierarchy is mounted"
[ "$(stat -f -c %t /sys/fs/bpf)" = cafe4a11 ] || fail "/sys/fs/bpf is not a bpffs"
[ -s /sys/kernel/btf/vmlinux ] || fail "no BTF"
grep -qw bbr /proc/sys/net/ipv4/tcp_available_congestion_control || fail "no BBR"

# Two network namespaces on a bridge, 10 ms apart by netem, under each other queueing discipline
# once.
mkdir /sys/fs/cgroup/lab
ip link add br0 type bridge
ip link set br0 up
for pod in 1 2; do
	ip netns add "p$pod"
	ip link add "v$pod" type veth peer name eth0 netns "p$pod"
	ip link set "v$pod" master br0 up
	ip -n "p$pod" addr add "10.0.0.$pod/24" dev eth0
	ip -n "p$pod" link set eth0 up
done
for qdisc in "fq" "tbf rate 1mbit burst 10kb latency 50ms" "netem delay 10ms"; do
	# shellcheck disable=SC2086 # words
	tc -n p1 qdisc replace dev eth0 root $qdisc
done
rtt=$(ip netns exec p1 ping -c 5 -i 0.05 -q 10.0.0.2 | sed -n 's,^rtt[^=]*= \([0-9]*\).*,\1,p')
[ "${rtt:-0}" -ge 10 ] || fail "least RTT ${rtt:-none} ms behind 10 ms of netem"

(
	echo $BASHPID >/sys/fs/cgroup/lab/cgroup.procs
	[ "$(cat /proc/self/cgroup)" = 0::/lab ]
) || fail "a process cannot move to /lab"

if command -v bpftool >/dev/null; then
	bpftool map create /sys/fs/bpf/pp_probe type array key 4 value 8 entries 1 name pp_probe
	bpftool map update pinned /sys/fs/bpf/pp_probe key 0 0 0 0 value 1 2 3 4 5 6 7 8
	bpftool map dump pinned /sys/fs/bpf/pp_probe | grep -q '01 02 03 04 05 06 07 08' ||
		fail "a BPF map forgets"
	rm /sys/fs/bpf/pp_probe
	bpftool btf dump file /sys/kernel/btf/vmlinux | grep -q "STRUCT 'tcp_sock'" ||
		fail "BTF without tcp_sock"
fi
clock=$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)
echo "guest: as expected; clock: $clock"
