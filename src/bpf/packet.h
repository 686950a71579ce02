/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A packet and the pipes on its path, in either direction: measure, look ahead, count. */
#pragma once

/* verdicts; an egress program has more of them */
#define DROP 0
#define PASS 1

/* up to this length a TCP packet is a pure ACK, a SYN, or as harmless */
#define PP_CONTROL 120
/*
 * what a socket without a pace may send ahead of its share; the pipe refuses it beyond a queue of
 * twice that: many sockets, a packet each
 */
#define PP_OTHER_BURST (10 * PP_MSEC)
/* refuses TCP that has data in flight, and all without a pace; eight epochs if those are more */
#define PP_HARD_QUEUE (100 * PP_MSEC)
/* and this, with eight epochs on top, all but small TCP packets, which have twice that */
#define PP_LAST_QUEUE PP_NSEC

/* of a parent, which the flows of its members do not mind */
#define PP_PARENT_QUEUE (20 * PP_MSEC)
/* a socket without a limit that has seen less has no record */
#define PP_FEW_SEGMENTS 32

struct packet {
	__u64 now;
	__u64 len; /* L3 bytes, headers once per segment */
	__u32 mss; /* L3 bytes of its largest segment */
	__u32 segs;
	__u64 queue;   /* the longest on the path */
	__u64 room;    /* what of it is not the opening flows' matter: the least */
	__u64 epoch;   /* and the longest epoch; looked for where that queue is long */
	__u64 common;  /* its flow's share of the pipes for every peer; ~0: nothing limits it */
	__u64 theirs;  /* and of those of rules */
	__u32 charged; /* TCP's pacing counts it */
	__u32 unheard; /* TCP data whose sender does not hear the rate */
	__u32 mark;    /* its sender is to hear of congestion, if it can (ECN, RFC 3168) */
	__u32 shrink;  /* TCP's window is far above its clamp */
	__u32 grace;   /* a pipe is so new that the iterator may not have reached its sockets */
};

/*
 * Headers of a super-packet, which each of its segments repeats. IPv6 extension headers are not
 * looked for.
 */
static __always_inline __u32 header_len(struct __sk_buff *skb, __u32 protocol)
{
	__u32 l3 = 40;
	__u8 b = 0;

	if (skb->protocol == bpf_htons(0x0800)) {
		bpf_skb_load_bytes(skb, 0, &b, 1);
		l3 = (b & 15) * 4;
	}
	if (protocol != IPPROTO_TCP)
		return l3 + 8;
	bpf_skb_load_bytes(skb, l3 + 12, &b, 1);
	return l3 + (b >> 4) * 4;
}

static __always_inline void measure(struct __sk_buff *skb, __u32 protocol, struct packet *k)
{
	__u32 header;

	k->len = k->mss = skb->len;
	k->segs = skb->gso_segs;
	if (k->segs <= 1 && !skb->gso_size) {
		k->segs = 1;
		return;
	}
	header = header_len(skb, protocol);
	/* from outside (a guest's device, a tunnel) it may come without their number */
	if (!k->segs && k->len > header)
		k->segs = (k->len - header + skb->gso_size - 1) / skb->gso_size;
	if (k->segs <= 1) {
		k->segs = 1;
		return;
	}
	k->len += (k->segs - 1) * header;
	k->mss = skb->gso_size + header;
}

/*
 * The packet's socket has no record and cannot have one, for want of memory. Or it is being freed:
 * then its last packets are held by the queue alone, and nothing is wrong.
 */
static __always_inline void no_record(struct bpf_sock *sk)
{
	if (sk->protocol != IPPROTO_TCP || sk->state != PP_TCP_CLOSE)
		event(PP_EVENT_NO_STORAGE);
}

/*
 * Is it too early to say that the socket will have more packets than a record costs? To look for
 * pipes takes some 50 ns a packet, a record 400 ns. Listeners never have many.
 */
static __always_inline int passes_by(struct bpf_sock *sk)
{
	struct bpf_tcp_sock *tp;

	if (sk->protocol != IPPROTO_TCP || sk->type != PP_SOCK_STREAM || !(tp = bpf_tcp_sock(sk)))
		return 0;
	return tp->segs_out + tp->segs_in < PP_FEW_SEGMENTS;
}

enum pp_want {
	PP_WANT_QUEUE,
	PP_WANT_PACE,  /* and the share of a socket without a pace, as it would be told it */
	PP_WANT_EQUAL, /* and the share of a sender that cannot be told */
};

/*
 * What else a long queue is compared with. No comparison matters while the queue is not above
 * PP_OTHER_BURST.
 */
static __noinline int longest_epoch(struct pp_path *path, struct packet *k)
{
	for (__u32 i = 0; i < PP_MAX_PATH; i++) {
		struct pp_pipe *p = pipe_at(path, i);

		if (!p)
			break;
		if (in_force(p, k->now) && !p->observe)
			k->epoch = pp_max(k->epoch, p->members ? pp_tree_epoch(p) : pp_epoch_of(p));
	}
	return 0;
}

/*
 * The queue of a parent as its members' flows see it: they keep to the shares of their own pipe, of
 * which all are used in full now and then, and only what stands beyond is theirs to mend.
 */
static __always_inline __u64 beyond(__u64 queue)
{
	return queue > PP_PARENT_QUEUE ? queue - PP_PARENT_QUEUE : 0;
}

