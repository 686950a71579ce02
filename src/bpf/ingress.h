/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets on their way in: count them in every pipe of their path and run the law, as for those on
 * their way out. What R comes to is carried out elsewhere: a sender that takes part in feedback is
 * told (feedback.h), one that does not is held by the receive window (window.h). Dropping is the
 * last means here: for TCP it means to send again, since nobody can be told that a packet was not
 * delivered.
 *
 * The program runs before the socket is locked: two packets of a connection may be in it at once.
 */
#pragma once

/*
 * What a sender that does not hear its rate may be ahead of its share before its ACKs are withheld
 * (window.h), and then before its packets are dropped, or halfway there marked; beside two round
 * trips, since it may send a window at a time
 */
#define PP_UNHEARD_AHEAD (15 * PP_MSEC)
#define PP_UNHEARD_DROP (50 * PP_MSEC)
/* the most it may be ahead, where it takes long to come back; and what is long */
#define PP_UNHEARD_MOST (400 * PP_MSEC)
#define PP_UNHEARD_LONG (100 * PP_MSEC)

/*
 * What a connection may send before that, while the queue is not too long: what is sent in the
 * first round trip (RFC 6928) nobody could slow. How many connections do so admission decides.
 */
#define PP_FIRST_SEGMENTS 10
#define PP_FIRST_WINDOW 15000

static __always_inline __u64 ahead_of(const struct pp_inflow *in)
{
	return (in->ahead_us ? in->ahead_us * PP_USEC : PP_UNHEARD_AHEAD) +
	       2 * PP_USEC * in->rtt_us;
}

__noinline int pp_note_lull(struct pp_path *path, __u64 ns)
{
	if (!path)
		return 0;
	for (__u32 i = 0; i < PP_MAX_PATH; i++) {
		struct pp_pipe *p = pipe_at(path, i);

		if (!p)
			break;
		if (paces(p))
			pp_law_silent(p, ns);
	}
	return 0;
}

/*
 * A TCP packet with data whose sender hears its rate, half a round trip late: what it sends then
 * arrives half a round trip later. Returns a refusal, or -1.
 */
static __always_inline int police_heard(struct pp_inflow *in, struct packet *k)
{
	if (in->rtt_us > PP_MSEC / PP_USEC)
		pp_note_lull(&in->path, in->rtt_us * PP_USEC);
	pp_look_ahead(&in->path, k, PP_WANT_QUEUE);
	/* when a limit is new the iterator may not have told the connection to tell its sender */
	if (k->queue < (k->grace ? PP_LAST_QUEUE : PP_HARD_QUEUE))
		return -1;
	pp_look_ahead(&in->path, k, PP_WANT_PACE);
	return k->queue > pp_max(PP_HARD_QUEUE, 8 * k->epoch) ? PP_REFUSED_HARD : -1;
}

/*
 * ACKs were withheld, and the sender was silent for so long before it tried again. One that waits
 * for its retransmission timeout, since it has no probe, or the ACK of its probe was withheld too,
 * may be ahead by as much, or its share would lie fallow.
 */
static __always_inline void learn_ahead(struct pp_inflow *in, __u64 silent)
{
	__u64 ahead = in->ahead_us ? in->ahead_us * PP_USEC : PP_UNHEARD_AHEAD;

	if (silent > PP_UNHEARD_LONG)
		ahead = pp_max(ahead, pp_min(silent, PP_UNHEARD_MOST));
	else
		ahead = pp_max(ahead - ahead / 256, PP_UNHEARD_AHEAD);
	in->ahead_us = ahead / PP_USEC;
}

/*
 * And one whose sender does not. It may come in any amount when a limit is new, or a connection:
 * that is in flight, and dropped it would cost the sender a second of timeouts. It is let in, and
 * what the sender may have in flight next is small. From then on each is held by its own clock.
 */
static __always_inline int police_unheard(struct pp_inflow *in, struct packet *k)
{
	__u64 share = pp_look_ahead(&in->path, k, PP_WANT_EQUAL), vt = in->vt;
	__u64 most = ahead_of(in) + PP_UNHEARD_DROP;

	if ((__s64)(vt - k->now) < 0)
		vt = k->now;
	k->unheard = 1;
	if (in->withheld)
		learn_ahead(in, k->now - in->came);
	pp_note_lull(&in->path, pp_max(in->withheld ? k->now - in->came : 0, in->rtt_us * PP_USEC));
	in->withheld = 0;
	in->came = k->now;
	if (!k->grace && vt - k->now > most &&
	    (in->bytes > PP_FIRST_WINDOW || k->queue > PP_HARD_QUEUE))
		return PP_REFUSED_SHARE;
	if (!k->grace && k->queue > PP_LAST_QUEUE + 8 * k->epoch)
		return PP_REFUSED_HARD;
	k->mark = vt - k->now > most - PP_UNHEARD_DROP / 2;
	vt += k->len * PP_NSEC / share;
	in->vt = k->grace ? pp_min(vt, k->now + most) : vt;
	return -1;
}

