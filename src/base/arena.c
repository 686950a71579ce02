// SPDX-License-Identifier: Apache-2.0
// Blocks that are cut from their ends.
#include <stdarg.h>
#include <stdalign.h>

#include "base/arena.h"
#include "base/base.h"

enum { BLOCK = 64 << 10 };

struct pp_arena_block {
	struct pp_arena_block *next;
	alignas(max_align_t) unsigned char memory[];
};

/* Another block, in which size bytes fit. */
static bool grow(struct pp_arena *a, size_t size)
{
	size_t room = size > BLOCK ? size : BLOCK;
	struct pp_arena_block *b = calloc(1, sizeof(*b) + room);

	if (!b) {
		a->failed = true;
		return false;
	}
	b->next = a->first;
	a->first = b;
	a->left = room;
	return true;
}

void *pp_arena_alloc(struct pp_arena *a, size_t n, size_t size)
{
	size_t align = alignof(max_align_t);

	if (__builtin_mul_overflow(n, size, &size) || size > PTRDIFF_MAX - 2 * align - BLOCK) {
		a->failed = true;
		return NULL;
	}
	size = (size + align - 1) / align * align;
	if (size > a->left && !grow(a, size))
		return NULL;
	a->left -= size;
	return a->first ? a->first->memory + a->left : NULL;
}

const char *pp_arena_copy(struct pp_arena *a, const char *s)
{
	size_t size = s ? strlen(s) + 1 : 0;
	char *copy = s ? pp_arena_alloc(a, 1, size) : NULL;

	if (copy)
		memcpy(copy, s, size);
	return copy || !s ? copy : "";
}

const char *pp_arena_text(struct pp_arena *a, const char *fmt, ...)
{
	char text[200], *copy;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < (int)sizeof(text))
		return pp_arena_copy(a, n < 0 ? "" : text);
	copy = pp_arena_alloc(a, 1, (size_t)n + 1);
	if (!copy)
		return "";
	va_start(ap, fmt);
	vsnprintf(copy, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return copy;
}

void pp_arena_free(struct pp_arena *a)
{
	struct pp_arena_block *next;

	for (struct pp_arena_block *b = a->first; b; b = next) {
		next = b->next;
		free(b);
	}
	*a = (struct pp_arena){};
}