/* The queue on the path, and the longest epoch and the share if they are wanted. */
__noinline __u64 pp_look_ahead(struct pp_path *path, struct packet *k, int want)
{
	__u64 share;

	if (!path || !k)
		return ~0ULL;
	k->queue = k->epoch = 0;
	k->room = k->common = k->theirs = ~0ULL;
	if (path->parents && want != PP_WANT_QUEUE)
		pp_refresh(path, k->now);
	for (__u32 i = 0; i < PP_MAX_PATH; i++) {
		struct pp_pipe *p = pipe_at(path, i);

		if (!p)
			break;
		if (!in_force(p, k->now) || p->observe)
			continue;
		k->grace |= k->now < p->grace;
		if (p->members) {
			k->queue = pp_max(k->queue, beyond(pp_law_queue(p, k->now)));
			continue;
		}
		k->queue = pp_max(k->queue, pp_law_queue(p, k->now));
		k->room = pp_min(k->room, p->room);
		if (want == PP_WANT_QUEUE)
			continue;
		share = want == PP_WANT_PACE ? pp_pace_in(p, &path->share[i], k->now)
					     : pp_equal_in(p, &path->share[i]);
		if (i >= path->common && i < path->near)
			k->theirs = pp_min(k->theirs, share);
		else
			k->common = pp_min(k->common, share);
	}
	if (want != PP_WANT_QUEUE && k->queue > PP_OTHER_BURST)
		longest_epoch(path, k);
	return pp_min(k->common, k->theirs);
}

static __always_inline __u64 not_before(__u64 vt, __u64 now)
{
	return (__s64)(vt - now) < 0 ? now : vt;
}

/*
 * What nothing paces, looked ahead for: by the socket's own clocks, *own and, in the pipes of
 * rules, the path's, at its shares, which it may be ahead of by burst. must_pass: refused for its
 * share it would stall. Returns a refusal, or -1.
 */
static __always_inline int police_by_clock(__u64 *own, struct pp_path *path, struct packet *k,
					   __u64 burst, int must_pass)
{
	__u64 vt = not_before(*own, k->now), theirs = not_before(path->vt, k->now);
	__u64 ahead = pp_max(vt, theirs) - k->now;

	if (k->queue > pp_max(PP_HARD_QUEUE, 8 * k->epoch))
		return PP_REFUSED_HARD;
	if (!must_pass) {
		if (k->queue > pp_max(2 * burst, 2 * k->epoch))
			return PP_REFUSED_QUEUE;
		if (ahead > burst)
			return PP_REFUSED_SHARE;
	}
	k->mark = k->queue > pp_max(burst, k->epoch) || ahead > burst / 2;
	*own = vt + k->len * PP_NSEC / k->common;
	if (k->theirs != ~0ULL)
		path->vt = theirs + k->len * PP_NSEC / k->theirs;
	return -1;
}

__noinline int pp_count_refused(struct pp_path *path, struct packet *k, __u32 why)
{
	if (!path || !k)
		return 0;
	for (__u32 i = 0; i < PP_MAX_PATH; i++) {
		struct pp_pipe *p = pipe_at(path, i);

		if (!p)
			break;
		if (!in_force(p, k->now) || p->observe)
			continue;
		barrier_var(why); /* or clang moves the index's arithmetic before the check, where
				     it has no bound */
		if (why >= PP_N_REFUSAL)
			break;
		__sync_fetch_and_add(&p->refused[why], k->segs);
		__sync_fetch_and_add(&p->refused_bytes, k->len);
	}
	return 0;
}

/* The packet passes: with a mark, where it is to have one and can. */
static __always_inline void mark_ce(struct __sk_buff *skb, struct packet *k)
{
	k->mark = k->mark && bpf_skb_ecn_set_ce(skb) == 1;
}

/* In a parent, of its member m, or where it is only observed: what would be too much is counted. */
static __always_inline void arrive_above(struct pp_pipe *p, struct pp_pipe *m, struct packet *k)
{
	__u64 q = pp_tree_arrive_in(p, m, k->now, k->len, k->mss);

	if (!p->observe || q < PP_TREE_DEBT)
		return;
	__sync_fetch_and_add(&p->refused[PP_REFUSED_QUEUE], k->segs);
	__sync_fetch_and_add(&p->refused_bytes, k->len);
}

__noinline int pp_count_passed(struct pp_path *path, struct packet *k)
{
	if (!path || !k)
		return 0;
	/* from the outermost in: a parent's news reach its member with this packet */
	for (__u32 j = 0; j < PP_MAX_PATH; j++) {
		__u32 i = PP_MAX_PATH - 1 - j;
		struct pp_pipe *p = pipe_at(path, i);

		if (!p || !in_force(p, k->now))
			continue;
		/* what was in flight when the limit came is nobody's to make up for */
		if (k->unheard && k->grace && k->queue >= PP_HARD_QUEUE)
			pp_law_pass_by(p, k->len);
		else if (!paces(p))
			arrive_above(p, member_at(path, i), k);
		else
			pp_arrive_in(p, &path->share[i], k->now, k->len, k->mss);
		if (k->charged)
			pp_law_charged(&path->share[i], k->now);
		__sync_fetch_and_add(&p->packets, k->segs);
		if (k->mark)
			__sync_fetch_and_add(&p->marked, k->segs);
		if (k->unheard)
			__sync_fetch_and_add(&p->unheard, k->segs);
	}
	return 0;
}
