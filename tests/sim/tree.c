// SPDX-License-Identifier: Apache-2.0
// Trees of pipes: what each leaf is to get, by an exact computation of weighted max-min shares with
// guarantees, and what it gets by the law.

#include <math.h>

#include "sim.h"

enum { MAX_TREES = 128 };

static struct sim_tree trees[MAX_TREES];
static __u32 n_trees;

/* --- what is exact */

static int runs(const struct sim_node *n, __u32 phase)
{
	return n->flows && n->from <= phase && (!n->until || phase < n->until);
}

/* What a flow can send at most: its pace counts payload. */
static double fastest(void)
{
	return (double)PP_PACE_MAX / 1448 * (1448 + SIM_HEADERS);
}

/* What each node would take if it could; nodes lie behind their parents. */
static void wants(const struct sim_tree *t, __u32 phase, double *want)
{
	for (__u32 i = t->nodes; i-- > 0;) {
		const struct sim_node *n = &t->node[i];

		if (n->flows)
			want[i] = !runs(n, phase) ? 0
				  : n->demand     ? n->demand
						  : n->flows * fastest();
		if (n->ceil)
			want[i] = fmin(want[i], n->ceil);
		if (i)
			want[n->parent] += want[i];
	}
}

/* What the members of a parent get, if each gets `scale` of its guarantee and r a weight. */
static double filled(const struct sim_tree *t, __u32 parent, const double *want, double scale,
		     double r, double *got)
{
	double sum = 0;

	for (__u32 i = parent + 1; i < t->nodes; i++) {
		const struct sim_node *n = &t->node[i];
		double has;

		if (n->parent != parent)
			continue;
		has = fmin(want[i], n->guarantee * scale + n->weight * r);
		sum += has;
		if (got)
			got[i] = has;
	}
	return sum;
}

/* By bisection: first guarantees, up to 63/64 of the whole, then what weights share. */
static void share(const struct sim_tree *t, __u32 parent, const double *want, double *got)
{
	double C = got[parent], scale = 1, low = 0, high = 1e15;

	if (filled(t, parent, want, 1, 0, NULL) > C * 63 / 64) {
		for (double lo = 0, hi = 1; hi - lo > 1e-12;) {
			scale = (lo + hi) / 2;
			if (filled(t, parent, want, scale, 0, NULL) > C * 63 / 64)
				hi = scale;
			else
				lo = scale;
		}
	}
	for (int i = 0; i < 200; i++) {
		double r = (low + high) / 2;

		if (filled(t, parent, want, scale, r, got) > C)
			high = r;
		else
			low = r;
	}
	filled(t, parent, want, scale, low, got);
}

/* What each node gets in this phase, bytes/s. */
void sim_tree_exact(const struct sim_tree *t, __u32 phase, double *ret)
{
	double *want = calloc(t->nodes, sizeof(*want));

	if (!want)
		abort();
	wants(t, phase, want);
	ret[0] = t->node[0].ceil;
	for (__u32 i = 0; i < t->nodes; i++)
		if (!t->node[i].flows)
			share(t, i, want, ret);
	free(want);
}

/* --- the run */

static void build_leaf(struct sim *s, __u32 i)
{
	const struct sim_node *n = &s->c->tree->node[i];
	struct sim_group *g = &s->leaf[i];

	*g = (struct sim_group){ .flows = n->flows,
				 .cc = n->cc,
				 .app = n->demand ? SIM_DEMAND : SIM_BULK,
				 .mss = 1448,
				 .demand = n->demand / pp_max(n->flows, 1),
				 .from = n->from,
				 .until = n->until };
	for (__u32 k = 0; k < n->flows; k++) {
		struct sim_flow *f = &s->flow[s->flows++];

		f->group = g;
		f->rtt = n->rtt ? n->rtt : 200 * PP_USEC;
		f->head = f->tail = SIM_NONE;
		for (__u32 at = i;; at = s->c->tree->node[at].parent) {
			f->path[f->pipes++] = at;
			if (!at)
				break;
		}
	}
}

void sim_tree_build(struct sim *s)
{
	const struct sim_tree *t = s->c->tree;
	__u32 flows = 0;

	for (__u32 i = 0; i < t->nodes; i++)
		flows += t->node[i].flows;
	s->flow = calloc(flows, sizeof(*s->flow));
	s->pipe = calloc(t->nodes, sizeof(*s->pipe));
	s->leaf = calloc(t->nodes, sizeof(*s->leaf));
	s->leaf_got = calloc(t->nodes, sizeof(*s->leaf_got));
	if (!s->flow || !s->pipe || !s->leaf || !s->leaf_got)
		abort();
	for (__u32 i = 0; i < t->nodes; i++) {
		const struct sim_node *n = &t->node[i];
		struct pp_pipe *p = &s->pipe[i];

		p->rate = n->ceil ? n->ceil : PP_RATE_MAX;
		p->vt = s->now << PP_TICKS;
		p->last = s->now;
		p->qmin = ~0ULL;
		if (!i)
			continue;
		p->weight = n->weight;
		p->guarantee = n->guarantee;
		p->parent = n->parent + 1; /* an index, of which none is 0 */
		s->pipe[n->parent].members++;
	}
	for (__u32 i = 0; i < t->nodes; i++)
		build_leaf(s, i);
}

