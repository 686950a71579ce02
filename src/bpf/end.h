/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The end of a TCP connection: its flow shares no pipe any more, and its last ACK has no socket. */
#pragma once

/* The connection ends: it is none of those that share its pipes any more. */
__noinline int pp_leave(struct pp_path *path)
{
	if (!path)
		return 0;
	for (__u32 i = 0; i < PP_MAX_PATH; i++) {
		struct pp_pipe *p = pipe_at(path, i);

		if (!p)
			break;
		if (paces(p))
			pp_law_leave(p, &path->share[i]);
	}
	return 0;
}

/* Does it leave these states, a bit for each? */
static __always_inline int ends_in(__u32 from, __u32 to, __u32 states)
{
	return from < 32 && to < 32 && states & 1U << from && !(states & 1U << to);
}

/*
 * This end has closed first, and what is left of the connection is no socket: the ACK of the other
 * end's FIN, which is to come, will be sent for no cgroup. Count both packets now.
 */
static __always_inline void count_last(struct bpf_sock *sk, struct pp_path *path)
{
	struct packet k = { .now = bpf_ktime_get_ns(), .segs = 1 };

	k.len = k.mss = sk->family == PP_AF_INET6 ? 72 : 52;
	pp_count_passed(path, &k);
}

/* Is the socket gone from its process, and would it be for an ACK of the kernel's? */
static __always_inline int is_orphan(struct bpf_sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	return tp && !BPF_CORE_READ((struct sock *)tp, sk_socket);
}

/*
 * The connection goes from one state to another. It ends as a sender when its FIN is acknowledged,
 * and all before it with that: what was written before close() may still be to be sent. As a
 * receiver it ends when the FIN of the other end has come.
 */
static __always_inline void on_state(struct bpf_sock *sk, __u32 from, __u32 to)
{
	__u32 sends = 1 << PP_TCP_ESTABLISHED | 1 << PP_TCP_CLOSE_WAIT | 1 << PP_TCP_FIN_WAIT1 |
		      1 << PP_TCP_LAST_ACK;
	__u32 receives = 1 << PP_TCP_ESTABLISHED | 1 << PP_TCP_FIN_WAIT1 | 1 << PP_TCP_FIN_WAIT2;

	struct pp_inflow *in;
	struct pp_flow *f;
	int last;

	if (ends_in(from, to, sends) && (f = bpf_sk_storage_get(&pp_flows, sk, 0, 0)))
		pp_leave(&f->path);
	last = from == PP_TCP_FIN_WAIT2 && to == PP_TCP_CLOSE && is_orphan(sk);
	if (last && (f = bpf_sk_storage_get(&pp_flows, sk, 0, 0)))
		count_last(sk, &f->path);
	if (last && (in = bpf_sk_storage_get(&pp_inflows, sk, 0, 0)))
		count_last(sk, &in->path);
	if (ends_in(from, to, receives) && (in = bpf_sk_storage_get(&pp_inflows, sk, 0, 0)))
		pp_leave(&in->path);
}
