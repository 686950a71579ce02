/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP: tell each connection the rate it may send at, when it is established and at every RTT
 * sample, and clamp its window to what that rate needs. An iterator does the same once for
 * connections that were there before, and releases those whose limit is gone.
 *
 * All of this runs with the socket locked. The pace is SO_MAX_PACING_RATE, an upper bound that
 * every congestion control obeys. From BPF the option takes 4 bytes only: one flow is paced up
 * to 34.3 Gbit/s, above that the window holds it.
 */
#pragma once

/* us, twice which is less than the least wait anyway */
#define PP_FAR (PP_ADMIT_LEAST / 2 / PP_USEC)

/* of a segment, at most: IPv6, TCP and its options */
#define PP_HEADERS 100ULL

/* callbacks of a sender and of a receiver under a limit */
enum pp_sockops_flags {
	PP_CALLBACKS = BPF_SOCK_OPS_RTT_CB_FLAG | BPF_SOCK_OPS_STATE_CB_FLAG,
	PP_CALLBACKS_IN = BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG | BPF_SOCK_OPS_STATE_CB_FLAG,
};

/* What is known of a connection, and what it shall have: 0 for no pace, no clamp. */
struct order {
	__u64 told;  /* by the other end; ~0: nothing */
	__u32 fresh; /* before our first data */
	__u32 srtt_us;
	__u32 min_rtt_us;
	__u32 mss;
	__u32 rate;
	__u32 window;
};

__noinline int pp_order_of(struct pp_flow *f, struct order *o)
{
	__u64 rate, now = bpf_ktime_get_ns();
	int young;

	if (!f || !o)
		return 0;
	o->rate = o->window = 0;
	if (f->path.local)
		return 0;
	rate = o->told;
	young = o->fresh;
	if (f->path.parents)
		pp_refresh(&f->path, now);
	for (__u32 i = 0; i < PP_MAX_PATH; i++) {
		struct pp_pipe *p = pipe_at(&f->path, i);
		__u64 r;

		if (!p)
			break;
		if (!in_force(p, now) || !paces(p))
			continue;
		r = pp_pace_in(p, &f->path.share[i], now);
		if (r < rate) {
			rate = r;
			young = pp_law_young(p, &f->path.share[i]);
		}
	}
	if (rate == ~0ULL)
		return 0;
	o->window = pp_law_window(rate, o->srtt_us, o->min_rtt_us, o->mss, young);
	if (f->app_cap && f->app_cap < rate)
		rate = f->app_cap;
	o->rate = pp_min(rate, PP_PACE_MAX);
	return 0;
}

/*
 * Carry the order out. sk is a bpf_sock_ops or a socket: the helper takes both, from different
 * programs.
 */
#define OBEY(sk, f, o)                                                                             \
	({                                                                                         \
		__u32 __r = (o)->rate                            ? (o)->rate                       \
			    : (f)->app_cap && (f)->app_cap < ~0U ? (__u32)(f)->app_cap             \
								 : ~0U;                            \
		int __w = (o)->window ? (o)->window : PP_UNLIMITED, __err = 0;                     \
		if ((o)->rate != (f)->rate)                                                        \
			__err = bpf_setsockopt(sk, PP_SOL_SOCKET, PP_SO_MAX_PACING_RATE, &__r,     \
					       sizeof(__r));                                       \
		if ((o)->window != (f)->window)                                                    \
			__err |= bpf_setsockopt(sk, PP_SOL_TCP, PP_TCP_BPF_SNDCWND_CLAMP, &__w,    \
						sizeof(__w));                                      \
		(f)->rate = (o)->rate;                                                             \
		(f)->window = (o)->window;                                                         \
		__err;                                                                             \
	})

static __always_inline void pace(struct bpf_sock_ops *ctx, struct bpf_sock *sk, struct pp_flow *f,
				 const struct pp_link *l)
{
	struct bpf_tcp_sock *tp = bpf_tcp_sock(sk);
	struct order o = { .told = told(l), .fresh = l && l->fresh };

	if (!tp)
		return;
	o.srtt_us = tp->srtt_us >> 3;
	o.min_rtt_us = tp->rtt_min;
	o.mss = tp->mss_cache;
	pp_order_of(f, &o);
	if (!o.rate && !f->rate)
		return;
	/* TCP set its own ssthresh when it was told to shrink: the clamp, set again, is that too */
	if (f->shrinks)
		f->window = 0;
	f->shrinks = 0;
	if (OBEY(ctx, f, &o)) {
		f->control = PP_FREE;
		f->rate = f->window = 0;
		event(PP_EVENT_NO_PACE);
		return;
	}
	f->control = o.rate ? PP_HELD : PP_FREE;
	if (!o.rate && !pp_always && !f->path.rules)
		bpf_sock_ops_cb_flags_set(ctx,
					  ctx->bpf_sock_ops_cb_flags & ~BPF_SOCK_OPS_RTT_CB_FLAG);
}

