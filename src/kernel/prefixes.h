// SPDX-License-Identifier: Apache-2.0
// The prefixes of addresses whose hosts take part in feedback: with them, and nobody else, the
// datapath exchanges its TCP option.
#pragma once

#include "base/cidr.h"
#include "base/err.h"
#include "kernel/datapath.h"

/*
 * Adds a prefix, which is owner's from now on. 0; -ENOSPC, or -errno, with a message. New
 * connections with its addresses take part; listeners that are there already do where the kernel
 * lets them (6.12), after pp_prefixes_sync().
 */
int pp_prefix_add(struct pp_datapath *d, const struct pp_cidr *c, enum pp_owner owner,
		  struct pp_err *e);

/* Is it there, just as it is written? 0, or -ENOENT with the message of pp_prefix_remove(). */
int pp_prefix_find(const struct pp_datapath *d, const struct pp_cidr *c, struct pp_err *e);

/* 0; -ENOENT, or -errno, with a message. Connections that take part go on. */
int pp_prefix_remove(struct pp_datapath *d, const struct pp_cidr *c, struct pp_err *e);

/* Calls fn for each, sorted; stops at its first error and returns it. */
int pp_prefix_each(const struct pp_datapath *d,
		   int (*fn)(const struct pp_cidr *c, enum pp_owner owner, void *arg), void *arg,
		   struct pp_err *e);

/*
 * Adds the given ones, n of them, each once, as owner's; those of another owner stay theirs.
 * `only`: owner's others are removed. Returns how many were added or removed; -ENOSPC or another
 * -errno with a message, after which some may have been.
 */
int pp_prefixes_set(struct pp_datapath *d, const struct pp_cidr *c, size_t n, enum pp_owner owner,
		    bool only, struct pp_err *e);

/* Brings listening sockets to it. 0, or -errno with a message. */
int pp_prefixes_sync(struct pp_datapath *d, struct pp_err *e);
