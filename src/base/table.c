// SPDX-License-Identifier: Apache-2.0
// Chains from an array that doubles; a table that cannot grow goes on with longer chains.

#include <endian.h>
#include <sys/random.h>

#include "base/base.h"
#include "base/table.h"

#define FIRST_BUCKETS 16

static uint64_t rotate(uint64_t x, int by)
{
	return x << by | x >> (64 - by);
}

static void mix(uint64_t v[static 4], int rounds)
{
	while (rounds--) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] = rotate(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] = rotate(v[2], 32);
	}
}

uint64_t pp_table_hash(const uint64_t secret[static 2], const void *data, size_t len)
{
	/* the constants are the paper's, "somepseudorandomlygeneratedbytes" */
	uint64_t v[4] = { secret[0] ^ 0x736f6d6570736575, secret[1] ^ 0x646f72616e646f6d,
			  secret[0] ^ 0x6c7967656e657261, secret[1] ^ 0x7465646279746573 };
	const unsigned char *p = data;
	uint64_t word;

	for (size_t left = len;; left -= 8, p += 8) {
		bool last = left < 8;

		word = 0;
		memcpy(&word, p, last ? left : 8);
		word = le64toh(word);
		if (last)
			word |= (uint64_t)len << 56;
		v[3] ^= word;
		mix(v, 2);
		v[0] ^= word;
		if (last)
			break;
	}
	v[2] ^= 0xff;
	mix(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static struct pp_table_item **bucket(const struct pp_table *t, uint64_t hash)
{
	return &t->buckets[hash & (t->n_buckets - 1)];
}

static int grow(struct pp_table *t)
{
	size_t n = t->n_buckets ? t->n_buckets * 2 : FIRST_BUCKETS;
	struct pp_table bigger = { .n_buckets = n, .n = t->n };
	struct pp_table_item *item, *next;

	bigger.buckets = calloc(n, sizeof(*bigger.buckets));
	if (!bigger.buckets)
		return -ENOMEM;
	/* the first use may be so early that there is no randomness yet: then it is less secret */
	if (!t->n_buckets &&
	    getrandom(t->secret, sizeof(t->secret), GRND_NONBLOCK) != sizeof(t->secret))
		t->secret[0] = (uintptr_t)bigger.buckets ^ (uint64_t)getpid() << 32;
	memcpy(bigger.secret, t->secret, sizeof(t->secret));
	for (item = pp_table_next(t, NULL); item; item = next) {
		struct pp_table_item **to = bucket(&bigger, item->hash);

		next = pp_table_next(t, item);
		item->next = *to;
		*to = item;
	}
	free(t->buckets);
	*t = bigger;
	return 0;
}

struct pp_table_item *pp_table_find(const struct pp_table *t, const char *key)
{
	struct pp_table_item *item;
	uint64_t hash;

	if (!t->n)
		return NULL;
	hash = pp_table_hash(t->secret, key, strlen(key));
	for (item = *bucket(t, hash); item; item = item->next)
		if (item->hash == hash && strcmp(item->key, key) == 0)
			return item;
	return NULL;
}

int pp_table_add(struct pp_table *t, struct pp_table_item *item)
{
	struct pp_table_item **to;

	if (t->n >= t->n_buckets && grow(t) && !t->n_buckets)
		return -ENOMEM;
	item->hash = pp_table_hash(t->secret, item->key, strlen(item->key));
	to = bucket(t, item->hash);
	item->next = *to;
	*to = item;
	t->n++;
	return 0;
}

void pp_table_remove(struct pp_table *t, struct pp_table_item *item)
{
	struct pp_table_item **at = bucket(t, item->hash);

	while (*at != item)
		at = &(*at)->next;
	*at = item->next;
	item->next = NULL;
	t->n--;
}

struct pp_table_item *pp_table_next(const struct pp_table *t, const struct pp_table_item *item)
{
	size_t i = 0;

	if (item && item->next)
		return item->next;
	if (item)
		i = (item->hash & (t->n_buckets - 1)) + 1;
	for (; i < t->n_buckets; i++)
		if (t->buckets[i])
			return t->buckets[i];
	return NULL;
}

void pp_table_close(struct pp_table *t)
{
	free(t->buckets);
	*t = (struct pp_table){};
}