void sim_tree_phase(struct sim *s)
{
	const struct sim_tree *t = s->c->tree;

	s->phase_start = s->now;
	s->settle_end = s->now + t->settle;
	s->phase_end = s->now + t->phase;
	s->refused = 0;
	memset(s->leaf_got, 0, t->nodes * sizeof(*s->leaf_got));
	sim_bins_start(&s->worst, s->now, SIM_BIN * PP_MSEC,
		       (s->phase_end - s->now) / (SIM_BIN * PP_MSEC) + 1);
	for (__u32 i = 0; i < s->flows; i++) {
		const struct sim_group *g = s->flow[i].group;

		if (s->phase && g->until == s->phase)
			sim_heap_add(&s->heap, s->now, i, SIM_STOP);
		if (g->from == s->phase)
			sim_heap_add(&s->heap, s->now + sim_random(s, 1000) * PP_USEC, i, SIM_OPEN);
	}
	for (__u32 i = 0; i < t->changes; i++)
		sim_heap_add(&s->heap, s->now + t->change[i].at, i, SIM_CHANGE);
	sim_heap_add(&s->heap, s->phase_end, SIM_NONE, SIM_PHASE);
}

void sim_tree_change(struct sim *s, __u32 which)
{
	const struct sim_change *c = &s->c->tree->change[which];
	struct pp_pipe *p = &s->pipe[c->node];

	p->weight = c->weight;
	p->guarantee = c->guarantee;
	p->rate = c->ceil ? c->ceil : PP_RATE_MAX;
}

static double worst(const struct sim *s)
{
	double most = 0;
	__u64 n = 100 / SIM_BIN, sum = 0;

	for (__u64 i = 0; i < s->worst.n; i++) {
		sum += s->worst.at[i];
		if (i >= n)
			sum -= s->worst.at[i - n];
		most = fmax(most, sum * 10.);
	}
	return most / s->c->tree->node[0].ceil;
}

/* What changes all the time: how much is too much, and what is left unused. */
static void judge_changes(struct sim *s, double seconds)
{
	const struct sim_tree *t = s->c->tree;
	char line[320];
	double all = 0;

	for (__u32 i = 0; i < t->nodes; i++)
		all += s->leaf_got[i];
	all /= seconds * t->node[0].ceil;
	snprintf(line, sizeof(line), "%s: worst 100 ms %.1f %%, all %.1f %%, refused %llu", s->c->name,
		 100 * worst(s), 100 * all, s->refused);
	sim_judge_report(worst(s) <= 1.1 && all >= 0.9 && all < 1.01, line, NULL);
}

/* The phase is over: each leaf against what is exact. */
void sim_tree_judge(struct sim *s)
{
	const struct sim_tree *t = s->c->tree;
	double seconds = (s->phase_end - s->settle_end) / 1e9, most = 0, off = 0, all = 0,
	       should = 0;
	double *exact = calloc(t->nodes, sizeof(*exact));
	__u32 which = 0, n = 0;
	char line[320];

	if (!exact)
		abort();
	if (t->changes) {
		judge_changes(s, seconds);
		free(exact);
		return;
	}
	sim_tree_exact(t, s->phase, exact);
	for (__u32 i = 0; i < t->nodes; i++) {
		double got = s->leaf_got[i] / seconds, error;

		all += got;
		if (!runs(&t->node[i], s->phase))
			continue;
		should += exact[i];
		if (t->nodes > 100 && exact[i] < 60. * 1500 * t->node[i].flows)
			continue; /* few packets decide, of one in hundreds */
		error = fabs(got / exact[i] - 1);
		off += error;
		n++;
		if (error > most) {
			most = error;
			which = i;
		}
		if (getenv("SIM_TREE"))
			printf("# %u: %.4g of %.4g Mbit/s, %+.1f %%\n", i, got * 8e-6,
			       exact[i] * 8e-6, (got / exact[i] - 1) * 100);
	}
	snprintf(
		line, sizeof(line),
		"%s phase %u: all %.2f %% of what is exact, leaves within %.2f %% on average, the worst, "
		"%u, %.1f %% off (%.4g of %.4g Mbit/s), worst 100 ms %.0f %%, refused %llu",
		s->c->name, s->phase, 100 * all / should, 100 * off / n, which, 100 * most,
		s->leaf_got[which] / seconds * 8e-6, exact[which] * 8e-6, 100 * worst(s),
		s->refused);
	sim_judge_report(most <= t->within && off / n <= t->within_all && all / should < 1.01, line,
			 NULL);
	free(exact);
}

