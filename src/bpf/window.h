/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A sender that takes no part in feedback is held by the receive window: what it may have in flight
 * in a round trip is R times that. Runs where the connection is about to acknowledge, with the
 * socket locked, before the window is written into the segment.
 */
#pragma once

/* between two computations of a window, at least; four round trips if those are longer */
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
	__u64 rate, dt, fit, got, w;

	if (!in)
		return 0;
	rate = pp_rate_in(&in->path, now);
	if (rate == ~0ULL)
		return 0;
	mss = mss ? mss : PP_MSS_DEFAULT;
	rtt_us = pp_min(rtt_us, 10000000);
	fit = pp_min(rate, 125000000000ULL) * rtt_us / 1000000;
	dt = now - in->hold_at;
	got = in->bytes - in->hold_bytes;
	w = in->window;
	if (!w || !in->hold_at || dt > PP_NSEC || !got) {
		w = fit + mss;
	} else {
		__u64 ratio = rate * (dt / PP_USEC) / 1000000 * 1024 / got;

		w = w * pp_min(pp_max(ratio, 768), 1280) / 1024;
	}
	in->hold_at = now;
	in->hold_bytes = in->bytes;
	w = pp_max(pp_min(w, 2 * fit + 4 * mss), 2 * mss);
	return pp_min(w, 0x3fffffff);
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
	if (now - in->hold_at > pp_max(4 * rtt * PP_USEC, PP_HOLD_EVERY))
		in->window = pp_hold_window(in, rtt, BPF_CORE_READ(tp, advmss), now);
	w = in->window;
	/* the kernel lifts it when it enlarges the buffer */
	if (w && (__u32)w != BPF_CORE_READ(tp, window_clamp))
		bpf_setsockopt(ctx, PP_SOL_TCP, PP_TCP_WINDOW_CLAMP, &w, sizeof(w));
}
