// SPDX-License-Identifier: Apache-2.0
// A case from its beginning to its end: flows, what their applications do, phases, what is
// accounted.

#include <math.h>

#include "sim.h"

enum { SETTLE = 20, SPREAD = 5 }; /* epochs */

/* xorshift64*, below 2^32 */
__u64 sim_random(struct sim *s, __u64 below)
{
	s->rng ^= s->rng >> 12;
	s->rng ^= s->rng << 25;
	s->rng ^= s->rng >> 27;
	return below ? (s->rng * 0x2545f4914f6cdd1dULL >> 32) % below : 0;
}

static int runs(const struct sim_group *g, __u32 phase)
{
	return g->from <= phase && (!g->until || phase < g->until);
}

static __u32 index_of(const struct sim *s, const struct sim_flow *f)
{
	return f - s->flow;
}

/* Rates that change in a phase change as user space changes them: the number, and nothing else. */
static void set_rates(struct sim *s)
{
	for (__u32 i = 0; i < SIM_PIPES; i++)
		if (s->c->rate[s->phase][i])
			s->pipe[i].rate = s->c->rate[s->phase][i];
}

/* Rounds in which slow start gets from ten segments to the flow's share: no law can settle before.
 */
static __u64 slow_start(const struct sim *s, const struct sim_flow *f, __u64 share)
{
	__u64 window = share * (f->rtt / PP_USEC) / 1000000, at = 10ULL * f->group->mss, rounds = 0;

	if (f->group->app == SIM_SHORT || f->group->from != s->phase)
		return 0;
	for (; at < window; at *= 2)
		rounds++;
	return rounds * f->rtt;
}

static void start_phase(struct sim *s)
{
	const struct sim_case *c = s->c;
	__u64 T = sim_judge_epoch(s, c, s->phase), begin = s->now, at;
	struct sim_result *r = &s->result[s->phase];
	const struct sim_group *g;

	set_rates(s);
	for (__u32 i = 0; i < s->flows; i++) {
		g = s->flow[i].group;
		if (g->until == s->phase && s->phase)
			sim_heap_add(&s->heap, s->now, i, SIM_STOP);
		if (g->from != s->phase)
			continue;
		at = s->now + (g->at_once ? 0 : sim_random(s, SPREAD * T / PP_USEC) * PP_USEC);
		begin = pp_max(begin, at + slow_start(s, &s->flow[i], s->pipe[0].rate / s->flows));
		sim_heap_add(&s->heap, at, i, SIM_OPEN);
	}
	r->C = s->pipe[0].rate;
	r->epoch = T;
	s->phase_start = s->now;
	s->settle_end = begin + SETTLE * T;
	s->phase_end = s->settle_end + c->epochs * T;
	s->refused = 0;
	memset(s->in, 0, sizeof(s->in));
	for (__u32 i = 0; i < s->flows; i++)
		s->flow[i].got = 0;
	sim_bins_start(&s->epochs, begin, T, SETTLE + c->epochs);
	sim_bins_start(&s->worst, s->now, SIM_BIN * PP_MSEC,
		       (s->phase_end - s->now) / (SIM_BIN * PP_MSEC) + 1);
	sim_heap_add(&s->heap, s->phase_end, SIM_NONE, SIM_PHASE);
	if (c->flip) {
		r->C = (c->rate[0][0] + c->flip) / 2;
		sim_heap_add(&s->heap, s->now + c->flip_every, SIM_NONE, SIM_FLIP);
	}
}

static void add_group(struct sim *s, const struct sim_group *g)
{
	for (__u32 i = 0; i < g->flows; i++) {
		struct sim_flow *f = &s->flow[s->flows++];
		double at = g->flows > 1 ? (double)i / (g->flows - 1) : 0;

		f->group = g;
		f->rtt = g->rtt_min * pow((double)g->rtt_max / g->rtt_min, at);
		f->head = f->tail = SIM_NONE;
		for (__u32 k = 0; k < SIM_PIPES; k++)
			if (g->pipes & 1 << k)
				f->path[f->pipes++] = k;
	}
}

