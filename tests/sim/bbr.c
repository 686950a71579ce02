// SPDX-License-Identifier: Apache-2.0
// BBR as in net/ipv4/tcp_bbr.c, without loss, long-term bandwidth and PROBE_RTT: no queue ever
// raises the RTT here.

#include "sim.h"

enum mode { STARTUP, DRAIN, PROBE_BW };
enum { UNIT = 256, HIGH = UNIT * 2885 / 1000 + 1, CYCLE = 8 };

static const __u32 cycle_gain[CYCLE] = { UNIT * 5 / 4, UNIT * 3 / 4, UNIT, UNIT,
					 UNIT,         UNIT,         UNIT, UNIT };

static __u32 pacing_gain(const struct sim_bbr *b)
{
	switch (b->mode) {
	case STARTUP:
		return HIGH;
	case DRAIN:
		return UNIT * 1000 / 2885;
	default:
		return cycle_gain[b->phase];
	}
}

/* Bandwidth-delay product with a gain, in segments. */
static __u32 bdp(const struct sim_flow *f, __u32 gain)
{
	__u64 bytes = f->bbr.best * (f->min_rtt_us + 1) / 1000000;

	return bytes * gain / UNIT / f->group->mss + 1;
}

static void set_pace(struct sim_flow *f)
{
	__u64 rate = f->bbr.best * pacing_gain(&f->bbr) / UNIT * 99 / 100;

	rate = pp_min(rate, f->max_rate);
	if (f->bbr.mode != STARTUP || rate > f->pace)
		f->pace = pp_max(rate, 1);
}

static void take_sample(struct sim *s, struct sim_flow *f, const struct sim_skb *k)
{
	__u64 sending = k->sent - k->first_sent, acking = s->now - k->delivered_at;
	__u64 us = pp_max(sending, acking) / 1000, bw;
	struct sim_bbr *b = &f->bbr;

	if (us < f->min_rtt_us || !us)
		return;
	bw = (f->delivered - k->delivered) * 1000000 / us;
	if (k->app_limited && bw < b->best)
		return;
	b->bw[b->round % SIM_ROUNDS] = pp_max(b->bw[b->round % SIM_ROUNDS], bw);
	b->best = 0;
	for (int i = 0; i < SIM_ROUNDS; i++)
		b->best = pp_max(b->best, b->bw[i]);
}

static void advance_cycle(struct sim *s, struct sim_flow *f)
{
	struct sim_bbr *b = &f->bbr;
	int full = s->now - b->phase_start > f->min_rtt_us * 1000;
	__u32 gain = cycle_gain[b->phase];

	if (gain > UNIT)
		full = full && f->out >= bdp(f, gain);
	else if (gain < UNIT)
		full = full || f->out <= bdp(f, UNIT);
	if (!full)
		return;
	b->phase = (b->phase + 1) % CYCLE;
	b->phase_start = s->now;
}

static void change_mode(struct sim *s, struct sim_flow *f, const struct sim_skb *k, int new_round)
{
	struct sim_bbr *b = &f->bbr;

	if (b->mode == STARTUP && new_round && !k->app_limited) {
		if (b->best >= b->full_bw + b->full_bw / 4) {
			b->full_bw = b->best;
			b->full_rounds = 0;
		} else if (++b->full_rounds >= 3) {
			b->mode = DRAIN;
		}
	}
	if (b->mode == DRAIN && f->out <= bdp(f, UNIT)) {
		b->mode = PROBE_BW;
		b->phase = (2 + sim_random(s, CYCLE - 1)) % CYCLE;
		b->phase_start = s->now;
	} else if (b->mode == PROBE_BW) {
		advance_cycle(s, f);
	}
}

void sim_bbr_open(struct sim *s, struct sim_flow *f)
{
	__u64 us = pp_max(f->srtt_us, 1);

	memset(&f->bbr, 0, sizeof(f->bbr));
	f->bbr.phase_start = s->now;
	f->pace = (__u64)f->cwnd * f->group->mss * 1000000 / us * HIGH / UNIT;
}

void sim_bbr_ack(struct sim *s, struct sim_flow *f, const struct sim_skb *k, __u32 acked)
{
	struct sim_bbr *b = &f->bbr;
	int new_round = k->delivered >= b->next_round;
	__u32 target;

	if (new_round) {
		b->next_round = f->delivered;
		b->round++;
		b->bw[b->round % SIM_ROUNDS] = 0;
	}
	take_sample(s, f, k);
	if (!b->best)
		return;
	change_mode(s, f, k, new_round);
	set_pace(f);
	target = bdp(f, b->mode == PROBE_BW ? 2 * UNIT : HIGH) + 3 * (f->pace > 150000 ? 2 : 1);
	target = (target + 1) & ~1U;
	if (b->mode != STARTUP)
		f->cwnd = pp_min(f->cwnd + acked, target);
	else if (f->cwnd < target || f->delivered < 10 * f->group->mss)
		f->cwnd += acked;
	f->cwnd = pp_min(pp_max(f->cwnd, 4), f->window);
}