/*
 * What the application had set before podpace came, as far as it can be told from what podpace set.
 */
static __always_inline void remember_cap(struct tcp_sock *tp, struct pp_flow *f)
{
	__u64 cap = BPF_CORE_READ((struct sock *)tp, sk_max_pacing_rate);

	if (f->control == PP_FREE && !f->app_cap && cap != ~0ULL)
		f->app_cap = cap;
}

static __noinline int look_up(struct tcp_sock *tp, struct pp_flow *f, struct pp_state *st,
			      struct pp_link *l)
{
	remember_cap(tp, f);
	path_of_sock(tp, &f->path, st, PP_EGRESS, l);
	return 0;
}

/* A connection has opened, with one so far away. What is near needs no note. */
__noinline int pp_note_far(struct pp_path *path, __u32 us)
{
	if (!path || us < PP_FAR)
		return 0;
	for (__u32 i = 0; i < PP_MAX_PATH; i++) {
		struct pp_pipe *p = pipe_at(path, i);

		if (!p)
			break;
		if (paces(p))
			pp_law_far(p, us);
	}
	return 0;
}

/* As a sender: its path, and what it may send. Returns the callbacks that it needs. */
static __always_inline int begin_flow(struct bpf_sock_ops *ctx, struct bpf_sock *sk,
				      struct tcp_sock *tp, struct pp_state *st, struct pp_link *l,
				      int limited)
{
	struct pp_flow *f;
	int iw;

	if (told(l) == ~0ULL && !limited)
		return 0;
	f = RECORD_OF(&pp_flows, sk);
	if (!f) {
		event(PP_EVENT_NO_STORAGE);
		return 0;
	}
	/* a child has its listener's record; what the SYN or SYN-ACK cost is no part of the flow */
	__builtin_memset(f->path.share, 0, sizeof(f->path.share));
	f->opened = 0;
	f->control = PP_FREE;
	f->rate = f->window = 0;
	look_up(tp, f, st, l);
	/* with rules, whom they are for may change at any time */
	if (f->path.local || (!f->path.n && !f->path.rules && told(l) == ~0ULL))
		return 0;
	pp_note_far(&f->path, BPF_CORE_READ(tp, srtt_us) >> 3);
	pace(ctx, sk, f, l);
	iw = f->window;
	if (iw && iw < PP_UNPACED)
		bpf_setsockopt(ctx, PP_SOL_TCP, PP_TCP_BPF_IW, &iw, sizeof(iw));
	return PP_CALLBACKS;
}

/* As a receiver. */
static __always_inline int begin_inflow(struct bpf_sock *sk, struct tcp_sock *tp,
					struct pp_state *st, struct pp_link *l)
{
	struct pp_inflow *in;

	in = RECORD_OF(&pp_inflows, sk);
	if (!in) {
		event(PP_EVENT_NO_STORAGE);
		return 0;
	}
	/* a child has its listener's record */
	__builtin_memset(in->path.share, 0, sizeof(in->path.share));
	in->vt = in->bytes = in->hold_at = 0;
	in->window = in->withheld = in->ahead_us = 0;
	in->rtt_us = pp_min(BPF_CORE_READ(tp, srtt_us) >> 3, PP_EPOCH_MAX / PP_USEC);
	in->paced = l && l->takes_part;
	path_of_sock(tp, &in->path, st, PP_INGRESS, l);
	pp_note_far(&in->path, in->rtt_us);
	return (in->path.n || in->path.rules) && !in->path.local ? PP_CALLBACKS_IN : 0;
}

static __always_inline void established(struct bpf_sock_ops *ctx, struct bpf_sock *sk,
					struct pp_state *st)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	__u32 dirs;
	int flags = pp_always ? PP_CALLBACKS | PP_CALLBACKS_IN : 0;
	struct pp_flow *f;
	struct pp_link *l;

	if (!tp)
		return;
	f = bpf_sk_storage_get(&pp_flows, sk, 0, 0);
	if (f)
		restore_syncnt(ctx, f);
	l = meet(ctx, sk, st);
	if (l)
		flags |= BPF_SOCK_OPS_PARSE_UNKNOWN_HDR_OPT_CB_FLAG |
			 BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG;
	dirs = st->nlimits[PP_EGRESS] | st->nlimits[PP_INGRESS]
		       ? pp_pipes_of_cgroup(cgroup_of(tp), st)
		       : 0;
	if (dirs & 1 << PP_INGRESS)
		flags |= begin_inflow(sk, tp, st, l);
	/* before the flow: pace() may find that a callback is not needed */
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | flags);
	flags = begin_flow(ctx, sk, tp, st, l, dirs & 1 << PP_EGRESS);
	if (flags)
		bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | flags);
}

