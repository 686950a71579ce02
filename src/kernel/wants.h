// SPDX-License-Identifier: Apache-2.0
// All that an agent wants in the kernel, made true at once: pipes in their trees, and which of them
// each cgroup has. A pipe is known by its name again, by the next agent too: what stays keeps its
// clock and its counters, and at no moment is anything without the limit it had and is to have.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "kernel/datapath.h"
#include "policy/parties.h"

#define PP_NOTHING SIZE_MAX

/* A pipe as it is wanted. Rates are bytes/s. */
struct pp_want {
	const char *name; /* unique with dir, uplink and cgroup_id */
	enum pp_dir dir;
	enum pp_pipe_kind kind;
	bool uplink, observe;
	uint64_t rate; /* PP_NO_CEIL: nothing but its share */
	uint64_t guarantee;
	uint32_t weight;    /* with a parent */
	size_t parent;      /* index of a want before this one; PP_NOTHING: none */
	uint64_t cgroup_id; /* whose alone it is; 0: of many */
	size_t ledger;      /* index of a want of that kind; PP_NOTHING: none */
	size_t match;       /* index of whom it is towards; PP_NOTHING: of everybody */
	bool pairs;         /* each of these has one like it */

	/* what has become of it */
	uint64_t key;
	uint32_t pipe; /* index; 0: it is not there */
	bool fresh;    /* it was not there, or has changed */
	bool barred;   /* something that was set by hand stands in its place */
};

/* Whom rules are for. */
struct pp_want_match {
	const char *text; /* unique */
	struct pp_match m; /* without its key */
	uint32_t index;    /* what has become of it: its entry in pp_matches, 0: there is none */
};

/* What a cgroup is to have: indexes of wants, or PP_NOTHING. */
struct pp_want_slot {
	const char *path;
	uint64_t cgroup_id;
	uint64_t identity;
	size_t pipe[PP_N_DIR], uplink[PP_N_DIR], cap[PP_N_DIR][PP_MAX_CAPS];
	size_t rule[PP_N_DIR][PP_SLOT_RULES]; /* wants with a match; PP_NOTHING behind the last */

	/* what has become of it */
	struct pp_slot was;
	bool fresh;
	bool no_room;            /* for its identity, and it has nothing else */
	char why[PP_N_DIR][200]; /* a direction's limits are not in force; "" if they are */
};

struct pp_wants {
	struct pp_want *w;
	size_t n;
	struct pp_want_slot *slots; /* each cgroup once */
	size_t n_slots;
	struct pp_want_match *matches;
	size_t n_matches;
	/* who is in the matches of PP_MATCH_GROUPS, by their index; NULL: it stays as it is */
	const struct pp_parties *parties;
	char why_parties[120]; /* not all of them are there; "" if they are */
	/* that is all: what else an agent has set goes; else nothing goes, and none is raised */
	bool complete;
	bool thorough; /* the kernel is asked of each cgroup whether the programs run there */
	bool more; /* it is to be called again in a second or two: pairs are on their way out */
};

/*
 * The datapath is open and locked. What one cgroup cannot have is said in its slot and stops
 * nothing else; what was set by hand stays in its place. 0, or -errno with a message.
 */
int pp_wants_apply(struct pp_datapath *d, struct pp_wants *w, struct pp_err *e);
