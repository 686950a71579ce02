// SPDX-License-Identifier: Apache-2.0
// Linux TCP as far as the law can see it: pacing, super-packets, the window, delayed ACKs, when the
// RTT is sampled.

#include "sim.h"

enum {
	INITIAL_WINDOW = 10,
	UNPACED = 10, /* tcp_update_skb_after_send() charges nothing before */
	QUICK = 16,   /* ACKs that a receiver sends at once when a connection begins */
	GSO_MAX = 65536,
	TIMER_LATE = 5000, /* ns that a pacing timer may be late */
};

#define DELACK (40 * PP_MSEC)
#define PROBE (200 * PP_MSEC) /* RTO_MIN: when nothing is in flight and a packet was refused */

static __u32 index_of(const struct sim *s, const struct sim_flow *f)
{
	return f - s->flow;
}

static __u32 take_skb(struct sim *s)
{
	__u32 i = s->skb_free;

	if (i != SIM_NONE) {
		s->skb_free = s->skb[i].next;
		return i;
	}
	if (s->skbs == s->skb_size) {
		s->skb_size = s->skb_size ? 2 * s->skb_size : 1024;
		s->skb = realloc(s->skb, s->skb_size * sizeof(*s->skb));
		if (!s->skb)
			abort();
	}
	return s->skbs++;
}

static void free_skb(struct sim *s, __u32 i)
{
	s->skb[i].next = s->skb_free;
	s->skb_free = i;
}

/* tcp_tso_autosize(): a millisecond of the pace, and more at a short RTT, but two segments. */
static __u32 tso_segs(const struct sim_flow *f)
{
	__u64 bytes = f->pace >> 10, shift = f->min_rtt_us >> 9;
	__u32 least = f->group->cc == SIM_BBR && f->pace < 150000 ? 1 : 2;

	if (shift < 32)
		bytes += GSO_MAX >> shift;
	return pp_max(pp_min(bytes, GSO_MAX - 320) / f->group->mss, least);
}

/* A packet refused below TCP is local congestion: tcp_enter_cwr(). BBR takes no notice. */
static void enter_cwr(struct sim_flow *f)
{
	if (f->group->cc == SIM_BBR || f->una < f->cwr_seq)
		return;
	f->cwr_seq = f->seq;
	f->ssthresh = pp_max(f->cwnd * 7 / 10, 2);
	f->cwnd = f->ssthresh;
}

static void in_flight(struct sim *s, struct sim_flow *f, __u32 len, __u32 segs)
{
	__u32 i = take_skb(s);
	__u64 at = s->now + f->rtt + sim_random(s, f->rtt / 20 + 1);
	struct sim_skb *k = &s->skb[i];

	if (!f->out)
		f->first_sent = f->delivered_at = s->now;
	*k = (struct sim_skb){ .sent = s->now,
			       .delivered = f->delivered,
			       .delivered_at = f->delivered_at,
			       .first_sent = f->first_sent,
			       .len = len,
			       .segs = segs,
			       .next = SIM_NONE,
			       .app_limited = f->app_limited };
	if (f->head == SIM_NONE)
		f->head = i;
	else
		s->skb[f->tail].next = i;
	f->tail = i;
	f->seq += len;
	f->out += segs;
	f->max_out = pp_max(f->max_out, f->out);
	f->last_ack_at = pp_max(at, f->last_ack_at);
	sim_heap_add(&s->heap, f->last_ack_at, index_of(s, f), SIM_ARRIVE);
}

/* tcp_update_skb_after_send(): the payload is charged at the pace in force; half of it may be made
 * up for lateness. */
static void charge(struct sim_flow *f, __u64 before, __u64 payload)
{
	__u64 ns, late = f->wstamp - before;

	if (f->segs_out < UNPACED || f->pace == ~0ULL)
		return;
	ns = payload * PP_NSEC / f->pace;
	f->wstamp += ns - pp_min(ns / 2, late);
}

/* One super-packet. Returns 0 when no more can be sent now. */
static int send_one(struct sim *s, struct sim_flow *f)
{
	__u32 quota = pp_min(pp_max(f->cwnd / 2, 1), f->cwnd - f->out),
	      segs = pp_min(tso_segs(f), quota);
	__u64 len = pp_min((__u64)segs * f->group->mss, f->supply - f->seq), before = f->wstamp;

	segs = (len + f->group->mss - 1) / f->group->mss;
	f->wstamp = pp_max(f->wstamp, s->now);
	f->segs_out += segs;
	if (!sim_datapath_send(s, f, len, segs)) {
		enter_cwr(f);
		if (!f->out && !f->probe_armed) {
			f->probe_armed = 1;
			sim_heap_add(&s->heap, s->now + PROBE, index_of(s, f), SIM_PROBE);
		}
		return 0;
	}
	in_flight(s, f, len, segs);
	charge(f, before, len);
	f->last_send = s->now;
	return 1;
}

