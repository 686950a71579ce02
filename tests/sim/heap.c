// SPDX-License-Identifier: Apache-2.0
// The event heap, four children a node, and histograms over time.

#include "sim.h"

void sim_heap_add(struct sim_heap *h, __u64 t, __u32 flow, __u32 what)
{
	struct sim_heap_entry e = { .t = t, .flow = flow, .what = what };
	__u64 i = h->n++;

	if (h->n > h->size) {
		h->size = h->size ? h->size * 2 : 1024;
		h->at = realloc(h->at, h->size * sizeof(*h->at));
		if (!h->at)
			abort();
	}
	while (i && h->at[(i - 1) / 4].t > t) {
		h->at[i] = h->at[(i - 1) / 4];
		i = (i - 1) / 4;
	}
	h->at[i] = e;
}

int sim_heap_take(struct sim_heap *h, struct sim_heap_entry *ret)
{
	struct sim_heap_entry last;
	__u64 i = 0, c, best;

	if (!h->n)
		return 0;
	*ret = h->at[0];
	last = h->at[--h->n];
	while ((c = 4 * i + 1) < h->n) {
		best = c;
		for (__u64 k = c + 1; k < c + 4 && k < h->n; k++)
			if (h->at[k].t < h->at[best].t)
				best = k;
		if (h->at[best].t >= last.t)
			break;
		h->at[i] = h->at[best];
		i = best;
	}
	h->at[i] = last;
	return 1;
}

void sim_bins_start(struct sim_bins *b, __u64 start, __u64 width, __u64 n)
{
	free(b->at);
	b->at = calloc(n, sizeof(*b->at));
	if (!b->at)
		abort();
	b->n = n;
	b->width = width;
	b->start = start;
}

void sim_bins_add(struct sim_bins *b, __u64 t, __u64 bytes)
{
	__u64 i = t < b->start ? b->n : (t - b->start) / b->width;

	if (i < b->n)
		b->at[i] += bytes;
}
