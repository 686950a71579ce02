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
 * Behind the trees come the pipes of rules (match.h) that are for the peer and its port, then those
 * of the uplink, which has a tree of its own of pipes that count only what has its other end off
 * this node: pp_path.near of the pipes are for a peer on it. A connection has one peer. For a
 * listener's packets and datagrams, where there are rules the path is looked up again when the peer
 * is another one than the last, and whether it is on this node is looked up each time.
 */
#pragma once

/* Bits of enum pp_dir: in which directions has the cgroup a pipe? */
static __always_inline __u32 pipes_of(__u64 cgroup_id)
{
	struct pp_slot *slot = cgroup_id ? bpf_map_lookup_elem(&pp_slots, &cgroup_id) : NULL;

	if (!slot)
		return 0;
	return (slot->pipe[PP_EGRESS] | slot->uplink[PP_EGRESS] | slot->cap[PP_EGRESS][0] |
				slot->rule[PP_EGRESS][0].pipe
			? 1 << PP_EGRESS
			: 0) |
	       (slot->pipe[PP_INGRESS] | slot->uplink[PP_INGRESS] | slot->cap[PP_INGRESS][0] |
				slot->rule[PP_INGRESS][0].pipe
			? 1 << PP_INGRESS
			: 0);
}

static __always_inline int has_turns(const struct pp_pipe *p)
{
	return p->kind >= PP_KIND_RULE && p->kind <= PP_KIND_PAIR;
}

/*
 * Pipe p takes the place of another at n: the flow is new to it. But a socket that has another peer
 * with each packet would be new with each, a thousand flows that share a pipe, and its one clock
 * would make each peer wait for what the others may have: it leaves what it did in a rule's pipe
 * there, and finds it again.
 */
static __always_inline void take_place(struct pp_path *path, __u32 n, struct pp_pipe *p)
{
	__u32 k = path->pipe[n];
	struct pp_pipe *was = path->rules & PP_HAD_TURN ? bpf_map_lookup_elem(&pp_pipes, &k) : NULL;

	if (was && has_turns(was)) {
		was->turns = path->share[n];
		was->turns_vt = path->vt;
	}
	if (path->rules & PP_TAKES_TURNS && has_turns(p)) {
		path->share[n] = p->turns;
		path->vt = p->turns_vt;
	} else {
		__builtin_memset(&path->share[n], 0, sizeof(path->share[n]));
	}
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
		take_place(path, n, p);
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

	if (!path)
		return 0;
	path->rules = 0;
	if (!slot)
		return 0;
	if (!path->identity)
		path->identity = slot->identity;
	if (slot->rule[dir == PP_INGRESS][0].pipe)
		path->rules = PP_HAS_RULES;
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
	path->n = path->parents = path->near = path->all = path->rules = path->common = 0;
	path->identity = 0;
}

/* Append what the cgroup's rules have for this party. */
__noinline int pp_path_rules(struct pp_path *path, __u64 cgroup_id, __u32 dir, struct party *q)
{
	struct pp_slot *slot = bpf_map_lookup_elem(&pp_slots, &cgroup_id);

	if (!path || !slot || !q)
		return 0;
	for (int i = 0; i < PP_SLOT_RULES; i++) {
		struct pp_slot_rule *r = &slot->rule[dir == PP_INGRESS][i];
		__u32 k = r->pipe;
		struct pp_pipe *p;

		if (!k)
			break;
		if (!pp_match_has(r->match, q))
			continue;
		p = bpf_map_lookup_elem(&pp_pipes, &k);
		if (p && p->kind == PP_KIND_PAIRS)
			k = pp_pair_of(k, q);
		pp_path_append(path, k);
	}
	return 0;
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
	struct pp_local pod;

	if (bpf_map_lookup_elem(&pp_locals, peer))
		return 1;
	/* the address may be a service's */
	if (!l || !l->identity)
		return 0;
	pod = local_of_pod(l->identity);
	return bpf_map_lookup_elem(&pp_locals, &pod) != NULL;
}

/* Of a path with pipes of the uplink's, those that count the packet. */
__noinline int pp_narrow(struct __sk_buff *skb, struct pp_path *path, __u32 dir)
{
	struct bpf_sock *sk = skb->sk;
	struct pp_local peer;

	if (!path || !sk || !(sk = bpf_sk_fullsock(sk)))
		return 0;
	__builtin_memset(&peer, 0, sizeof(peer));
	pp_peer_of_skb(skb, &peer, dir);
	path->n = is_near(&peer, bpf_sk_storage_get(&pp_links, sk, 0, 0)) ? path->near : path->all;
	return 0;
}
