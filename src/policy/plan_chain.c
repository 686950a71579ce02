// SPDX-License-Identifier: Apache-2.0
// In which groups each subject is, in each tree and direction: at most one of each rank, one below
// the other, and those that have to stand beside as caps. A pipe has one parent, so all members of
// a group have to agree about what is around it.
#include "base/base.h"
#include "policy/plan_parts.h"

bool pp_plan_has_place(const struct pp_plan_group *g, enum pp_plan_tree tree, enum pp_way way,
		       bool inside)
{
	const struct pp_object *o = g->item->o;

	if (o->observe || !o->share[way].line)
		return false;
	if (tree == PP_TREE_UPLINK)
		return g->item->rank > 0;
	return o->share[way].ceil || (g->item->rank == 0 && inside);
}

/* --- chains */

/* What of a share has no effect without a parent; NULL: it says nothing of the kind. */
static const char *asks(const struct pp_share_spec *s)
{
	return s->weight && s->guarantee ? "weight and guarantee"
	       : s->weight               ? "weight"
	       : s->guarantee            ? "guarantee"
					 : NULL;
}

/* The uplink has no caps: what is not in the chain there has no effect. */
static void remark_uplink(struct pp_build *b, const struct pp_plan_member *m,
			  const struct pp_plan_item *item, enum pp_way way, const char *first)
{
	const char *what = asks(&item->o->share[way]);

	if (what)
		pp_plan_remark(b, item, m, "%s: %s on the uplink: %s comes first", pp_plan_way[way],
			       what, first);
}

static void choose(struct pp_build *b, struct pp_plan_member *m, enum pp_plan_tree tree,
		   enum pp_way way)
{
	struct pp_plan_group **chain = m->chain[tree][way];

	for (int rank = PP_N_RANKS - 1; rank >= 0; rank--)
		for (size_t i = 0; i < m->n_bindings; i++) {
			struct pp_plan_group *g = m->bindings[i].group;

			if (!g || g->item->rank != rank ||
			    !pp_plan_has_place(g, tree, way, pp_plan_inner(chain, rank + 1)))
				continue;
			if (!chain[rank])
				chain[rank] = g;
			else if (tree == PP_TREE_UPLINK)
				remark_uplink(b, m, g->item, way, chain[rank]->item->text);
		}
}

/* Does an object that is for m say anything of this direction, that is in force? */
static bool is_spoken_of(const struct pp_plan_member *m, enum pp_way way)
{
	for (size_t i = 0; i < m->n_bindings; i++)
		if (!m->bindings[i].item->o->observe && m->bindings[i].item->o->share[way].line)
			return true;
	return false;
}

/* Is a cgroup above m in this group? */
static bool is_above(const struct pp_plan_member *m, const struct pp_plan_group *g)
{
	for (const struct pp_plan_member *a = m->above; a; a = a->above)
		for (size_t i = 0; i < a->n_bindings; i++)
			if (a->bindings[i].group == g)
				return true;
	return false;
}

/*
 * A cgroup below one that has a leaf is in that leaf, whatever groups it is in itself: a packet
 * crosses both. m's own members come later.
 */
static void place(struct pp_build *b, struct pp_plan_member *m, enum pp_plan_tree tree,
		  enum pp_way way)
{
	struct pp_plan_member *above = m->above;

	while (above && !above->has_leaf[tree][way])
		above = above->above;
	m->nested[tree][way] = above;
	if (tree == PP_TREE_UPLINK) {
		m->has_leaf[tree][way] = b->uplink[way] != NULL;
		if (!b->uplink[way])
			return;
	}
	if (above) {
		m->has_leaf[tree][way] |= m->ceil[way] || is_spoken_of(m, way);
		for (size_t i = 0; i < m->n_bindings && tree == PP_TREE_UPLINK; i++)
			if (m->bindings[i].group && !m->bindings[i].item->o->observe &&
			    !is_above(m, m->bindings[i].group))
				remark_uplink(b, m, m->bindings[i].item, way, above->text);
		return;
	}
	choose(b, m, tree, way);
	m->has_leaf[tree][way] |= m->ceil[way] || pp_plan_inner(m->chain[tree][way], 0);
}

/* --- agreement */

static void ask(struct pp_plan_member *m, enum pp_plan_tree tree, enum pp_way way, int rank)
{
	struct pp_plan_group **chain = m->chain[tree][way], *next = pp_plan_inner(chain, rank + 1);
	struct pp_plan_place *p;

	if (!chain[rank])
		return;
	p = &chain[rank]->place[tree][way];
	if (!p->asked) {
		p->asked = true;
		p->next = next;
	} else if (p->next != next && !p->differs) {
		p->differs = true;
		p->other = next;
	}
}

/*
 * A policy's group steps aside and becomes a cap: it must not take the pods of its namespace out of
 * the limits that others set. A tenant's stays, and what was around it becomes caps.
 */
static void resolve(struct pp_build *b, struct pp_plan_member *m, enum pp_plan_tree tree,
		    enum pp_way way, int rank)
{
	struct pp_plan_group **chain = m->chain[tree][way];

