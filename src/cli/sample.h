// SPDX-License-Identifier: Apache-2.0
// Two readings of every pipe and what follows from them: rates, flows, the share of time a limit
// bound. For status and top.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/limits.h"

struct pp_sample {
	struct pp_limit limit; /* owns its texts */
	char *target;          /* what people see: the path, or a name where it is of many */
	struct pp_pipe now;    /* as of the last reading */
	uint64_t rate;         /* bytes/s between the last two readings */
	uint64_t capacity;     /* what it may have now: its limit, or its share of the one above */
	bool shared;      /* by the limits of other cgroups: no flows are counted, nor has it R */
	uint64_t fair;    /* what each flow may send, bytes/s */
	uint64_t flows;   /* that share the limit: those that used at least half of what they were
			     allowed */
	uint64_t limited; /* share of the time in which the limit bound, tenths of a percent */
	uint64_t refused; /* packets refused since the limit was set */
	uint64_t ends_in; /* ns; 0: never */
	bool in_force;
	char note[160];
};

struct pp_samples {
	struct pp_sample *s;
	size_t n;
	uint64_t at; /* time of the last reading */
};

const char *pp_dir_name(enum pp_dir dir);

/*
 * Reads every limit for the first time. 0, or -errno with a message; samples is to be freed in both
 * cases.
 */
int pp_samples_take(const struct pp_datapath *d, struct pp_samples *samples, struct pp_err *e);

/* Reads the same pipes again, and works the differences out. */
void pp_samples_again(const struct pp_datapath *d, struct pp_samples *samples);

void pp_samples_free(struct pp_samples *samples);
