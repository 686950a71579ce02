/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Handshakes: which may wait for admission (law.h).
 *
 * Of those that a listener is asked for: a SYN has no socket yet, nor has its SYN-ACK, but both are
 * handled on one CPU, one right after the other. What the SYN's packet program finds out is left
 * there for those who make the SYN-ACK: what it shall say (feedback.h), and how long the connection
 * waits.
 *
 * It waits without anything being lost: its first SYN-ACK is not sent, and the timer that would
 * send it again is set to the wait (sockops TIMEOUT_INIT). What its client finds is a longer round
 * trip, once. The kernel gives a handshake up after 63 of those waits (five times the double), so
 * that they are not shorter than 1/32 of the longest round trip that has lately been seen here; and
 * earlier where more than half of the listener's queue is taken, so that then none waits.
 *
 * A socket that connects waits in the same way, by its SYN.
 */
#pragma once

enum pp_tcp_flags {
	PP_TCP_SYN = 0x02,
	PP_TCP_ACK = 0x10,
};

/* more retries than this take a day */
#define PP_SYNCNT_MOST 16

/* The last 32 bits of the other end's address, network order. */
static __always_inline __u32 last_of_address(struct bpf_sock_ops *ctx)
{
	__u32 a;

	if (ctx->family != PP_AF_INET6)
		return ctx->remote_ip4;
	a = ctx->remote_ip6[3];
	barrier_var(a); /* or clang makes one load of both, from a pointer that it computes: the
			   verifier wants a constant offset */
	return a;
}

/* Is the other end's address one whose host takes part? */
static __always_inline int is_known(struct bpf_sock_ops *ctx)
{
	struct pp_prefix key = { .len = 128 };
	__u32 a[4] = { 0, 0, bpf_htonl(0xffff), 0 };

	if (ctx->family == PP_AF_INET6) {
		a[0] = ctx->remote_ip6[0];
		a[1] = ctx->remote_ip6[1];
		a[2] = ctx->remote_ip6[2];
	}
	a[3] = last_of_address(ctx);
	__builtin_memcpy(key.addr, a, sizeof(a));
	return bpf_map_lookup_elem(&pp_prefixes, &key) != NULL;
}

/* A handshake as sockops sees it: remote_port is in network order, in the upper half. */
static __always_inline struct pp_handshake handshake_of(struct bpf_sock_ops *ctx)
{
	struct pp_handshake h = {
		.address = last_of_address(ctx),
		.ports = bpf_htonl(bpf_ntohl(ctx->remote_port) << 16 | ctx->local_port),
	};

	return h;
}

static __always_inline int is_of(const struct pp_syn *s, const struct pp_handshake *h)
{
	return s->of.address == h->address && s->of.ports == h->ports;
}

/* What a flow that is not there yet may send at first; 0 where nothing limits it. */
__noinline __u64 pp_first_rate(struct pp_path *path, __u64 now)
{
	__u64 rate = ~0ULL;

	if (!path)
		return 0;
	if (path->parents)
		pp_refresh(path, now);
	for (__u32 i = 0; i < PP_MAX_PATH; i++) {
		struct pp_pipe *p = pipe_at(path, i);
		struct pp_share s = { 0 };

		if (!p)
			break;
		if (in_force(p, now) && paces(p))
			rate = pp_min(rate, pp_pace_in(p, &s, now));
	}
	return rate == ~0ULL ? 0 : rate;
}

__noinline int pp_limits(struct pp_path *path)
{
	__u64 now = bpf_ktime_get_ns();

	if (!path || path->local)
		return 0;
	for (__u32 i = 0; i < PP_MAX_PATH; i++) {
		struct pp_pipe *p = pipe_at(path, i);

		if (!p)
			break;
		if (in_force(p, now) && !p->observe)
			return 1;
	}
	return 0;
}

/* How long does the path let a connection wait? *pipe is the one that does. */
__noinline __u64 pp_admit(struct pp_path *path, __u64 now, __u32 *pipe, int connects)
{
	__u64 longest = 0, wait;

	if (!path || !pipe)
		return 0;
	for (__u32 i = 0; i < PP_MAX_PATH; i++) {
		struct pp_pipe *p = pipe_at(path, i);

		if (!p)
			break;
		if (!in_force(p, now) || !paces(p))
			continue;
		wait = pp_law_admit(p, now, pp_tick, connects);
		if (wait <= longest)
			continue;
		longest = wait;
		*pipe = path->pipe[i];
	}
	return longest;
}