	if (!chain[rank] || !chain[rank]->place[tree][way].differs)
		return;
	if (rank == 0) {
		chain[0] = NULL;
		return;
	}
	for (int outer = rank + 1; outer < PP_N_RANKS; outer++) {
		if (chain[outer] && tree == PP_TREE_UPLINK)
			remark_uplink(b, m, chain[outer]->item, way, chain[rank]->item->text);
		chain[outer] = NULL;
	}
}

static void remark_difference(struct pp_build *b, struct pp_plan_group *g, enum pp_plan_tree tree,
			      enum pp_way way)
{
	struct pp_plan_place *p = &g->place[tree][way];
	const char *effect = "it has no effect";

	if (!p->differs)
		return;
	if (tree == PP_TREE_UPLINK)
		effect = "it has a share of the uplink itself";
	else if (g->item->rank > 0)
		effect = "it has a share of none, and these limit its pods beside it";
	else if (g->item->o->share[way].ceil)
		effect = "it limits its pods beside these, and has a share of none";
	pp_plan_remark(b, g->item, NULL,
		       "%s%s: of the pods of %s some are in %s, others in %s: %s; valid are pods "
		       "that are all in the same",
		       pp_plan_way[way], tree == PP_TREE_UPLINK ? " on the uplink" : "", g->name,
		       p->next ? p->next->name : "no other limit",
		       p->other ? p->other->name : "no other limit", effect);
	p->next = NULL;
}

static void agree(struct pp_build *b, enum pp_plan_tree tree, int rank)
{
	for (size_t i = 0; i < b->n_members; i++)
		for (int way = 0; way < PP_N_WAYS; way++)
			ask(&b->members[i], tree, (enum pp_way)way, rank);
	for (size_t i = 0; i < b->n_members; i++)
		for (int way = 0; way < PP_N_WAYS; way++)
			resolve(b, &b->members[i], tree, (enum pp_way)way, rank);
	for (struct pp_plan_group *g = b->groups; g; g = g->before)
		for (int way = 0; way < PP_N_WAYS; way++)
			if (g->item->rank == rank)
				remark_difference(b, g, tree, (enum pp_way)way);
}

/* --- caps */

/* Something else brings it to bear on m: its chain, or a cgroup above. */
static bool is_covered(const struct pp_plan_member *m, const struct pp_plan_binding *binding,
		       enum pp_way way)
{
	const struct pp_plan_item *item = binding->item;

	if (!binding->group)
		return false;
	if (!item->o->observe && m->chain[PP_TREE_CEIL][way][item->rank] == binding->group)
		return true;
	return is_above(m, binding->group);
}

/* First to last: so many caps are in force, and a namespace must not push out what others set. */
static int order_of(const struct pp_plan_item *item)
{
	if (!item->o->observe)
		return item->rank < 0 ? -1 : PP_N_RANKS - 1 - item->rank;
	return PP_N_RANKS + (item->o->kind == PP_POLICY);
}

size_t pp_plan_room(const struct pp_build *b, const struct pp_plan_member *m, enum pp_way way)
{
	size_t n = b->uplink[way] ? 3 : 1;

	for (int tree = 0; tree < PP_N_TREES; tree++)
		for (int rank = 0; rank < PP_N_RANKS; rank++)
			n += m->chain[tree][way][rank] != NULL;
	return n < PP_PLAN_PATH ? PP_PLAN_PATH - n : 0;
}

static void cap(struct pp_build *b, struct pp_plan_member *m, enum pp_way way)
{
	size_t n = 0, room = pp_plan_room(b, m, way);

	if (room > PP_PLAN_CAPS)
		room = PP_PLAN_CAPS;
	for (int order = 0; order < PP_N_RANKS + 2; order++)
		for (size_t i = 0; i < m->n_bindings; i++) {
			const struct pp_plan_binding *binding = &m->bindings[i];

			if (order_of(binding->item) != order ||
			    !binding->item->o->share[way].ceil || is_covered(m, binding, way))
				continue;
			if (n == room) {
				pp_plan_remark(b, binding->item, m,
					       "%s: not in force; valid are %zu limits of a "
					       "subject beside its nested ones",
					       pp_plan_way[way], room);
				continue;
			}
			m->cap[way][n++] = binding;
			if (binding->group)
				binding->group->place[PP_TREE_CEIL][way].used = true;
		}
}

void pp_plan_chains(struct pp_build *b)
{
	for (int tree = 0; tree < PP_N_TREES; tree++) {
		for (size_t i = 0; i < b->n_members; i++)
			for (int way = 0; way < PP_N_WAYS; way++)
				place(b, &b->members[i], (enum pp_plan_tree)tree, (enum pp_way)way);
		for (int rank = 0; rank < PP_N_RANKS - 1; rank++)
			agree(b, (enum pp_plan_tree)tree, rank);
	}
	for (size_t i = 0; i < b->n_members; i++)
		for (int way = 0; way < PP_N_WAYS; way++) {
			cap(b, &b->members[i], (enum pp_way)way);
			for (int tree = 0; tree < PP_N_TREES; tree++)
				for (int rank = 0; rank < PP_N_RANKS; rank++) {
					struct pp_plan_group *g =
						b->members[i].chain[tree][way][rank];

					if (g)
						g->place[tree][way].used = true;
				}
		}
}
