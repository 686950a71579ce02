// SPDX-License-Identifier: Apache-2.0
// Who matches rules, in the kernel: pods and blocks of addresses, and their groups. Written with
// the datapath open and locked.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/datapath.h"
#include "policy/parties.h"

/*
 * Makes these all that there are; match[i] is the entry of the plan's match i in pp_matches, 0 if
 * it has none. At no moment is somebody in a group that is not his, by the old ones or the new.
 * Without `thorough` nothing is read where nothing has changed. Whether anything has, 1 or 0;
 * -ENOSPC if there is no room for all, after which as much is there as fits; or -errno, after
 * which some may have changed.
 */
int pp_parties_set(struct pp_datapath *d, const struct pp_parties *p, const uint32_t *match,
		   size_t n_matches, bool thorough);
