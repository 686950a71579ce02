/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Looking a path (path.h) up: from a packet, whose socket's ancestors a helper knows, and from a
 * socket, whose cgroup is read.
 */
#pragma once

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

/* --- from a packet: the helper knows its socket's ancestors by level, 0 where there is none */

/* levels: where there are rules. */
__noinline int pp_rules_of_skb(struct __sk_buff *skb, struct pp_path *path, __u32 levels, __u32 dir,
			       struct party *q)
{
	if (!path || !q)
		return 0;
	path->rules = PP_HAS_RULES | q->turns;
	pp_party_find(q);
	for (int i = 0; levels && i < PP_MAX_DEPTH; i++) {
		__u32 level = highest(levels);
		__u64 id = bpf_skb_ancestor_cgroup_id(skb, level);

		levels &= ~(1U << level);
		if (id)
			pp_path_rules(path, id, dir, q);
	}
	return 0;
}

__noinline int pp_path_of_skb(struct __sk_buff *skb, struct pp_path *path, struct pp_state *st,
			      __u32 dir, struct party *q)
{
	__u32 levels, up = 0, k, ruled = 0;
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
		ruled |= (__u32)path->rules << level;
	}
	path->common = path->n;
	if (ruled)
		pp_rules_of_skb(skb, path, ruled, dir, q);
	return pp_path_end(path, up, gen);
}

/* Of a packet that goes that way, for the path of direction dir. */
static __always_inline void party_of_skb(struct __sk_buff *skb, struct party *q, __u32 dir,
					 __u32 way)
{
	__u32 ports = pp_peer_of_skb(skb, &q->addr, way);
	__be16 port = 0;

	bpf_skb_load_bytes(skb, dir == way ? ports + 2 : ports, &port, 2);
	q->port = bpf_ntohs(port);
}

/* Of a connection: what its socket says, whatever NAT has made of it on the packet. */
static __always_inline void party_of_sk(struct bpf_sock *sk, struct party *q, __u32 dir)
{
	struct pp_link *l = bpf_sk_storage_get(&pp_links, sk, 0, 0);
	__u32 a[4] = { 0, 0, bpf_htonl(0xffff), 0 }, last;

	/* or clang computes a pointer to one or the other: the verifier wants constant offsets */
	if (sk->family == PP_AF_INET6) {
		a[0] = sk->dst_ip6[0];
		a[1] = sk->dst_ip6[1];
		a[2] = sk->dst_ip6[2];
		last = sk->dst_ip6[3];
		barrier_var(last);
	} else {
		last = sk->dst_ip4;
	}
	a[3] = last;
	__builtin_memcpy(q->addr.addr, a, sizeof(a));
	party_of_link(q, l, dir, sk->src_port, sk->dst_port);
}

/* Has the socket another peer with each packet? */
static __always_inline int has_many_peers(struct bpf_sock *sk)
{
	return sk->protocol != IPPROTO_TCP || sk->type != PP_SOCK_STREAM ||
	       sk->state == PP_TCP_LISTEN;
}

static __always_inline int same_peer(const struct pp_path *path, const struct party *q)
{
	__u64 a[2], b[2];

	__builtin_memcpy(a, path->peer.addr, sizeof(a));
	__builtin_memcpy(b, q->addr.addr, sizeof(b));
	return a[0] == b[0] && a[1] == b[1] && path->port == q->port;
}

/*
 * A socket's datagrams go to another peer than the last. Of the pipes behind those of rules, of the
 * uplink, the place is another where more or fewer rules match: it is not new to them.
 */
__noinline int pp_path_return(struct pp_path *path)
{
	if (!path)
		return 0;
	for (__u32 i = 0; i < PP_MAX_PATH; i++) {
		struct pp_pipe *p = pipe_at(path, i);

		if (!p)
			break;
		if (!path->share[i].first)
			pp_law_return(p, &path->share[i]);
	}
	return 0;
}

/*
 * Looks the path up, if it may have changed or is another one for this packet's peer. way is the
 * packet's, dir the path's: they differ where a SYN asks for what will be sent.
 */