/* An application that writes at a rate does so each millisecond, or each full segment if that takes
 * longer. */
static void write_demand(struct sim *s, struct sim_flow *f)
{
	const struct sim_group *g = f->group;
	__u64 chunk = pp_max(g->demand / 1000, g->mss),
	      l3 = chunk + (chunk + g->mss - 1) / g->mss * SIM_HEADERS;

	if (!f->open)
		return;
	if (f->supply - f->una < (4 << 20))
		f->supply += chunk;
	sim_heap_add(&s->heap, s->now + l3 * PP_NSEC / g->demand, index_of(s, f), SIM_WRITE);
}

static void toggle(struct sim *s, struct sim_flow *f)
{
	const struct sim_group *g = f->group;
	int on = f->supply != ~0ULL;

	if (!f->open)
		return;
	f->supply = on ? ~0ULL : f->seq;
	sim_heap_add(&s->heap, s->now + (on ? g->on : g->off) * s->result[s->phase].epoch,
		     index_of(s, f), SIM_WRITE);
}

/* The next request has come. */
static void answer(struct sim_flow *f)
{
	f->asked = 0;
	f->supply += f->group->size;
}

static void flip(struct sim *s)
{
	__u64 one = s->c->rate[0][0];

	s->pipe[0].rate = s->pipe[0].rate == one ? s->c->flip : one;
	sim_heap_add(&s->heap, s->now + s->c->flip_every, SIM_NONE, SIM_FLIP);
}

static void open_flow(struct sim *s, struct sim_flow *f)
{
	const struct sim_group *g = f->group;

	f->supply = ~0ULL;
	if (g->app == SIM_SHORT)
		f->supply = g->size_max ? g->size + sim_random(s, g->size_max - g->size) : g->size;
	if (g->app == SIM_KEPT)
		f->supply = g->size;
	if (g->app == SIM_DEMAND) {
		f->supply = g->mss;
		sim_heap_add(&s->heap, s->now + sim_random(s, PP_MSEC), index_of(s, f), SIM_WRITE);
	}
	if (g->app == SIM_ONOFF) {
		__u64 first = g->at_once ? g->on : g->on / 2 + sim_random(s, g->on);

		sim_heap_add(&s->heap, s->now + first * s->result[s->phase].epoch, index_of(s, f),
			     SIM_WRITE);
	}
	sim_tcp_open(s, f);
}

/*
 * A short connection ends when its last byte is acknowledged, and its client opens the next. One
 * that is kept gets the next request.
 */
void sim_drained(struct sim *s, struct sim_flow *f)
{
	if (f->out)
		return;
	if (f->group->app == SIM_KEPT && !f->asked) {
		f->asked = 1;
		sim_heap_add(&s->heap, s->now + f->rtt, index_of(s, f), SIM_WRITE);
	}
	if (f->group->app != SIM_SHORT)
		return;
	sim_datapath_leave(s, f);
	f->open = 0;
	s->connections++;
	sim_heap_add(&s->heap, s->now + f->rtt, index_of(s, f), SIM_OPEN);
}

static void print_csv(struct sim *s, __u32 i)
{
	struct pp_pipe *p = &s->pipe[i];

	printf("%.6f,%u,%u,%.2f,%.4f,%.2f,%u,%.3f,%u,%llu\n", (s->now - SIM_START) / 1e9, i,
	       p->epoch_no, 100. * p->y / p->rate, (double)p->R / p->rate, p->n16 / 16.,
	       p->born_prev, pp_law_queue(p, s->now) / 1e6, p->mss, s->refused);
}

