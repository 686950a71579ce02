// SPDX-License-Identifier: Apache-2.0
// Pods of any node, as little of them as rules ask for: there may be 100 000.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/texts.h"
#include "policy/object.h"

/* A pod somewhere in the cluster. */
struct pp_other {
	const char *namespace, *name, *uid;
	uint64_t identity;	 /* pp_identity_of() its uid */
	struct pp_label *labels; /* n_labels, sorted by key; one text is one pointer in all pods */
	size_t n_labels;
	uint8_t (*addresses)[16]; /* n_addresses, IPv4 mapped; 0 of one in its node's network */
	size_t n_addresses;
	bool over; /* Succeeded or Failed; then it has no labels and no addresses here */
};

/* Pods, each name once. Zeroed but for texts, which it shares with others, is empty. */
struct pp_farpods {
	struct pp_texts *texts;
	struct pp_table table;
};

/*
 * Takes over an object of the API. Whether it is new, or anything of pp_other has changed. Without
 * memory what was known of it stays.
 */
bool pp_farpods_put(struct pp_farpods *f, const json_t *object);

/* Forgets it, unless another has its name. Whether it was there. */
bool pp_farpods_remove(struct pp_farpods *f, const char *ns, const char *name, const char *uid);

/*
 * The pods of n sets that have not ended, each name once: of two copies the one with the newer
 * resourceVersion. The array is to be freed, what it leads to is the sets'. 0 or -ENOMEM.
 */
int pp_farpods_merge(const struct pp_farpods *const *sets, size_t n, const struct pp_other ***ret,
		     size_t *ret_n);

/* Leaves an empty set. */
void pp_farpods_close(struct pp_farpods *f);
