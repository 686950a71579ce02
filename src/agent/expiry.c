// SPDX-License-Identifier: Apache-2.0
// Limits of pods that last for a time (policy/timed.h). Their end is a time of day, which may be
// set meanwhile: it is looked at again and again until it has come.
#include <time.h>

#include "agent/limits.h"
#include "base/base.h"

#define LOOK_NS (10 * 1000000000ull)

/* The first end that is not before `from`; 0: none. */
static int64_t first_end(const struct pp_agent *a, int64_t from)
{
	int64_t first = 0;

	for (size_t i = 0; i < a->pods.n * PP_N_DIR; i++) {
		int64_t until = a->pods.pods[i / PP_N_DIR]->limit[i % PP_N_DIR].own.until;

		if (until > from && (!first || until < first))
			first = until;
	}
	return first;
}

int64_t pp_agent_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec;
}

static void on_timer(void *arg)
{
	struct pp_agent *a = arg;

	if (a->expires && a->expires <= pp_agent_time()) {
		a->expires = 0;
		a->plan_due = a->due = true;
		pp_source_arm(a->apply_timer, 0);
		return;
	}
	pp_agent_wait_expiry(a);
}

int pp_agent_open_expiry(struct pp_agent *a)
{
	return pp_source_timer(a->loop, on_timer, a, &a->expiry_timer);
}

void pp_agent_wait_expiry(struct pp_agent *a)
{
	struct timespec now;
	uint64_t left;

	clock_gettime(CLOCK_REALTIME, &now);
	a->expires = first_end(a, now.tv_sec);
	if (!a->expires) {
		pp_source_disarm(a->expiry_timer);
		return;
	}
	left = (uint64_t)(a->expires - now.tv_sec) * 1000000000ull - (uint64_t)now.tv_nsec;
	pp_source_arm(a->expiry_timer, left < LOOK_NS ? left + 1000000 : LOOK_NS);
}
