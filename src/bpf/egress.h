/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets on their way out: count them in every pipe of their path and run the law. TCP that is
 * paced passes; what has no pace is held to its share here.
 *
 * Refusing is return value 2: the packet is dropped, TCP is told at once that it was not sent (it
 * keeps the data and sends again with the next ACK, or, with nothing in flight, after 200 ms), a
 * datagram is lost as in a full queue and the application sees no error. Return value 0 would give
 * it EPERM.
 */
#pragma once

#define REFUSE 2
/* the packet is sent, and TCP is told of congestion (NET_XMIT_CN): tcp_enter_cwr() */
#define PASS_AND_SHRINK 3

enum pp_egress_constants {
	/* segments that TCP sends before its pacing begins (tcp_update_skb_after_send) */
	PP_UNPACED = 10,
};

/* opening flows that have data in flight wait while this stands */
#define PP_OPEN_QUEUE (1 * PP_MSEC)
/* all opening flows wait, so that 100 ms never see much more than the limit */
#define PP_OPEN_LAST (95 * PP_MSEC)
/*
 * A clamp bounds growth; cubic keeps a window that was larger before, and with it sends
 * super-packets at whatever pace. In a congestion window reduction, a round long, it comes down to
 * ssthresh, which pace() sets.
 */
static __always_inline int is_wide(const struct pp_flow *f, const struct bpf_tcp_sock *tp)
{
	return f->window && tp->snd_cwnd > 2 * f->window && !f->shrinks;
}

/*
 * The first segments, which TCP does not pace, of a flow that the other end tells its rate: they
 * keep to it by their own clock, a round trip ahead at most. Its queue is not known here.
 */
static __always_inline int opens_early(struct pp_flow *f, struct bpf_tcp_sock *tp, __u64 now,
				       __u64 len)
{
	__u64 vt = f->vt;

	if (!f->rate)
		return 0;
	if ((__s64)(vt - now) < 0)
		vt = now;
	if (tp->packets_out && vt - now > pp_max(PP_OPEN_QUEUE, (tp->srtt_us >> 3) * PP_USEC))
		return 1;
	f->vt = vt + len * PP_NSEC / f->rate;
	return 0;
}

/* A flow that is paced by what the other end tells it, and crosses no pipe here. */
static __always_inline int pass_told(struct __sk_buff *skb, struct bpf_sock *sk, struct pp_flow *f)
{
	struct bpf_tcp_sock *tp;

	if (!f || f->control != PP_HELD || skb->len <= PP_CONTROL || !(tp = bpf_tcp_sock(sk)))
		return PASS;
	if (!f->opened) {
		if (tp->data_segs_out >= PP_UNPACED + pp_max(skb->gso_segs, 1))
			f->opened = 1;
		else if (opens_early(f, tp, bpf_ktime_get_ns(), skb->len))
			return REFUSE;
	}
	if (!is_wide(f, tp))
		return PASS;
	f->shrinks = 1;
	return PASS_AND_SHRINK;
}

/* A TCP packet that carries data of a paced socket. Returns a refusal, or -1. */
static __always_inline int police_paced(struct bpf_sock *sk, struct pp_flow *f,
					struct bpf_tcp_sock *tp, struct packet *k)
{
	if (!f->opened) {
		/*
		 * data_segs_out already counts this packet, and it counts refused ones too: they
		 * use up the unpaced
		 */
		k->charged = tp->data_segs_out >= PP_UNPACED;
		if (tp->data_segs_out >= PP_UNPACED + k->segs)
			f->opened = 1;
		else if (k->queue > PP_OPEN_LAST ||
			 (k->queue > PP_OPEN_QUEUE + k->room && tp->packets_out) ||
			 (told(bpf_sk_storage_get(&pp_links, sk, 0, 0)) != ~0ULL &&
			  opens_early(f, tp, k->now, k->len)))
			return PP_REFUSED_OPENING;
	}
	k->charged |= f->opened;
	k->shrink = f->opened && is_wide(f, tp);
	if (k->queue < PP_HARD_QUEUE)
		return -1;
	pp_look_ahead(&f->path, k, PP_WANT_PACE);
	if (k->queue > PP_LAST_QUEUE + 8 * k->epoch || (k->queue > 8 * k->epoch && tp->packets_out))
		return PP_REFUSED_HARD;
	return -1;
}

