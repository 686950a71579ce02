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

#define PASS 1
#define REFUSE 2
/* the packet is sent, and TCP is told of congestion (NET_XMIT_CN): tcp_enter_cwr() */
#define PASS_AND_SHRINK 3

enum pp_egress_constants {
	/* up to this length a TCP packet is a pure ACK, a SYN, or as harmless */
	PP_CONTROL = 120,
	/* segments that TCP sends before its pacing begins (tcp_update_skb_after_send) */
	PP_UNPACED = 10,
};

/* opening flows that have data in flight wait while this stands */
#define PP_OPEN_QUEUE (1 * PP_MSEC)
/* all opening flows wait, so that 100 ms never see much more than the limit */
#define PP_OPEN_LAST (95 * PP_MSEC)
/* what a socket without a pace may send ahead of its share */
#define PP_OTHER_BURST (10 * PP_MSEC)
/* and where the pipe refuses it: many sockets, a packet each */
#define PP_OTHER_QUEUE (20 * PP_MSEC)
/* refuses TCP that has data in flight, and all without a pace; eight epochs if those are more */
#define PP_HARD_QUEUE (100 * PP_MSEC)
/* and this, with eight epochs on top, all but small TCP packets, which have twice that */
#define PP_LAST_QUEUE PP_NSEC

struct packet {
	__u64 now;
	__u64 len; /* L3 bytes, headers once per segment */
	__u32 mss; /* L3 bytes of its largest segment */
	__u32 segs;
	__u64 queue;   /* the longest on the path */
	__u64 epoch;   /* and the longest epoch */
	__u32 charged; /* TCP's pacing counts it */
	__u32 shrink; /* TCP's window is far above its clamp */
	__u32 grace; /* a pipe is so new that the iterator may not have reached its sockets */
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
	if (k->segs <= 1) {
		k->segs = 1;
		return;
	}
	header = header_len(skb, protocol);
	k->len += (k->segs - 1) * header;
	k->mss = skb->gso_size + header;
}

/* The queue on the path, and for a socket without a pace its share. */
__noinline __u64 pp_look_ahead(struct pp_flow *f, struct packet *k, int want_share)
{
	__u64 share = ~0ULL;

	if (!f || !k)
		return share;
	k->queue = k->epoch = 0;
	for (__u32 i = 0; i < PP_MAX_PATH; i++) {
		struct pp_pipe *p = pipe_at(f, i);

		if (!p)
			break;
		if (!in_force(p, k->now))
			continue;
		k->queue = pp_max(k->queue, pp_law_queue(p, k->now));
		k->grace |= k->now < p->grace;
		if (want_share) {
			k->epoch = pp_max(k->epoch, pp_epoch_of(p));
			share = pp_min(share, pp_pace_in(p, &f->share[i], k->now));
		}
	}
	return share;
}

/* A TCP packet that carries data of a paced socket. Returns a refusal, or -1. */
static __always_inline int police_paced(struct pp_flow *f, struct bpf_tcp_sock *tp,
					struct packet *k)
{
	if (!f->opened) {
		/*
		 * data_segs_out already counts this packet, and it counts refused ones too: they
		 * use up the unpaced
		 */
		k->charged = tp->data_segs_out >= PP_UNPACED;
		if (tp->data_segs_out >= PP_UNPACED + k->segs)
			f->opened = 1;
		else if (k->queue > PP_OPEN_LAST || (k->queue > PP_OPEN_QUEUE && tp->packets_out))
			return PP_REFUSED_OPENING;
	}
	k->charged |= f->opened;
	/*
	 * A clamp bounds growth; cubic keeps a window that was larger before, and with it sends
	 * super-packets at whatever pace. In a congestion window reduction, a round long, it comes
	 * down to ssthresh, which pace() sets.
	 */
	k->shrink = f->opened && f->window && tp->snd_cwnd > 2 * f->window && !f->shrinks;
	if (k->queue < PP_HARD_QUEUE)
		return -1;
	pp_look_ahead(f, k, 1);
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
	__u64 share = pp_look_ahead(f, k, 1), vt = f->vt;

