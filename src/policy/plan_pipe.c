// SPDX-License-Identifier: Apache-2.0
// Pipes: of the uplink, of groups from the outermost to the innermost, of subjects, and of what
// only observes one. A parent is made before its members.
#include "base/base.h"
#include "policy/plan_parts.h"

struct pp_plan_node *pp_plan_add_pipe(struct pp_build *b, const char *name, enum pp_plan_tree tree,
				      enum pp_way way, struct pp_plan_node *parent)
{
	struct pp_plan_node *n = pp_arena_alloc(b->memory, 1, sizeof(*n));

	if (!n)
		return &b->no_node;
	n->pipe = (struct pp_plan_pipe){ .name = name,
					 .way = way,
					 .uplink = tree == PP_TREE_UPLINK,
					 .weight = PP_PLAN_WEIGHT,
					 .parent = parent ? &parent->pipe : NULL,
					 .subject = SIZE_MAX };
	*b->last = n;
	b->last = &n->next;
	b->n_nodes++;
	return n;
}

/* Its limit is what the object says. */
static void limit_by(struct pp_plan_node *n, const struct pp_plan_item *item)
{
	n->item = item;
	n->pipe.observe = item->o->observe;
	n->pipe.ceil = item->o->share[n->pipe.way].ceil;
	n->pipe.ceil_from = n->pipe.ceil ? item->text : NULL;
}

static void add_uplinks(struct pp_build *b)
{
	for (int way = 0; way < PP_N_WAYS; way++) {
		const struct pp_plan_item *item = b->uplink[way];

		if (!item)
			continue;
		b->uplink_node[way] = pp_plan_add_pipe(
			b, pp_arena_text(b->memory, "uplink %s", item->o->name), PP_TREE_UPLINK,
			(enum pp_way)way, NULL);
		limit_by(b->uplink_node[way], item);
	}
}

/* The outermost first. */
static int compare_groups(const void *a, const void *b)
{
	const struct pp_plan_group *x = *(struct pp_plan_group *const *)a,
				   *y = *(struct pp_plan_group *const *)b;

	if (x->item->rank != y->item->rank)
		return y->item->rank - x->item->rank;
	return x->item != y->item ? (x->item > y->item) - (x->item < y->item)
				  : strcmp(x->namespace, y->namespace);
}

static void add_group(struct pp_build *b, struct pp_plan_group *g)
{
	for (int tree = 0; tree < PP_N_TREES; tree++)
		for (int way = 0; way < PP_N_WAYS; way++) {
			struct pp_plan_place *p = &g->place[tree][way];
			struct pp_plan_node *parent =
				p->next ? p->next->place[tree][way].node : NULL;

			if (!p->used)
				continue;
			if (tree == PP_TREE_UPLINK && !parent)
				parent = b->uplink_node[way];
			p->node = pp_plan_add_pipe(b, g->name, (enum pp_plan_tree)tree,
						   (enum pp_way)way, parent);
			p->node->group = g;
			p->node->item = g->item;
			if (tree == PP_TREE_CEIL)
				limit_by(p->node, g->item);
		}
}

static void add_groups(struct pp_build *b)
{
	struct pp_plan_group **groups = pp_arena_alloc(&b->scratch, b->n_groups, sizeof(*groups));
	size_t n = 0;

	if (!groups)
		return;
	for (struct pp_plan_group *g = b->groups; g; g = g->before)
		groups[n++] = g;
	qsort(groups, n, sizeof(struct pp_plan_group *), compare_groups);
	for (size_t i = 0; i < n; i++)
		add_group(b, groups[i]);
}

static void add_leaf(struct pp_build *b, struct pp_plan_member *m, enum pp_plan_tree tree,
		     enum pp_way way)
{
	struct pp_plan_group *inner = pp_plan_inner(m->chain[tree][way], 0);
	struct pp_plan_node *parent = inner ? inner->place[tree][way].node : NULL, *n;

	if (m->nested[tree][way])
		parent = m->nested[tree][way]->leaf[tree][way];
	if (tree == PP_TREE_UPLINK && !parent)
		parent = b->uplink_node[way];
	/* its groups may have stepped aside since has_leaf was said of a pod */
	if (!(tree == PP_TREE_CEIL ? m->ceil[way] || inner : parent != NULL) &&
	    !(m->nested[tree][way] && m->has_leaf[tree][way]))
		return;
	n = m->leaf[tree][way] = pp_plan_add_pipe(b, m->text, tree, way, parent);
	n->subject = m->text;
	n->pipe.subject = (size_t)(m - b->members);
	if (tree == PP_TREE_CEIL) {
		n->pipe.ceil = m->ceil[way];
		n->pipe.ceil_from = m->ceil_from[way];
		m->out->leaf[way] = &n->pipe;
	} else {
		m->out->uplink[way] = &n->pipe;
	}
}

static void add_caps(struct pp_build *b, struct pp_plan_member *m, enum pp_way way)
{
	for (int i = 0; i < PP_PLAN_CAPS && m->cap[way][i]; i++) {
		const struct pp_plan_binding *binding = m->cap[way][i];
		struct pp_plan_node *n =
			binding->group ? binding->group->place[PP_TREE_CEIL][way].node : NULL;

		if (!n) {
			n = pp_plan_add_pipe(b,
					     pp_arena_text(b->memory, "%s observed by %s", m->text,
							   binding->item->text),
					     PP_TREE_CEIL, way, NULL);
			limit_by(n, binding->item);
		}
		m->out->cap[way][i] = &n->pipe;
	}
}

void pp_plan_pipes(struct pp_build *b)
{
	add_uplinks(b);
	add_groups(b);
	for (size_t i = 0; i < b->n_members; i++)
		for (int tree = 0; tree < PP_N_TREES; tree++)
			for (int way = 0; way < PP_N_WAYS; way++)
				add_leaf(b, &b->members[i], (enum pp_plan_tree)tree,
					 (enum pp_way)way);
	for (size_t i = 0; i < b->n_members; i++)
		for (int way = 0; way < PP_N_WAYS; way++)
			add_caps(b, &b->members[i], (enum pp_way)way);
}
