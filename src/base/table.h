// SPDX-License-Identifier: Apache-2.0
// A hash table of things that have a name. Strangers choose the names: the hash is keyed.
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Embedded in what is kept; its owner frees it after removing it. key lives as long as the item. */
struct pp_table_item {
	struct pp_table_item *next;
	const char *key;
	uint64_t hash;
};

/* Zeroed is empty. */
struct pp_table {
	struct pp_table_item **buckets;
	size_t n_buckets; /* a power of two, or 0 */
	size_t n;	  /* items */
	uint64_t secret[2];
};

/* The item with this key, or NULL. */
struct pp_table_item *pp_table_find(const struct pp_table *t, const char *key);

/* item->key must be set, and not be in the table yet. 0, or -ENOMEM and nothing has changed. */
int pp_table_add(struct pp_table *t, struct pp_table_item *item);

/* item must be in the table. */
void pp_table_remove(struct pp_table *t, struct pp_table_item *item);

/*
 * All items, in no order: NULL gives the first, NULL is returned after the last. Between two calls
 * nothing may be added; fetch the next before removing one.
 */
struct pp_table_item *pp_table_next(const struct pp_table *t, const struct pp_table_item *item);

/* Frees the buckets, not the items, and leaves an empty table. */
void pp_table_close(struct pp_table *t);

/* SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012) of len bytes. */
uint64_t pp_table_hash(const uint64_t secret[static 2], const void *data, size_t len);