/* --- the cases */

static struct sim_tree *add(const char *name, __u64 bits, __u32 max_nodes, __u32 phases)
{
	struct sim_case *c = sim_add(bits, "%s", name);
	struct sim_tree *t = &trees[n_trees++];

	if (n_trees > MAX_TREES)
		abort();
	*t = (struct sim_tree){ .phases = phases,
				.settle = PP_NSEC / 2,
				.phase = 3 * PP_NSEC / 2,
				.within = 0.02,
				.within_all = 0.01 };
	t->node = calloc(max_nodes, sizeof(*t->node));
	if (!t->node)
		abort();
	t->node[t->nodes++].ceil = bits / 8;
	c->tree = t;
	c->phases = phases;
	return t;
}

static struct sim_node *node(struct sim_tree *t, __u32 parent, __u32 weight, __u32 flows,
			     enum sim_cc cc)
{
	struct sim_node *n = &t->node[t->nodes++];

	*n = (struct sim_node){ .parent = parent, .weight = weight, .flows = flows, .cc = cc };
	return n;
}

/* Two pods, the second there in the middle one of three phases. */
static void pairs(void)
{
	static const __u64 rates[] = { 10 * MBIT, 100 * MBIT, GBIT, 10 * GBIT, 100 * GBIT };
	static const __u32 flows[][2] = { { 1, 1 }, { 1, 16 }, { 16, 1 }, { 16, 16 } };
	char name[64];

	for (__u32 r = 0; r < 5; r++)
		for (__u32 f = 0; f < 4; f++)
			for (enum sim_cc k = SIM_CUBIC; k <= SIM_BBR; k++) {
				struct sim_tree *t;

				snprintf(name, sizeof(name), "tree-%s-3:1-%ux%u-%s",
					 sim_rate_name(rates[r]), flows[f][0], flows[f][1],
					 k ? "bbr" : "cubic");
				t = add(name, rates[r], 3, 3);
				if (rates[r] < 100 * MBIT) {
					t->settle = 3 * PP_NSEC;
					t->phase = 8 * PP_NSEC;
				}
				node(t, 0, 300, flows[f][0], k)->until = 2;
				node(t, 0, 100, flows[f][1], k)->from = 1;
			}
}

/* A guarantee against few and many flows of others, more guarantees than there is, and ceils. */
static void guarantees(void)
{
	char name[64];

	for (__u32 flows = 1; flows <= 64; flows *= 8)
		for (enum sim_cc k = SIM_CUBIC; k <= SIM_BBR; k++) {
			const char *cc = k ? "bbr" : "cubic";
			struct sim_tree *t;
			struct sim_node *n;

			snprintf(name, sizeof(name), "tree-guarantee-1x%u-%s", flows, cc);
			t = add(name, GBIT, 3, 2);
			node(t, 0, 1, 1, k)->guarantee = 400 * MBIT / 8;
			node(t, 0, 300, flows, k)->from = 1;
			snprintf(name, sizeof(name), "tree-too-many-guarantees-%u-%s", flows, cc);
			t = add(name, GBIT, 5, 1);
			node(t, 0, 100, flows, k)->guarantee = 800 * MBIT / 8;
			node(t, 0, 100, 1, k)->guarantee = 500 * MBIT / 8;
			node(t, 0, 100, 1, k)->guarantee = 300 * MBIT / 8;
			node(t, 0, 100, 1, k);
			/* the last has a sixty-fourth of a quarter: what it is off is little */
			t->within = 0.2;
			t->within_all = 0.06;
			snprintf(name, sizeof(name), "tree-ceils-%u-%s", flows, cc);
			t = add(name, GBIT, 5, 1);
			n = node(t, 0, 300, flows, k);
			n->ceil = 100 * MBIT / 8;
			n = node(t, 0, 100, 1, k);
			n->guarantee = 200 * MBIT / 8;
			n->demand = 50 * MBIT / 8;
			node(t, 0, 200, 1, k);
			n = node(t, 0, 100, flows, k);
			n->ceil = 250 * MBIT / 8;
		}
}

