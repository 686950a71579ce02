// SPDX-License-Identifier: Apache-2.0
// All that the agent knows, made into a plan; and what became of it, told to those it is about.
#pragma once

#include "agent/agent.h"

/*
 * Gathers pods, cgroups and objects and compiles them: a->plan and a->places are new. 0 or -ENOMEM:
 * then they are as they were.
 */
int pp_agent_compile(struct pp_agent *a);

/* Objects have changed: which cgroups they name. 0 or -ENOMEM. */
int pp_agent_name_groups(struct pp_agent *a);

/*
 * Addresses and pods of this node, for its uplink; *ret is to be freed. 0 or -ENOMEM.
 */
int pp_agent_locals(const struct pp_agent *a, struct pp_local **ret, size_t *ret_n);

/* After pp_apply(): the state of each pod's limits. */
void pp_agent_settle(struct pp_agent *a);
