/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Feedback: a receiver under a limit tells the sender its rate, in a TCP option (wire.h).
 *
 * Both ends say hello: the one that connects on its SYN and on the ACK that ends the handshake, the
 * other on its SYN-ACK and on what it sends first; on the segments after the handshake too since a
 * SYN cookie forgets what the SYN said, and listeners that are older than the programs answer
 * without an option. Hellos go to addresses in pp_prefixes only, and only with those is a
 * connection given a link. Rates go to who said hello, and are written only while a pipe limits.
 *
 * A rate can slow a sender and no more: it is one more bound beside the pipes at its own end. It is
 * taken from segments that TCP has found in sequence, and whose acknowledgement is one that it
 * would take (RFC 5961, 5.2): to forge one from elsewhere takes what a reset takes, and more.
 */
#pragma once

enum pp_feedback_constants {
	/* hellos after the handshake: one may be lost */
	PP_HELLOS = 2,
	/* times that the end of a limit is told */
	PP_ENDS = 4,
};

/*
 * no lower rate than a segment a second is taken, bytes/s: TCP's pacing charges a packet when it is
 * sent, and at a byte a second waits for half an hour, whatever is told after
 */
#define PP_TOLD_LEAST 1500

/* a sender that hears no rate for so long doubles it */
#define PP_TOLD_FOR (2 * PP_NSEC)

/* The option of the segment in hand, or of the SYN (flags). 0, or -1 if there is none. */
static __always_inline int load_option(struct bpf_sock_ops *ctx, struct pp_wire *w, __u64 flags)
{
	__u8 o[24] = { 0 };
	long len;

	pp_wire_head(o, PP_WIRE_HEAD); /* as a search: kind and identifier */
	len = bpf_load_hdr_opt(ctx, o, PP_WIRE_ROOM, flags);
	return len < 0 ? -1 : pp_wire_read(o, len, w);
}

static __always_inline void take(struct pp_link *l, const struct pp_wire *w)
{
	if (w->hello) {
		l->takes_part = 1;
		l->identity = w->identity;
		l->port = bpf_htons(w->port);
	}
	if (!w->rate)
		return;
	l->told = pp_max(w->rate, PP_TOLD_LEAST);
	l->told_at = bpf_ktime_get_ns();
	l->fresh = w->hello;
}

/* A connection begins: with whom? NULL: with nobody that takes part. */
static __always_inline struct pp_link *meet(struct bpf_sock_ops *ctx, struct bpf_sock *sk,
					    const struct pp_state *st)
{
	struct pp_wire w = { 0 };
	struct pp_link *l;

	if (!st->nprefixes || !is_known(ctx))
		return NULL;
	l = RECORD_OF(&pp_links, sk);
	if (!l) {
		event(PP_EVENT_NO_STORAGE);
		return NULL;
	}
	l->hellos = PP_HELLOS;
	l->accepted = ctx->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB;
	if (!load_option(ctx, &w, 0))
		take(l, &w);
	return l;
}

/*
 * An acknowledgement came without a rate. While a pipe limits every segment has one that has room
 * for it (three SACK blocks leave none), so its host has gone silent: it limits no more.
 */
static __always_inline void miss(struct pp_link *l)
{
	__u64 now = bpf_ktime_get_ns();

	if (!l->told || l->told == ~0ULL || now - l->told_at < PP_TOLD_FOR)
		return;
	l->told = l->told < PP_WIRE_RATE_MAX ? l->told * 2 : ~0ULL;
	l->told_at = now;
}

/* Would TCP take this segment's acknowledgement? */
static __always_inline int ack_fits(struct bpf_sock_ops *ctx, struct tcp_sock *tp)
{
	const struct tcphdr *th = ctx->skb_data;
	__u32 ack, window = BPF_CORE_READ(tp, max_window);

	if ((void *)(th + 1) > ctx->skb_data_end)
		return 0;
	ack = bpf_ntohl(th->ack_seq);
	return (__s32)(ctx->snd_nxt - ack) >= 0 && (__s32)(ack - ctx->snd_una + window) >= 0;
}

/* The peer is another than was thought: both paths are looked up again. */
static __always_inline void forget_paths(struct bpf_sock *sk)
{
	struct pp_flow *f = bpf_sk_storage_get(&pp_flows, sk, 0, 0);
	struct pp_inflow *in = bpf_sk_storage_get(&pp_inflows, sk, 0, 0);

	if (f)
		f->path.gen = 0;
	if (in)
		in->path.gen = 0;
}

/* A segment with options that TCP does not know. Did it change what may be sent? */
static __always_inline struct pp_link *hear(struct bpf_sock_ops *ctx, struct bpf_sock *sk)
{
	struct pp_link *l = bpf_sk_storage_get(&pp_links, sk, 0, 0);
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct pp_wire w = { 0 };
	__u64 was, who;
	__u16 port;

	if (!l || !tp || load_option(ctx, &w, 0) || !ack_fits(ctx, tp))
		return NULL;
	was = l->told;
	who = l->identity;
	port = l->port;
	take(l, &w);
	if (l->identity != who || l->port != port)
		forget_paths(sk);
	return l->told != was ? l : NULL;
}