/* 20 tenants of 50 pods each. */
static void forest(__u32 seed, __u64 bits)
{
	struct sim s = { .rng = 0x9e3779b97f4a7c15ULL * (seed + 1) };
	__u64 tenant = bits / 8 / 20, pod = tenant / 50;
	struct sim_tree *t;
	char name[64];

	snprintf(name, sizeof(name), "tree-forest-%s-%u", sim_rate_name(bits), seed);
	t = add(name, bits, 1021, 1);
	t->settle = 2 * PP_NSEC;
	t->phase = 4 * PP_NSEC;
	t->within = 0.3;
	t->within_all = 0.02;
	for (__u32 i = 0; i < 20; i++) {
		struct sim_node *n = node(t, 0, 50 + sim_random(&s, 400), 0, 0);

		n->guarantee = sim_random(&s, 2) * (tenant / 10 + sim_random(&s, tenant / 2));
		if (!sim_random(&s, 4))
			n->ceil = tenant / 2 + sim_random(&s, tenant);
	}
	for (__u32 i = 0; i < 1000; i++) {
		struct sim_node *n = node(t, 1 + i % 20, 50 + sim_random(&s, 400),
					  1 + sim_random(&s, 4), sim_random(&s, 2));

		n->guarantee = sim_random(&s, 2) * (pod / 10 + sim_random(&s, pod / 4));
		if (!sim_random(&s, 4))
			n->ceil = pod / 2 + sim_random(&s, pod);
		else if (!sim_random(&s, 4))
			n->demand = pod / 2 + sim_random(&s, pod * 2);
		n->rtt = (100 + sim_random(&s, 900)) * PP_USEC;
	}
}

static void change(struct sim_tree *t, __u64 ms, __u32 node, __u32 weight, __u64 guarantee,
		   __u64 ceil)
{
	struct sim_change *c = realloc(t->change, (t->changes + 1) * sizeof(*c));

	if (!c)
		abort();
	t->change = c;
	c[t->changes++] = (struct sim_change){ ms * PP_MSEC, node, weight, ceil, guarantee };
}

/* Those of tests/netns/tree.sh: two pods, one command for each, some time apart. */
static void commands(__u32 flows, enum sim_cc cc, __u64 apart)
{
	static const __u64 to[][4] = {
		{ 100, 100, 0, 0 },   { 100, 300, 0, 0 },  { 1000, 1, 0, 0 }, { 100, 100, 600, 0 },
		{ 100, 200, 0, 300 }, { 500, 100, 0, 0 }, { 1, 1000, 0, 0 }, { 300, 100, 0, 0 },
	};
	struct sim_tree *t;
	char name[64];

	snprintf(name, sizeof(name), "tree-changes-%ux%u-%s-%llums", flows, flows,
		 cc ? "bbr" : "cubic", apart);
	t = add(name, GBIT, 3, 1);
	node(t, 0, 300, flows, cc);
	node(t, 0, 100, flows, cc);
	for (__u32 i = 0; i < 8; i++) {
		change(t, 1000 + 300 * i, 1, to[i][0], 0, 0);
		change(t, 1000 + 300 * i + apart, 2, to[i][1], to[i][2] * MBIT / 8,
		       to[i][3] * MBIT / 8);
	}
	t->phase = 4 * PP_NSEC;
}

/* Any member becomes anything. */
static void changes(__u32 seed)
{
	struct sim s = { .rng = 0xd1342543de82ef95ULL * (seed + 1) };
	__u32 members = 2 + sim_random(&s, 7);
	struct sim_tree *t;
	char name[64];

	snprintf(name, sizeof(name), "tree-changes-random-%u", seed);
	t = add(name, GBIT, members + 1, 1);
	for (__u32 i = 0; i < members; i++)
		node(t, 0, 100, 1 + sim_random(&s, 8), sim_random(&s, 2))->rtt =
			(50 + sim_random(&s, 450)) * PP_USEC;
	t->phase = 6 * PP_NSEC;
	for (__u64 at = 1000; at < 5800; at += 100 + sim_random(&s, 200)) {
		__u64 weight = sim_random(&s, 3) ? 50 + sim_random(&s, 400)
						 : 1 + sim_random(&s, 1000);
		__u64 guarantee = sim_random(&s, 3) ? 0 : sim_random(&s, GBIT / 8 / members);
		__u64 ceil = sim_random(&s, 3) ? 0 : GBIT / 20 + sim_random(&s, GBIT / 10);

		change(t, at, 1 + sim_random(&s, members), weight, guarantee, ceil);
	}
}

void sim_trees(void)
{
	for (enum sim_cc k = SIM_CUBIC; k <= SIM_BBR; k++)
		for (__u32 flows = 1; flows <= 16; flows *= 4)
			for (__u64 apart = 0; apart <= 50; apart += 25)
				commands(flows, k, apart);
	for (__u32 seed = 0; seed < 16; seed++)
		changes(seed);
	pairs();
	guarantees();
	for (__u32 seed = 0; seed < 4; seed++) {
		forest(seed, 10 * GBIT);
		forest(seed, 100 * GBIT);
	}
}
