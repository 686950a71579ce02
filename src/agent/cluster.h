// SPDX-License-Identifier: Apache-2.0
// Whose hosts take part in feedback, found from the cluster: follows its nodes and the prefixes of
// its services.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "agent/peers.h"
#include "kube/watch.h"

struct pp_cluster;

/* How one source is doing. */
struct pp_cluster_source {
	const char *resource; /* as the API calls it: "nodes", "servicecidrs" */
	struct pp_watch_stats watch;
	const char *why; /* it is not heard; "" if it is */
};

/*
 * Calls changed(arg) when the prefixes have changed, at most once a second. `more`, n_more of them,
 * are among them from the beginning; they stay the caller's. A source that the API refuses or does
 * not have is logged once and asked for again, twice a minute. 0 or -errno.
 */
int pp_cluster_new(struct pp_kube *k, struct pp_loop *l, const struct pp_cidr *more, size_t n_more,
		   void (*changed)(void *arg), void *arg, struct pp_cluster **ret);
/* To be freed before the loop and the client. */
void pp_cluster_free(struct pp_cluster *c);

/*
 * The prefixes as of the last changed(), sorted, each once; valid until the next. Returns whether
 * they are all: each source has been heard, or does not exist there.
 */
bool pp_cluster_peers(const struct pp_cluster *c, const struct pp_cidr **ret, size_t *ret_n);

/* why is valid until the next callback of the loop. */
void pp_cluster_source(const struct pp_cluster *c, enum pp_peer_source source,
		       struct pp_cluster_source *ret);
