/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which pipes a socket's packets cross: those of its cgroup and of every cgroup above it.
 *
 * The path is kept in the socket's record with the generation it belongs to and is looked up again
 * when user space or a removed cgroup changes the generation. A socket belongs to the cgroup of the
 * task that created it, for good; a connection that a listener accepts belongs to the listener's.
 *
 * Most sockets have no limit above them, and may be gone after some packets: looking is made cheap
 * for them. Of a cgroup's ancestors only those are looked up at whose level there are slots at all,
 * and what is not found is not remembered (passes_by()) until a socket has seen more packets than a
 * record costs.
 *
 * The uplink has a tree of its own, of pipes that count only what has its other end off this node:
 * pp_path.near of the pipes are for a peer on it. A connection has one peer; for a listener's
 * packets and datagrams it is looked up each time.
 */
#pragma once

/* Bits of enum pp_dir: in which directions has the cgroup a pipe? */
static __always_inline __u32 pipes_of(__u64 cgroup_id)
{
	struct pp_slot *slot = cgroup_id ? bpf_map_lookup_elem(&pp_slots, &cgroup_id) : NULL;

	if (!slot)
		return 0;
	return (slot->pipe[PP_EGRESS] | slot->uplink[PP_EGRESS] | slot->cap[PP_EGRESS][0]
			? 1 << PP_EGRESS
			: 0) |
	       (slot->pipe[PP_INGRESS] | slot->uplink[PP_INGRESS] | slot->cap[PP_INGRESS][0]
			? 1 << PP_INGRESS
			: 0);
}

/*
 * Append a pipe that is not there yet. What the flow did in a pipe is kept if the pipe stands where
 * it stood before. Returns its parent, 0 for none.
 */
__noinline __u32 pp_path_append(struct pp_path *path, __u32 k)
{
	struct pp_pipe *p = bpf_map_lookup_elem(&pp_pipes, &k);
	__u32 n;

	if (!path || !p)
		return 0;
	n = path->n;
	for (__u32 i = 0; i < PP_MAX_PATH && i < n; i++)
		if (path->pipe[i] == k)
			return 0;
	if (n >= PP_MAX_PATH) {
		event(PP_EVENT_PATH_FULL);
		return 0;
	}
	if (path->pipe[n] != k)
		__builtin_memset(&path->share[n], 0, sizeof(path->share[n]));
	path->pipe[n] = k;
	path->n = n + 1;
	path->parents += p->members > 0;
	return p->parent;
}

/*
 * Is pipe k to be appended, and nothing before it is its member? Then what comes this way has no
 * share of it.
 */
__noinline int pp_path_lacks_member(struct pp_path *path, __u32 k)
{
	struct pp_pipe *last = NULL;

	if (!path)
		return 0;
	for (__u32 i = 0; i < PP_MAX_PATH; i++) {
		struct pp_pipe *p = pipe_at(path, i);

		if (!p)
			break;
		if (path->pipe[i] == k)
			return 0;
		last = p;
	}
	return !last || last->parent != k;
}

/*
 * Append the cgroup's pipe of one direction with all above it in its tree, and take its identity if
 * none was nearer. What the cgroup itself sends, or one below it that has no share, is no member's:
 * where its pipe has members, that goes through a pipe of its own. Returns its pipe in the tree of
 * the uplink, 0 for none.
 */
__noinline __u32 pp_path_add(struct pp_path *path, __u64 cgroup_id, __u32 dir)
{
	struct pp_slot *slot = bpf_map_lookup_elem(&pp_slots, &cgroup_id);
	__u32 k, own, cap[PP_MAX_CAPS];

	if (!path || !slot)
		return 0;
	if (!path->identity)
		path->identity = slot->identity;
	k = dir == PP_EGRESS ? slot->pipe[PP_EGRESS] : slot->pipe[PP_INGRESS];
	own = dir == PP_EGRESS ? slot->own[PP_EGRESS] : slot->own[PP_INGRESS];
	if (own && pp_path_lacks_member(path, k))
		pp_path_append(path, own);
	for (int i = 0; k && i < PP_MAX_PATH; i++)
		k = pp_path_append(path, k);
	if (dir == PP_EGRESS)
		__builtin_memcpy(cap, slot->cap[PP_EGRESS], sizeof(cap));
	else
		__builtin_memcpy(cap, slot->cap[PP_INGRESS], sizeof(cap));
	for (int i = 0; i < PP_MAX_CAPS; i++)
		if (cap[i])
			pp_path_append(path, cap[i]);
	return dir == PP_EGRESS ? slot->uplink[PP_EGRESS] : slot->uplink[PP_INGRESS];
}

static __always_inline void begin_path(struct pp_path *path)
{
	path->n = path->parents = path->near = path->all = 0;
	path->identity = 0;
}

