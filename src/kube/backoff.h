// SPDX-License-Identifier: Apache-2.0
// How long to wait before trying again: longer each time, and not all at the same time.
#pragma once

#include <stdint.h>

struct pp_backoff {
	uint64_t min_ns, max_ns;
	uint64_t reset_ns; /* after so long without a delay they start again at min */
	uint64_t last_ns, at_ns; /* of the last delay: how long, and when it was asked for */
};

/* The next delay: min, doubled up to max, and up to as much again at random. */
uint64_t pp_backoff_next(struct pp_backoff *b, uint64_t now_ns);

/* Below n, which is not 0. For spreading load, not for secrets. */
uint64_t pp_backoff_random(uint64_t n);
