// SPDX-License-Identifier: Apache-2.0
// A group that somebody is in is never written to: what is new in it becomes another group, and
// each party goes from one to the other by itself.
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <sys/mman.h>

#include "base/base.h"
#include "base/table.h"
#include "kernel/parties.h"

#define BATCH 4096

/* An entry of pp_parties. */
struct party {
	struct pp_local key;
	struct pp_party_info info;
};

struct block {
	struct pp_prefix key;
	__u32 group;
};

struct set {
	struct pp_datapath *d;
	const struct pp_parties *p;
	struct pp_group_in *groups; /* PP_MAX_GROUPS, shared with the kernel */
	struct party *have;
	size_t n_have;
	struct block *blocks;
	size_t n_blocks;
	uint32_t *group_of; /* in the kernel, of each group of p */
	bool changed;
	int error; /* the first one */
};

static void set_close(struct set *s)
{
	if (s->groups)
		munmap(s->groups, PP_MAX_GROUPS * sizeof(*s->groups));
	free(s->have);
	free(s->blocks);
	free(s->group_of);
}

static void fail(struct set *s, int r)
{
	if (!s->error)
		s->error = r == -E2BIG ? -ENOSPC : r;
}

/* --- what is there */

static int by_party(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct pp_local));
}

static int by_block(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct pp_prefix));
}

