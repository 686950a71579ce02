// SPDX-License-Identifier: Apache-2.0
// Memory that is freed as a whole. Who fills it asks once, at the end, whether there was enough.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct pp_arena_block;

/* Zeroed is empty. */
struct pp_arena {
	struct pp_arena_block *first;
	size_t left; /* bytes of the first block */
	bool failed; /* there was no memory, once */
};

/* n members of size bytes, zeroed, aligned for anything; NULL without memory. */
void *pp_arena_alloc(struct pp_arena *a, size_t n, size_t size);

/* Never NULL: "" without memory. */
const char *pp_arena_text(struct pp_arena *a, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* A copy; NULL of NULL, "" without memory. */
const char *pp_arena_copy(struct pp_arena *a, const char *s);

void pp_arena_free(struct pp_arena *a);
