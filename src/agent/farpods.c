// SPDX-License-Identifier: Apache-2.0
// One allocation for each pod; texts that pods share are kept once. An object that says nothing new
// leaves the pod where it is.
#include "agent/farpods.h"
#include "agent/pods.h"
#include "base/base.h"
#include "policy/identity.h"

struct pod {
	struct pp_table_item item; /* first: its key is "namespace/name", in texts */
	struct pp_other other;
	uint64_t version; /* resourceVersion: Kubernetes 1.35 says that it is a number; or 0 */
	struct pp_label labels[]; /* then the addresses, then texts */
};

static struct pod *pod_of(const struct pp_other *other)
{
	return (struct pod *)((char *)other - offsetof(struct pod, other));
}

static const char *text_at(const json_t *o, const char *a, const char *b)
{
	return json_string_value(json_object_get(json_object_get(o, a), b));
}

static void pod_free(struct pp_texts *texts, struct pod *p)
{
	for (size_t i = 0; i < p->other.n_labels; i++) {
		pp_texts_put(texts, p->other.labels[i].key);
		pp_texts_put(texts, p->other.labels[i].value);
	}
	pp_texts_put(texts, p->other.namespace);
	free(p);
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct pp_label *)a)->key, ((const struct pp_label *)b)->key);
}

static int read_labels(struct pp_texts *texts, json_t *labels, struct pp_other *o)
{
	const char *key;
	json_t *value;

	json_object_foreach(labels, key, value)
	{
		struct pp_label *l = &o->labels[o->n_labels];

		if (!json_is_string(value))
			continue;
		l->key = pp_texts_get(texts, key);
		l->value = pp_texts_get(texts, json_string_value(value));
		o->n_labels++;
		if (!l->key || !l->value)
			return -ENOMEM;
	}
	if (o->n_labels)
		qsort(o->labels, o->n_labels, sizeof(*o->labels), by_key);
	return 0;
}

static void read_addresses(json_t *list, struct pp_other *o)
{
	struct pp_local address;
	json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		if (pp_local_parse(json_string_value(json_object_get(one, "ip")), &address))
			memcpy(o->addresses[o->n_addresses++], address.addr, 16);
	}
}

/* The parts that vary in length: where they lie. */
static struct pod *lay_out(const char *ns, const char *name, const char *uid, size_t labels,
			   size_t addresses)
{
	size_t n_ns = strlen(ns), n_key = n_ns + 1 + strlen(name) + 1, n_uid = strlen(uid) + 1;
	size_t fixed = sizeof(struct pod) + labels * sizeof(struct pp_label) + addresses * 16;
	struct pod *p = malloc(fixed + n_key + n_uid);
	char *texts = (char *)p + fixed;

	if (!p)
		return NULL;
	snprintf(texts, n_key, "%s/%s", ns, name);
	memcpy(texts + n_key, uid, n_uid);
	*p = (struct pod){
		.item.key = texts,
		.other = {
			.name = texts + n_ns + 1,
			.uid = texts + n_key,
			.labels = p->labels,
			.addresses = (uint8_t(*)[16])&p->labels[labels],
		},
	};
	return p;
}

/* NULL without memory, or if it is no pod. */
static struct pod *pod_new(struct pp_texts *texts, const json_t *object)
{
	const char *ns = text_at(object, "metadata", "namespace");
	const char *name = text_at(object, "metadata", "name");
	const char *uid = text_at(object, "metadata", "uid");
	const char *version = text_at(object, "metadata", "resourceVersion") ?: "";
	const char *phase = text_at(object, "status", "phase") ?: "";
	json_t *labels = json_object_get(json_object_get(object, "metadata"), "labels");
	json_t *ips = json_object_get(json_object_get(object, "status"), "podIPs");
	bool over = strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0;
	struct pod *p;

	if (!ns || !name || !uid)
		return NULL;
	if (over)
		labels = ips = NULL;
	/* these are the node's, which others have too */
	if (json_is_true(json_object_get(json_object_get(object, "spec"), "hostNetwork")))
		ips = NULL;
	p = lay_out(ns, name, uid, json_object_size(labels), json_array_size(ips));
	if (!p)
		return NULL;
	p->version = strtoull(version, NULL, 10);
	p->other.identity = pp_identity_of(uid);
	p->other.over = over;
	p->other.namespace = pp_texts_get(texts, ns);
	read_addresses(ips, &p->other);
	if (read_labels(texts, labels, &p->other) || !p->other.namespace) {
		pod_free(texts, p);
		return NULL;
	}
	return p;
}

