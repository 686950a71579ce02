// SPDX-License-Identifier: Apache-2.0
// The numbers of pipes: the least ceil, and guarantees and weights from whoever may say them. What
// a namespace says about itself counts only among its own: nobody promotes himself above others.
#include <inttypes.h>

#include "base/base.h"
#include "base/qty.h"
#include "policy/plan_parts.h"

/* --- ceils */

static void lower(struct pp_plan_member *m, enum pp_way way, uint64_t ceil, const char *from)
{
	if (!ceil || (m->ceil[way] && m->ceil[way] <= ceil))
		return;
	m->ceil[way] = ceil;
	m->ceil_from[way] = from;
}

static const char *const timed[PP_N_WAYS] = { "annotation podpace.io/egress-limit",
					      "annotation podpace.io/ingress-limit" };

static void lower_by_annotation(struct pp_build *b, struct pp_plan_member *m, enum pp_way way)
{
	static const char *const names[] = { "annotation kubernetes.io/egress-bandwidth",
					     "annotation kubernetes.io/ingress-bandwidth" };
	const char *text = m->s->annotation[way];
	struct pp_err e = { "" };
	uint64_t rate;

	if (!text)
		return;
	if (pp_rate_parse(text, &rate, &e))
		pp_plan_remark(b, NULL, m, "%s: %s", names[way], e.msg);
	else
		lower(m, way, rate, names[way]);
}

void pp_plan_ceils(struct pp_build *b)
{
	for (size_t i = 0; i < b->n_members; i++)
		for (int w = 0; w < PP_N_WAYS; w++) {
			struct pp_plan_member *m = &b->members[i];
			enum pp_way way = (enum pp_way)w;

			if (m->class)
				lower(m, way, m->class->o->share[way].ceil, m->class->text);
			for (size_t k = 0; k < m->n_bindings; k++)
				if (pp_plan_is_own(&m->bindings[k], way))
					lower(m, way, m->bindings[k].item->o->share[way].ceil,
					      m->bindings[k].item->text);
			lower_by_annotation(b, m, way);
			lower(m, way, m->s->limit[way], timed[way]);
		}
}

/* --- guarantees and weights */

enum number { GUARANTEE, WEIGHT, N_NUMBERS };

static uint64_t said(const struct pp_plan_item *item, enum pp_way way, enum number n)
{
	const struct pp_share_spec *s = &item->o->share[way];

	return n == WEIGHT ? s->weight : s->guarantee;
}

static void set(struct pp_plan_pipe *p, enum number n, uint64_t value, const char *from)
{
	if (n == WEIGHT) {
		p->weight = (uint32_t)value;
		p->weight_from = from;
	} else {
		p->guarantee = value;
		p->guarantee_from = from;
	}
}

/* "weight 300". */
static const char *show(char text[static 48], enum number n, uint64_t value)
{
	char rate[32];

	if (n == WEIGHT)
		snprintf(text, 48, "weight %" PRIu64, value);
	else
		snprintf(text, 48, "guarantee %s", pp_rate_format(rate, value));
	return text;
}

/* What a policy says of its namespace's own has no weight where others have a share too. */
static bool may_say(const struct pp_plan_item *item, const struct pp_plan_node *parent)
{
	return item->o->kind != PP_POLICY || (parent->group && parent->group->namespace);
}

static void remark_authority(struct pp_build *b, const struct pp_plan_item *item,
			     const struct pp_plan_member *m, const struct pp_plan_pipe *p,
			     enum number n)
{
	char text[48];

	pp_plan_remark(b, item, m,
		       "%s: %s has no effect in %s, which other namespaces share: a class or a "
		       "ClusterBandwidthPolicy may give it",
		       pp_plan_way[p->way], show(text, n, said(item, p->way, n)), p->parent->name);
}

static struct pp_plan_node *parent_of(struct pp_plan_node *n)
{
	return (struct pp_plan_node *)n->pipe.parent;
}

/* One number of a leaf, if item says it: the first that may say it does. */
static void offer(struct pp_build *b, struct pp_plan_member *m, struct pp_plan_node *leaf,
		  const struct pp_plan_item *item, enum number n, const struct pp_plan_item **first)
{
	struct pp_plan_pipe *p = &leaf->pipe;
	uint64_t value = said(item, p->way, n);
	char text[48];

	if (!value)
		return;
	if (!may_say(item, parent_of(leaf))) {
		remark_authority(b, item, m, p, n);
	} else if (*first) {
		pp_plan_remark(b, item, m, "%s: %s: %s comes first", pp_plan_way[p->way],
			       show(text, n, value), (*first)->text);
	} else {
		*first = item;
		set(p, n, value, item->text);
	}
}

static void cut_guarantee(struct pp_build *b, const struct pp_plan_member *m,
			  struct pp_plan_pipe *p, const struct pp_plan_item *from)
{
	uint64_t ceil = m->ceil[p->way];
	char rate[2][32];