/*
 * Is there no connection yet? Its first data may overtake, on another CPU, the ACK that ends the
 * handshake; the record is the listener's then, and its clock nobody's.
 */
static __always_inline int opens(struct bpf_sock *sk)
{
	return sk->state == PP_TCP_LISTEN || sk->state == PP_TCP_SYN_RECV;
}

static __noinline int police_in(struct bpf_sock *sk, struct pp_inflow *in, struct packet *k)
{
	if (sk->protocol != IPPROTO_TCP || sk->type != PP_SOCK_STREAM) {
		pp_look_ahead(&in->path, k, PP_WANT_PACE);
		return police_by_clock(&in->vt, &in->path, k, PP_OTHER_BURST, 0);
	}
	if (k->len > PP_CONTROL && !opens(sk))
		return in->paced ? police_heard(in, k) : police_unheard(in, k);
	pp_look_ahead(&in->path, k, PP_WANT_QUEUE);
	return k->queue > PP_LAST_QUEUE * 2 ? PP_REFUSED_HARD : -1;
}

/*
 * As flow_of(). A listener needs one where its SYN-ACKs say something, but a child would have it
 * too.
 */
static __always_inline struct pp_inflow *inflow_of(struct __sk_buff *skb, struct bpf_sock *sk,
						   struct pp_state *st)
{
	struct pp_inflow *in = bpf_sk_storage_get(&pp_inflows, sk, 0, 0);
	__u32 zero = 0;

	if (!in) {
		if (passes_by(sk) && !(sk->state == PP_TCP_LISTEN && st->nprefixes) &&
		    !(pp_pipes_of_skb(skb, st) & 1 << PP_INGRESS))
			return NULL;
		in = RECORD_OF(&pp_inflows, sk);
	}
	if (!in) {
		no_record(sk);
		in = bpf_map_lookup_elem(&pp_scratch, &zero);
		if (!in)
			return NULL;
		__builtin_memset(in, 0, sizeof(*in));
	}
	path_for(skb, sk, &in->path, st, PP_INGRESS, PP_INGRESS);
	return in;
}

/* What the flow may be told: ~0 where nothing limits it. */
__noinline __u64 pp_rate_in(struct pp_path *path, __u64 now)
{
	__u64 rate = ~0ULL;

	if (!path || path->local)
		return rate;
	if (path->parents)
		pp_refresh(path, now);
	for (__u32 i = 0; i < PP_MAX_PATH; i++) {
		struct pp_pipe *p = pipe_at(path, i);

		if (!p)
			break;
		if (in_force(p, now) && paces(p))
			rate = pp_min(rate, pp_pace_in(p, &path->share[i], now));
	}
	return rate;
}

/* What a sender that cannot be told may send: its equal share; ~0 where nothing limits it. */
__noinline __u64 pp_equal_rate(struct pp_path *path, __u64 now)
{
	__u64 rate = ~0ULL;

	if (!path || path->local)
		return rate;
	if (path->parents)
		pp_refresh(path, now);
	for (__u32 i = 0; i < PP_MAX_PATH; i++) {
		struct pp_pipe *p = pipe_at(path, i);

		if (!p)
			break;
		if (in_force(p, now) && paces(p))
			rate = pp_min(rate, pp_equal_in(p, &path->share[i]));
	}
	return rate;
}

SEC("cgroup_skb/ingress")
int pp_ingress(struct __sk_buff *skb)
{
	struct pp_state *st = state();
	struct packet k = {};
	struct pp_inflow *in;
	struct bpf_sock *sk;
	int why, listens;

	if (!st || skb->ifindex == PP_LOOPBACK_IFINDEX)
		return PASS;
	if (!(st->nlimits[PP_EGRESS] | st->nlimits[PP_INGRESS] | st->nprefixes))
		return PASS;
	sk = skb->sk;
	if (!sk || !(sk = bpf_sk_fullsock(sk)))
		return PASS;
	listens = sk->state == PP_TCP_LISTEN && sk->protocol == IPPROTO_TCP;
	if (!st->nlimits[PP_INGRESS] && !listens)
		return PASS;
	in = inflow_of(skb, sk, st);
	if (listens)
		note_syn(skb, sk, listener_flow(skb, sk, st), in);
	if (!in || !in->path.n)
		return PASS;
	k.now = bpf_ktime_get_ns();
	/* what was told to the sender is in what it sends */
	k.charged = 1;
	measure(skb, sk->protocol, &k);
	why = police_in(sk, in, &k);
	if (why >= 0) {
		pp_count_refused(&in->path, &k, why);
		return DROP;
	}
	in->bytes += k.len;
	mark_ce(skb, &k);
	pp_count_passed(&in->path, &k);
	return PASS;
}
