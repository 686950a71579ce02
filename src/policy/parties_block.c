// SPDX-License-Identifier: Apache-2.0
// Blocks of addresses of all matches as prefixes for a longest match. In the order of address and
// length a prefix comes after those around it: one walk with a stack knows, at each prefix, which
// peers have it, by how many of their blocks begin around it less how many excepts.
#include "base/base.h"
#include "policy/parties_build.h"

/* Where a peer of a match begins, or an except of it. */
struct edge {
	struct pp_cidr c;
	size_t match;
	int step; /* 1, -1; 0: none, and the match says nothing */
};

enum { V6, V4, N_FAMILIES };

struct level {
	size_t block;	    /* of the result */
	size_t first, end; /* of edges */
};

struct walk {
	struct edge *edges;
	size_t n;
	struct level stack[130]; /* one for each length, 0 to 128 */
	size_t depth;
	/* ::/0 is around all of IPv4, and has none of it: each family counts its own */
	unsigned int *count[N_FAMILIES]; /* of each match: peers that have what is reached */
	uint64_t *bits[N_FAMILIES];
};

/* All that an IPv4 address is in that is a prefix of IPv6 ends here. */
static const struct pp_cidr all_v4 = { 96, { [10] = 0xff, [11] = 0xff } };

/* By bits alone, whatever the family: that is how the longest is found. */
static bool is_in(const struct pp_cidr *c, const uint8_t address[static 16])
{
	size_t whole = c->len / 8;
	uint8_t rest = (uint8_t)(0xff00 >> c->len % 8);

	return memcmp(c->addr, address, whole) == 0 &&
	       (c->len % 8 == 0 || ((c->addr[whole] ^ address[whole]) & rest) == 0);
}

static int compare(const struct pp_cidr *x, const struct pp_cidr *y)
{
	int r = memcmp(x->addr, y->addr, sizeof(x->addr));

	return r ? r : (int)x->len - (int)y->len;
}

static int compare_edges(const void *a, const void *b)
{
	return compare(&((const struct edge *)a)->c, &((const struct edge *)b)->c);
}

static size_t add_peer(struct edge *edges, size_t match, const struct pp_plan_peer *p)
{
	size_t n = 0;

	edges[n++] = (struct edge){ p->block, match, 1 };
	for (size_t i = 0; i < p->n_except; i++)
		edges[n++] = (struct edge){ p->except[i], match, -1 };
	if (!pp_cidr_is_v4(&p->block) && p->block.len < all_v4.len &&
	    is_in(&p->block, all_v4.addr))
		edges[n++] = (struct edge){ all_v4, 0, 0 };
	return n;
}

static int find_edges(const struct pp_plan *p, size_t *n_matched, struct walk *w)
{
	size_t room = 0;

	for (size_t i = 0; i < p->n_matches; i++)
		for (size_t k = 0; k < p->matches[i]->n_peers; k++)
			if (p->matches[i]->peers[k].is_block)
				room += 2 + p->matches[i]->peers[k].n_except;
	w->edges = calloc(room + 1, sizeof(*w->edges));
	if (!w->edges)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_matches; i++)
		for (size_t k = 0; k < p->matches[i]->n_peers; k++) {
			const struct pp_plan_peer *peer = &p->matches[i]->peers[k];

			if (!peer->is_block)
				continue;
			n_matched[i]++;
			w->n += add_peer(w->edges + w->n, i, peer);
		}
	if (w->n)
		qsort(w->edges, w->n, sizeof(*w->edges), compare_edges);
	return 0;
}

/* Enters a prefix, or leaves it: sign 1 or -1. */
static void step(struct walk *w, const struct level *l, int sign)
{
	for (size_t i = l->first; i < l->end; i++) {
		const struct edge *e = &w->edges[i];
		int family = pp_cidr_is_v4(&e->c) ? V4 : V6;
		uint64_t *bits = &w->bits[family][e->match / 64], bit = 1ULL << e->match % 64;
		unsigned int *count = &w->count[family][e->match];

		*count += (unsigned int)(e->step * sign);
		*bits = *count ? *bits | bit : *bits & ~bit;
	}
}

static int walk(struct walk *w, struct pp_party_groups *g, struct pp_party_blocks *b)
{
	for (size_t i = 0, end; i < w->n; i = end) {
		const struct pp_cidr *c = &w->edges[i].c;
		uint32_t group;

		for (end = i + 1; end < w->n && compare(c, &w->edges[end].c) == 0;)
			end++;
		while (w->depth && !is_in(&b->blocks[w->stack[w->depth - 1].block].c, c->addr))
			step(w, &w->stack[--w->depth], -1);
		b->around[b->n] = w->depth ? w->stack[w->depth - 1].block : SIZE_MAX;
		w->stack[w->depth] = (struct level){ b->n, i, end };
		step(w, &w->stack[w->depth++], 1);
		group = pp_party_groups_find(g, w->bits[pp_cidr_is_v4(c) ? V4 : V6]);
		if (group == PP_NO_GROUP)
			return -ENOMEM;
		b->blocks[b->n++] = (struct pp_party_block){ *c, group };
	}
	return 0;
}

int pp_party_blocks_compile(const struct pp_plan *p, struct pp_party_groups *g, size_t *n_matched,
		      struct pp_party_blocks *ret)
{
	struct walk w = { 0 };
	int r = find_edges(p, n_matched, &w);
	bool failed = r;

	*ret = (struct pp_party_blocks){ .blocks = calloc(w.n + 1, sizeof(*ret->blocks)),
				   .around = calloc(w.n + 1, sizeof(*ret->around)) };
	for (int family = 0; family < N_FAMILIES; family++) {
		w.count[family] = calloc(p->n_matches + 1, sizeof(*w.count[family]));
		w.bits[family] = calloc(g->n_words + 1, sizeof(*w.bits[family]));
		failed |= !w.count[family] || !w.bits[family];
	}
	r = failed || !ret->blocks || !ret->around ? -ENOMEM : walk(&w, g, ret);
	for (int family = 0; family < N_FAMILIES; family++) {
		free(w.count[family]);
		free(w.bits[family]);
	}
	free(w.edges);
	return r;
}

void pp_party_blocks_free(struct pp_party_blocks *b)
{
	free(b->blocks);
	free(b->around);
	*b = (struct pp_party_blocks){};
}

uint32_t pp_party_blocks_find(const struct pp_party_blocks *b, const uint8_t address[static 16])
{
	struct pp_cidr key = { .len = 128 };
	size_t low = 0, high = b->n;

	memcpy(key.addr, address, sizeof(key.addr));
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(&b->blocks[middle].c, &key) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	/* all that have the address are around the last that is not behind it */
	for (size_t i = low ? low - 1 : SIZE_MAX; i != SIZE_MAX; i = b->around[i])
		if (is_in(&b->blocks[i].c, address))
			return b->blocks[i].group;
	return 0;
}
