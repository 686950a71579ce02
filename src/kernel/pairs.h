// SPDX-License-Identifier: Apache-2.0
// Pipes that the programs make, each for one pair of a rule's: brought to what the rule says now,
// and taken back when nobody has used them for a while. Written with the datapath open and locked.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/datapath.h"

/* A pair that was silent for so long is forgotten; its next packet makes it anew. */
#define PP_PAIR_IDLE_NS 60000000000ULL

/*
 * Pairs follow their rules; those of rules that are gone, and idle ones, are taken back. It takes
 * two calls, at least a second apart: paths lead to a pipe until they are looked up again. Whether
 * a third is needed.
 */
bool pp_pairs_sweep(struct pp_datapath *d);

/* Pairs of the rule whose pipe this is. */
uint32_t pp_pairs_count(const struct pp_datapath *d, uint32_t of);

/*
 * Pipe k as it is or, of a rule with pairs, with what these count and what goes through them now
 * added: flows (n16) and arrival rate (y) too.
 */
struct pp_pipe pp_pairs_sum(const struct pp_datapath *d, uint32_t k);
