/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who is at the other end of a flow, and which rules are for it.
 *
 * A pod is known by its identity where it has said it (feedback.h), and that counts more than the
 * address: a service's address hides who is behind it, and an address may have gone from one pod to
 * the next before anybody has told this node. Else it is known by its address.
 */
#pragma once

/* where to look for a free pipe, before the pair is left with its rule's */
#define PP_PAIR_TRIES 32

/* The other end. */
struct party {
	struct pp_local addr;
	__u64 identity; /* that it has said; 0: none */
	struct pp_local who; /* as a pair has it: the identity of a pod, or the address */
	__u32 group;
	__u16 port; /* that the packets go to, host order */
	__u8 protocol;
	__u8 turns; /* bits of enum pp_path_rules: the next packet's may be another */
};

static __always_inline struct pp_local local_of_pod(__u64 identity)
{
	struct pp_local pod = { .addr = { 255, 255, 255, 255, 255, 255, 255, 255 } };

	__builtin_memcpy(pod.addr + 8, &identity, 8);
	return pod;
}

/* The other end's address in a packet that goes that way. Returns where its ports are. */
__noinline __u32 pp_peer_of_skb(struct __sk_buff *skb, struct pp_local *peer, __u32 way)
{
	__u8 b = 0;

	if (!peer)
		return 0;
	if (skb->protocol != bpf_htons(0x0800)) {
		bpf_skb_load_bytes(skb, way == PP_EGRESS ? 24 : 8, peer->addr, 16);
		return 40; /* IPv6 extension headers are not looked for */
	}
	__builtin_memset(peer, 0, sizeof(*peer));
	peer->addr[10] = peer->addr[11] = 255;
	bpf_skb_load_bytes(skb, way == PP_EGRESS ? 16 : 12, peer->addr + 12, 4);
	bpf_skb_load_bytes(skb, 0, &b, 1);
	return (b & 15) * 4;
}

/* What a connection's other end has said of itself, and the port of one end or the other. */
static __always_inline void party_of_link(struct party *q, const struct pp_link *l, __u32 dir,
					  __u16 own, __be16 theirs)
{
	q->identity = l ? l->identity : 0;
	q->port = dir == PP_INGRESS ? own : bpf_ntohs(l && l->port ? l->port : theirs);
}

/*
 * Whom this address or identity stands for. On older kernels (6.1) a map's key may not lie in
 * memory that a global function is given.
 */
__noinline int pp_party_find(struct party *q)
{
	struct pp_local addr, pod;
	struct pp_party_info *info;
	struct pp_prefix key = { .len = 128 };
	__u32 *group;

	if (!q)
		return 0;
	addr = q->addr;
	info = bpf_map_lookup_elem(&pp_parties, &addr);
	q->who = addr;
	if (q->identity) {
		pod = local_of_pod(q->identity);
		q->who = pod;
		if (!info || info->identity != q->identity)
			info = bpf_map_lookup_elem(&pp_parties, &pod);
	} else if (info && info->identity) {
		q->who = local_of_pod(info->identity);
	}
	if (info) {
		q->group = info->group;
		return 0;
	}
	__builtin_memcpy(key.addr, &addr, sizeof(key.addr));
	group = bpf_map_lookup_elem(&pp_blocks, &key);
	q->group = group ? *group : 0;
	return 0;
}

static __always_inline int in_block(const struct pp_block *b, const __u64 *addr)
{
	return (addr[0] & b->mask[0]) == b->addr[0] && (addr[1] & b->mask[1]) == b->addr[1];
}

/* By the match's own prefixes. */
static __always_inline int in_blocks(const struct pp_match *m, const struct pp_local *addr)
{
	__u64 a[2];
	int in = 0;

	__builtin_memcpy(a, addr->addr, sizeof(a));
	for (__u32 i = 0; i < PP_MAX_MATCH_BLOCKS; i++) {
		if (i >= m->n_blocks)
			break;
		if (!in_block(&m->block[i], a))
			continue;
		if (m->block[i].except)
			return 0;
		in = 1;
	}
	return in;
}