static int add_have(struct set *s, const struct pp_local *keys, const struct pp_party_info *infos,
		    size_t n)
{
	struct party *more = reallocarray(s->have, s->n_have + n + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	s->have = more;
	for (size_t i = 0; i < n; i++)
		s->have[s->n_have++] = (struct party){ keys[i], infos[i] };
	return 0;
}

static int read_parties(struct set *s)
{
	_cleanup_free_ struct pp_local *keys = calloc(BATCH, sizeof(*keys));
	_cleanup_free_ struct pp_party_info *infos = calloc(BATCH, sizeof(*infos));
	uint32_t at, *from = NULL;
	int r = 0;

	if (!keys || !infos)
		return -ENOMEM;
	for (bool more = true; more && !r && s->n_have < 2 * PP_MAX_PARTIES;) {
		uint32_t n = BATCH;

		if (bpf_map_lookup_batch(s->d->parties_fd, from, &at, keys, infos, &n, NULL)) {
			if (errno != ENOENT)
				return -errno;
			more = false;
		}
		from = &at;
		r = add_have(s, keys, infos, n);
	}
	if (s->n_have)
		qsort(s->have, s->n_have, sizeof(*s->have), by_party);
	return r;
}

/* The kernel knows no batches of this map. */
static int read_blocks(struct set *s)
{
	struct pp_prefix key, *at = NULL;
	size_t room = 0;

	while (bpf_map_get_next_key(s->d->blocks_fd, at, &key) == 0) {
		at = &key;
		if (s->n_blocks == PP_MAX_BLOCKS)
			break;
		if (s->n_blocks == room) {
			struct block *more;

			room = room ? 2 * room : 64;
			more = reallocarray(s->blocks, room, sizeof(*more));
			if (!more)
				return -ENOMEM;
			s->blocks = more;
		}
		s->blocks[s->n_blocks].key = key;
		s->blocks[s->n_blocks].group = 0;
		bpf_map_lookup_elem(s->d->blocks_fd, &key, &s->blocks[s->n_blocks].group);
		s->n_blocks++;
	}
	if (s->n_blocks)
		qsort(s->blocks, s->n_blocks, sizeof(*s->blocks), by_block);
	return 0;
}

/* --- groups */

/* A group as the kernel has it: bits are entries of pp_matches. */
static struct pp_group_in group_in(const struct set *s, size_t g, const uint32_t *match,
				   size_t n_matches)
{
	struct pp_group_in in = {};

	for (size_t i = 0; i < n_matches; i++)
		if (match[i] && pp_parties_has(s->p, (uint32_t)g, i))
			in.in[match[i] / 64] |= 1ULL << match[i] % 64;
	return in;
}

static int by_content(const void *a, const void *b, void *groups)
{
	const struct pp_group_in *g = groups;

	return memcmp(&g[*(const uint32_t *)a], &g[*(const uint32_t *)b], sizeof(*g));
}

static bool *groups_in_use(const struct set *s)
{
	bool *used = calloc(PP_MAX_GROUPS, sizeof(*used));

	for (size_t i = 0; used && i < s->n_have; i++)
		used[s->have[i].info.group % PP_MAX_GROUPS] = true;
	for (size_t i = 0; used && i < s->n_blocks; i++)
		used[s->blocks[i].group % PP_MAX_GROUPS] = true;
	return used;
}

/* A group of the kernel that is just so; 0 if there is none. */
static uint32_t find_group(const struct pp_group_in *groups, const uint32_t *order, size_t n,
			   const struct pp_group_in *in)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int r = memcmp(&groups[order[middle]], in, sizeof(*in));

		if (!r)
			return order[middle];
		if (r < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return 0;
}

/* Each group of p finds its like, or a place that nobody is in. */
static int place_groups(struct set *s, const uint32_t *match, size_t n_matches)
{
	_cleanup_free_ bool *used = groups_in_use(s);
	_cleanup_free_ uint32_t *order = calloc(PP_MAX_GROUPS, sizeof(*order));
	size_t n = 0;
	uint32_t next = 1;

	s->group_of = calloc(s->p->n_groups + 1, sizeof(*s->group_of));
	if (!used || !order || !s->group_of)
		return -ENOMEM;
	for (uint32_t g = 1; g < PP_MAX_GROUPS; g++)
		if (used[g])
			order[n++] = g;
	qsort_r(order, n, sizeof(*order), by_content, s->groups);
	for (size_t g = 1; g < s->p->n_groups; g++) {
		struct pp_group_in in = group_in(s, g, match, n_matches);

		s->group_of[g] = find_group(s->groups, order, n, &in);
		if (s->group_of[g])
			continue;
		while (next < PP_MAX_GROUPS && used[next])
			next++;
		if (next == PP_MAX_GROUPS) {
			fail(s, -ENOSPC);
			continue;
		}
		s->groups[next] = in;
		s->group_of[g] = next++;
	}
	return 0;
}

/* --- parties and blocks */

static void put_party(struct set *s, const struct pp_party *q)
{
	struct party want = { .info = { .identity = q->identity,
					.group = s->group_of[q->group] } };
	const struct party *was;

	memcpy(want.key.addr, q->key, sizeof(want.key.addr));
	was = s->n_have ? bsearch(&want, s->have, s->n_have, sizeof(want), by_party) : NULL;
	if (was && memcmp(&was->info, &want.info, sizeof(want.info)) == 0)
		return;
	s->changed = true;
	if (bpf_map_update_elem(s->d->parties_fd, &want.key, &want.info, BPF_ANY))
		fail(s, -errno);
}

static struct pp_prefix prefix_of(const struct pp_cidr *c)
{
	struct pp_prefix key = { .len = c->len };

	memcpy(key.addr, c->addr, sizeof(key.addr));
	return key;
}

static void put_block(struct set *s, const struct pp_party_block *b)
{
	struct block want = { prefix_of(&b->c), s->group_of[b->group] };
	const struct block *was;

	was = s->n_blocks ? bsearch(&want, s->blocks, s->n_blocks, sizeof(want), by_block) : NULL;
	if (was && was->group == want.group)
		return;
	s->changed = true;
	if (bpf_map_update_elem(s->d->blocks_fd, &want.key, &want.group, BPF_ANY))
		fail(s, -errno);
}

static int by_key(const void *key, const void *party)
{
	return memcmp(key, ((const struct pp_party *)party)->key, sizeof(struct pp_local));
}

/* Sorted by address, then length: not as the kernel's, whose length comes first. */
static int by_cidr(const void *a, const void *b)
{
	const struct pp_prefix *key = a;
	const struct pp_party_block *block = b;
	int r = memcmp(key->addr, block->c.addr, sizeof(key->addr));

	return r ? r : (int)key->len - (int)block->c.len;
}

static void remove_rest(struct set *s)
{
	const struct pp_parties *p = s->p;

	for (size_t i = 0; i < s->n_have; i++) {
		if (p->n_parties && bsearch(&s->have[i].key, p->parties, p->n_parties,
					    sizeof(*p->parties), by_key))
			continue;
		bpf_map_delete_elem(s->d->parties_fd, &s->have[i].key);
		s->changed = true;
	}
	for (size_t i = 0; i < s->n_blocks; i++) {
		if (p->n_blocks && bsearch(&s->blocks[i].key, p->blocks, p->n_blocks,
					   sizeof(*p->blocks), by_cidr))
			continue;
		bpf_map_delete_elem(s->d->blocks_fd, &s->blocks[i].key);
		s->changed = true;
	}
}

/* --- all of it */

static uint64_t sum_of(const struct pp_parties *p, const uint32_t *match, size_t n_matches)
{
	uint64_t secret[2] = { p->n_groups, n_matches };
	uint64_t sum = pp_table_hash(secret, (const char *)match, n_matches * sizeof(*match));

	secret[1] = sum;
	sum = pp_table_hash(secret, (const char *)p->bits,
			    p->n_groups * p->n_words * sizeof(*p->bits));
	secret[1] = sum;
	sum = pp_table_hash(secret, (const char *)p->parties, p->n_parties * sizeof(*p->parties));
	secret[1] = sum;
	sum = pp_table_hash(secret, (const char *)p->blocks, p->n_blocks * sizeof(*p->blocks));
	return sum ? sum : 1;
}

static int read_all(struct set *s)
{
	int r = read_parties(s);

	if (!r)
		r = read_blocks(s);
	if (r)
		return r;
	s->groups = mmap(NULL, PP_MAX_GROUPS * sizeof(*s->groups), PROT_READ | PROT_WRITE,
			 MAP_SHARED, s->d->groups_fd, 0);
	if (s->groups == MAP_FAILED) {
		s->groups = NULL;
		return -errno;
	}
	return 0;
}

int pp_parties_set(struct pp_datapath *d, const struct pp_parties *p, const uint32_t *match,
		   size_t n_matches, bool thorough)
{
	_cleanup_(set_close) struct set s = { .d = d, .p = p };
	uint64_t sum = sum_of(p, match, n_matches);
	int r;

	if (!thorough && d->state->parties_sum == sum)
		return 0;
	d->state->parties_sum = 0;
	r = read_all(&s);
	if (!r)
		r = place_groups(&s, match, n_matches);
	if (r)
		return r;
	for (size_t i = 0; i < p->n_parties; i++)
		put_party(&s, &p->parties[i]);
	for (size_t i = 0; i < p->n_blocks; i++)
		put_block(&s, &p->blocks[i]);
	remove_rest(&s);
	if (s.error)
		return s.error;
	d->state->parties_sum = sum;
	return s.changed;
}
