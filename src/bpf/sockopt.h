/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An application's own SO_MAX_PACING_RATE: remembered, honoured as one more cap, and what it reads
 * back; never a way out of a limit.
 */
#pragma once

/*
 * The kernel hands a program at most a page of the option; a longer one must be waved through by a
 * length of 0.
 */
#define PP_OPTION_MAX 4096

SEC("cgroup/setsockopt")
int pp_setsockopt(struct bpf_sockopt *ctx)
{
	__u8 *val = ctx->optval, *end = ctx->optval_end;
	struct bpf_sock *sk = ctx->sk;
	struct pp_flow *f;
	__u64 cap;

	if (ctx->level != PP_SOL_SOCKET || ctx->optname != PP_SO_MAX_PACING_RATE) {
		if (ctx->optlen > PP_OPTION_MAX)
			ctx->optlen = 0;
		return 1;
	}
	if (!sk || val + sizeof(__u32) > end)
		return 1;
	cap = *(__u32 *)val;
	if (cap == ~0U)
		cap = 0;
	if (ctx->optlen >= (int)sizeof(__u64) && val + sizeof(__u64) <= end) {
		cap = *(__u64 *)val;
		if (cap == ~0ULL)
			cap = 0;
	}
	f = bpf_sk_storage_get(&pp_flows, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!f)
		return 1;
	f->app_cap = cap;
	if (f->rate)
		ctx->optlen = -1; /* the kernel shall not set it: the next RTT sample sets the
				     lesser of both */
	return 1;
}

SEC("cgroup/getsockopt")
int pp_getsockopt(struct bpf_sockopt *ctx)
{
	__u8 *val = ctx->optval, *end = ctx->optval_end;
	struct bpf_sock *sk = ctx->sk;
	struct pp_flow *f;

	if (ctx->level != PP_SOL_SOCKET || ctx->optname != PP_SO_MAX_PACING_RATE) {
		if (ctx->optlen > PP_OPTION_MAX)
			ctx->optlen = 0;
		return 1;
	}
	if (!sk || ctx->retval)
		return 1;
	f = bpf_sk_storage_get(&pp_flows, sk, 0, 0);
	if (!f || !f->rate)
		return 1;
	if (ctx->optlen >= (int)sizeof(__u64) && val + sizeof(__u64) <= end)
		*(__u64 *)val = f->app_cap ? f->app_cap : ~0ULL;
	else if (val + sizeof(__u32) <= end)
		*(__u32 *)val = f->app_cap ? pp_min(f->app_cap, ~0U) : ~0U;
	return 1;
}
