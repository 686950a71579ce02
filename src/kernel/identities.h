// SPDX-License-Identifier: Apache-2.0
// Which pod a cgroup is: what a connection's hello announces to its peer.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/datapath.h"

struct pp_identity {
	uint64_t cgroup_id;
	uint64_t identity; /* first 64 bits of the pod's UID, not 0 */
};

/*
 * Makes the identities of these cgroups, n of them, the given ones; sorts them by cgroup. Writes
 * only what differs. `only`: no other cgroup has one, so that those of removed cgroups go too; a
 * slot left with nothing goes with its identity. Limits come first: when all PP_MAX_SLOTS are in
 * use, identities that found no room are left out, and their number is returned. 0 when all are
 * there; -errno.
 */
int pp_identities_set(struct pp_datapath *d, struct pp_identity *want, size_t n, bool only);
