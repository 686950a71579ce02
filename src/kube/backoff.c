// SPDX-License-Identifier: Apache-2.0
// Exponential delays with jitter.

#include <sys/random.h>

#include "base/base.h"
#include "kube/backoff.h"

uint64_t pp_backoff_random(uint64_t n)
{
	uint64_t x;

	/* early in a boot there may be no randomness yet */
	if (getrandom(&x, sizeof(x), GRND_NONBLOCK) != sizeof(x))
		x = n / 2;
	return x % n;
}

uint64_t pp_backoff_next(struct pp_backoff *b, uint64_t now_ns)
{
	if (!b->last_ns || now_ns - b->at_ns > b->reset_ns)
		b->last_ns = b->min_ns;
	else if (b->last_ns < b->max_ns / 2)
		b->last_ns *= 2;
	else
		b->last_ns = b->max_ns;
	b->at_ns = now_ns;
	return b->last_ns + pp_backoff_random(b->last_ns);
}