static __always_inline int has_port(const struct pp_match *m, const struct party *q)
{
	for (__u32 i = 0; i < PP_MAX_MATCH_PORTS; i++) {
		if (i >= m->n_ports)
			break;
		if (m->port[i].protocol == q->protocol && m->port[i].first <= q->port &&
		    q->port <= m->port[i].last)
			return 1;
	}
	return !m->n_ports;
}

/* Is the party in this match, with these ports? */
__noinline int pp_match_has(__u32 match, struct party *q)
{
	struct pp_match *m = bpf_map_lookup_elem(&pp_matches, &match);
	struct pp_local addr;
	struct pp_group_in *g;
	__u32 group;

	if (!m || !q || !has_port(m, q))
		return 0;
	if (m->kind == PP_MATCH_ALL)
		return 1;
	if (m->kind == PP_MATCH_BLOCKS) {
		if (m->identity && q->identity)
			return m->identity == q->identity;
		addr = q->addr;
		return in_blocks(m, &addr);
	}
	group = q->group;
	g = bpf_map_lookup_elem(&pp_groups, &group);
	match &= PP_MAX_MATCHES - 1;
	return g && g->in[match / 64] >> (match & 63) & 1;
}

/* --- a pipe for each pair */

/* Takes an entry that is free, or 0. */
static __always_inline __u32 take_pair(struct pp_state *st)
{
	for (int i = 0; i < PP_PAIR_TRIES; i++) {
		__u32 k = PP_MAX_PIPES +
			  (__sync_fetch_and_add(&st->next_pair, 1) & (PP_MAX_PAIRS - 1));
		struct pp_pipe *p = bpf_map_lookup_elem(&pp_pipes, &k);

		if (p && __sync_val_compare_and_swap(&p->kind, PP_KIND_LIMIT, PP_KIND_PAIR) ==
				 PP_KIND_LIMIT)
			return k;
	}
	return 0;
}

/* What was taken is all zeros but for its kind. rate is like's, as it was read once. */
static __always_inline void begin_pair(struct pp_pipe *p, const struct pp_pipe *like, __u64 rate,
				       __u32 of, const struct pp_local *peer)
{
	__u64 now = bpf_ktime_get_ns();

	p->of = of;
	__builtin_memcpy(p->peer, peer, sizeof(p->peer));
	p->cgroup_id = like->cgroup_id;
	p->expires = like->expires;
	p->dir = like->dir;
	p->owner = like->owner;
	p->observe = like->observe;
	p->since = like->since;
	p->vt = now << PP_TICKS;
	p->last = now;
	p->qmin = ~0ULL;
	p->rate = rate;
}

/*
 * The pipe of a rule's pair with this party: the one there is, or a new one. Without room it is the
 * rule's own: what found none shares one limit, and an event is counted. A handshake makes none: a
 * flood of them, from addresses that are made up, would take them all.
 */
__noinline __u32 pp_pair_of(__u32 of, struct party *q)
{
	struct pp_pipe *like = bpf_map_lookup_elem(&pp_pipes, &of), *p;
	struct pp_pair key = { .of = of };
	struct pp_state *st = state();
	__u32 *was, k;
	__u64 rate;

	if (!like || !q || !st)
		return of;
	/* a rule that goes this moment makes none: one without a rate would never be taken back */
	rate = *(volatile __u64 *)&like->rate;
	if (!rate)
		return of;
	key.peer = q->who;
	was = bpf_map_lookup_elem(&pp_pairs, &key);
	if (was)
		return *was;
	if (q->turns & PP_IS_HANDSHAKE)
		return of;
	k = take_pair(st);
	p = k ? bpf_map_lookup_elem(&pp_pipes, &k) : NULL;
	if (!p) {
		event(PP_EVENT_PAIRS_FULL);
		return of;
	}
	begin_pair(p, like, rate, of, &key.peer);
	if (!bpf_map_update_elem(&pp_pairs, &key, &k, BPF_NOEXIST))
		return k;
	/* another CPU was first, or there is no memory */
	p->rate = 0;
	p->of = 0;
	p->kind = PP_KIND_LIMIT;
	was = bpf_map_lookup_elem(&pp_pairs, &key);
	return was ? *was : of;
}
