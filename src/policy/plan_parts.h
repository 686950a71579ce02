// SPDX-License-Identifier: Apache-2.0
// The parts of the compiler. Each fills what the next ones read; they run in the order in which
// they stand here. One without memory does something harmless, and is the last.
#pragma once

#include "policy/plan_build.h"

/* "egress", "ingress". */
extern const char *const pp_plan_way[PP_N_WAYS];

/*
 * Says that something has no effect: what object says, for a subject. Either may be NULL. What a
 * person chose stands in it by pp_plan_show() alone.
 */
void pp_plan_remark(struct pp_build *b, const struct pp_plan_item *object,
		    const struct pp_plan_member *subject, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Any text as a part of a line, with quotes around it. */
const char *pp_plan_show(struct pp_build *b, const char *text);

/* plan_select.c: objects, namespaces and subjects, sorted. 0, or -ENOMEM. */
int pp_plan_sort(struct pp_build *b);

/* plan_select.c: who is selected by what, and in which groups; whose ceil the uplink has. */
void pp_plan_select(struct pp_build *b);

/* plan_class.c: the class of each subject. */
void pp_plan_classes(struct pp_build *b);

/* plan_share.c: the ceils of subjects. */
void pp_plan_ceils(struct pp_build *b);

/* plan_chain.c: the groups in which each subject is, one below the other, and those beside. */
void pp_plan_chains(struct pp_build *b);

/* plan_pipe.c: a pipe for each group, uplink and subject that has one, with its parent. */
void pp_plan_pipes(struct pp_build *b);

/* plan_share.c: guarantees and weights of all pipes. */
void pp_plan_shares(struct pp_build *b);

/* plan_match.c: rules of objects that have subjects, those that say the same together. */
void pp_plan_rulings(struct pp_build *b);

/* plan_rule.c: rules of subjects, with their pipes. */
void pp_plan_rules(struct pp_build *b);

/* plan_match.c: the matches that a subject has. */
void pp_plan_take_matches(struct pp_build *b);

/* One more pipe, at the end. Never NULL. */
struct pp_plan_node *pp_plan_add_pipe(struct pp_build *b, const char *name, enum pp_plan_tree tree,
				      enum pp_way way, struct pp_plan_node *parent);

/* How many pipes fit on the way of what m sends or gets, beside its trees. */
size_t pp_plan_room(const struct pp_build *b, const struct pp_plan_member *m, enum pp_way way);

/* Has a policy a group in this tree and direction? inside: it would have a parent. */
bool pp_plan_has_place(const struct pp_plan_group *g, enum pp_plan_tree tree, enum pp_way way,
		       bool inside);

/* Does an object limit a subject by itself in this direction? */
static inline bool pp_plan_is_own(const struct pp_plan_binding *x, enum pp_way way)
{
	return !x->group && !x->item->o->observe && x->item->o->share[way].line;
}

/* The innermost group of a chain, from a rank on; NULL: there is none. */
static inline struct pp_plan_group *pp_plan_inner(struct pp_plan_group *const *chain, int rank)
{
	for (; rank < PP_N_RANKS; rank++)
		if (chain[rank])
			return chain[rank];
	return NULL;
}