/* Labels of one text are one pointer. */
static bool same(const struct pp_other *a, const struct pp_other *b)
{
	return a->over == b->over && a->n_labels == b->n_labels &&
	       a->n_addresses == b->n_addresses && strcmp(a->uid, b->uid) == 0 &&
	       memcmp(a->labels, b->labels, a->n_labels * sizeof(*a->labels)) == 0 &&
	       memcmp(a->addresses, b->addresses, a->n_addresses * sizeof(*a->addresses)) == 0;
}

static void drop(struct pp_farpods *f, struct pod *p)
{
	pp_table_remove(&f->table, &p->item);
	pod_free(f->texts, p);
}

bool pp_farpods_put(struct pp_farpods *f, const json_t *object)
{
	struct pod *p = pod_new(f->texts, object), *old;

	if (!p)
		return false;
	old = (struct pod *)pp_table_find(&f->table, p->item.key);
	if (old && same(&old->other, &p->other)) {
		old->version = p->version;
		pod_free(f->texts, p);
		return false;
	}
	if (old)
		drop(f, old);
	/* it fails for the first of a table alone */
	if (pp_table_add(&f->table, &p->item)) {
		pod_free(f->texts, p);
		return false;
	}
	return true;
}

bool pp_farpods_remove(struct pp_farpods *f, const char *ns, const char *name, const char *uid)
{
	struct pod *p;
	char key[600];

	snprintf(key, sizeof(key), "%s/%s", ns, name);
	p = (struct pod *)pp_table_find(&f->table, key);
	if (!p || strcmp(p->other.uid, uid) != 0)
		return false;
	drop(f, p);
	return true;
}

void pp_farpods_close(struct pp_farpods *f)
{
	struct pp_table_item *t, *next;

	for (t = pp_table_next(&f->table, NULL); t; t = next) {
		next = pp_table_next(&f->table, t);
		pod_free(f->texts, (struct pod *)t);
	}
	pp_table_close(&f->table);
}

/* --- several sets as one */

struct merge {
	const struct pp_other **list;
	size_t n;
	uint32_t *slots; /* places in list, from 1; open addressing. NULL: one set, no copies */
	size_t mask;
	const uint64_t *secret;
};

static void merge_one(struct merge *m, const struct pod *p)
{
	uint32_t *slot;
	size_t at;

	if (!m->slots) {
		m->list[m->n++] = &p->other;
		return;
	}
	at = pp_table_hash(m->secret, p->item.key, strlen(p->item.key));
	for (; *(slot = &m->slots[at & m->mask]); at++) {
		const struct pod *had = pod_of(m->list[*slot - 1]);

		if (strcmp(had->item.key, p->item.key) != 0)
			continue;
		if (p->version > had->version)
			m->list[*slot - 1] = &p->other;
		return;
	}
	m->list[m->n++] = &p->other;
	*slot = m->n;
}

int pp_farpods_merge(const struct pp_farpods *const *sets, size_t n, const struct pp_other ***ret,
		     size_t *ret_n)
{
	_cleanup_free_ const struct pp_other **list = NULL;
	_cleanup_free_ uint32_t *slots = NULL;
	struct merge m = { .mask = 15 };
	size_t all = 0, kept = 0;

	for (size_t i = 0; i < n; i++)
		all += sets[i]->table.n;
	while (m.mask < 2 * all)
		m.mask = 2 * m.mask + 1;
	m.list = list = calloc(all + 1, sizeof(*list));
	if (n > 1)
		m.slots = slots = calloc(m.mask + 1, sizeof(*slots));
	if (!list || (n > 1 && !slots))
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (!m.secret && sets[i]->table.n)
			m.secret = sets[i]->table.secret;
		for (struct pp_table_item *t = NULL; (t = pp_table_next(&sets[i]->table, t));)
			merge_one(&m, (const struct pod *)t);
	}
	/* not before: the newer copy may be the one that has ended */
	for (size_t i = 0; i < m.n; i++)
		if (!list[i]->over)
			list[kept++] = list[i];
	*ret = TAKE_PTR(list);
	*ret_n = kept;
	return 0;
}
