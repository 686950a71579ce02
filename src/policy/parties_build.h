// SPDX-License-Identifier: Apache-2.0
// Parties while they are compiled: what parties.c, parties_block.c and parties_group.c share.
#pragma once

#include "policy/parties.h"

/* Bitmaps, each once. Bitmap 0 is empty. */
struct pp_party_groups {
	size_t n_words, n, room;
	uint64_t *bits;  /* n * n_words of room * n_words */
	uint32_t *slots; /* n_slots, a power of two: by hash, a group + 1; 0 is free */
	size_t n_slots;
	uint64_t *scratch; /* n_words, for a union */
};

#define PP_NO_GROUP UINT32_MAX

/* 0 or -ENOMEM; to be freed in either case. */
int pp_party_groups_init(struct pp_party_groups *g, size_t n_words);
void pp_party_groups_free(struct pp_party_groups *g);

/* The group of these bits; PP_NO_GROUP without memory. bits are none of g's. */
uint32_t pp_party_groups_find(struct pp_party_groups *g, const uint64_t *bits);

/* The group of what is in either; PP_NO_GROUP without memory, or if one of them is. */
uint32_t pp_party_groups_join(struct pp_party_groups *g, uint32_t x, uint32_t y);

/* Blocks, and around each block the nearest one: SIZE_MAX for none. */
struct pp_party_blocks {
	struct pp_party_block *blocks;
	size_t n;
	size_t *around;
};

/* 0 or -ENOMEM; to be freed in either case. n_matched of matches grow by their blocks. */
int pp_party_blocks_compile(const struct pp_plan *p, struct pp_party_groups *g, size_t *n_matched,
		      struct pp_party_blocks *ret);
void pp_party_blocks_free(struct pp_party_blocks *b);

/* The group of the longest block that has an address; 0: there is none. */
uint32_t pp_party_blocks_find(const struct pp_party_blocks *b, const uint8_t address[static 16]);