/* All that counts everything is there; up is the nearest pipe in the tree of the uplink, or 0. */
__noinline int pp_path_end(struct pp_path *path, __u32 up, __u64 gen)
{
	if (!path)
		return 0;
	path->near = path->n;
	for (int i = 0; up && i < PP_MAX_PATH; i++)
		up = pp_path_append(path, up);
	path->all = path->n;
	path->gen = gen;
	return 0;
}

/* Is it an address of this node, or is the identity that the peer has said one of a pod on it? */
static __always_inline int is_near(const struct pp_local *peer, const struct pp_link *l)
{
	struct pp_local pod = { .addr = { 255, 255, 255, 255, 255, 255, 255, 255 } };

	if (bpf_map_lookup_elem(&pp_locals, peer))
		return 1;
	/* the address may be a service's */
	if (!l || !l->identity)
		return 0;
	__builtin_memcpy(pod.addr + 8, &l->identity, 8);
	return bpf_map_lookup_elem(&pp_locals, &pod) != NULL;
}

/* Of a path with pipes of the uplink's, those that count the packet. */
__noinline int pp_narrow(struct __sk_buff *skb, struct pp_path *path, __u32 dir)
{
	struct pp_local peer = { .addr = { [10] = 255, [11] = 255 } };
	struct bpf_sock *sk = skb->sk;

	if (!path || !sk || !(sk = bpf_sk_fullsock(sk)))
		return 0;
	if (skb->protocol == bpf_htons(0x0800))
		bpf_skb_load_bytes(skb, dir == PP_EGRESS ? 16 : 12, peer.addr + 12, 4);
	else
		bpf_skb_load_bytes(skb, dir == PP_EGRESS ? 24 : 8, peer.addr, 16);
	path->n = is_near(&peer, bpf_sk_storage_get(&pp_links, sk, 0, 0)) ? path->near : path->all;
	return 0;
}

/*
 * The highest level in a mask of them, which is not 0. BPF has no instruction for that: by a
 * multiplication that maps the 32 masks of ones to 32 numbers (Leiserson, Prokop, Randall, "Using
 * de Bruijn Sequences to Index a 1 in a Computer Word", 1998).
 */
const __u8 pp_ones[32] = { 0, 9,  1,  10, 13, 21, 2,  29, 11, 14, 16, 18, 22, 25, 3, 30,
			   8, 12, 20, 28, 15, 17, 24, 7,  19, 27, 23, 6,  26, 5,  4, 31 };

static __always_inline __u32 highest(__u32 levels)
{
	levels |= levels >> 1;
	levels |= levels >> 2;
	levels |= levels >> 4;
	levels |= levels >> 8;
	levels |= levels >> 16;
	return pp_ones[levels * 0x07c4acddU >> 27];
}

/*
 * From a packet: the helper knows its socket's ancestors by level, 0 for a level it does not have.
 */
__noinline int pp_path_of_skb(struct __sk_buff *skb, struct pp_path *path, struct pp_state *st,
			      __u32 dir)
{
	__u32 levels, up = 0, k;
	__u64 gen;

	if (!path || !st)
		return 0;
	gen = st->gen;
	levels = st->levels;
	begin_path(path);
	for (int i = 0; levels && i < PP_MAX_DEPTH; i++) {
		__u32 level = highest(levels);
		__u64 id = bpf_skb_ancestor_cgroup_id(skb, level);

		levels &= ~(1U << level);
		if (!id)
			continue;
		k = pp_path_add(path, id, dir);
		up = up ? up : k;
	}
	return pp_path_end(path, up, gen);
}

/*
 * The path as it is for this packet, which goes that way: looked up where it may have changed.
 */
static __always_inline void path_for(struct __sk_buff *skb, struct bpf_sock *sk,
				     struct pp_path *path, struct pp_state *st, __u32 dir,
				     __u32 way)
{
	int looked = path->gen != st->gen;

	if (looked)
		pp_path_of_skb(skb, path, st, dir);
	if (path->all == path->near)
		return;
	if (looked || sk->protocol != IPPROTO_TCP || sk->state == PP_TCP_LISTEN)
		pp_narrow(skb, path, way);
}

/* Likewise, any cgroup of the packet's socket. */
__noinline __u32 pp_pipes_of_skb(struct __sk_buff *skb, struct pp_state *st)
{
	__u32 levels = st ? st->levels : 0, dirs = 0;

	for (int i = 0; levels && i < PP_MAX_DEPTH; i++) {
		__u32 level = highest(levels);

		levels &= ~(1U << level);
		dirs |= pipes_of(bpf_skb_ancestor_cgroup_id(skb, level));
	}
	return dirs;
}