__noinline int pp_look_up(struct __sk_buff *skb, struct pp_path *path, struct pp_state *st,
			  __u32 dir, __u32 way)
{
	struct party q = {};
	struct bpf_sock *sk = skb->sk;
	int anew;

	if (!path || !st || !sk || !(sk = bpf_sk_fullsock(sk)))
		return 0;
	anew = path->gen != st->gen;
	q.protocol = sk->protocol;
	if (st->nrules[PP_EGRESS] | st->nrules[PP_INGRESS]) {
		if (has_many_peers(sk)) {
			party_of_skb(skb, &q, dir, way);
			if (!anew && same_peer(path, &q))
				return 0;
			path->peer = q.addr;
			path->port = q.port;
			/* a listener has handshakes, which are no flows */
			if (q.protocol == IPPROTO_TCP)
				q.turns = PP_IS_HANDSHAKE;
			else
				q.turns = anew ? PP_TAKES_TURNS : PP_TAKES_TURNS | PP_HAD_TURN;
		} else {
			party_of_sk(sk, &q, dir);
		}
	}
	pp_path_of_skb(skb, path, st, dir, &q);
	if (!anew && sk->protocol != IPPROTO_TCP)
		pp_path_return(path);
	return 0;
}

/*
 * The path as it is for this packet, which goes that way: looked up where it may have changed.
 */
static __always_inline void path_for(struct __sk_buff *skb, struct bpf_sock *sk,
				     struct pp_path *path, struct pp_state *st, __u32 dir,
				     __u32 way)
{
	int looked = path->gen != st->gen, many = has_many_peers(sk);

	if (looked || (many && path->rules))
		pp_look_up(skb, path, st, dir, way);
	if (path->all == path->near)
		return;
	if (looked || many)
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

/* levels: where there are rules. */
__noinline int pp_rules_of_cgroup(struct pp_path *path, __u64 cgroup, __u32 levels, __u32 dir,
				  struct party *q)
{
	struct cgroup *cg = (void *)cgroup;

	if (!path)
		return 0;
	path->rules = PP_HAS_RULES;
	pp_party_find(q);
	for (int i = 0; levels && i < PP_MAX_DEPTH; i++) {
		__u32 level = highest(levels);

		levels &= ~(1U << level);
		pp_path_rules(path, ancestor_id(cg, level), dir, q);
	}
	return 0;
}

__noinline int pp_path_of_cgroup(struct pp_path *path, __u64 cgroup, struct pp_state *st, __u32 dir,
				 struct party *q)
{
	struct cgroup *cg = (void *)cgroup;
	__u32 levels, up = 0, k, ruled = 0;
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
		ruled |= (__u32)path->rules << level;
	}
	path->common = path->n;
	if (ruled)
		pp_rules_of_cgroup(path, cgroup, ruled, dir, q);
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

/* The connection's other end, for the path of what it sends or receives. */
static __always_inline void party_of_tcp(struct tcp_sock *tp, struct party *q, __u32 dir,
					 struct pp_link *l)
{
	struct sock *sk = (void *)tp;
	__u32 v4;

	if (BPF_CORE_READ(sk, __sk_common.skc_family) == PP_AF_INET6) {
		BPF_CORE_READ_INTO(&q->addr, sk, __sk_common.skc_v6_daddr);
	} else {
		q->addr.addr[10] = q->addr.addr[11] = 255;
		v4 = BPF_CORE_READ(sk, __sk_common.skc_daddr);
		__builtin_memcpy(q->addr.addr + 12, &v4, 4);
	}
	q->protocol = IPPROTO_TCP;
	party_of_link(q, l, dir, BPF_CORE_READ(sk, __sk_common.skc_num),
		      BPF_CORE_READ(sk, __sk_common.skc_dport));
}

/* l may be NULL. */
static __always_inline void path_of_sock(struct tcp_sock *tp, struct pp_path *path,
					 struct pp_state *st, __u32 dir, struct pp_link *l)
{
	struct party q = {};

	party_of_tcp(tp, &q, dir, l);
	pp_path_of_cgroup(path, cgroup_of(tp), st, dir, &q);
	if (path->all != path->near)
		pp_narrow_to(path, &q.addr, l);
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
