// SPDX-License-Identifier: Apache-2.0
// What src/bpf/egress.h does with a TCP packet and src/bpf/tcp.h at an RTT sample, with the same
// law: keep in step.

#include "sim.h"

enum {
	UNPACED = 10, /* segments that TCP sends before its pacing begins */
};

#define OPEN_QUEUE (1 * PP_MSEC)
#define OPEN_LAST (95 * PP_MSEC)
#define HARD_QUEUE (100 * PP_MSEC)
#define LAST_QUEUE PP_NSEC
#define PARENT_QUEUE (20 * PP_MSEC)
/* HZ=250 */
#define TICK (4 * PP_MSEC)

static struct pp_pipe *pipe_at(struct sim *s, const struct sim_flow *f, __u32 i)
{
	return s->pipe[f->path[i]].rate ? &s->pipe[f->path[i]] : NULL;
}

/* Outside the first segments only a queue that nobody should ever see refuses a paced packet. */
static int refused_hard(struct sim *s, struct sim_flow *f, __u64 queue)
{
	__u64 epoch = 0;

	if (queue < HARD_QUEUE)
		return 0;
	for (__u32 i = 0; i < f->pipes; i++) {
		struct pp_pipe *p = pipe_at(s, f, i);

		if (!p || p->members)
			continue;
		epoch = pp_max(epoch, pp_law_epoch(p));
		pp_law_pace(p, &f->share[i], s->now);
	}
	return queue > LAST_QUEUE + 8 * epoch || (queue > 8 * epoch && f->out);
}

static int refused_opening(struct sim *s, struct sim_flow *f, __u32 segs)
{
	for (__u32 i = 0; i < f->pipes; i++)
		if (pipe_at(s, f, i))
			pipe_at(s, f, i)->refused[PP_REFUSED_OPENING] += segs;
	return 0;
}

static int police(struct sim *s, struct sim_flow *f, __u32 segs)
{
	__u64 queue = 0, room = ~0ULL;

	for (__u32 i = 0; i < f->pipes; i++) {
		struct pp_pipe *p = pipe_at(s, f, i);
		__u64 q = p ? pp_law_queue(p, s->now) : 0;

		if (p && p->members)
			q = q > PARENT_QUEUE ? q - PARENT_QUEUE : 0;
		else if (p)
			room = pp_min(room, p->room);
		queue = pp_max(queue, q);
	}
	f->charged = 1;
	if (!f->opened) {
		f->charged = f->segs_out >= UNPACED;
		if (f->segs_out >= UNPACED + segs)
			f->opened = f->charged = 1;
		else if (queue > OPEN_LAST || (queue > OPEN_QUEUE + room && f->out))
			return refused_opening(s, f, segs);
	}
	return !refused_hard(s, f, queue);
}

__u32 sim_datapath_send(struct sim *s, struct sim_flow *f, __u64 payload, __u32 segs)
{
	__u64 len = payload + (__u64)segs * SIM_HEADERS;
	__u32 mss = segs > 1 ? f->group->mss + SIM_HEADERS : len;

	if (!police(s, f, segs)) {
		s->refused++;
		return 0;
	}
	for (__u32 j = f->pipes; j-- > 0;) {
		__u32 i = j;
		struct pp_pipe *p = pipe_at(s, f, i);

		if (!p)
			continue;
		if (p->members)
			pp_tree_arrive(p, pipe_at(s, f, i - 1), s->now, len, mss);
		else
			pp_law_arrive(p, &f->share[i], s->now, len, mss);
		if (f->charged)
			pp_law_charged(&f->share[i], s->now);
	}
	f->shrinks |= f->opened && f->window && f->cwnd > 2 * f->window;
	sim_accepted(s, f, len);
	return segs;
}

/* Each member's capacity by its parent, from the root in. */
static void refresh(struct sim *s, struct sim_flow *f)
{
	for (__u32 i = f->pipes; i-- > 1;) {
		struct pp_pipe *p = pipe_at(s, f, i), *m = pipe_at(s, f, i - 1);

		if (!p || !p->members || !m)
			continue;
		pp_tree_adopt(p, m, s->now);
		m->cap = pp_tree_share(p, m);
	}
}

void sim_datapath_order(struct sim *s, struct sim_flow *f)
{
	__u64 rate = ~0ULL, r;
	__u32 window;
	int young = 0;

	refresh(s, f);
	for (__u32 i = 0; i < f->pipes; i++) {
		struct pp_pipe *p = pipe_at(s, f, i);

		if (!p || p->members)
			continue;
		r = pp_law_pace(p, &f->share[i], s->now);
		if (r < rate) {
			rate = r;
			young = pp_law_young(p, &f->share[i]);
		}
	}
	if (rate == ~0ULL)
		return;
	window = pp_law_window(rate, f->srtt_us, f->min_rtt_us, f->group->mss, young);
	f->max_rate = f->group->unpaced ? ~0ULL : pp_min(rate, PP_PACE_MAX);
	f->pace = pp_min(f->pace, f->max_rate);
	/* the option sets ssthresh too */
	if (window != f->window || f->shrinks)
		f->ssthresh = window;
	/* the end of a congestion window reduction, a round after it was told */
	if (f->shrinks)
		f->cwnd = pp_min(f->cwnd, window);
	f->shrinks = 0;
	f->window = window;
}

/* By the kernel's timer: it may be up to a tick early. */
__u64 sim_datapath_admit(struct sim *s, struct sim_flow *f)
{
	__u64 wait = 0;

	for (__u32 i = 0; i < f->pipes; i++) {
		struct pp_pipe *p = pipe_at(s, f, i);

		if (p && !p->members)
			wait = pp_max(wait, pp_law_admit(p, s->now, TICK, 0));
	}
	return wait ? ((s->now + wait) / TICK + 1) * TICK - s->now : 0;
}

void sim_datapath_leave(struct sim *s, struct sim_flow *f)
{
	for (__u32 i = 0; i < f->pipes; i++) {
		struct pp_pipe *p = pipe_at(s, f, i);

		if (p && !p->members)
			pp_law_leave(p, &f->share[i]);
	}
}
