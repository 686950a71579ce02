// SPDX-License-Identifier: Apache-2.0
// What was said of one object, kept: each thing once to whoever listens, and all of it to show.
#pragma once

#include "policy/object.h"

/* Zeroed is none. */
struct pp_faults {
	char *text; /* with a newline between two; NULL: none */
	size_t len, n, more;
	bool failed; /* no memory: some are missing */
};

/* A pp_fault_fn whose arg is a struct pp_faults. Beyond 16 they are only counted. */
void pp_faults_add(const char *line, void *arg);

/* After the last: says how many more there are of this source. */
void pp_faults_end(struct pp_faults *f, const char *source);

/* Tells fn, unless that is NULL, each that old does not have. */
void pp_faults_say(const struct pp_faults *f, const struct pp_faults *old, pp_fault_fn fn,
		   void *arg);

void pp_faults_free(struct pp_faults *f);
