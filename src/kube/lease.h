// SPDX-License-Identifier: Apache-2.0
// Which of many does what one alone has to: who holds a Lease of coordination.k8s.io/v1. The rules
// are those of client-go's leader election (tools/leaderelection/leaderelection.go): there may be
// none for a while, and no two whose clocks run alike; a write of a leader that was stopped long
// enough can still arrive.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kube/client.h"

struct pp_lease;

struct pp_lease_times {
	uint64_t duration_ns; /* a Lease that has not changed for so long is free. Whole seconds */
	uint64_t renew_ns;    /* between two renewals */
	uint64_t deadline_ns; /* not renewed for so long, it is given up; less than duration_ns */
	uint64_t retry_ns;    /* after what has failed, and up to twice as much */
};

extern const struct pp_lease_times pp_lease_times_default;

/*
 * Tries to hold the Lease until it is freed. identity: one that no other process has. Calls
 * changed(leads, arg) when this process begins to lead or has ceased to; not at first: it does not
 * lead then. Those that do not lead read the Lease every 15 to 20 s, from the server's cache.
 * times: NULL for the default. 0 or -errno.
 */
int pp_lease_new(struct pp_kube *k, const char *namespace, const char *name, const char *identity,
		 const struct pp_lease_times *times, void (*changed)(bool leads, void *arg),
		 void *arg, struct pp_lease **ret);

/*
 * To be freed before the client. It stays held until it expires. Neither this nor
 * pp_lease_release() may be called from changed().
 */
void pp_lease_free(struct pp_lease *l);

/*
 * Gives it up, so that another need not wait for its expiry; changed(false) comes at once if it
 * led. Then nothing is tried any more, and done(arg) is called from the loop: within 2 s, whether
 * the API was reached or not.
 */
void pp_lease_release(struct pp_lease *l, void (*done)(void *arg), void *arg);

bool pp_lease_leads(const struct pp_lease *l);

/* Who holds it, as last heard: "" if nobody does, or nothing was heard yet. */
const char *pp_lease_holder(const struct pp_lease *l);

/* Why the last request failed; "" if it did not. */
const char *pp_lease_why(const struct pp_lease *l);