/*
 * From a socket, where there is no packet: its cgroup, and that one's ancestors by level. Global
 * functions take no pointers to what is the kernel's: these take its address, a number.
 */
static __always_inline __u64 cgroup_of(struct tcp_sock *tp)
{
	return (__u64)BPF_CORE_READ((struct sock *)tp, sk_cgrp_data.cgroup);
}

/* Of the mask, what a cgroup can have at or above its own level. */
static __always_inline __u32 levels_of(struct cgroup *cg, __u32 levels)
{
	__u32 level = cg ? BPF_CORE_READ(cg, level) : 0;

	if (!cg)
		return 0;
	return level < 31 ? levels & ((2U << level) - 1) : levels;
}

static __always_inline __u64 ancestor_id(struct cgroup *cg, __u32 level)
{
	struct cgroup *above = NULL;
	void *at = (void *)cg + level * 8;
	__u64 id = 0;

	/* each offset in its branch: where the kernel has no such member it may not be reached */
	if (bpf_core_field_exists(cg->ancestors)) {
		at += bpf_core_field_offset(struct cgroup, ancestors);
		bpf_probe_read_kernel(&above, sizeof(above), at);
		return BPF_CORE_READ(above, kn, id);
	}
	at += bpf_core_field_offset(struct cgroup___ids, ancestor_ids);
	bpf_probe_read_kernel(&id, sizeof(id), at);
	return id;
}

__noinline int pp_path_of_cgroup(struct pp_path *path, __u64 cgroup, struct pp_state *st, __u32 dir)
{
	struct cgroup *cg = (void *)cgroup;
	__u32 levels, up = 0, k;
	__u64 gen;

	if (!path || !st)
		return 0;
	gen = st->gen;
	levels = levels_of(cg, st->levels);
	begin_path(path);
	for (int i = 0; levels && i < PP_MAX_DEPTH; i++) {
		__u32 level = highest(levels);

		levels &= ~(1U << level);
		k = pp_path_add(path, ancestor_id(cg, level), dir);
		up = up ? up : k;
	}
	return pp_path_end(path, up, gen);
}

/*
 * As pp_narrow(), of a connection with peer. On older kernels (6.1) a map's key may not lie in
 * memory that a global function is given.
 */
__noinline int pp_narrow_to(struct pp_path *path, struct pp_local *peer, struct pp_link *l)
{
	struct pp_local key;

	if (!path || !peer)
		return 0;
	key = *peer;
	path->n = is_near(&key, l) ? path->near : path->all;
	return 0;
}

static __always_inline void narrow_sock(struct tcp_sock *tp, struct pp_path *path,
					struct pp_link *l)
{
	struct pp_local peer = { .addr = { [10] = 255, [11] = 255 } };
	struct sock *sk = (void *)tp;
	__u32 v4;

	if (BPF_CORE_READ(sk, __sk_common.skc_family) == PP_AF_INET6) {
		BPF_CORE_READ_INTO(&peer, sk, __sk_common.skc_v6_daddr);
	} else {
		v4 = BPF_CORE_READ(sk, __sk_common.skc_daddr);
		__builtin_memcpy(peer.addr + 12, &v4, 4);
	}
	pp_narrow_to(path, &peer, l);
}

/* l may be NULL. */
static __always_inline void path_of_sock(struct tcp_sock *tp, struct pp_path *path,
					 struct pp_state *st, __u32 dir, struct pp_link *l)
{
	pp_path_of_cgroup(path, cgroup_of(tp), st, dir);
	if (path->all != path->near)
		narrow_sock(tp, path, l);
	path->local =
		BPF_CORE_READ((struct sock *)tp, sk_dst_cache, dev, ifindex) == PP_LOOPBACK_IFINDEX;
}

__noinline __u32 pp_pipes_of_cgroup(__u64 cgroup, struct pp_state *st)
{
	struct cgroup *cg = (void *)cgroup;
	__u32 levels = st ? levels_of(cg, st->levels) : 0, dirs = 0;

	for (int i = 0; levels && i < PP_MAX_DEPTH; i++) {
		__u32 level = highest(levels);

		levels &= ~(1U << level);
		dirs |= pipes_of(ancestor_id(cg, level));
	}
	return dirs;
}

__noinline __u64 pp_identity_of_cgroup(__u64 cgroup, struct pp_state *st)
{
	struct cgroup *cg = (void *)cgroup;
	__u32 levels = st ? levels_of(cg, st->levels) : 0;

	for (int i = 0; levels && i < PP_MAX_DEPTH; i++) {
		__u32 level = highest(levels);
		__u64 id = ancestor_id(cg, level);
		struct pp_slot *slot = bpf_map_lookup_elem(&pp_slots, &id);

		levels &= ~(1U << level);
		if (slot && slot->identity)
			return slot->identity;
	}
	return 0;
}