/* A round trip was measured, or the other end has said another rate: the pace follows. */
static __always_inline void repace(struct bpf_sock_ops *ctx, struct bpf_sock *sk,
				   struct pp_state *st, struct pp_link *l)
{
	int create = st->nlimits[PP_EGRESS] || told(l) != ~0ULL;
	struct pp_flow *f =
		bpf_sk_storage_get(&pp_flows, sk, 0, create ? BPF_SK_STORAGE_GET_F_CREATE : 0);
	struct tcp_sock *tp;

	if (!f)
		return;
	if (f->path.gen != st->gen && (tp = bpf_skc_to_tcp_sock(sk)))
		look_up(tp, f, st, l);
	pace(ctx, sk, f, l);
}

static __always_inline void on_round_trip(struct bpf_sock_ops *ctx, struct bpf_sock *sk,
					  struct pp_state *st)
{
	struct pp_link *l = bpf_sk_storage_get(&pp_links, sk, 0, 0);

	if (l)
		miss(l);
	repace(ctx, sk, st, l);
}

static __always_inline void on_option(struct bpf_sock_ops *ctx, struct bpf_sock *sk,
				      struct pp_state *st)
{
	struct pp_link *l = hear(ctx, sk);

	if (!l)
		return;
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | PP_CALLBACKS);
	repace(ctx, sk, st, l);
}

static __always_inline void want_options(struct bpf_sock_ops *ctx)
{
	bpf_sock_ops_cb_flags_set(ctx,
				  ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG);
}

SEC("sockops")
int pp_sockops(struct bpf_sock_ops *ctx)
{
	struct pp_state *st = state();
	struct bpf_sock *sk = ctx->sk;

	if (!st)
		return 1;
	/* these come without a full socket too, for SYN-ACKs */
	switch (ctx->op) {
	case BPF_SOCK_OPS_HDR_OPT_LEN_CB:
		reserve(ctx, st);
		return 1;
	case BPF_SOCK_OPS_WRITE_HDR_OPT_CB:
		write(ctx, st);
		return 1;
	case BPF_SOCK_OPS_TIMEOUT_INIT:
		if (!sk)
			set_timeout(ctx);
		else if (st->nlimits[PP_EGRESS] | st->nlimits[PP_INGRESS])
			set_syn_timeout(ctx, sk, st);
		return 1;
	case BPF_SOCK_OPS_RWND_INIT:
		if (st->nlimits[PP_INGRESS] && !is_known(ctx))
			first_window(ctx, st);
		return 1;
	}
	if (!sk)
		return 1;
	switch (ctx->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		if (st->nprefixes && is_known(ctx))
			want_options(ctx);
		return 1;
	case BPF_SOCK_OPS_TCP_LISTEN_CB:
		if (st->nprefixes || pp_always)
			want_options(ctx);
		return 1;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		established(ctx, sk, st);
		return 1;
	case BPF_SOCK_OPS_PARSE_HDR_OPT_CB:
		on_option(ctx, sk, st);
		return 1;
	case BPF_SOCK_OPS_RTT_CB:
		on_round_trip(ctx, sk, st);
		return 1;
	case BPF_SOCK_OPS_STATE_CB:
		on_state(sk, ctx->args[0], ctx->args[1]);
		return 1;
	}
	return 1;
}

/* Gives the socket these callbacks beside those that it has. Has it them now? */
static __always_inline int add_callbacks(struct tcp_sock *tp, int flags)
{
	int has = BPF_CORE_READ(tp, bpf_sock_ops_cb_flags);

	if ((has & flags) == flags)
		return 1;
	flags |= has;
	return !bpf_setsockopt(tp, PP_SOL_TCP, PP_TCP_BPF_SOCK_OPS_CB_FLAGS, &flags, sizeof(flags));
}

/*
 * A socket without callbacks: first counted, then paced for good at an equal share of what there
 * is.
 */
