// SPDX-License-Identifier: Apache-2.0
// The datapath in the kernel: load and pin it, adopt what is pinned, take it out again. The pins
// are all its state.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "bpf/abi.h"
#include "kernel/cgroup.h"

enum pp_open {
	PP_ADOPT,  /* what is there, perhaps damaged, or -ENOENT: to look at */
	PP_REPAIR, /* what is there, or -ENOENT; programs that are missing or detached are loaded
		      and attached again */
	PP_LOAD,   /* as PP_REPAIR, and loaded if it is not there */
};

/* An open datapath. While it is open no other process can load, change or unload one. */
struct pp_datapath {
	struct pp_cgroupfs cgroupfs;
	char *root; /* cgroup that the programs are attached to, normalized */
	uint64_t root_id;
	char *dir;   /* where it is pinned */
	int lock_fd; /* the bpf file system, locked; -1 once released */
	int slots_fd;
	int prefixes_fd;
	int locals_fd;
	int names_fd;
	int matches_fd;
	int groups_fd;
	int parties_fd;
	int blocks_fd;
	int pairs_fd;
	int iter_fd; /* link of the tcp iterator; -1 if it is not pinned, after PP_ADOPT only */
	struct pp_pipe *pipes;  /* PP_ALL_PIPES, shared with the kernel */
	struct pp_state *state; /* shared with the kernel */
};

/* A datapath that is not open: what pp_datapath_close() leaves, and may be given. */
#define PP_DATAPATH_INIT                                                                           \
	((struct pp_datapath){ .cgroupfs = { .fd = -1 },                                           \
			       .lock_fd = -1,                                                      \
			       .slots_fd = -1,                                                     \
			       .prefixes_fd = -1,                                                  \
			       .locals_fd = -1,                                                    \
			       .names_fd = -1,                                                     \
			       .matches_fd = -1,                                                   \
			       .groups_fd = -1,                                                    \
			       .parties_fd = -1,                                                   \
			       .blocks_fd = -1,                                                    \
			       .pairs_fd = -1,                                                     \
			       .iter_fd = -1 })

/*
 * Opens the datapath attached at cgroup `root` (normalized path, "/" for the whole host). A repair
 * keeps the maps, and with them all limits. Two datapaths of which one lies below the other would
 * overwrite each other's paces: loading the second is refused. 0; -ENOENT if there is none and it
 * is not to be loaded; -errno with a message. *ret is untouched on failure.
 */
int pp_datapath_open(const char *root, enum pp_open how, struct pp_datapath *ret, struct pp_err *e);
void pp_datapath_close(struct pp_datapath *d);

/* Lets other commands in. The maps stay readable; nothing may be changed any more. */
void pp_datapath_unlock(struct pp_datapath *d);

/*
 * Removes every pin, and with them the programs. Sockets must have been released before. 0, or
 * -errno with a message.
 */
int pp_datapath_remove(struct pp_datapath *d, struct pp_err *e);

/*
 * Is every program of the datapath among those that run for packets of the cgroup `fd`? Writes the
 * reason if not. 1, 0, or -errno.
 */
int pp_datapath_runs(const struct pp_datapath *d, int cgroup_fd, char *why, size_t size);
