// SPDX-License-Identifier: Apache-2.0
// What the pods ask for, and who they are, made true in the kernel: sets what is missing, changes
// what differs, removes what nobody asks for any more.
#pragma once

#include "agent/pods.h"
#include "base/cidr.h"
#include "kernel/limits.h"

/* A pod that runs may be without a cgroup that long before it is said to be, ns. */
#define PP_APPLY_MISSING_NS 10000000000ull

/* What is to be in the kernel. */
struct pp_wanted {
	struct pp_pods *pods;
	const struct pp_tree *tree;
	bool complete; /* all pods are known: what no pod asks for goes */
	bool thorough; /* the kernel is asked of each limit whether it is in force, not only set */
	const struct pp_cidr *peers; /* n_peers of them, each once */
	size_t n_peers;
	bool peers_complete; /* these are all: others of the agent's go */
	bool peers_changed;  /* since they were last applied */
};

/* What did not stop an apply, but is not as wanted either. */
struct pp_unmet {
	size_t identities;  /* pods whose identity found no room beside the limits */
	char peers[240];    /* why peers are missing; "" if none is */
};

/*
 * Opens the datapath at cgroup `root` anew, loading or repairing it, and brings peers, limits of
 * both directions, as far as the agent has set them, and pods' identities to what is wanted. Of
 * each pod it sets state and pipe. A limit that somebody set by hand stays, and its pod is told. *d
 * is the datapath, readable and unlocked. 0, or -errno with a message when nothing could be done at
 * all: then *d is as it was.
 */
int pp_apply(const char *root, const struct pp_wanted *w, struct pp_datapath *d,
	     struct pp_unmet *ret, struct pp_err *e);

/*
 * Removes what the agent has set, and the whole datapath if there are neither limits nor peers of
 * others. 0, or -errno with a message.
 */
int pp_apply_none(const char *root, struct pp_err *e);
