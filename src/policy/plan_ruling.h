// SPDX-License-Identifier: Apache-2.0
// Rules while a plan is built: what plan_match.c makes of them, and plan_rule.c gives to subjects.
#pragma once

#include "policy/plan_build.h"

/* A peer, with what is the input's or the build's in it. */
struct pp_plan_draft {
	const char *text;
	struct pp_plan_peer peer;
};

/* A rule of an object. */
struct pp_plan_ruling {
	const struct pp_rule_spec *spec;
	struct pp_plan_item *item;
	struct pp_plan_draft *drafts; /* n_drafts, sorted by text: what its peers will be */
	size_t n_drafts;
	struct pp_port_spec ports[PP_MAX_PORTS]; /* n_ports */
	size_t n_ports;
	const char *text, *to;       /* its match's; the plan's */
	struct pp_plan_match *match; /* the same of all with this text; the plan's */
	bool used;                   /* of the first with this text: some subject has it */
	struct pp_plan_ruling *first;
	struct pp_plan_node *shared; /* made last, of subjects together */
	const char *namespace;       /* of these subjects */
};
