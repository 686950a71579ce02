// SPDX-License-Identifier: Apache-2.0
// Whom the rules of the plan are for: which pods have to be followed, and who matches.
#pragma once

#include "agent/agent.h"

/* The plan, or a namespace, is new: follows the pods that its rules name. 0 or -errno. */
int pp_agent_follow(struct pp_agent *a);

/* Makes a->parties of the plan and of all pods that are known. 0 or -ENOMEM: as it was. */
int pp_agent_match(struct pp_agent *a);

/* Are all pods known that the rules name? Where there is no API there are none. */
bool pp_agent_matched(const struct pp_agent *a);

/* Why rules may not be in force towards all of their peers; "" if nothing is known against it. */
const char *pp_agent_match_why(const struct pp_agent *a);

/*
 * The most rules of a subject that are for one peer, of all ports, where that is more than fits on
 * a connection's way: the last of them may not bind. 0: all fit. *ret_room is how many do.
 */
size_t pp_agent_crowd(const struct pp_agent *a, const struct pp_plan_subject *s, int way,
		      size_t *ret_room);

/*
 * How many pods and blocks the rules of a pipe's match are for, in the cluster; 0 where it is not
 * known, or everybody.
 */
size_t pp_agent_count_peers(const struct pp_agent *a, const struct pp_plan_match *m);
