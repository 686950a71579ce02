// SPDX-License-Identifier: Apache-2.0
// Pages of limits: every one of the node, every one of a pod or cgroup; and those that last for a
// time.
#pragma once

#include "agent/agent.h"

/* Page /explain/pod/NAMESPACE/NAME, /explain/cgroup/PATH: every limit on its way. */
int pp_agent_explain(FILE *f, const char *rest, void *arg);

/* Page /pod/NAMESPACE/NAME: by what the kernel knows it, of a pod here or one that rules name. */
int pp_agent_pod(FILE *f, const char *rest, void *arg);

/* Page /limits: every limit of the node. */
int pp_agent_limits(FILE *f, const char *rest, void *arg);

/* Why what limits a subject in this direction is not in force; "" if it is. */
const char *pp_agent_why_not(const struct pp_agent *a, const struct pp_plan_subject *s, int way);

/* A limit binds that was full in its last epoch, if that is not long ago. */
bool pp_agent_binds(const struct pp_pipe *p);

/* One limit as both pages have it; why as above. To be freed. */
json_t *pp_agent_limit_json(const struct pp_agent *a, const struct pp_plan_pipe *p,
			    const char *why);

/* Writes o, which it frees, and returns status. */
int pp_agent_answer(FILE *f, int status, json_t *o);

/*
 * The time of day in seconds since 1970, by which all ends are judged. Not time(): that is a tick
 * late, and a timer of the other clock would find that its moment has not come.
 */
int64_t pp_agent_time(void);

/* 0 or -errno. */
int pp_agent_open_expiry(struct pp_agent *a);

/* The plan is new: waits for the first end of a limit that lasts for a time. */
void pp_agent_wait_expiry(struct pp_agent *a);
