// SPDX-License-Identifier: Apache-2.0
// One allocation for each object: its texts lie one behind the other.
#include "base/base.h"
#include "kube/store.h"

struct known {
	struct pp_table_item item; /* its key is texts: "namespace/name" */
	unsigned int round;	   /* of the list that had it last */
	const char *uid, *version; /* in texts */
	char texts[];
};

static struct known *known_new(const struct pp_object_id *id)
{
	size_t key = strlen(id->ns) + 1 + strlen(id->name) + 1, uid = strlen(id->uid) + 1;
	size_t size = key + uid + strlen(id->version) + 1;
	struct known *k = malloc(sizeof(*k) + size);

	if (!k)
		return NULL;
	snprintf(k->texts, size, "%s/%s", id->ns, id->name);
	memcpy(k->texts + key, id->uid, uid);
	memcpy(k->texts + key + uid, id->version, size - key - uid);
	k->item.key = k->texts;
	k->uid = k->texts + key;
	k->version = k->uid + uid;
	return k;
}

static void drop(struct pp_store *s, struct known *k, pp_gone_fn *gone, void *arg)
{
	char *slash = strchr(k->texts, '/');

	pp_table_remove(&s->table, &k->item);
	*slash = '\0';
	if (gone)
		gone(k->texts, slash + 1, k->uid, arg);
	free(k);
}

void pp_store_begin(struct pp_store *s)
{
	s->round++;
}

int pp_store_put(struct pp_store *s, const struct pp_object_id *id, pp_gone_fn *gone, void *arg,
		 enum pp_change *ret)
{
	_cleanup_free_ struct known *k = known_new(id);
	struct known *old;

	if (!k)
		return -ENOMEM;
	*ret = PP_PUT;
	k->round = s->round;
	old = (struct known *)pp_table_find(&s->table, k->texts);
	if (old && strcmp(old->uid, id->uid) != 0) {
		drop(s, old, gone, arg);
		*ret = PP_REPLACED;
	} else if (old && strcmp(old->version, id->version) == 0) {
		old->round = s->round;
		*ret = PP_SAME;
		return 0;
	} else if (old) {
		drop(s, old, NULL, NULL);
	}
	if (pp_table_add(&s->table, &k->item))
		return -ENOMEM;
	TAKE_PTR(k);
	return 0;
}

int pp_store_delete(struct pp_store *s, const struct pp_object_id *id, pp_gone_fn *gone, void *arg)
{
	_cleanup_free_ struct known *k = known_new(id);
	struct known *old;

	if (!k)
		return -ENOMEM;
	old = (struct known *)pp_table_find(&s->table, k->texts);
	if (old && strcmp(old->uid, id->uid) == 0)
		drop(s, old, gone, arg);
	return 0;
}

void pp_store_end(struct pp_store *s, pp_gone_fn *gone, void *arg)
{
	struct pp_table_item *item, *next;

	for (item = pp_table_next(&s->table, NULL); item; item = next) {
		struct known *k = (struct known *)item;

		next = pp_table_next(&s->table, item);
		if (k->round != s->round)
			drop(s, k, gone, arg);
	}
}

void pp_store_close(struct pp_store *s)
{
	struct pp_table_item *item, *next;

	for (item = pp_table_next(&s->table, NULL); item; item = next) {
		next = pp_table_next(&s->table, item);
		pp_table_remove(&s->table, item);
		free(item);
	}
	pp_table_close(&s->table);
}
