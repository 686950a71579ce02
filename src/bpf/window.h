/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A sender that takes no part in feedback is held by the receive window: what it may have in flight
 * in a round trip is R times that. It is computed where the connection is about to acknowledge,
 * with the socket locked, before the window is written into the segment.
 *
 * A window cannot be smaller than some segments, which is too much where the round trip is short:
 * four segments in 0.1 ms are 460 Mbit/s. There ACKs are withheld while the sender is ahead of its
 * share. It has its window in flight then and waits; after some 10 ms TCP probes (a tail loss probe
 * after two round trips and two ticks of its clock) with a segment that is there already, which is
 * acknowledged at once, and goes on. Nothing is lost, nor thought to be: the probe was one too
 * many, no sign of congestion. Dropping would lose a whole flight at a time, and with it, as often
 * as not, the 200 ms of a retransmission timeout.
 */
#pragma once

/*
 * A window's least, in segments: with less than two in flight TCP's probe takes 200 ms. Two more if
 * the sender's share of the time between two probes has room for them.
 */
#define PP_HOLD_LEAST 2
#define PP_HOLD_MORE 4
#define PP_HOLD_PROBE (6 * PP_MSEC)

/* between two computations of a window, at least; a round trip if that is longer */
#define PP_HOLD_EVERY (20 * PP_MSEC)

static __always_inline __u64 round_trip_us(struct tcp_sock *tp)
{
	__u64 us = BPF_CORE_READ(tp, rcv_rtt_est.rtt_us) >> 3;
	__u64 srtt = BPF_CORE_READ(tp, srtt_us) >> 3;

	if (!us || (srtt && srtt < us))
		us = srtt;
	return us ? us : 1000;
}

/*
 * The window follows from what came through the last one: a fixed R * RTT would leave out what
 * delayed acknowledgements and the sender's own limits make of it.
 */
__noinline __u32 pp_hold_window(struct pp_inflow *in, __u64 rtt_us, __u32 mss, __u64 now)
{
	__u64 rate, dt, fit, got, w, least;

	if (!in)
		return 0;
	rate = pp_equal_rate(&in->path, now);
	if (rate == ~0ULL)
		return 0;
	mss = mss ? mss : PP_MSS_DEFAULT;
	rtt_us = pp_min(rtt_us, 10000000);
	/* 1 Tbit/s: more than a socket receives, and the products below stay in 64 bits */
	rate = pp_min(rate, 125000000000ULL);
	fit = rate * rtt_us / 1000000;
	dt = now - in->hold_at;
	got = in->bytes - in->hold_bytes;
	w = in->window;
	if (!w || !in->hold_at || dt > PP_NSEC || !got) {
		w = fit + mss;
	} else {
		__u64 ratio = rate * (dt / PP_USEC) / 1000000 * 1024 / got;

		w = w * (768 + pp_min(pp_max(ratio, 512), 1536) / 4) / 1024;
	}
	in->hold_at = now;
	in->hold_bytes = in->bytes;
	in->rtt_us = rtt_us;
	least = rate * (PP_HOLD_PROBE / PP_USEC) / 1000000;
	least = pp_min(pp_max(least, PP_HOLD_LEAST * mss), PP_HOLD_MORE * mss);
	w = pp_min(pp_max(w, fit - fit / 4), fit + fit / 8 + 4 * mss);
	w = pp_max(w, least);
	w = pp_min(w, 0x3fffffff);
	return w;
}

static __always_inline void hold(struct bpf_sock_ops *ctx, struct bpf_sock *sk,
				 struct pp_inflow *in, int limits)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	__u64 now = bpf_ktime_get_ns(), rtt;
	int w;

	if (!tp)
		return;
	if (!limits) {
		/* more than there is room for: room decides again */
		w = BPF_CORE_READ((struct sock *)tp, sk_rcvbuf);
		in->window = 0;
		bpf_setsockopt(ctx, PP_SOL_TCP, PP_TCP_WINDOW_CLAMP, &w, sizeof(w));
		return;
	}
	rtt = round_trip_us(tp);
	if (now - in->hold_at > pp_max(rtt * PP_USEC, PP_HOLD_EVERY))
		in->window = pp_hold_window(in, rtt, BPF_CORE_READ(tp, advmss), now);
	w = in->window;
	/* the kernel lifts it when it enlarges the buffer */
	if (w && (__u32)w != BPF_CORE_READ(tp, window_clamp))
		bpf_setsockopt(ctx, PP_SOL_TCP, PP_TCP_WINDOW_CLAMP, &w, sizeof(w));
}

/* The record of a connection as a receiver, if anything limits receivers, with its path. */
static __always_inline struct pp_inflow *inflow_of_tcp(struct bpf_sock *sk, struct pp_state *st)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct pp_inflow *in = bpf_sk_storage_get(&pp_inflows, sk, 0, 0);

	if (!in && tp && st->nlimits[PP_INGRESS] &&
	    pp_pipes_of_cgroup(cgroup_of(tp), st) & 1 << PP_INGRESS)
		in = RECORD_OF(&pp_inflows, sk);
	if (in && tp && in->path.gen != st->gen)
		path_of_sock(tp, &in->path, st, PP_INGRESS,
			     bpf_sk_storage_get(&pp_links, sk, 0, 0));
	return in;
}

/*
 * A connection begins, with a host that takes no part: what it may send before it is acknowledged.
 * No less than senders begin with, and not the 64 kB that the kernel would grant.
 */
static __always_inline void first_window(struct bpf_sock_ops *ctx, struct pp_state *st)
{
	struct bpf_sock *sk = ctx->sk;
	struct pp_handshake h = handshake_of(ctx);
	struct pp_inflow *in;
	struct pp_syn *s;
	__u32 zero = 0;

	if (sk) {
		in = inflow_of_tcp(sk, st);
		if (in && pp_limits(&in->path))
			ctx->reply = PP_FIRST_SEGMENTS;
		return;
	}
	s = bpf_map_lookup_elem(&pp_syns, &zero);
	if (s && s->limits && is_of(s, &h))
		ctx->reply = PP_FIRST_SEGMENTS;
}

/*
 * A packet on its way out: is it an ACK, and no more, for a sender that is ahead of its share? IPv6
 * extension headers are not looked for.
 */
static __always_inline int withhold(struct __sk_buff *skb, struct bpf_sock *sk)
{
	struct pp_inflow *in;
	__u8 b[2] = { 0 };
	__u32 l4 = 40;

	if (sk->protocol != IPPROTO_TCP || sk->state != PP_TCP_ESTABLISHED || skb->len > PP_CONTROL)
		return 0;
	in = bpf_sk_storage_get(&pp_inflows, sk, 0, 0);
	if (!in || in->paced || !in->path.n || !in->window || in->bytes <= PP_FIRST_WINDOW)
		return 0;
	if ((__s64)(in->vt - bpf_ktime_get_ns()) <= (__s64)ahead_of(in))
		return 0;
	if (skb->protocol == bpf_htons(0x0800)) {
		bpf_skb_load_bytes(skb, 0, b, 1);
		l4 = (b[0] & 15) * 4;
	}
	bpf_skb_load_bytes(skb, l4 + 12, b, 2);
	if (l4 + (b[0] >> 4) * 4 != skb->len || b[1] != PP_TCP_ACK)
		return 0;
	in->withheld = 1;
	return 1;
}
