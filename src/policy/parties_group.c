// SPDX-License-Identifier: Apache-2.0
// Bitmaps that are kept once each, found by their hash.
#include "base/base.h"
#include "base/table.h"
#include "policy/parties_build.h"

/* Twice as many as there are groups at least. */
static int grow(struct pp_party_groups *g)
{
	size_t room = g->room ? 2 * g->room : 64;
	uint64_t *bits = reallocarray(g->bits, room, (g->n_words ?: 1) * sizeof(*bits));
	uint32_t *slots;

	if (!bits)
		return -ENOMEM;
	g->bits = bits;
	slots = calloc(2 * room, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	free(g->slots);
	g->slots = slots;
	g->n_slots = 2 * room;
	g->room = room;
	return 0;
}

static const uint64_t *bits_of(const struct pp_party_groups *g, uint32_t group)
{
	return g->bits + group * g->n_words;
}

/* Where it is, or would be. */
static uint32_t *slot_of(const struct pp_party_groups *g, const uint64_t *bits)
{
	static const uint64_t secret[2] = { 0, 0 };
	size_t size = g->n_words * sizeof(*bits);
	size_t at = pp_table_hash(secret, bits, size) & (g->n_slots - 1);

	while (g->slots[at] && memcmp(bits_of(g, g->slots[at] - 1), bits, size) != 0)
		at = (at + 1) & (g->n_slots - 1);
	return &g->slots[at];
}

uint32_t pp_party_groups_find(struct pp_party_groups *g, const uint64_t *bits)
{
	uint32_t *slot = slot_of(g, bits);

	if (*slot)
		return *slot - 1;
	if (g->n == g->room) {
		if (g->n >= PP_NO_GROUP / 4 || grow(g))
			return PP_NO_GROUP;
		for (uint32_t i = 0; i < g->n; i++)
			*slot_of(g, bits_of(g, i)) = i + 1;
		slot = slot_of(g, bits);
	}
	memcpy(g->bits + g->n * g->n_words, bits, g->n_words * sizeof(*bits));
	*slot = (uint32_t)++g->n;
	return *slot - 1;
}

uint32_t pp_party_groups_join(struct pp_party_groups *g, uint32_t x, uint32_t y)
{
	if (x == PP_NO_GROUP || y == PP_NO_GROUP)
		return PP_NO_GROUP;
	if (x == y || !y)
		return x;
	if (!x)
		return y;
	for (size_t i = 0; i < g->n_words; i++)
		g->scratch[i] = bits_of(g, x)[i] | bits_of(g, y)[i];
	return pp_party_groups_find(g, g->scratch);
}

int pp_party_groups_init(struct pp_party_groups *g, size_t n_words)
{
	*g = (struct pp_party_groups){ .n_words = n_words };
	g->scratch = calloc(n_words + 1, sizeof(*g->scratch));
	if (!g->scratch || grow(g))
		return -ENOMEM;
	return pp_party_groups_find(g, g->scratch) == 0 ? 0 : -ENOMEM;
}

void pp_party_groups_free(struct pp_party_groups *g)
{
	free(g->bits);
	free(g->slots);
	free(g->scratch);
	*g = (struct pp_party_groups){};
}