/*
 * Everything else: the socket's own clock at its share. TCP with nothing in flight passes: refused,
 * it would stall.
 */
static __always_inline int police_other(struct pp_flow *f, struct bpf_tcp_sock *tp,
					struct packet *k)
{
	pp_look_ahead(&f->path, k, PP_WANT_PACE);
	return police_by_clock(&f->vt, &f->path, k, PP_OTHER_BURST,
			       tp && (!tp->packets_out || k->grace));
}

static __noinline int police(struct bpf_sock *sk, struct pp_flow *f, struct packet *k)
{
	struct bpf_tcp_sock *tp = NULL;

	/* a raw socket may have TCP's number, and is not TCP */
	if (sk->protocol == IPPROTO_TCP && sk->type == PP_SOCK_STREAM) {
		if (k->len <= PP_CONTROL) {
			pp_look_ahead(&f->path, k, PP_WANT_QUEUE);
			return k->queue > PP_LAST_QUEUE * 2 ? PP_REFUSED_HARD : -1;
		}
		tp = bpf_tcp_sock(sk);
	}
	if (!tp || f->control == PP_FREE)
		return police_other(f, tp, k);
	pp_look_ahead(&f->path, k, PP_WANT_QUEUE);
	return police_paced(sk, f, tp, k);
}

/* The socket's record with its path; NULL if there is none, and no pipe. */
static __always_inline struct pp_flow *flow_of(struct __sk_buff *skb, struct bpf_sock *sk,
					       struct pp_state *st)
{
	struct pp_flow *f = bpf_sk_storage_get(&pp_flows, sk, 0, 0);
	__u32 zero = 0;

	if (!f) {
		if (passes_by(sk) && !(pp_pipes_of_skb(skb, st) & 1 << PP_EGRESS))
			return NULL;
		f = RECORD_OF(&pp_flows, sk);
	}
	if (!f) {
		no_record(sk);
		f = bpf_map_lookup_elem(&pp_scratch, &zero);
		if (!f)
			return NULL;
		__builtin_memset(f, 0, sizeof(*f));
	}
	path_for(skb, sk, &f->path, st, PP_EGRESS, PP_EGRESS);
	return f;
}

SEC("cgroup_skb/egress")
int pp_egress(struct __sk_buff *skb)
{
	struct pp_state *st = state();
	struct packet k = {};
	struct bpf_sock *sk;
	struct pp_flow *f;
	int why;

	if (!st || !(st->nlimits[PP_EGRESS] | st->nlimits[PP_INGRESS] | st->nprefixes) ||
	    skb->ifindex == PP_LOOPBACK_IFINDEX)
		return PASS;
	/*
	 * the kernel runs the program with a full socket, a listener for its SYN-ACKs; without one
	 * there is no cgroup
	 */
	sk = skb->sk;
	if (!sk || !(sk = bpf_sk_fullsock(sk)))
		return PASS;
	if (sk->protocol == IPPROTO_TCP && ((sk->state == PP_TCP_LISTEN && waits(skb)) ||
					    (sk->state == PP_TCP_SYN_SENT && syn_waits(sk))))
		return REFUSE;
	if (st->nlimits[PP_INGRESS] && withhold(skb, sk))
		return DROP;
	if (!st->nlimits[PP_EGRESS])
		return sk->protocol == IPPROTO_TCP && st->nprefixes
			       ? pass_told(skb, sk, bpf_sk_storage_get(&pp_flows, sk, 0, 0))
			       : PASS;
	f = flow_of(skb, sk, st);
	if (!f)
		return PASS;
	if (!f->path.n)
		return sk->protocol == IPPROTO_TCP ? pass_told(skb, sk, f) : PASS;
	k.now = bpf_ktime_get_ns();
	measure(skb, sk->protocol, &k);
	why = police(sk, f, &k);
	if (why >= 0) {
		pp_count_refused(&f->path, &k, why);
		return REFUSE;
	}
	if (k.shrink)
		f->shrinks = 1;
	mark_ce(skb, &k);
	pp_count_passed(&f->path, &k);
	return k.shrink ? PASS_AND_SHRINK : PASS;
}
