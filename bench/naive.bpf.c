// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What limits.sh calls naive: a token bucket for a cgroup, filled at a rate, a second's worth at
 * most; what finds it empty is dropped. It is how bandwidth is often limited in eBPF at first.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define SECOND 1000000000ULL

struct bucket {
	__u64 rate;   /* bytes/s */
	__u64 tokens; /* bytes */
	__u64 filled; /* when, ns; 0: never */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bucket);
} bucket SEC(".maps");

SEC("cgroup_skb/egress")
int naive(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct bucket *b = bpf_map_lookup_elem(&bucket, &zero);
	__u64 now = bpf_ktime_get_ns(), gone, len = skb->len;

	if (!b)
		return 1;
	gone = now - b->filled;
	if (gone > SECOND)
		gone = SECOND;
	b->filled = now;
	b->tokens += b->rate * gone / SECOND;
	if (b->tokens > b->rate)
		b->tokens = b->rate;
	if (skb->gso_segs > 1)
		len += (skb->gso_segs - 1) * 52;
	if (b->tokens < len)
		return 0;
	b->tokens -= len;
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
