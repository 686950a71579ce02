// SPDX-License-Identifier: Apache-2.0
// Copies that know how many have them.
#include "base/texts.h"
#include "base/base.h"

struct text {
	struct pp_table_item item; /* first: its key is the text */
	uint32_t users;
	char text[];
};

const char *pp_texts_get(struct pp_texts *t, const char *s)
{
	struct text *text = (struct text *)pp_table_find(&t->table, s);
	size_t size = strlen(s) + 1;

	if (text) {
		text->users++;
		return text->text;
	}
	text = malloc(sizeof(*text) + size);
	if (!text)
		return NULL;
	memcpy(text->text, s, size);
	text->users = 1;
	text->item.key = text->text;
	if (pp_table_add(&t->table, &text->item)) {
		free(text);
		return NULL;
	}
	return text->text;
}

void pp_texts_put(struct pp_texts *t, const char *text)
{
	struct text *of;

	if (!text)
		return;
	of = (struct text *)(text - offsetof(struct text, text));
	if (--of->users)
		return;
	pp_table_remove(&t->table, &of->item);
	free(of);
}

void pp_texts_close(struct pp_texts *t)
{
	pp_table_close(&t->table);
}
