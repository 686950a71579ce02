// SPDX-License-Identifier: Apache-2.0
// What the pods ask for, made true in the kernel: sets what is missing, changes what differs,
// removes what nobody asks for any more.
#pragma once

#include "agent/pods.h"
#include "kernel/limits.h"

/* A pod that runs may be without a cgroup that long before it is said to be, ns. */
#define PP_APPLY_MISSING_NS 10000000000ull

/*
 * Opens the datapath at cgroup `root` anew, loading or repairing it, and brings the limits that the
 * agent has set, of both directions, to what the pods ask for. Of each pod it sets state and pipe, of its own limits it
 * removes those of cgroups that no pod asks for, if `complete`: all pods are known. `thorough`:
 * asks the kernel of each limit whether it is in force, not only whether it is set. A limit that
 * somebody set by hand stays, and its pod is told. *d is the datapath, readable and unlocked. 0, or
 * -errno with a message when nothing could be done at all: then *d is as it was.
 */
int pp_apply(const char *root, struct pp_pods *pods, const struct pp_tree *tree, bool complete,
	     bool thorough, struct pp_datapath *d, struct pp_err *e);

/*
 * Removes the limits that the agent has set, and the whole datapath if there are no others. 0, or
 * -errno with a message.
 */
int pp_apply_none(const char *root, struct pp_err *e);
