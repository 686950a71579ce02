// SPDX-License-Identifier: Apache-2.0
// How patient a watch is. Tests are less patient.
#pragma once

#include "kube/backoff.h"
#include "kube/watch.h"

struct pp_watch_times {
	struct pp_backoff backoff;
	uint64_t short_ns;   /* a stream that ends sooner, and empty, is trouble */
	uint64_t silence_ns; /* bookmarks come every minute; without any the stream is dead */
};

extern const struct pp_watch_times pp_watch_times_default;

/* Before the loop runs. */
void pp_watch_set_times(struct pp_watch *w, const struct pp_watch_times *times);
