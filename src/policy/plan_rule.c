// SPDX-License-Identifier: Apache-2.0
// Which rules each subject has, and their pipes: of each subject, or of several together.
#include "base/base.h"
#include "policy/plan_parts.h"
#include "policy/plan_ruling.h"

/* As caps go: a namespace must not push out what others set. */
static int order_of(const struct pp_plan_item *item)
{
	return 2 * item->o->observe + (item->o->kind == PP_POLICY);
}

enum { N_ORDERS = 4 };

/* --- pipes */

/* "policy a/front", "tenant t". */
static const char *name_item(struct pp_build *b, const struct pp_plan_item *item)
{
	if (item->o->kind == PP_POLICY)
		return pp_arena_text(&b->scratch, "policy %s/%s", item->o->namespace,
				     item->o->name);
	return pp_arena_text(&b->scratch, "tenant %s", item->o->name);
}

static const char *name_pipe(struct pp_build *b, const struct pp_plan_member *m,
			     const struct pp_plan_ruling *x, enum pp_way way)
{
	static const char *const words[PP_N_WAYS] = { "to", "from" };
	const char *by = name_item(b, x->item), *word = words[way], *rule = x->spec->name;
	const char *observed = x->item->o->observe ? " observed by " : "",
		   *observer = x->item->o->observe ? x->item->text : "";

	switch (x->spec->per) {
	case PP_PER_POLICY:
	case PP_PER_NODE:
		return pp_arena_text(b->memory, "%s %s %s%s%s", by, word, rule, observed, observer);
	case PP_PER_NAMESPACE:
		return pp_arena_text(b->memory, "%s in %s %s %s%s%s", by, m->s->namespace, word,
				     rule, observed, observer);
	default:
		return pp_arena_text(b->memory, "%s %s %s of %s%s%s", m->text, word, rule, by,
				     observed, observer);
	}
}

static bool is_shared(const struct pp_plan_ruling *x)
{
	return x->spec->per != PP_PER_POD && x->spec->per != PP_PER_PAIR;
}

/* Subjects are sorted: those of one namespace come one after the other. */
static struct pp_plan_node *shared_by(const struct pp_plan_member *m,
				      const struct pp_plan_ruling *x)
{
	if (!x->shared || x->spec->per != PP_PER_NAMESPACE)
		return x->shared;
	return strcmp(x->namespace, m->s->namespace) == 0 ? x->shared : NULL;
}

static struct pp_plan_node *pipe_of(struct pp_build *b, const struct pp_plan_member *m,
				    struct pp_plan_ruling *x, enum pp_way way)
{
	struct pp_plan_node *n = is_shared(x) ? shared_by(m, x) : NULL;

	if (n)
		return n;
	n = pp_plan_add_pipe(b, name_pipe(b, m, x, way), PP_TREE_CEIL, way, NULL);
	n->item = x->item;
	n->pipe.observe = x->item->o->observe;
	n->pipe.ceil = x->spec->ceil;
	n->pipe.ceil_from = x->item->text;
	n->pipe.match = x->match;
	n->pipe.pairs = x->spec->per == PP_PER_PAIR;
	if (is_shared(x)) {
		x->shared = n;
		x->namespace = m->s->namespace;
	} else {
		n->pipe.subject = (size_t)(m - b->members);
	}
	return n;
}

/* --- subjects */

/* What crosses a cgroup above m has its rules too: once is enough of what they have together. */
static bool is_covered(const struct pp_plan_member *m, const struct pp_plan_ruling *x,
		       enum pp_way way)
{
	for (const struct pp_plan_member *a = is_shared(x) && x->shared ? m->above : NULL; a;
	     a = a->above)
		for (size_t i = 0; i < a->out->n_rules[way]; i++)
			if (a->out->rule[way][i].pipe == &x->shared->pipe)
				return true;
	return false;
}

static void give(struct pp_build *b, struct pp_plan_member *m, struct pp_plan_ruling *x,
		 enum pp_way way, struct pp_plan_rule rules[static PP_PLAN_RULES], size_t *n)
{
	if (is_covered(m, x, way))
		return;
	if (*n == PP_PLAN_RULES) {
		pp_plan_remark(b, x->item, m,
			       "%s: rule %s: not in force; valid are %d rules of a subject",
			       pp_plan_way[way], x->spec->name, PP_PLAN_RULES);
		return;
	}
	rules[(*n)++] = (struct pp_plan_rule){ &pipe_of(b, m, x, way)->pipe, x->match };
	x->first->used = true;
}

static void give_all(struct pp_build *b, struct pp_plan_member *m, enum pp_way way)
{
	struct pp_plan_rule rules[PP_PLAN_RULES], *to;
	size_t n = 0;

	for (int order = 0; order < N_ORDERS; order++)
		for (size_t i = 0; i < m->n_bindings; i++) {
			struct pp_plan_item *item = m->bindings[i].item;

			for (size_t k = 0; k < item->n_rulings[way] && order_of(item) == order; k++)
				give(b, m, &item->rulings[way][k], way, rules, &n);
		}
	to = pp_arena_alloc(b->memory, n, sizeof(*to));
	if (!to)
		return;
	if (n)
		memcpy(to, rules, n * sizeof(*to));
	m->out->rule[way] = to;
	m->out->n_rules[way] = n;
}

void pp_plan_rules(struct pp_build *b)
{
	for (size_t i = 0; i < b->n_members && b->n_rulings; i++)
		for (int way = 0; way < PP_N_WAYS; way++)
			give_all(b, &b->members[i], (enum pp_way)way);
}
