// SPDX-License-Identifier: Apache-2.0
// A plan made true in the kernel, with who the pods are and who takes part in feedback: sets what
// is missing, changes what differs, removes what nobody asks for any more.
#pragma once

#include "base/cidr.h"
#include "kernel/limits.h"
#include "policy/parties.h"

/* A cgroup on this node: of a pod, or one that an object names. */
struct pp_place {
	const char *path;
	uint64_t id;
	uint64_t identity;                     /* of the pod; 0: none */
	const struct pp_plan_subject *subject; /* NULL: nothing limits it */
	void *who;                             /* the caller's */

	/* what has become of it */
	bool fresh[PP_N_DIR];                      /* its limits were set or changed */
	uint32_t pipe[PP_N_DIR], uplink[PP_N_DIR]; /* its own, 0: none */
	char why[PP_N_DIR][200]; /* they are not in force; "" if they are, or there are none */
};

/* What is to be in the kernel. */
struct pp_wanted {
	const struct pp_plan *plan;
	struct pp_place *places; /* each cgroup, and each subject, once */
	size_t n_places;
	bool complete; /* all places and objects are known: what nobody asks for goes */
	bool thorough; /* the kernel is asked of each limit whether it is in force, not only set */
	const struct pp_cidr *peers; /* n_peers of them, each once */
	size_t n_peers;
	bool peers_complete;     /* these are all: others of the agent's go */
	bool peers_changed;      /* since they were last applied */
	const struct pp_parties *parties; /* of the plan; NULL: not all are known, as they are */
	struct pp_local *locals; /* addresses and pods of this node; they are sorted */
	size_t n_locals;
};

/* What did not stop an apply, but is not as wanted either. */
struct pp_unmet {
	size_t identities; /* pods whose identity found no room beside the limits */
	char peers[240];   /* why peers are missing; "" if none is */
	char locals[120];  /* why addresses of this node are */
	char parties[120]; /* why some that rules are for are not known by the kernel */
};

/* Where each pipe of the plan is, and each class's ledger: for metrics. */
struct pp_applied {
	uint32_t *pipe;               /* as pp_plan.pipes; 0: it is not there */
	uint32_t (*ledger)[PP_N_DIR]; /* of a class, as pp_plan.objects; 0: of another object */
	uint32_t rest[PP_N_DIR];      /* of the uplink, what no subject's own pipe takes */
	bool more; /* to be applied again in a second or two: pairs are on their way out */
};

void pp_applied_free(struct pp_applied *a);

/*
 * Opens the datapath at cgroup `root` anew, loading or repairing it, and brings it to what is
 * wanted. A limit that somebody set by hand stays, and its place is told. *d is the datapath,
 * readable and unlocked. 0, or -errno with a message when nothing could be done at all: then *d and
 * *ret are as they were.
 */
int pp_apply(const char *root, const struct pp_wanted *w, struct pp_datapath *d,
	     struct pp_applied *ret, struct pp_unmet *unmet, struct pp_err *e);

/*
 * Removes what the agent has set, and the whole datapath if there are neither limits nor peers of
 * others. 0, or -errno with a message.
 */
int pp_apply_none(const char *root, struct pp_err *e);