	if (!ceil || p->guarantee <= ceil)
		return;
	pp_plan_remark(b, from, m, "%s: guarantee %s is cut to the ceil, %s of %s",
		       pp_plan_way[p->way], pp_rate_format(rate[0], p->guarantee),
		       pp_rate_format(rate[1], ceil), m->ceil_from[p->way]);
	p->guarantee = ceil;
}

static void share_leaf(struct pp_build *b, struct pp_plan_member *m, struct pp_plan_node *leaf)
{
	static const enum pp_kind kinds[] = { PP_CLUSTER_POLICY, PP_POLICY };
	struct pp_plan_pipe *p = &leaf->pipe;

	p->weight_from = "default";
	for (int n = 0; n < N_NUMBERS; n++) {
		const struct pp_plan_item *first = NULL;

		if (m->class)
			offer(b, m, leaf, m->class, (enum number)n, &first);
		for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
			for (size_t i = 0; i < m->n_bindings; i++)
				if (pp_plan_is_own(&m->bindings[i], p->way) &&
				    m->bindings[i].item->o->kind == kinds[k])
					offer(b, m, leaf, m->bindings[i].item, (enum number)n,
					      &first);
		if (n == GUARANTEE)
			cut_guarantee(b, m, p, first);
	}
}

/* Of what has a parent in no tree: policies that say how much of it they want. */
static void remark_no_limit(struct pp_build *b, const struct pp_plan_item *item,
			    const struct pp_plan_member *m, const char *in, enum pp_way way)
{
	char text[48];

	for (int n = 0; n < N_NUMBERS; n++)
		if (said(item, way, (enum number)n))
			pp_plan_remark(b, item, m,
				       "%s%s%s: %s has a share of no limit; valid is one around it "
				       "that others share",
				       pp_plan_way[way], in ? " in " : "", in ? in : "",
				       show(text, (enum number)n, said(item, way, (enum number)n)));
}

static void share_member(struct pp_build *b, struct pp_plan_member *m, enum pp_way way)
{
	bool shares = false;

	for (int tree = 0; tree < PP_N_TREES; tree++) {
		struct pp_plan_node *leaf = m->leaf[tree][way];

		if (!leaf || !leaf->pipe.parent)
			continue;
		shares = true;
		share_leaf(b, m, leaf);
	}
	for (size_t i = 0; i < m->n_bindings && !shares; i++)
		if (pp_plan_is_own(&m->bindings[i], way))
			remark_no_limit(b, m->bindings[i].item, m, NULL, way);
}

static void share_group(struct pp_build *b, struct pp_plan_group *g, enum pp_way way)
{
	bool shares = false;

	for (int tree = 0; tree < PP_N_TREES; tree++) {
		struct pp_plan_node *node = g->place[tree][way].node;

		if (!node || !node->pipe.parent)
			continue;
		shares = true;
		node->pipe.weight_from = "default";
		for (int n = 0; n < N_NUMBERS; n++) {
			uint64_t value = said(g->item, way, (enum number)n);

			if (value && may_say(g->item, parent_of(node)))
				set(&node->pipe, (enum number)n, value, g->item->text);
			else if (value)
				remark_authority(b, g->item, NULL, &node->pipe, (enum number)n);
		}
	}
	if (!shares && !g->item->o->observe)
		remark_no_limit(b, g->item, NULL, g->item->rank == 1 ? g->namespace : NULL, way);
}

/* The kernel scales guarantees that come to more than there is. */
static void remark_promises(struct pp_build *b)
{
	char rate[2][32];

	for (struct pp_plan_node *n = b->first; n; n = n->next)
		if (n->pipe.parent)
			parent_of(n)->promised += n->pipe.guarantee;
	for (struct pp_plan_node *n = b->first; n; n = n->next) {
		const struct pp_plan_member *m =
			n->pipe.subject != SIZE_MAX ? &b->members[n->pipe.subject] : NULL;

		if (!n->pipe.ceil || n->promised <= n->pipe.ceil)
			continue;
		pp_plan_remark(b, n->item, m,
			       "%s: guarantees of %s are promised of the %s of %s: each is less by "
			       "the same factor",
			       pp_plan_way[n->pipe.way], pp_rate_format(rate[0], n->promised),
			       pp_rate_format(rate[1], n->pipe.ceil), n->pipe.name);
	}
}

void pp_plan_shares(struct pp_build *b)
{
	for (struct pp_plan_group *g = b->groups; g; g = g->before)
		for (int way = 0; way < PP_N_WAYS; way++)
			share_group(b, g, (enum pp_way)way);
	for (size_t i = 0; i < b->n_members; i++)
		for (int way = 0; way < PP_N_WAYS; way++)
			share_member(b, &b->members[i], (enum pp_way)way);
	remark_promises(b);
}
