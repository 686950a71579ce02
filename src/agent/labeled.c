// SPDX-License-Identifier: Apache-2.0
// What selectors of objects look at beside pods.
#include "agent/labeled.h"
#include "agent/pods.h"
#include "base/base.h"

struct item {
	struct pp_table_item item; /* first: its key is the name */
	struct pp_label *labels;
	size_t n;
};

static void item_free(struct item *i)
{
	free((char *)i->item.key);
	pp_labels_free(i->labels, i->n);
	free(i);
}

static struct item *add(struct pp_labeled *l, const char *name)
{
	struct item *i = calloc(1, sizeof(*i));

	if (!i)
		return NULL;
	i->item.key = strdup(name);
	if (i->item.key && pp_table_add(&l->table, &i->item) == 0)
		return i;
	item_free(i);
	return NULL;
}

bool pp_labeled_put(struct pp_labeled *l, const json_t *object)
{
	const json_t *meta = json_object_get(object, "metadata");
	const char *name = json_string_value(json_object_get(meta, "name"));
	struct item *i = name ? (struct item *)pp_table_find(&l->table, name) : NULL;
	struct pp_label *labels;
	bool fresh = !i, same;
	size_t n;

	if (fresh && name)
		i = add(l, name);
	if (!i)
		return false;
	n = pp_labels_read(meta, &labels);
	same = pp_labels_equal(labels, n, i->labels, i->n);
	pp_labels_free(i->labels, i->n);
	i->labels = labels;
	i->n = n;
	return fresh || !same;
}

bool pp_labeled_remove(struct pp_labeled *l, const char *name)
{
	struct pp_table_item *item = pp_table_find(&l->table, name);

	if (!item)
		return false;
	pp_table_remove(&l->table, item);
	item_free((struct item *)item);
	return true;
}

int pp_labeled_list(const struct pp_labeled *l, struct pp_namespace **ret, size_t *ret_n)
{
	struct pp_namespace *list = calloc(l->table.n + 1, sizeof(*list));
	size_t n = 0;

	if (!list)
		return -ENOMEM;
	for (struct pp_table_item *t = NULL; (t = pp_table_next(&l->table, t));) {
		const struct item *i = (const struct item *)t;

		list[n++] = (struct pp_namespace){ i->item.key, i->labels, i->n };
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

void pp_labeled_free(struct pp_labeled *l)
{
	struct pp_table_item *t, *next;

	for (t = pp_table_next(&l->table, NULL); t; t = next) {
		next = pp_table_next(&l->table, t);
		item_free((struct item *)t);
	}
	pp_table_close(&l->table);
}
