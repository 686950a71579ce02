// SPDX-License-Identifier: Apache-2.0
// What selectors of objects look at beside pods: namespaces and this node, by their labels.
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/table.h"
#include "policy/plan.h"

/* Objects of one kind that are in no namespace. Zeroed is empty. */
struct pp_labeled {
	struct pp_table table;
};

/* Takes over an object of the API. Whether it is new, or its labels have changed. */
bool pp_labeled_put(struct pp_labeled *l, const json_t *object);

/* Forgets it. Whether it was there. */
bool pp_labeled_remove(struct pp_labeled *l, const char *name);

/*
 * All of them; the array is to be freed, what it leads to is the table's. 0 or -ENOMEM.
 */
int pp_labeled_list(const struct pp_labeled *l, struct pp_namespace **ret, size_t *ret_n);

void pp_labeled_free(struct pp_labeled *l);
