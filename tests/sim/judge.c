// SPDX-License-Identifier: Apache-2.0
// What came out of a run, and whether that is what was promised.

#include <math.h>

#include "sim.h"
#include "tap.h"

enum { SETTLE = 20, WINDOW = 8 }; /* epochs */

#define BAND 0.05

static int runs(const struct sim_group *g, __u32 phase)
{
	return g->from <= phase && (!g->until || phase < g->until);
}

/* The epoch of equal shares; nothing can settle in less than the time in which a flow hears. */
__u64 sim_judge_epoch(const struct sim *s, const struct sim_case *c, __u32 phase)
{
	struct pp_pipe p = {};
	__u64 n = 0, rtt = 0;

	for (__u32 i = 0; i < SIM_GROUPS; i++) {
		const struct sim_group *g = &c->group[i];

		if (!g->flows || !runs(g, phase))
			continue;
		n += g->flows;
		rtt = pp_max(rtt, g->rtt_max);
		p.mss = pp_max(p.mss, g->mss + SIM_HEADERS);
	}
	p.rate = c->rate[phase][0] ? c->rate[phase][0] : s->pipe[0].rate;
	p.C = pp_law_rate(&p);
	p.R = pp_max(p.C / pp_max(n, 1), 1);
	return pp_max(pp_law_epoch(&p), rtt);
}

static double full(const struct sim *s, const struct sim_result *r)
{
	return s->c->cap && s->c->cap < r->C ? s->c->cap : r->C;
}

static void windows(const struct sim *s, struct sim_result *r)
{
	double unit = full(s, r) * r->epoch / 1e9 * WINDOW;

	r->settle = 0;
	r->lowest = 1e9;
	r->highest = 0;
	for (__u64 k = 0; k + WINDOW <= s->epochs.n; k++) {
		double sum = 0, y;

		for (int i = 0; i < WINDOW; i++)
			sum += s->epochs.at[k + i];
		y = sum / unit;
		if (fabs(y - 1) > BAND)
			r->settle = k + WINDOW == s->epochs.n ? -1. : k + 1.;
		if (k < SETTLE)
			continue;
		r->lowest = fmin(r->lowest, y);
		r->highest = fmax(r->highest, y);
	}
}

static void worst(const struct sim *s, struct sim_result *r)
{
	double unit = r->C / 10.;
	__u64 n = 100 / SIM_BIN, sum = 0;

	r->worst = 0;
	for (__u64 i = 0; i < s->worst.n; i++) {
		sum += s->worst.at[i];
		if (i >= n)
			sum -= s->worst.at[i - n];
		r->worst = fmax(r->worst, sum / unit);
	}
}

/* Jain's index, and the least part, of the flows that are to get the same. */
static void fairness(const struct sim *s, struct sim_result *r)
{
	double sum = 0, squares = 0, least = 1e99, n = 0;

	for (__u32 i = 0; i < s->flows; i++) {
		const struct sim_flow *f = &s->flow[i];

		if (!f->group->alike || !runs(f->group, s->phase))
			continue;
		n++;
		sum += f->got;
		squares += (double)f->got * f->got;
		least = fmin(least, f->got);
	}
	r->jain = squares > 0 ? sum * sum / n / squares : 1;
	r->least = sum > 0 ? least * n / sum : 1;
}

/* The phase is over: what came out of it. */
void sim_judge_phase(struct sim *s)
{
	struct sim_result *r = &s->result[s->phase];
	double measured = (s->phase_end - s->settle_end) / 1e9;

	r->y[0] = s->in[0] / measured / full(s, r);
	if (s->pipe[1].rate)
		r->y[1] = s->in[1] / measured / s->pipe[1].rate;
	windows(s, r);
	worst(s, r);
	fairness(s, r);
	memset(r->group, 0, sizeof(r->group));
	for (__u32 i = 0; i < s->flows; i++)
		r->group[s->flow[i].group - s->c->group] += s->flow[i].got / measured;
	r->refused = s->refused;
}

/* A failure that is known and understood is reported as one, and fails nothing. */
void sim_judge_report(int pass, const char *what, const char *todo)
{
	if (todo && !pass)
		printf("not ok %u - %s # TODO %s\n", ++tap_run, what, todo);
	else
		ok(pass, "%s", what);
}

static void tap_phase(const struct sim *s, __u32 phase)
{
	const struct sim_result *r = &s->result[phase];
	const struct sim_case *c = s->c;
	int fill = !(c->checks & SIM_NO_FILL), rest = !(c->checks & (SIM_NO_SETTLE | SIM_COARSE));
	int settled = !rest || !fill || (r->settle >= 0 && r->settle <= SETTLE);
	int filled = r->y[0] <= 1 + BAND && (!fill || r->y[0] >= 1 - BAND);
	int fair = c->checks & SIM_COARSE ? r->least > 0.5 : r->jain >= 0.99;
	char line[256], phases[24] = "";

	if (c->phases > 1)
		snprintf(phases, sizeof(phases), " phase %u", phase);
	snprintf(line, sizeof(line),
		 "%s%s: y %.2f %% (%.1f-%.1f), settled after %.0f, Jain %.4f, least %.2f, "
		 "worst 100 ms %.0f %%, refused %llu",
		 c->name, phases, 100 * r->y[0], 100 * r->lowest, 100 * r->highest, r->settle,
		 r->jain, r->least, 100 * r->worst, r->refused);
	if (c->group[1].flows && c->group[0].app == SIM_SHORT)
		printf("# the long flows get %.1f %%\n", 100 * r->group[1] / c->rate[0][0]);
	sim_judge_report(settled && filled && fair, line,
			 c->todo_phases & 1 << phase ? c->todo : NULL);
	if (!settled || !filled || !fair)
		printf("#   failed:%s%s%s\n", settled ? "" : " settling", filled ? "" : " rate",
		       fair ? "" : " fairness");
}

void sim_judge_tap(const struct sim *s)
{
	const struct sim_case *c = s->c;
	const struct sim_result *r = &s->result[c->phases - 1];
	char line[256];

	for (__u32 i = 0; i < c->phases; i++)
		tap_phase(s, i);
	if (r->y[1] > 0 && c->rate[0][1]) {
		snprintf(line, sizeof(line), "%s: inner limit %.2f %%", c->name, 100 * r->y[1]);
		sim_judge_report(r->y[1] < 1 + BAND, line, NULL);
	}
	for (__u32 i = 0; i < SIM_GROUPS; i++) {
		const struct sim_group *g = &c->group[i];

		if (!g->flows || !g->want)
			continue;
		snprintf(line, sizeof(line), "%s: group %u gets %.4g of %.4g Mbit/s: %.1f %%",
			 c->name, i, r->group[i] * 8e-6, g->want * 8e-6,
			 100 * r->group[i] / g->want);
		sim_judge_report(fabs(r->group[i] / g->want - 1) <= BAND, line, NULL);
	}
}

int sim_judge_done(void)
{
	return done_testing();
}
