// SPDX-License-Identifier: Apache-2.0
// Objects made true in the kernel once, without a daemon; and who keeps a host's limits.
#pragma once

#include "base/err.h"
#include "policy/sources.h"

/*
 * An agent keeps the limits at this root, in this network namespace, as long as the descriptor is
 * open. The descriptor, -EADDRINUSE if one does, or -errno.
 */
int pp_agent_claim(const char *root);

struct pp_once {
	size_t objects, limits; /* that are in force now */
	size_t missing;         /* cgroups that objects name, and that are not there */
	size_t failed;          /* cgroups whose limits are not in force: each was said to fn */
};

/*
 * What the objects say, all valid, is in force when it returns, and nothing else that an agent or
 * an earlier call has set. Notes of what has no effect are said to fn. 0; -EBUSY with a message if
 * an agent keeps the limits; -errno with a message.
 */
int pp_agent_once(const char *root, struct pp_sources *objects, struct pp_once *ret, pp_fault_fn fn,
		  void *arg, struct pp_err *e);
