// SPDX-License-Identifier: Apache-2.0
// Of all agents one writes what podpace's objects have for status: the sum of what each node's
// agent says (agent/report.h).
#pragma once

#include <stdbool.h>

#include "kube/lease.h"

struct pp_leader_times {
	uint64_t gather_ns; /* what changes within is counted together */
	uint64_t grace_ns;  /* for nodes to take up a new generation: longer than their reports take
			     */
	uint64_t pace_ns;   /* between two writes */
	uint64_t retry_ns, retry_max_ns; /* after a failure */
};

extern const struct pp_leader_times pp_leader_times_default;

struct pp_leader;

/*
 * Tries to hold the Lease NAMESPACE/podpace, and while it does, follows objects and BandwidthNodes
 * and writes statuses. While it does not, it costs a request now and then. identity: one that no
 * other process has. times, lease_times: NULL for the default. 0 or -errno.
 */
int pp_leader_new(struct pp_kube *k, const char *namespace, const char *identity,
		  const struct pp_leader_times *times, const struct pp_lease_times *lease_times,
		  struct pp_leader **ret);

/* To be freed before the client. The Lease stays held until it expires. */
void pp_leader_free(struct pp_leader *l);

/* For the end: stops, gives up the Lease and calls done(arg) from the loop, within 2 s. */
void pp_leader_release(struct pp_leader *l, void (*done)(void *arg), void *arg);

struct pp_leader_state {
	bool leads;
	const char *holder; /* of the Lease, as last heard; "" */
	const char *why;    /* what does not work: the Lease, a watch or a write; "" */
	size_t nodes;       /* that report; 0 while it does not lead, as what follows */
	size_t objects;
	uint64_t written, failed; /* statuses, since it began */
};

/* Texts are valid until the next callback of the loop. */
void pp_leader_state(const struct pp_leader *l, struct pp_leader_state *ret);