/* As pp_admit(), of what is sent and what is received: either may be NULL. */
static __always_inline __u64 admit(struct pp_flow *f, struct pp_inflow *in, __u64 now, __u32 *pipe,
				   int connects)
{
	__u32 other = 0;
	__u64 wait = in ? pp_admit(&in->path, now, pipe, connects) : 0;
	__u64 longer = f ? pp_admit(&f->path, now, &other, connects) : 0;

	if (longer <= wait)
		return wait;
	*pipe = other;
	return longer;
}

/* Would the kernel keep one that waits? It is in less of a hurry while half its queue is free. */
static __always_inline int can_wait(struct bpf_sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	__u32 waiting, most;

	if (!tp)
		return 0;
	waiting = BPF_CORE_READ((struct inet_connection_sock *)tp, icsk_accept_queue.qlen.counter);
	most = BPF_CORE_READ((struct sock *)tp, sk_max_ack_backlog);
	return waiting * 2 < most;
}

/*
 * A SYN-ACK is written without a socket, but on the CPU that has received its SYN, right after:
 * leave there what it shall say. IPv6 extension headers are not looked for.
 */
static __always_inline void note_syn(struct __sk_buff *skb, struct bpf_sock *sk, struct pp_flow *f,
				     struct pp_inflow *in)
{
	__u32 l4 = 40, address_at = 20, zero = 0, pipe = 0;
	struct pp_syn *s = bpf_map_lookup_elem(&pp_syns, &zero);
	__u8 b = 0;

	if (!s)
		return;
	if (skb->protocol == bpf_htons(0x0800)) {
		bpf_skb_load_bytes(skb, 0, &b, 1);
		l4 = (b & 15) * 4;
		address_at = 12;
	}
	bpf_skb_load_bytes(skb, l4 + 13, &b, 1);
	if ((b & (PP_TCP_SYN | PP_TCP_ACK)) != PP_TCP_SYN)
		return;
	bpf_skb_load_bytes(skb, address_at, &s->of.address, 4);
	bpf_skb_load_bytes(skb, l4, &s->of.ports, 4);
	s->at = bpf_ktime_get_ns();
	s->says.identity = in ? in->path.identity : 0;
	s->says.rate = in ? pp_first_rate(&in->path, s->at) : 0;
	s->limits = in && pp_limits(&in->path);
	s->wait = s->held = 0;
	if (can_wait(sk)) {
		s->wait = admit(f, in, s->at, &pipe, 0);
		s->pipe = pipe;
	}
}

/* The listener's record as a sender, whose path its children will have, if anything limits them. */
static __always_inline struct pp_flow *listener_flow(struct __sk_buff *skb, struct bpf_sock *sk,
						     struct pp_state *st)
{
	struct pp_flow *f;

	if (!st->nlimits[PP_EGRESS])
		return NULL;
	f = bpf_sk_storage_get(&pp_flows, sk, 0, 0);
	if (!f && pp_pipes_of_skb(skb, st) & 1 << PP_EGRESS)
		f = RECORD_OF(&pp_flows, sk);
	if (f)
		path_for(skb, sk, &f->path, st, PP_EGRESS, PP_INGRESS);
	return f;
}

/*
 * The kernel asks for the timeout of a handshake that begins: the wait, where it has to wait. The
 * connection has no socket yet.
 */
static __always_inline void set_timeout(struct bpf_sock_ops *ctx)
{
	__u32 zero = 0;
	struct pp_syn *s = bpf_map_lookup_elem(&pp_syns, &zero);
	struct pp_handshake h = handshake_of(ctx);
	struct pp_pipe *p;
	__u32 pipe;

	if (!s || !s->wait || !is_of(s, &h))
		return;
	ctx->reply = s->wait / pp_tick + 1;
	s->held = 1;
	s->wait = 0;
	pipe = s->pipe;
	p = bpf_map_lookup_elem(&pp_pipes, &pipe);
	if (p)
		__sync_fetch_and_add(&p->delayed, 1);
}

/*
 * A listener's packet: is it the SYN-ACK of the connection that has just been told to wait? It is
 * sent again by its timer, and then it passes.
 */
static __always_inline int waits(struct __sk_buff *skb)
{
	__u32 l4 = 40, address_at = 36, zero = 0, address = 0, ports = 0;
	struct pp_syn *s = bpf_map_lookup_elem(&pp_syns, &zero);
	__u8 b = 0;

	if (!s || !s->held)
		return 0;
	if (skb->protocol == bpf_htons(0x0800)) {
		bpf_skb_load_bytes(skb, 0, &b, 1);
		l4 = (b & 15) * 4;
		address_at = 16;
	}
	bpf_skb_load_bytes(skb, address_at, &address, 4);
	bpf_skb_load_bytes(skb, l4, &ports, 4);
	/* the listener's own port may be another one already, by NAT */
	if (address != s->of.address || (bpf_ntohl(ports) & 0xffff) != bpf_ntohl(s->of.ports) >> 16)
		return 0;
	s->held = 0;
	return 1;
}