	if ((__s64)(vt - k->now) < 0)
		vt = k->now;
	if (k->queue > pp_max(PP_HARD_QUEUE, 8 * k->epoch))
		return PP_REFUSED_HARD;
	if (!tp || (tp->packets_out && !k->grace)) {
		if (k->queue > pp_max(PP_OTHER_QUEUE, 2 * k->epoch))
			return PP_REFUSED_QUEUE;
		if (vt - k->now > PP_OTHER_BURST)
			return PP_REFUSED_SHARE;
	}
	f->vt = vt + k->len * PP_NSEC / share;
	return -1;
}

static __noinline int police(struct bpf_sock *sk, struct pp_flow *f, struct packet *k)
{
	struct bpf_tcp_sock *tp = NULL;

	/* a raw socket may have TCP's number, and is not TCP */
	if (sk->protocol == IPPROTO_TCP && sk->type == PP_SOCK_STREAM) {
		if (k->len <= PP_CONTROL) {
			pp_look_ahead(f, k, 0);
			return k->queue > PP_LAST_QUEUE * 2 ? PP_REFUSED_HARD : -1;
		}
		tp = bpf_tcp_sock(sk);
	}
	if (!tp || f->control == PP_FREE)
		return police_other(f, tp, k);
	pp_look_ahead(f, k, 0);
	return police_paced(f, tp, k);
}

__noinline int pp_count_refused(struct pp_flow *f, struct packet *k, __u32 why)
{
	if (!f || !k)
		return REFUSE;
	for (__u32 i = 0; i < PP_MAX_PATH; i++) {
		struct pp_pipe *p = pipe_at(f, i);

		if (!p)
			break;
		if (!in_force(p, k->now))
			continue;
		barrier_var(why); /* or clang moves the index's arithmetic before the check, where
				     it has no bound */
		if (why >= PP_N_REFUSAL)
			break;
		__sync_fetch_and_add(&p->refused[why], k->segs);
		__sync_fetch_and_add(&p->refused_bytes, k->len);
	}
	return REFUSE;
}

__noinline int pp_count_sent(struct pp_flow *f, struct packet *k)
{
	if (!f || !k)
		return PASS;
	for (__u32 i = 0; i < PP_MAX_PATH; i++) {
		struct pp_pipe *p = pipe_at(f, i);

		if (!p)
			break;
		if (!in_force(p, k->now))
			continue;
		pp_arrive_in(p, &f->share[i], k->now, k->len, k->mss);
		if (k->charged)
			pp_law_charged(&f->share[i], k->now);
		__sync_fetch_and_add(&p->bytes, k->len);
		__sync_fetch_and_add(&p->packets, k->segs);
	}
	return PASS;
}

static __always_inline struct pp_flow *flow_of(struct bpf_sock *sk)
{
	struct pp_flow *f = bpf_sk_storage_get(&pp_flows, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	__u32 zero = 0;

	if (f)
		return f;
	event(PP_EVENT_NO_STORAGE);
	f = bpf_map_lookup_elem(&pp_scratch, &zero);
	if (f)
		__builtin_memset(f, 0, sizeof(*f));
	return f;
}

SEC("cgroup_skb/egress")
int pp_egress(struct __sk_buff *skb)
{
	struct pp_state *st = state();
	struct packet k = {};
	struct bpf_sock *sk;
	struct pp_flow *f;
	__u64 gen;
	int why;

	if (!st || !st->nslots || skb->ifindex == PP_LOOPBACK_IFINDEX)
		return PASS;
	/*
	 * the kernel runs the program with a full socket, a listener for its SYN-ACKs; without one
	 * there is no cgroup
	 */
	sk = skb->sk;
	if (!sk || !(sk = bpf_sk_fullsock(sk)))
		return PASS;
	f = flow_of(sk);
	if (!f)
		return PASS;
	gen = st->gen;
	if (f->gen != gen)
		path_of_skb(skb, f, gen);
	if (!f->n)
		return PASS;
	k.now = bpf_ktime_get_ns();
	measure(skb, sk->protocol, &k);
	why = police(sk, f, &k);
	if (why >= 0)
		return pp_count_refused(f, &k, why);
	if (k.shrink)
		f->shrinks = 1;
	pp_count_sent(f, &k);
	return k.shrink ? PASS_AND_SHRINK : PASS;
}