void sim_tcp_send(struct sim *s, struct sim_flow *f)
{
	/* tcp_slow_start_after_idle */
	if (!f->out && s->now - f->last_send > PROBE && f->group->cc == SIM_CUBIC)
		f->cwnd = pp_min(f->cwnd, INITIAL_WINDOW);
	while (f->open && f->seq < f->supply) {
		f->app_limited = 0;
		if (f->wstamp > s->now) {
			if (!f->send_armed)
				sim_heap_add(&s->heap, f->wstamp + sim_random(s, TIMER_LATE),
					     index_of(s, f), SIM_SEND);
			f->send_armed = 1;
			return;
		}
		if (f->out >= f->cwnd) {
			f->limited = 1;
			return;
		}
		if (!send_one(s, f))
			return;
	}
	if (f->open && f->out < f->cwnd)
		f->app_limited = 1;
	if (f->open)
		sim_drained(s, f);
}

static void cubic_ack(struct sim_flow *f, __u32 acked)
{
	__u64 rate, us = pp_max(f->srtt_us, 1);

	if (f->una < f->cwr_seq) {
		/* reducing: no growth */
	} else if (f->cwnd < f->ssthresh) {
		if (f->cwnd < 2 * f->max_out)
			f->cwnd = pp_min(f->cwnd + acked, f->window);
	} else if (f->limited) {
		f->cwnd_cnt += acked;
		if (f->cwnd_cnt >= f->cwnd) {
			f->cwnd_cnt = 0;
			f->cwnd++;
		}
		f->cwnd = pp_min(f->cwnd, f->window);
	}
	f->limited = 0;
	if (f->una >= f->round_seq) {
		f->round_seq = f->seq;
		f->max_out = f->out;
	}
	rate = pp_max(f->cwnd, f->out) * (__u64)f->group->mss * 1000000 / us;
	rate = f->cwnd < f->ssthresh / 2 ? 2 * rate : rate * 6 / 5;
	f->pace = pp_max(pp_min(rate, f->max_rate), 1);
}

/* tcp_rtt_estimator(): the callback comes once a round, when something sent after the last one is
 * acknowledged. */
static void rtt_sample(struct sim *s, struct sim_flow *f, __u64 us)
{
	f->srtt_us = (7 * f->srtt_us + us) / 8;
	f->min_rtt_us = pp_min(f->min_rtt_us, us);
	if (f->una <= f->rtt_seq)
		return;
	f->rtt_seq = f->seq;
	sim_datapath_order(s, f);
}

static void acknowledge(struct sim *s, struct sim_flow *f)
{
	__u32 acked = 0, i;
	struct sim_skb k = {};
	__u64 oldest = 0;

	for (; f->arrived; f->arrived--) {
		i = f->head;
		k = s->skb[i];
		f->head = k.next;
		free_skb(s, i);
		if (!acked)
			oldest = k.sent;
		acked += k.segs;
		f->una += k.len;
		f->delivered += k.len;
	}
	f->out -= acked;
	f->pending = 0;
	f->delack_gen++;
	f->delack_armed = 0;
	f->delivered_at = s->now;
	f->first_sent = k.sent;
	rtt_sample(s, f, pp_max((s->now - oldest) / 1000, 1));
	if (f->group->cc == SIM_BBR)
		sim_bbr_ack(s, f, &k, acked);
	else
		cubic_ack(f, acked);
	sim_tcp_send(s, f);
}

/* The last of an answer: the next request acknowledges it. */
static int is_answer(const struct sim_flow *f, __u32 i)
{
	return f->group->app == SIM_KEPT && i == f->tail && f->seq == f->supply;
}

/* A packet and the ACK that it makes have both travelled: the receiver's delay is added here, which
 * is the same. */
void sim_tcp_arrive(struct sim *s, struct sim_flow *f)
{
	__u32 i = f->head;

	for (__u32 k = 0; k < f->arrived; k++)
		i = s->skb[i].next;
	f->arrived++;
	f->pending += s->skb[i].segs;
	if (f->pending >= 2 || f->quick || is_answer(f, i)) {
		f->quick -= !!f->quick;
		acknowledge(s, f);
	} else if (!f->delack_armed) {
		f->delack_armed = 1;
		sim_heap_add(&s->heap, s->now + DELACK, index_of(s, f),
			     SIM_DELACK | (f->delack_gen & 0xffffff) << 8);
	}
}

void sim_tcp_delack(struct sim *s, struct sim_flow *f, __u32 gen)
{
	if (f->delack_armed && gen == (f->delack_gen & 0xffffff) && f->arrived)
		acknowledge(s, f);
}

void sim_tcp_open(struct sim *s, struct sim_flow *f)
{
	memset(f->share, 0, sizeof(f->share));
	f->open = 1;
	f->opened = f->limited = f->app_limited = 0;
	f->seq = f->una = f->rtt_seq = f->round_seq = f->cwr_seq = 0;
	f->delivered = f->out = f->max_out = f->cwnd_cnt = f->segs_out = f->pending = 0;
	f->delack_gen++;
	f->quick = QUICK;
	f->srtt_us = f->min_rtt_us = pp_max(f->rtt / 1000, 1);
	f->wstamp = f->last_send = s->now;
	f->pace = ~0ULL;
	f->window = 0;
	f->cwnd = INITIAL_WINDOW;
	f->ssthresh = ~0U;
	f->max_rate = ~0ULL;
	f->head = f->tail = SIM_NONE;
	sim_datapath_order(s, f);
	/* TCP_BPF_IW */
	f->cwnd = pp_min(f->cwnd, pp_max(f->window, 1));
	if (f->group->cc == SIM_BBR) {
		sim_bbr_open(s, f);
		f->pace = pp_min(f->pace, f->max_rate);
	}
	sim_tcp_send(s, f);
}