void sim_accepted(struct sim *s, struct sim_flow *f, __u64 len)
{
	if (s->c->tree) {
		if (s->now >= s->settle_end)
			s->leaf_got[f->path[0]] += len;
		sim_bins_add(&s->worst, s->now, len);
		return;
	}
	for (__u32 i = 0; i < SIM_PIPES; i++)
		if (f->group->pipes & 1 << i && s->now >= s->settle_end)
			s->in[i] += len;
	if (s->csv && s->csv_epoch != s->pipe[0].epoch_no + (s->pipe[1].epoch_no << 16)) {
		s->csv_epoch = s->pipe[0].epoch_no + (s->pipe[1].epoch_no << 16);
		for (__u32 i = 0; i < SIM_PIPES; i++)
			if (s->pipe[i].rate)
				print_csv(s, i);
	}
	if (s->now >= s->settle_end)
		f->got += len;
	if (f->group->pipes & 1) {
		sim_bins_add(&s->epochs, s->now, len);
		sim_bins_add(&s->worst, s->now, len);
	}
}

static int next_phase(struct sim *s)
{
	if (s->c->tree)
		sim_tree_judge(s);
	else
		sim_judge_phase(s);
	if (++s->phase == s->c->phases)
		return 0;
	if (s->c->tree)
		sim_tree_phase(s);
	else
		start_phase(s);
	return 1;
}

/* Is the connection to wait, for the first time? */
static int waits(struct sim *s, struct sim_flow *f, __u32 again)
{
	__u64 wait = f->group->admitted && !again ? sim_datapath_admit(s, f) : 0;

	if (wait)
		sim_heap_add(&s->heap, s->now + wait, index_of(s, f), SIM_OPEN | 1 << 8);
	return wait > 0;
}

static int handle(struct sim *s, const struct sim_heap_entry *e)
{
	struct sim_flow *f = &s->flow[e->flow];

	switch ((enum sim_event)(e->what & 0xff)) {
	case SIM_OPEN:
		if (runs(f->group, s->phase) && !f->open && !waits(s, f, e->what >> 8))
			open_flow(s, f);
		break;
	case SIM_ARRIVE:
		sim_tcp_arrive(s, f);
		break;
	case SIM_DELACK:
		sim_tcp_delack(s, f, e->what >> 8);
		break;
	case SIM_SEND:
		f->send_armed = 0;
		sim_tcp_send(s, f);
		break;
	case SIM_PROBE:
		f->probe_armed = 0;
		sim_tcp_send(s, f);
		break;
	case SIM_WRITE:
		if (f->group->app == SIM_DEMAND)
			write_demand(s, f);
		else if (f->group->app == SIM_KEPT)
			answer(f);
		else
			toggle(s, f);
		sim_tcp_send(s, f);
		break;
	case SIM_STOP:
		f->open = 0;
		sim_datapath_leave(s, f);
		break;
	case SIM_FLIP:
		flip(s);
		break;
	case SIM_CHANGE:
		sim_tree_change(s, e->flow);
		break;
	default:
		return next_phase(s);
	}
	return 1;
}

void sim_run(struct sim *s, const struct sim_case *c, int csv)
{
	struct sim_heap_entry e;
	__u32 n = 0;

	memset(s, 0, sizeof(*s));
	s->c = c;
	s->rng = 88172645463325252ULL;
	s->now = SIM_START;
	s->skb_free = SIM_NONE;
	s->csv = csv;
	for (__u32 i = 0; i < SIM_GROUPS; i++)
		n += c->group[i].flows;
	if (c->tree) {
		sim_tree_build(s);
		sim_tree_phase(s);
	} else {
		s->flow = calloc(n, sizeof(*s->flow));
		s->pipe = calloc(SIM_PIPES, sizeof(*s->pipe));
		if (!s->flow || !s->pipe)
			abort();
		for (__u32 i = 0; i < SIM_GROUPS; i++)
			add_group(s, &c->group[i]);
		if (csv)
			printf("time_s,pipe,epoch,y_pct,R_of_limit,n,born,queue_ms,mss,refused\n");
		start_phase(s);
	}
	while (sim_heap_take(&s->heap, &e)) {
		s->now = e.t;
		s->events++;
		if (!handle(s, &e))
			break;
	}
}

void sim_free(struct sim *s)
{
	free(s->pipe);
	free(s->leaf);
	free(s->leaf_got);
	free(s->heap.at);
	free(s->flow);
	free(s->skb);
	free(s->epochs.at);
	free(s->worst.at);
}
