// SPDX-License-Identifier: Apache-2.0
// Texts that many have, kept once: labels of pods, names of namespaces.
#pragma once

#include "base/table.h"

/* Zeroed is empty. */
struct pp_texts {
	struct pp_table table;
};

/*
 * The one copy of s, the same pointer each time; to be given back as often as it was got. NULL
 * without memory.
 */
const char *pp_texts_get(struct pp_texts *t, const char *s);

/* Gives a copy back, after which it may be gone. text may be NULL. */
void pp_texts_put(struct pp_texts *t, const char *text);

/* All must have been given back. Leaves an empty one. */
void pp_texts_close(struct pp_texts *t);
