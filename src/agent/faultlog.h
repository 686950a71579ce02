// SPDX-License-Identifier: Apache-2.0
// Problems in the log: a line each, once for as long as it is there.
#pragma once

#include "base/table.h"
#include "policy/sources.h"

/* Zeroed is empty. */
struct pp_faultlog {
	struct pp_table lines; /* that have been logged, and are still so */
	unsigned int round;
};

/* Between these two all problems there are are added; what is new among them is logged. */
void pp_faultlog_begin(struct pp_faultlog *l);
void pp_faultlog_end(struct pp_faultlog *l);

/* A pp_problem_fn whose arg is a struct pp_faultlog. */
void pp_faultlog_add(const struct pp_problem *p, void *arg);

void pp_faultlog_close(struct pp_faultlog *l);
