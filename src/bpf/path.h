/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which pipes a socket's packets cross: those of its cgroup and of every cgroup above it.
 *
 * The path is kept in the socket's record with the generation it belongs to and is looked up again
 * when user space or a removed cgroup changes the generation. A socket belongs to the cgroup of the
 * task that created it, for good; a connection that a listener accepts belongs to the listener's.
 */
#pragma once

/*
 * Append the cgroup's pipe of one direction, and take its identity if none was nearer. What the
 * flow did in a pipe is kept if the pipe stands where it stood before.
 */
__noinline int pp_path_add(struct pp_path *path, __u64 cgroup_id, __u32 dir)
{
	struct pp_slot *slot = bpf_map_lookup_elem(&pp_slots, &cgroup_id);
	__u32 k, n;

	if (!path || !slot)
		return 0;
	if (!path->identity)
		path->identity = slot->identity;
	k = dir == PP_EGRESS ? slot->pipe[PP_EGRESS] : slot->pipe[PP_INGRESS];
	if (!k)
		return 0;
	n = path->n;
	if (n >= PP_MAX_PATH) {
		event(PP_EVENT_PATH_FULL);
		return 0;
	}
	if (path->pipe[n] != k)
		__builtin_memset(&path->share[n], 0, sizeof(path->share[n]));
	path->pipe[n] = k;
	path->n = n + 1;
	return 0;
}

/*
 * From a packet: the helper knows its socket's ancestors by level, 0 for a level it does not have.
 */
static __noinline int path_of_skb(struct __sk_buff *skb, struct pp_path *path, __u64 gen, __u32 dir)
{
	path->n = 0;
	path->identity = 0;
	for (int level = PP_MAX_DEPTH - 1; level >= 0; level--) {
		__u64 id = bpf_skb_ancestor_cgroup_id(skb, level);

		if (id)
			pp_path_add(path, id, dir);
	}
	path->gen = gen;
	return 0;
}

/* From a socket, where there is no packet: from its cgroup up, by the kernel's own pointers. */
static __noinline int path_of_sock(struct tcp_sock *tp, struct pp_path *path, __u64 gen, __u32 dir)
{
	struct cgroup *cg = BPF_CORE_READ((struct sock *)tp, sk_cgrp_data.cgroup);
	struct cgroup_subsys_state *css;

	path->n = 0;
	path->identity = 0;
	path->local =
		BPF_CORE_READ((struct sock *)tp, sk_dst_cache, dev, ifindex) == PP_LOOPBACK_IFINDEX;
	for (int i = 0; cg && i < PP_MAX_WALK; i++) {
		pp_path_add(path, BPF_CORE_READ(cg, kn, id), dir);
		css = BPF_CORE_READ(cg, self.parent);
		/* `self` is embedded in its cgroup: step from the member to the whole */
		cg = css ? (void *)css - bpf_core_field_offset(struct cgroup, self) : NULL;
	}
	/* deeper than this looks: the path is not known, the packet programs find it by levels */
	path->gen = cg ? 0 : gen;
	return 0;
}

static __noinline __u64 identity_of_sock(struct tcp_sock *tp)
{
	struct cgroup *cg = BPF_CORE_READ((struct sock *)tp, sk_cgrp_data.cgroup);
	struct cgroup_subsys_state *css;

	for (int i = 0; cg && i < PP_MAX_WALK; i++) {
		__u64 id = BPF_CORE_READ(cg, kn, id);
		struct pp_slot *slot = bpf_map_lookup_elem(&pp_slots, &id);

		if (slot && slot->identity)
			return slot->identity;
		css = BPF_CORE_READ(cg, self.parent);
		cg = css ? (void *)css - bpf_core_field_offset(struct cgroup, self) : NULL;
	}
	return 0;
}