/* TCP_SYNCNT in force. */
static __always_inline __u32 syn_retries(struct tcp_sock *tp)
{
	__u32 n = BPF_CORE_READ((struct inet_connection_sock *)tp, icsk_syn_retries);

	return n ? n
		 : BPF_CORE_READ((struct sock *)tp, __sk_common.skc_net.net,
				 ipv4.sysctl_tcp_syn_retries);
}

/* Timeouts of a SYN that are of one length before they double (tcp_retransmit_timer). */
static __always_inline __u32 linear_timeouts(struct tcp_sock *tp)
{
	struct net *net = BPF_CORE_READ((struct sock *)tp, __sk_common.skc_net.net);

	if (!bpf_core_field_exists(net->ipv4.sysctl_tcp_syn_linear_timeouts))
		return 0;
	return BPF_CORE_READ(net, ipv4.sysctl_tcp_syn_linear_timeouts);
}

/*
 * The SYN of a connection that waits is sent again after that time, and twice, four times it: so
 * much more often that an end that does not answer is given up no earlier than with the kernel's
 * timeout of a second.
 */
static __always_inline void be_patient(struct bpf_sock_ops *ctx, struct tcp_sock *tp,
				       struct pp_flow *f, __u64 wait)
{
	__u64 retries = pp_max(syn_retries(tp), 1), linear = linear_timeouts(tp), doubled, want;
	int n;

	if (f->syncnt || retries > PP_SYNCNT_MOST)
		return;
	doubled = 2ULL << retries;
	want = (linear + doubled) * PP_NSEC;
	n = retries;
	for (int i = 0; i < 7 && (linear + doubled) * wait < want; i++) {
		doubled *= 2;
		n++;
	}
	if (!bpf_setsockopt(ctx, PP_SOL_TCP, PP_TCP_SYNCNT, &n, sizeof(n)))
		f->syncnt = retries;
}

/*
 * A socket connects, and the kernel asks for the timeout of its SYN: the wait, where it has to
 * wait. Then its first SYN is refused, and sent when that has passed.
 */
static __always_inline void set_syn_timeout(struct bpf_sock_ops *ctx, struct bpf_sock *sk,
					    struct pp_state *st)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct pp_inflow *in = NULL;
	__u32 ticks, pipe = 0;
	struct pp_flow *f;
	struct pp_pipe *p;
	__u64 wait;

	/* it asks again when it sends again, only to know when to look for another route */
	if (!tp || sk->state != PP_TCP_SYN_SENT || ctx->packets_out ||
	    !pp_pipes_of_cgroup(cgroup_of(tp), st) || !(f = RECORD_OF(&pp_flows, sk)))
		return;
	f->held = 0;
	path_of_sock(tp, &f->path, st, PP_EGRESS, NULL);
	if (f->path.local)
		return;
	if (st->nlimits[PP_INGRESS] && (in = RECORD_OF(&pp_inflows, sk)))
		path_of_sock(tp, &in->path, st, PP_INGRESS, NULL);
	wait = admit(f, in, bpf_ktime_get_ns(), &pipe, 1);
	if (!wait)
		return;
	ticks = wait / pp_tick + 1;
	be_patient(ctx, tp, f, wait);
	ctx->reply = ticks;
	f->held = 1;
	p = bpf_map_lookup_elem(&pp_pipes, &pipe);
	if (p)
		__sync_fetch_and_add(&p->delayed, 1);
}

/* Is this SYN the one that has just been told to wait? */
static __always_inline int syn_waits(struct bpf_sock *sk)
{
	struct pp_flow *f = bpf_sk_storage_get(&pp_flows, sk, 0, 0);

	if (!f || !f->held)
		return 0;
	f->held = 0;
	return 1;
}

/* It has connected: the application finds its option as it was. */
static __always_inline void restore_syncnt(struct bpf_sock_ops *ctx, struct pp_flow *f)
{
	int n = f->syncnt;

	if (!n)
		return;
	bpf_setsockopt(ctx, PP_SOL_TCP, PP_TCP_SYNCNT, &n, sizeof(n));
	f->syncnt = 0;
}
