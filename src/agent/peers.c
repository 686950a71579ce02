// SPDX-License-Identifier: Apache-2.0
// One allocation for each object: 5000 nodes are 5000 names with two to four prefixes each.
#include "agent/peers.h"
#include "base/base.h"

/* A node has at most two pod prefixes and, with two families, some addresses. */
#define MAX_PREFIXES 32

struct entry {
	struct pp_table_item item; /* its key lies behind c: the source's letter and the name */
	size_t n;
	struct pp_cidr c[];
};

struct found {
	struct pp_cidr c[MAX_PREFIXES];
	size_t n;
};

/* --- reading objects */

static void find(struct found *f, const json_t *text)
{
	const char *s = json_string_value(text);

	if (s && f->n < MAX_PREFIXES && !pp_cidr_parse(s, &f->c[f->n], NULL))
		f->n++;
}

static void find_all(struct found *f, const json_t *list)
{
	size_t i;
	json_t *text;

	json_array_foreach(list, i, text)
		find(f, text);
}

/* Host-network pods and masqueraded traffic come from a node's own addresses. */
static void read_node(struct found *f, const json_t *node)
{
	const json_t *addresses = json_object_get(json_object_get(node, "status"), "addresses");
	size_t i;
	json_t *a;

	find_all(f, json_object_get(json_object_get(node, "spec"), "podCIDRs"));
	json_array_foreach(addresses, i, a)
	{
		const char *type = json_string_value(json_object_get(a, "type"));

		if (type && strcmp(type, "InternalIP") == 0)
			find(f, json_object_get(a, "address"));
	}
}

static void read_object(struct found *f, enum pp_peer_source source, const json_t *object)
{
	if (source == PP_PEER_NODES)
		read_node(f, object);
	else
		find_all(f, json_object_get(json_object_get(object, "spec"), "cidrs"));
	/* the order in which they stand says nothing */
	f->n = pp_cidrs_sort(f->c, f->n);
}

/* --- keeping them */

/* NULL without memory. */
static char *key_of(enum pp_peer_source source, const char *name)
{
	size_t size = strlen(name) + 2;
	char *key = malloc(size);

	if (key)
		snprintf(key, size, "%c%s", "ns"[source], name);
	return key;
}

static struct entry *entry_new(const char *key, const struct found *f)
{
	size_t prefixes = f->n * sizeof(f->c[0]), size = strlen(key) + 1;
	struct entry *new = malloc(sizeof(*new) + prefixes + size);

	if (!new)
		return NULL;
	new->n = f->n;
	memcpy(new->c, f->c, prefixes);
	new->item.key = memcpy((char *)new->c + prefixes, key, size);
	return new;
}

int pp_peers_put(struct pp_peers *p, enum pp_peer_source source, const json_t *object)
{
	const char *name =
		json_string_value(json_object_get(json_object_get(object, "metadata"), "name"));
	_cleanup_free_ char *key = name ? key_of(source, name) : NULL;
	struct found f = {};
	struct entry *old, *new;

	if (!key)
		return name ? -ENOMEM : 0;
	read_object(&f, source, object);
	old = (struct entry *)pp_table_find(&p->table, key);
	if (old ? old->n == f.n && memcmp(old->c, f.c, f.n * sizeof(f.c[0])) == 0 : !f.n)
		return 0;
	if (f.n) {
		new = entry_new(key, &f);
		if (!new)
			return -ENOMEM;
		if (pp_table_add(&p->table, &new->item)) {
			free(new);
			return -ENOMEM;
		}
	}
	if (old) {
		pp_table_remove(&p->table, &old->item);
		free(old);
	}
	return 1;
}

bool pp_peers_remove(struct pp_peers *p, enum pp_peer_source source, const char *name)
{
	_cleanup_free_ char *key = key_of(source, name);
	struct entry *e = key ? (struct entry *)pp_table_find(&p->table, key) : NULL;

	if (!e)
		return false;
	pp_table_remove(&p->table, &e->item);
	free(e);
	return true;
}

int pp_peers_list(const struct pp_peers *p, const struct pp_cidr *more, size_t n_more,
		  struct pp_cidr **ret, size_t *ret_n)
{
	const struct pp_table_item *item = NULL;
	struct pp_cidr *all = NULL;
	size_t n = n_more;

	while ((item = pp_table_next(&p->table, item)))
		n += ((const struct entry *)item)->n;
	if (n) {
		all = malloc(n * sizeof(*all));
		if (!all)
			return -ENOMEM;
	}
	if (n_more)
		memcpy(all, more, n_more * sizeof(*all));
	n = n_more;
	while ((item = pp_table_next(&p->table, item))) {
		const struct entry *e = (const struct entry *)item;

		memcpy(all + n, e->c, e->n * sizeof(*all));
		n += e->n;
	}
	*ret = all;
	*ret_n = pp_cidrs_sort(all, n);
	return 0;
}

void pp_peers_free(struct pp_peers *p)
{
	struct pp_table_item *item, *next;

	for (item = pp_table_next(&p->table, NULL); item; item = next) {
		next = pp_table_next(&p->table, item);
		pp_table_remove(&p->table, item);
		free(item);
	}
	pp_table_close(&p->table);
}
