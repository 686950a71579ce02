// SPDX-License-Identifier: Apache-2.0
// The map of cgroups that the datapath knows: each has pipes, the pod's identity, or both. Written
// with the datapath open and locked.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/datapath.h"

/* Sockets look their paths up again. */
void pp_paths_changed(struct pp_datapath *d);

/*
 * Writes the slot of the cgroup with this id, or removes it when it has nothing left; keeps
 * pp_state.nlimits, and makes sockets look their paths up again. 0; -E2BIG if the map is full and
 * nobody's identity can make room for a pipe; -errno.
 */
int pp_slot_write(struct pp_datapath *d, uint64_t id, const struct pp_slot *s);

/* Takes a pipe of this direction out of the slot, wherever it stands. Was it there? */
bool pp_slot_forget(struct pp_slot *s, uint32_t dir, uint32_t k);

/*
 * What a command left that was killed halfway: pipes that are free again or another cgroup's, slots
 * with nothing in them, a wrong number of limits.
 */
void pp_slots_reconcile(struct pp_datapath *d);
