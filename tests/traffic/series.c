// SPDX-License-Identifier: Apache-2.0
/* Arithmetic on sampled counters: values between samples, extreme windows, Jain's index. */
#include <err.h>
#include <stdlib.h>

#include "traffic.h"

void series_add(struct series *s, int64_t ns, uint64_t bytes)
{
	if (s->count == s->room) {
		s->room = s->room ? 2 * s->room : 1024;
		s->points = reallocarray(s->points, s->room, sizeof(*s->points));
		if (!s->points)
			err(1, "series");
	}
	s->points[s->count++] = (struct point){ .ns = ns, .bytes = bytes };
}

double series_at(const struct series *s, int64_t ns)
{
	size_t low = 0, high = s->count;
	const struct point *a, *b;

	/* The first point at or after ns: of two points at one time, the lower one. */
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->points[mid].ns < ns)
			low = mid + 1;
		else
			high = mid;
	}
	if (!s->count)
		return 0;
	if (low == s->count)
		return s->points[s->count - 1].bytes;
	b = &s->points[low];
	if (!low || b->ns == ns)
		return b->bytes;
	a = b - 1;
	return a->bytes + (double)(b->bytes - a->bytes) * (ns - a->ns) / (b->ns - a->ns);
}

double series_window(const struct series *s, int64_t begin, int64_t end, int64_t width, bool least,
		     int64_t *ret_start)
{
	double best = series_at(s, begin + width) - series_at(s, begin);

	*ret_start = begin;
	/* The curve is piecewise linear, so an extreme window starts or ends at a point. */
	for (size_t i = 0; i < 2 * s->count; i++) {
		int64_t start = s->points[i / 2].ns - (i % 2 ? width : 0);
		double bytes;

		if (start < begin || start + width > end)
			continue;
		bytes = series_at(s, start + width) - series_at(s, start);
		if (least ? bytes < best : bytes > best) {
			best = bytes;
			*ret_start = start;
		}
	}
	return best;
}

double jain_index(const double *values, size_t count)
{
	double sum = 0, squares = 0;

	for (size_t i = 0; i < count; i++) {
		sum += values[i];
		squares += values[i] * values[i];
	}
	return squares > 0 ? sum * sum / (count * squares) : 0;
}
