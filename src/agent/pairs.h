// SPDX-License-Identifier: Apache-2.0
// The pairs of a rule for pages: who is at the other end, and what goes through.
#pragma once

#include <jansson.h>

#include "agent/agent.h"

/*
 * An array of the pairs of the rule whose pipe is k, to be freed: peer ("pod NS/NAME", an address,
 * or "pod with identity ..." of one that is not known), binds, capacity, rate (bits/s), bytes. The
 * first 1000 of them.
 */
json_t *pp_agent_pairs_json(const struct pp_agent *a, uint32_t k);

/* Does one of them bind? */
bool pp_agent_pair_binds(const struct pp_agent *a, uint32_t k);
