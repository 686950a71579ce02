// SPDX-License-Identifier: Apache-2.0
// A limit that a person has set on a pod, perhaps for a time: podpace's own annotations of pods.
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "policy/object.h"

/* podpace.io/egress-limit, podpace.io/ingress-limit; as the kubernetes.io ones they lower a cap. */
extern const char *const pp_timed_key[PP_N_WAYS];

struct pp_timed {
	uint64_t rate; /* bytes/s; 0: there is none */
	int64_t until; /* seconds since 1970, UTC: from then on it is over; 0: never */
};

/*
 * Reads "RATE" or "RATE until TIME": a rate as pp_rate_parse() has it, a time of RFC 3339 in UTC
 * and whole seconds, "2026-11-27T14:00:00Z". The end is absolute, so that every agent that reads
 * it, now or after a restart, ends it at one moment. 0, or -EINVAL or -ERANGE with a message.
 */
int pp_timed_parse(const char *text, struct pp_timed *ret, struct pp_err *e);

/* Writes it so that it reads back as the same. Returns buf. */
const char *pp_timed_format(char buf[static 64], const struct pp_timed *t);
