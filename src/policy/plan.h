// SPDX-License-Identifier: Apache-2.0
// Objects, pods and the node compiled into what the node is to enforce: the plan. Pure: the same
// input gives the same plan, to the byte. A plan owns all its texts and outlives its input.
#pragma once

#include "policy/plan_input.h"
#include "policy/plan_match.h"

/* Limits beside the tree, of one subject and direction; more are reported, and not in force. */
#define PP_PLAN_CAPS 2
/*
 * Pipes on one connection's way without rules: those of both trees come first, then caps. Rules
 * have 4 places more: how many match a connection is known when there is one.
 */
#define PP_PLAN_PATH 8
/* Rules of one subject and direction; more are reported, and not in force. */
#define PP_PLAN_RULES 16

/* One limit to be. Rates are bytes/s. Each number knows which object, or what else, gave it. */
struct pp_plan_pipe {
	size_t index; /* in pp_plan.pipes */
	/*
	 * What it limits, unique with way and uplink, and the same as long as that is the same:
	 * "pod NS/NAME", "cgroup PATH", "policy NS/NAME", "tenant NAME", "tenant NAME in NS",
	 * "uplink NAME"; with " observed by KIND [NS/]NAME" behind it where it only observes. Of
	 * pods of one name, while one is replaced: "pod NS/NAME (UID)". Of a rule "pod NS/NAME to
	 * RULE of policy NS/NAME", "policy NS/NAME to RULE" and such; "from" of ingress
	 */
	const char *name;
	enum pp_way way;
	bool uplink;  /* it counts only what has its other end off the node */
	bool observe; /* it measures, and limits nothing */
	uint64_t ceil; /* 0: none */
	uint64_t guarantee;
	uint32_t weight;             /* PP_WEIGHT_DEFAULT (100) if nothing says another */
	struct pp_plan_pipe *parent; /* has a share of it; NULL: weight, guarantee say nothing */
	const char *ceil_from, *guarantee_from, *weight_from; /* NULL where nothing is said */
	size_t subject; /* of what one alone has: index in pp_plan.subjects; or SIZE_MAX */
	const struct pp_plan_match *match; /* it counts only what matches; NULL: it is no rule's */
	bool pairs; /* each peer of the subject has a pipe like it of its own */
};

/* A rule that a subject has. */
struct pp_plan_rule {
	struct pp_plan_pipe *pipe;
	const struct pp_plan_match *match; /* as of the pipe */
};

/* What one subject has. */
struct pp_plan_subject {
	const char *namespace, *name, *uid; /* as in the input */
	const char *class, *class_from;     /* NULL: it has none */
	struct pp_plan_pipe *leaf[PP_N_WAYS];   /* its own, in the tree of ceils; or NULL */
	struct pp_plan_pipe *uplink[PP_N_WAYS]; /* its own, in the tree of the uplink; or NULL */
	struct pp_plan_pipe *cap[PP_N_WAYS][PP_PLAN_CAPS]; /* beside them; NULL behind the last */
	struct pp_plan_rule *rule[PP_N_WAYS];
	size_t n_rules[PP_N_WAYS];
};

/* What became of an object. */
struct pp_plan_object {
	enum pp_kind kind;
	const char *namespace, *name;
	size_t n_subjects; /* of the node that it applies to; of a class, that have it */
};

/* Something that was said and has no effect, or not all. */
struct pp_plan_note {
	const char *object;  /* "BandwidthPolicy a/web", or NULL: it is the subject's own */
	const char *subject; /* "pod a/web-1", or NULL: it is not about one */
	const char *text;
};

struct pp_plan {
	struct pp_plan_pipe **pipes; /* parents before their members */
	size_t n_pipes;
	struct pp_plan_subject *subjects; /* sorted by namespace, name, uid */
	size_t n_subjects;
	struct pp_plan_object *objects; /* sorted by kind, namespace, name */
	size_t n_objects;
	struct pp_plan_match **matches; /* of subjects' rules, sorted by text */
	size_t n_matches;
	struct pp_plan_note *notes; /* sorted by object, subject, text */
	size_t n_notes;
	struct pp_plan_memory *memory;
};

/* 0, or -ENOMEM. */
int pp_plan_compile(const struct pp_plan_input *in, struct pp_plan **ret);
void pp_plan_free(struct pp_plan *p);

/* The subject, or NULL. namespace NULL: a cgroup. */
const struct pp_plan_subject *pp_plan_find(const struct pp_plan *p, const char *namespace,
					   const char *name, const char *uid);
