// SPDX-License-Identifier: Apache-2.0
// A plan while it is built: what the parts of the compiler (plan_parts.h) share.
#pragma once

#include "base/arena.h"
#include "policy/plan.h"

#define PP_PLAN_WEIGHT 100 /* of what nothing gives a weight; PP_WEIGHT_DEFAULT of the kernel */

enum pp_plan_tree { PP_TREE_CEIL, PP_TREE_UPLINK, PP_N_TREES };

/* Of groups: a policy's, a tenant's in one namespace, a tenant's. A lower one is inside. */
enum { PP_N_RANKS = 3 };

/* An object. */
struct pp_plan_item {
	const struct pp_object *o;
	const char *text;           /* "BandwidthPolicy a/web"; the plan's */
	int rank;                   /* of the groups that it makes; -1: it makes none */
	struct pp_plan_group *last; /* that it made last */
	bool is_here;               /* it selects this node */
	size_t n_subjects;
	struct pp_plan_ruling *rulings[PP_N_WAYS]; /* n_rulings; once some subject has them */
	size_t n_rulings[PP_N_WAYS];
};

/* What a group is in one tree and direction. */
struct pp_plan_place {
	bool used;    /* by a chain, or as a cap */
	bool asked;   /* next is that of the first of its members */
	bool differs; /* other is that of another one of them */
	struct pp_plan_group *next, *other;
	struct pp_plan_node *node;
};

/* Subjects that have one pipe together. */
struct pp_plan_group {
	struct pp_plan_group *before; /* that was made before it */
	struct pp_plan_item *item;
	const char *name;      /* of its pipe */
	const char *namespace; /* of all its subjects; NULL: they may be of several */
	struct pp_plan_place place[PP_N_TREES][PP_N_WAYS];
};

/* An object that is for a subject. */
struct pp_plan_binding {
	struct pp_plan_item *item;
	struct pp_plan_group *group; /* that it puts it into; NULL: it is per: Pod */
};

/* A subject. */
struct pp_plan_member {
	const struct pp_subject *s;
	const struct pp_namespace *namespace; /* NULL: none, or one of which nothing is known */
	const char *text;                     /* "pod a/web-1"; the plan's */
	const struct pp_plan_binding *bindings; /* policies first, then cluster policies, by name */
	size_t n_bindings;
	struct pp_plan_member *above; /* of a cgroup: the nearest one above it; or NULL */
	const struct pp_plan_item *class;
	uint64_t ceil[PP_N_WAYS];
	const char *ceil_from[PP_N_WAYS];
	struct pp_plan_group *chain[PP_N_TREES][PP_N_WAYS][PP_N_RANKS];
	struct pp_plan_member *nested[PP_N_TREES][PP_N_WAYS]; /* whose leaf is the parent of its */
	bool has_leaf[PP_N_TREES][PP_N_WAYS];
	const struct pp_plan_binding *cap[PP_N_WAYS][PP_PLAN_CAPS];
	struct pp_plan_node *leaf[PP_N_TREES][PP_N_WAYS];
	struct pp_plan_subject *out;
};

/* A pipe, and what is asked about it until it is done. It is the plan's, as its pipe is. */
struct pp_plan_node {
	struct pp_plan_pipe pipe; /* the first: a parent's address is that of its node */
	struct pp_plan_node *next;
	const struct pp_plan_group *group; /* NULL: it is a leaf's, or the uplink's */
	const struct pp_plan_item *item;   /* whose limit it is; NULL: a leaf */
	const char *subject;               /* of a leaf */
	uint64_t promised;                 /* guarantees of what has a share of it */
};

struct pp_plan_remark {
	struct pp_plan_note note;
	struct pp_plan_remark *next;
};

struct pp_build {
	const struct pp_plan_input *in;
	struct pp_plan *plan;
	struct pp_arena *memory; /* the plan's */
	struct pp_arena scratch;
	struct pp_plan_item *items; /* sorted by kind, namespace, name */
	size_t n_items;
	size_t begin[PP_N_KINDS + 1];           /* of each kind among items */
	const struct pp_namespace **namespaces; /* sorted by name */
	struct pp_plan_member *members;         /* sorted as the plan's subjects */
	size_t n_members;
	struct pp_plan_group *groups; /* the last one made */
	size_t n_groups;
	const struct pp_plan_item *uplink[PP_N_WAYS]; /* whose ceil binds; NULL: there is none */
	struct pp_plan_node *uplink_node[PP_N_WAYS];
	struct pp_plan_node *first, **last;
	size_t n_nodes;
	struct pp_plan_ruling **rulings; /* sorted by text */
	size_t n_rulings;
	struct pp_plan_remark *remarks;
	size_t n_remarks;
	/* stand in where there is no memory, so that only the end has to ask */
	struct pp_plan_group no_group;
	struct pp_plan_node no_node;
};
