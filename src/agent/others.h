// SPDX-License-Identifier: Apache-2.0
// The pods of the whole cluster that rules name as peers: followed by watches while somebody wants
// them, and only those of the namespaces and labels that are wanted.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/farpods.h"
#include "kube/client.h"

struct pp_others;

/* What is to be followed. */
struct pp_others_query {
	const char *namespace; /* NULL: pods of all */
	const char *labels;    /* as the API's labelSelector, not escaped; "" for all */
};

/* Sums over all watches that there are and, of what is counted, were. */
struct pp_others_stats {
	size_t watches;
	size_t pods; /* that are kept: one that two watches have counts twice */
	uint64_t events, lists, restarts;
	bool synced; /* as pp_others_known() */
	const char *why; /* one that is wanted is not heard; "" if all are. Until the next callback */
};

/*
 * Follows nothing yet. changed(arg) is called, from a timer of the loop, when pods have come or
 * gone, have other labels, addresses or identities, or have ended; and when a watch has had its
 * first list, of which nothing is told before. That is 20 ms after the first such change, and not
 * before five times as long has passed as the last changed(), with pp_others_took(), took. It may
 * call pp_others_want(). 0 or -errno.
 */
int pp_others_new(struct pp_kube *k, struct pp_loop *l, void (*changed)(void *arg), void *arg,
		  struct pp_others **ret);
/* To be freed before the loop and the client. */
void pp_others_free(struct pp_others *o);

/* What changed() told of was dealt with later, and took so long, ns. */
void pp_others_took(struct pp_others *o, uint64_t ns);

/*
 * Follows these and no others: watches that there are go on, those no more wanted end at once.
 * Their pods stay, as they were then, until each that is wanted has had its first list. What this
 * call itself changes is not told. 0; or -ENOMEM or -errno, and all is as it was.
 */
int pp_others_want(struct pp_others *o, const struct pp_others_query *q, size_t n);

/*
 * The pods that have not ended, in no order, each once: of two copies the one with the newer
 * resourceVersion. Those of a watch come with its first list, all at once. The array is to be
 * freed, what it leads to is the store's and lasts until the next callback. 0 or -ENOMEM.
 */
int pp_others_list(const struct pp_others *o, const struct pp_other ***ret, size_t *ret_n);

/* Has each wanted watch had its first list? */
bool pp_others_known(const struct pp_others *o);

void pp_others_stats(const struct pp_others *o, struct pp_others_stats *ret);
