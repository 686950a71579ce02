// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What limiters.sh calls edt: each packet that a pod sends is given the time at which it may depart
 * at the pod's rate, and the fq queueing discipline keeps it until then; what would wait for more
 * than two seconds is dropped (van Jacobson, "Evolving from AFAP", Netdev 0x12; so does Cilium's
 * bandwidth manager). A tc program on the pod's device.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define SECOND 1000000000ULL
#define HORIZON (2 * SECOND)

enum { PASS = 0, DROP = 2 }; /* TC_ACT_OK, TC_ACT_SHOT */

struct departure {
	__u64 rate; /* bytes/s */
	__u64 last; /* when the last packet departs, ns */
	__u64 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct departure);
} limit SEC(".maps");

SEC("tc")
int edt(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct departure *d = bpf_map_lookup_elem(&limit, &zero);
	__u64 now = bpf_ktime_get_ns(), at = skb->tstamp, next;

	if (!d || !d->rate)
		return PASS;
	if (at < now)
		at = now;
	next = d->last + skb->wire_len * SECOND / d->rate;
	if (next <= at) {
		d->last = at;
		return PASS;
	}
	if (next - now >= HORIZON)
		return DROP;
	d->last = next;
	skb->tstamp = next;
	return PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
