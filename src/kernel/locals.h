// SPDX-License-Identifier: Apache-2.0
// The addresses and pods of this node: what has its other end here passes no uplink.
#pragma once

#include <stddef.h>

#include "kernel/datapath.h"

/* A pod by its identity, as pp_slot.identity. */
struct pp_local pp_local_of_pod(uint64_t identity);

/*
 * Makes these, n of them, in any order and some perhaps twice, all that there are. Sorts them. 0;
 * -E2BIG if there is no room for all, after which as many are there as fit; or -errno.
 */
int pp_locals_set(struct pp_datapath *d, struct pp_local *l, size_t n);
