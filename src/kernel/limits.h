// SPDX-License-Identifier: Apache-2.0
// Limits in the kernel: a cgroup's slot and its pipes. Set, change, remove, list.
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "kernel/datapath.h"
#include "kernel/sockets.h"

/* A limit as it is in the kernel. */
struct pp_limit {
	uint32_t pipe; /* index */
	char *path;    /* of the cgroup, NULL if it is gone or there is none */
	char *name;    /* that an agent gave it, as in pp_want; or NULL */
	char *peer;    /* whom it is towards; NULL: everybody */
	uint64_t cgroup_id; /* 0: it is the limit of many cgroups */
	bool uplink;        /* it counts only what has its other end off the node */
	enum pp_dir dir;
};

/* A limit as it is asked for. Rates are bytes/s. */
struct pp_limit_ask {
	enum pp_dir dir;
	uint64_t rate;   /* its ceil; PP_NO_CEIL: nothing but its share, so it needs a weight */
	uint32_t weight; /* of its share in the nearest limit above; 0: it has none, only a ceil */
	uint64_t guarantee; /* that it has in full before weights count; with a weight only */
	uint64_t for_ns;    /* how long it holds; 0: for ever */
	enum pp_owner owner;
};

/* pp_pipe.rate of a limit that is a share and has no ceil: above 1 Pbit/s, the most that one can
 * be. */
#define PP_NO_CEIL 125000000000001ULL

/*
 * Sets or changes a limit; when it returns 0 the limit is in force for every packet, and for every
 * connection that was there before. path: normalized, at or below the datapath's root. What was in
 * force stays in force on failure.
 * -ENOENT: no such cgroup; -ENOSPC: no room; -E2BIG: too many limits above; -EINVAL: a share, and
 * no limit above to have it of.
 */
int pp_limit_set(struct pp_datapath *d, const char *path, const struct pp_limit_ask *ask,
		 struct pp_socket_count *ret_sockets, struct pp_err *e);

/*
 * Can the cgroup be limited here? It is at or below the root, and the programs run for it. 0 with
 * its id, or the errors of pp_limit_set().
 */
int pp_limit_target(const struct pp_datapath *d, const char *path, uint64_t *ret_id,
		    struct pp_err *e);

/*
 * Is there room for a limit of the cgroup in this direction, on the way of its connections? For
 * commands that set several and shall set all or none. 0; -ENOENT, -E2BIG, or -errno, with the
 * message of pp_limit_set().
 */
int pp_limit_check(struct pp_datapath *d, const char *path, enum pp_dir dir, struct pp_err *e);

#define PP_ALL_DIRS ((1u << PP_N_DIR) - 1)

/*
 * Removes the cgroup's limits of these directions (a bit each: 1 << enum pp_dir) and releases its
 * connections. 0; -ENOENT with a message if it has none.
 */
int pp_limit_remove(struct pp_datapath *d, const char *path, unsigned int dirs,
		    struct pp_socket_count *ret_sockets, struct pp_err *e);

/* Removes every limit and releases all connections. 0, or -errno with a message. */
int pp_limit_remove_all(struct pp_datapath *d, struct pp_socket_count *ret_sockets,
			struct pp_err *e);

/*
 * Calls fn for each limit, sorted by path and direction; one whose time is over is none. Stops at
 * the first error of fn and returns it; -errno with a message when the cgroups cannot be looked up
 * by their ids.
 */
int pp_limit_each(const struct pp_datapath *d, int (*fn)(const struct pp_limit *l, void *arg),
		  void *arg, struct pp_err *e);

/*
 * Is the limit in force? Writes the reason if not, or what is not covered by it if it is. 1, 0, or
 * -errno.
 */
int pp_limit_in_force(const struct pp_datapath *d, const struct pp_limit *l, char *why,
		      size_t size);

/* Where to stop looking: what lies behind has never been used. */
uint32_t pp_pipes_end(const struct pp_datapath *d);

/* An index of a pipe that is free, 0 if there is none; configure it before the next call. */
uint32_t pp_pipe_find_free(struct pp_datapath *d);

/* Removes pipe k, whatever it is, without a look at sockets. */
void pp_pipe_remove(struct pp_datapath *d, uint32_t k);

/* Entries whose time is over or whose cgroup is gone are free for others; what was left half done
 * is put right. */
void pp_limits_collect(struct pp_datapath *d);

/* A pipe of the cgroup with this id, 0 for one of many: as it is asked for. One that is free begins
 * anew. */
void pp_pipe_configure(struct pp_pipe *p, uint64_t id, const struct pp_limit_ask *ask);

/* For members.c: pipe k of what the cgroup of pipe `of`, which has members, sends itself. */
void pp_pipe_configure_own(struct pp_datapath *d, uint32_t k, uint32_t of);

/* Has nothing gone through it for a while? Then what its last epoch found is old. */
bool pp_pipe_idle(const struct pp_pipe *p, uint64_t now);

/* Nanoseconds of the clock that the programs use. */
uint64_t pp_now(void);