/* For those who said hello on their SYN. One that has waited has no SYN at hand any more. */
static __always_inline void reserve_syn_ack(struct bpf_sock_ops *ctx)
{
	struct pp_handshake h = handshake_of(ctx);
	struct pp_wire w = { 0 };

	if (is_known(ctx) && (!load_option(ctx, &w, BPF_LOAD_HDR_OPT_TCP_SYN) ||
			      bpf_map_lookup_elem(&pp_waiting, &h)))
		bpf_reserve_hdr_opt(ctx, PP_WIRE_SERVED_LEN, 0);
}

/* A segment is about to be sent: room for what it shall say. */
static __always_inline void reserve(struct bpf_sock_ops *ctx, struct pp_state *st)
{
	struct bpf_sock *sk = ctx->sk;
	struct pp_inflow *in;
	struct pp_link *l;
	int limits;

	if (!sk) {
		reserve_syn_ack(ctx);
		return;
	}
	if (sk->state == PP_TCP_SYN_SENT) {
		bpf_reserve_hdr_opt(ctx, PP_WIRE_HELLO_LEN, 0);
		return;
	}
	l = bpf_sk_storage_get(&pp_links, sk, 0, 0);
	in = inflow_of_tcp(sk, st);
	limits = in && pp_limits(&in->path);
	if (in)
		in->paced = l && l->takes_part;
	if (l && l->hellos) {
		bpf_reserve_hdr_opt(ctx, l->accepted ? PP_WIRE_SERVED_LEN : PP_WIRE_FULL_LEN, 0);
	} else if (l && l->takes_part && (limits || l->ends)) {
		bpf_reserve_hdr_opt(ctx, PP_WIRE_RATE_LEN, 0);
	} else if (limits || (in && in->window)) {
		if (ctx->args[0] != BPF_WRITE_HDR_TCP_CURRENT_MSS)
			hold(ctx, sk, in, limits);
	} else if (!pp_always && !(in && in->path.rules)) {
		bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags &
						       ~BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG);
	}
}

/* What a SYN-ACK says: what its SYN left, on this CPU or, if it has waited, for it to find. */
static __always_inline void say_syn_ack(struct bpf_sock_ops *ctx, struct pp_wire *w)
{
	__u32 zero = 0;
	struct pp_syn *s = bpf_map_lookup_elem(&pp_syns, &zero);
	struct pp_handshake h = handshake_of(ctx);
	struct pp_greeting *g;

	if (s && is_of(s, &h)) {
		g = &s->says;
		if (s->held)
			bpf_map_update_elem(&pp_waiting, &h, g, BPF_ANY);
	} else {
		g = bpf_map_lookup_elem(&pp_waiting, &h);
	}
	if (!g)
		return;
	w->identity = g->identity;
	w->rate = g->rate;
	w->port = ctx->local_port;
}

static __always_inline void say_syn(struct bpf_sock *sk, struct pp_state *st, struct pp_wire *w)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (tp)
		w->identity = pp_identity_of_cgroup(cgroup_of(tp), st);
}

static __always_inline void say(struct bpf_sock_ops *ctx, struct bpf_sock *sk, struct pp_state *st,
				struct pp_wire *w)
{
	struct pp_link *l = bpf_sk_storage_get(&pp_links, sk, 0, 0);
	struct pp_inflow *in = inflow_of_tcp(sk, st);
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	__u64 rate;

	if (!l || !tp)
		return;
	w->hello = l->hellos > 0;
	if (w->hello) {
		l->hellos--;
		w->identity = in ? in->path.identity : pp_identity_of_cgroup(cgroup_of(tp), st);
		w->port = l->accepted ? sk->src_port : 0;
	}
	rate = in ? pp_rate_in(&in->path, bpf_ktime_get_ns()) : ~0ULL;
	if (rate != ~0ULL) {
		l->ends = PP_ENDS;
		w->rate = rate;
	} else if (l->ends) {
		l->ends--;
		w->rate = rate;
	}
}

/* The segment is being written, with room for an option. */
static __always_inline void write(struct bpf_sock_ops *ctx, struct pp_state *st)
{
	struct bpf_sock *sk = ctx->sk;
	struct pp_wire w = { .hello = 1 };
	__u8 o[24] = { 0 };
	__u32 len;

	if (!sk)
		say_syn_ack(ctx, &w);
	else if (sk->state == PP_TCP_SYN_SENT)
		say_syn(sk, st, &w);
	else
		say(ctx, sk, st, &w);
	len = pp_wire_write(o, &w);
	if (len)
		bpf_store_hdr_opt(ctx, o, len, 0);
}