__noinline int pp_order_fixed(struct pp_flow *f, struct order *o, __u32 counting)
{
	__u64 now = bpf_ktime_get_ns(), rate = PP_PACE_MAX;

	if (!f || !o)
		return 0;
	if (f->path.parents)
		pp_refresh(&f->path, now);
	for (__u32 i = 0; i < PP_MAX_PATH; i++) {
		struct pp_pipe *p = pipe_at(&f->path, i);

		if (!p)
			break;
		if (!in_force(p, now) || !paces(p))
			continue;
		if (counting)
			__sync_fetch_and_add(&p->fixed, 1);
		else
			rate = pp_min(rate, pp_law_rate(p) / pp_max(p->fixed, 1));
	}
	/* TCP paces its payload: what the headers add has to fit too, as no law corrects it here */
	rate = rate * o->mss / (o->mss + PP_HEADERS);
	if (f->app_cap)
		rate = pp_min(rate, f->app_cap);
	o->rate = pp_max(rate, 1);
	o->window = pp_law_window(o->rate, o->srtt_us, o->min_rtt_us, o->mss, 0);
	return 0;
}

static __always_inline int iter_obey(struct tcp_sock *tp, struct pp_flow *f, struct order *o,
				     int callbacks)
{
	int flags = BPF_CORE_READ(tp, bpf_sock_ops_cb_flags) & ~BPF_SOCK_OPS_RTT_CB_FLAG;

	if (OBEY(tp, f, o)) {
		f->control = PP_FREE;
		f->rate = f->window = 0;
		return PP_MARK_FAILED;
	}
	if (o->rate) {
		f->control = callbacks ? PP_HELD : PP_FIXED;
		return callbacks ? PP_MARK_HELD : PP_MARK_FIXED;
	}
	f->control = PP_FREE;
	if (!pp_always && !f->path.rules)
		bpf_setsockopt(tp, PP_SOL_TCP, PP_TCP_BPF_SOCK_OPS_CB_FLAGS, &flags, sizeof(flags));
	return PP_MARK_FREED;
}

/* What comes in: the connection is to be asked before it acknowledges. Returns a mark, or 0. */
static __always_inline int iter_in(struct tcp_sock *tp, struct pp_state *st)
{
	struct pp_inflow *in = bpf_sk_storage_get(
		&pp_inflows, tp, 0, st->nlimits[PP_INGRESS] ? BPF_SK_STORAGE_GET_F_CREATE : 0);
	int given;

	if (!in)
		return 0;
	path_of_sock(tp, &in->path, st, PP_INGRESS, bpf_sk_storage_get(&pp_links, tp, 0, 0));
	/* the last one, after a limit, tells of its end */
	if ((!in->path.n && !in->path.rules) || in->path.local)
		return 0;
	given = add_callbacks(tp, PP_CALLBACKS_IN);
	if (!in->path.n)
		return 0;
	return given ? PP_MARK_HELD : PP_MARK_FIXED;
}

static __always_inline int iter_out(struct tcp_sock *tp, struct pp_state *st)
{
	struct pp_link *l = bpf_sk_storage_get(&pp_links, tp, 0, 0);
	struct order o = { .told = told(l), .fresh = l && l->fresh };
	int create = st->nlimits[PP_EGRESS] || o.told != ~0ULL, callbacks = 1;
	struct pp_flow *f =
		bpf_sk_storage_get(&pp_flows, tp, 0, create ? BPF_SK_STORAGE_GET_F_CREATE : 0);

	if (!f)
		return 0;
	if (f->control != PP_HELD)
		f->opened = 1;
	look_up(tp, f, st, l);
	o.srtt_us = BPF_CORE_READ(tp, srtt_us) >> 3;
	o.min_rtt_us = BPF_CORE_READ(tp, rtt_min.s[0].v);
	o.mss = BPF_CORE_READ(tp, mss_cache);
	pp_order_of(f, &o);
	if (o.rate && !(callbacks = add_callbacks(tp, PP_CALLBACKS)))
		pp_order_fixed(f, &o, st->counting);
	if (f->path.rules && !o.rate && !f->path.local && !st->counting)
		add_callbacks(tp, PP_CALLBACKS);
	if (st->counting || (!o.rate && !f->rate))
		return 0;
	return iter_obey(tp, f, &o, callbacks);
}

/*
 * Bring one socket to what the limits say now. Sees the sockets of the network namespace that the
 * reader is in.
 */
SEC("iter/tcp")
int pp_iter_tcp(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;
	struct pp_state *st = state();
	struct tcp_sock *tp;
	char mark;

	if (!skc || !st)
		return 0;
	tp = bpf_skc_to_tcp_sock(skc);
	if (!tp)
		return 0;
	if (skc->skc_state == PP_TCP_LISTEN) {
		if (st->nprefixes)
			add_callbacks(tp, BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG);
		return 0;
	}
	mark = iter_in(tp, st);
	if (mark && !st->counting)
		bpf_seq_write(ctx->meta->seq, &mark, sizeof(mark));
	mark = iter_out(tp, st);
	if (mark)
		bpf_seq_write(ctx->meta->seq, &mark, sizeof(mark));
	return 0;
}
