// SPDX-License-Identifier: Apache-2.0
// Plans as text for people and for comparison, objects as YAML that is read back as the same.
#pragma once

#include <stdio.h>

#include "policy/parties.h"

/*
 * The same plan gives the same text. Pipes stand as trees, members below their parents. What is no
 * printable ASCII is \xNN. Errors are those of f.
 */
void pp_plan_print(FILE *f, const struct pp_plan *p);

/* What each match of the plan matches, of these pods, which p was compiled of. */
void pp_parties_print(FILE *f, const struct pp_plan *plan, const struct pp_parties *p,
		      const struct pp_party_pod *pods, size_t n_pods);

/* The valid objects in their order, a document each; what is a default or for people is left out.
 */
void pp_objects_print(FILE *f, const struct pp_objects *o);
