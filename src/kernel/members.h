// SPDX-License-Identifier: Apache-2.0
// Limits that share another one: pipes in the tree of tree.h. Written with the datapath open and
// locked.
#pragma once

#include <stdint.h>

#include "kernel/datapath.h"

/* The limit of a cgroup on what its members share: the nearest one above it. 0 if there is none. */
uint32_t pp_member_above(const struct pp_datapath *d, uint64_t cgroup_id, enum pp_dir dir);

/*
 * Makes pipe k a member of pipe `parent`, or changes its weight (PP_WEIGHT_MIN to PP_WEIGHT_MAX)
 * and guarantee (bytes/s). The first member of a pipe makes it one that is shared: what its cgroup
 * sends itself becomes a member too, of the default weight. At no moment is anything unlimited. 0,
 * -ENOSPC if there is no pipe for that, or -errno.
 */
int pp_member_set(struct pp_datapath *d, uint32_t k, uint32_t parent, uint32_t weight,
		  uint64_t guarantee);

/* Pipe k, if it is a member, is none any more; it keeps its ceil. */
void pp_member_leave(struct pp_datapath *d, uint32_t k);

/* Pipe k goes: its members are left with their ceils. */
void pp_members_part(struct pp_datapath *d, uint32_t k);

/* What a command left that was killed halfway, and cgroups that went: wrong numbers of members. */
void pp_members_reconcile(struct pp_datapath *d);
