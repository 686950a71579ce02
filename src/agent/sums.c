// SPDX-License-Identifier: Apache-2.0
// Sums what nodes say, and words it.
#define _GNU_SOURCE
#include <ctype.h>

#include "agent/sums.h"
#include "base/base.h"

#define AS(type, i) ((type *)(i)) /* an item is the first member of what it is in */

struct text {
	struct pp_table_item item;
	size_t uses;
	char text[];
};

struct pp_sums_entry {
	struct pp_sums_object *object;
	struct text *problem, *reason; /* NULL: none */
	int64_t generation;
	uint32_t pods, enforced, peers;
};

struct pp_sums_node {
	struct pp_table_item item;
	char *name, *message;
	bool ready;
	size_t n;
	struct pp_sums_entry *entries;
};

/* --- texts */

static void drop_text(struct pp_sums *s, struct text *t)
{
	if (!t || --t->uses)
		return;
	pp_table_remove(&s->texts, &t->item);
	free(t);
}

/* NULL if text is, or if there is no memory: then it is a problem without words. */
static struct text *take_text(struct pp_sums *s, const char *text)
{
	struct pp_table_item *i = text ? pp_table_find(&s->texts, text) : NULL;
	struct text *t = i ? AS(struct text, i) : NULL;

	if (!text)
		return NULL;
	if (!t) {
		t = calloc(1, sizeof(*t) + strlen(text) + 1);
		if (!t)
			return NULL;
		memcpy(t->text, text, strlen(text) + 1);
		t->item.key = t->text;
		if (pp_table_add(&s->texts, &t->item))
			return free(t), NULL;
	}
	t->uses++;
	return t;
}

/* --- objects */

static char *make_key(enum pp_kind kind, const char *namespace, const char *name)
{
	char *key;

	return asprintf(&key, "%d/%s/%s", (int)kind, namespace, name) < 0 ? NULL : key;
}

static void free_object(struct pp_sums_object *o)
{
	free(o->key);
	free(o->namespace);
	free(o->name);
	free(o->want.message);
	free(o->have.message);
	free(o);
}

static void drop_object(struct pp_sums *s, struct pp_sums_object *o)
{
	if (o->exists || o->entries)
		return;
	pp_table_remove(&s->objects, &o->item);
	free_object(o);
}

struct pp_sums_object *pp_sums_find(const struct pp_sums *s, const char *key)
{
	struct pp_table_item *i = pp_table_find(&s->objects, key);

	return i ? AS(struct pp_sums_object, i) : NULL;
}

static struct pp_sums_object *take_object(struct pp_sums *s, enum pp_kind kind,
					  const char *namespace, const char *name)
{
	_cleanup_free_ char *key = make_key(kind, namespace, name);
	struct pp_sums_object *o = key ? pp_sums_find(s, key) : NULL;

	if (o || !key)
		return o;
	o = calloc(1, sizeof(*o));
	if (!o)
		return NULL;
	o->kind = kind;
	o->namespace = strdup(namespace);
	o->name = strdup(name);
	o->key = TAKE_PTR(key);
	o->item.key = o->key;
	if (!o->namespace || !o->name || pp_table_add(&s->objects, &o->item)) {
		free_object(o);
		return NULL;
	}
	return o;
}

static const char *text_of(const json_t *o, const char *member)
{
	return json_string_value(json_object_get(o, member)) ?: "";
}

/* The condition Ready of a status, or NULL. */
static const json_t *find_ready(const json_t *status)
{
	json_t *c;
	size_t i;

	json_array_foreach(json_object_get(status, "conditions"), i, c)
	{
		if (strcmp(text_of(c, "type"), "Ready") == 0)
			return c;
	}
	return NULL;
}

static bool same_status(const struct pp_sums_status *a, const struct pp_sums_status *b)
{
	return a->generation == b->generation && a->pods == b->pods && a->nodes == b->nodes &&
	       a->peers == b->peers && strcmp(a->ready, b->ready) == 0 &&
	       strcmp(a->reason, b->reason) == 0 &&
	       strcmp(a->message ?: "", b->message ?: "") == 0;
}

static int read_status(struct pp_sums_object *o, const json_t *status)
{
	const json_t *ready = find_ready(status);
	struct pp_sums_status have = {
		.generation = json_integer_value(json_object_get(status, "observedGeneration")),
		.pods = (uint64_t)json_integer_value(json_object_get(status, "pods")),
		.nodes = (uint64_t)json_integer_value(json_object_get(status, "nodes")),
		.peers = (uint64_t)json_integer_value(json_object_get(status, "peers")),
		.message = strdup(text_of(ready, "message")),
	};

	if (!have.message)
		return -ENOMEM;
	snprintf(have.ready, sizeof(have.ready), "%s", text_of(ready, "status"));
	snprintf(have.reason, sizeof(have.reason), "%s", text_of(ready, "reason"));
	snprintf(o->transition, sizeof(o->transition), "%s", text_of(ready, "lastTransitionTime"));
	if (!same_status(&have, &o->have))
		o->tried = false;
	free(o->have.message);
	o->have = have;
	return 0;
}

int pp_sums_put_object(struct pp_sums *s, enum pp_kind kind, const json_t *object, uint64_t now_ns)
{
	const json_t *meta = json_object_get(object, "metadata");
	int64_t generation = json_integer_value(json_object_get(meta, "generation"));
	struct pp_sums_object *o =
		take_object(s, kind, text_of(meta, "namespace"), text_of(meta, "name"));

	if (!o)
		return -ENOMEM;
	if (!o->exists || o->generation != generation ||
	    strcmp(o->uid, text_of(meta, "uid")) != 0) {
		o->since = now_ns;
		o->tried = false;
	}
	o->exists = true;
	o->generation = generation;
	snprintf(o->uid, sizeof(o->uid), "%s", text_of(meta, "uid"));
	return read_status(o, json_object_get(object, "status"));
}

void pp_sums_remove_object(struct pp_sums *s, enum pp_kind kind, const char *namespace,
			   const char *name)
{
	_cleanup_free_ char *key = make_key(kind, namespace, name);
	struct pp_sums_object *o = key ? pp_sums_find(s, key) : NULL;

	if (!o)
		return;
	o->exists = false;
	drop_object(s, o);
}

/* --- nodes */

static void free_node(struct pp_sums *s, struct pp_sums_node *node)
{
	for (size_t i = 0; i < node->n; i++) {
		struct pp_sums_entry *e = &node->entries[i];

		drop_text(s, e->problem);
		drop_text(s, e->reason);
		e->object->entries--;
		drop_object(s, e->object);
	}
	s->ready -= node->ready;
	free(node->name);
	free(node->message);
	free(node->entries);
	free(node);
}

void pp_sums_remove_node(struct pp_sums *s, const char *name)
{
	struct pp_table_item *i = pp_table_find(&s->nodes, name);

	if (!i)
		return;
	pp_table_remove(&s->nodes, i);
	free_node(s, AS(struct pp_sums_node, i));
}

static int kind_of(const char *name)
{
	for (int k = 0; k < PP_N_KINDS; k++)
		if (strcmp(name, pp_kind_name((enum pp_kind)k)) == 0)
			return k;
	return -1;
}

static uint32_t number_of(const json_t *o, const char *member)
{
	json_int_t n = json_integer_value(json_object_get(o, member));

	return n > 0 && n <= UINT32_MAX ? (uint32_t)n : 0;
}

static int add_entry(struct pp_sums *s, struct pp_sums_node *node, const json_t *from)
{
	struct pp_sums_entry *e = &node->entries[node->n];
	const char *problem = text_of(from, "problem"), *reason = text_of(from, "reason");
	int kind = kind_of(text_of(from, "kind"));

	if (kind < 0)
		return 0;
	e->object = take_object(s, (enum pp_kind)kind, text_of(from, "namespace"),
				text_of(from, "name"));
	if (!e->object)
		return -ENOMEM;
	e->object->entries++;
	node->n++;
	e->generation = json_integer_value(json_object_get(from, "generation"));
	e->pods = number_of(from, "pods");
	e->enforced = number_of(from, "enforced");
	e->peers = number_of(from, "peers");
	e->problem = take_text(s, *problem ? problem : NULL);
	e->reason = take_text(s, *reason ? reason : NULL);
	return 0;
}

/* Its entries are made before those that it had are dropped: most are the same. */
int pp_sums_put_node(struct pp_sums *s, const json_t *object)
{
	const char *name = text_of(json_object_get(object, "metadata"), "name");
	const json_t *status = json_object_get(object, "status");
	json_t *list = json_object_get(status, "objects"), *from;
	struct pp_sums_node *node = calloc(1, sizeof(*node));
	size_t i;
	int r;

	if (!node)
		return -ENOMEM;
	node->ready = json_is_true(json_object_get(status, "ready"));
	s->ready += node->ready;
	node->name = strdup(name);
	node->item.key = node->name;
	node->message = strdup(text_of(status, "message"));
	node->entries = calloc(json_array_size(list) + 1, sizeof(*node->entries));
	r = node->name && node->message && node->entries ? 0 : -ENOMEM;
	json_array_foreach(list, i, from)
	{
		if (!r)
			r = add_entry(s, node, from);
	}
	if (!r) {
		pp_sums_remove_node(s, name);
		r = pp_table_add(&s->nodes, &node->item);
	}
	if (r)
		free_node(s, node);
	return r;
}

/* --- sums */

static bool is_bad(const struct pp_sums_node *node, const struct pp_sums_entry *e)
{
	return !node->ready || e->problem || e->enforced < e->pods;
}

static bool is_before(const struct pp_sums_node *a, const struct pp_sums_node *b)
{
	return !b || strcmp(a->name, b->name) < 0;
}

static void add_to(struct pp_sums_object *o, const struct pp_sums_node *node,
		   const struct pp_sums_entry *e)
{
	o->nodes++;
	o->pods += e->pods;
	/* each node sees the whole cluster, some a little later than others */
	o->peers = e->peers > o->peers ? e->peers : o->peers;
	if (e->generation != o->generation) {
		o->late++;
		if (is_before(node, o->late_node))
			o->late_node = node;
	} else if (is_bad(node, e)) {
		o->bad++;
		if (is_before(node, o->bad_node)) {
			o->bad_node = node;
			o->bad_entry = e;
		}
	}
}

static void add_up(struct pp_sums *s)
{
	struct pp_table_item *i;

	for (i = pp_table_next(&s->objects, NULL); i; i = pp_table_next(&s->objects, i)) {
		struct pp_sums_object *o = AS(struct pp_sums_object, i);

		o->pods = o->peers = 0;
		o->nodes = o->bad = o->late = 0;
		o->bad_node = o->late_node = NULL;
		o->bad_entry = NULL;
	}
	for (i = pp_table_next(&s->nodes, NULL); i; i = pp_table_next(&s->nodes, i)) {
		const struct pp_sums_node *node = AS(struct pp_sums_node, i);

		for (size_t e = 0; e < node->n; e++)
			add_to(node->entries[e].object, node, &node->entries[e]);
	}
}

/* A condition takes no other (its CRD has the pattern), and all status is lost with a bad one. */
static const char *reason_of(const struct pp_sums_entry *e)
{
	const char *reason = e->reason ? e->reason->text : "";

	for (const char *c = reason; *c; c++)
		if (!isalnum((unsigned char)*c))
			return "NotEnforced";
	return isalpha((unsigned char)*reason) ? reason : "NotEnforced";
}

/* The first node by name, with what it says. NULL: out of memory. */
static char *bad_message(const struct pp_sums_object *o)
{
	const struct pp_sums_node *node = o->bad_node;
	const struct pp_sums_entry *e = o->bad_entry;
	char more[40] = "", part[80] = "", *text;
	const char *what = part;

	if (o->bad > 1)
		snprintf(more, sizeof(more), "; and %zu more", o->bad - 1);
	snprintf(part, sizeof(part), "in force for %u of %u pods", e->enforced, e->pods);
	if (e->problem)
		what = e->problem->text;
	else if (!node->ready)
		what = node->message[0] ? node->message : "limits are not applied";
	return asprintf(&text, "node %s: %s%s", node->name, what, more) < 0 ? NULL : text;
}

static char *late_message(const struct pp_sums_object *o)
{
	char *text;

	return asprintf(&text, "node %s has not taken up generation %lld yet", o->late_node->name,
			(long long)o->generation) < 0 ? NULL : text;
}

static int word(const struct pp_sums *s, struct pp_sums_object *o)
{
	struct pp_sums_status want = { o->generation, o->pods,   o->nodes, o->peers,
				       "True",        "InForce", NULL };

	if (o->bad) {
		snprintf(want.ready, sizeof(want.ready), "False");
		snprintf(want.reason, sizeof(want.reason), "%s", reason_of(o->bad_entry));
		want.message = bad_message(o);
	} else if (o->late) {
		snprintf(want.ready, sizeof(want.ready), "Unknown");
		snprintf(want.reason, sizeof(want.reason), "Pending");
		want.message = late_message(o);
	} else if (o->nodes) {
		want.message = strdup("in force wherever it applies");
	} else if (s->ready) {
		snprintf(want.reason, sizeof(want.reason), "NoPods");
		want.message = strdup("it applies to nothing on any node");
	} else {
		snprintf(want.ready, sizeof(want.ready), "False");
		snprintf(want.reason, sizeof(want.reason), "NoAgent");
		want.message = strdup("no node has an agent that applies limits");
	}
	if (!want.message)
		return -ENOMEM;
	if (!same_status(&want, &o->want))
		o->tried = false;
	free(o->want.message);
	o->want = want;
	return 0;
}

int pp_sums_count(struct pp_sums *s, uint64_t now_ns)
{
	struct pp_table_item *i;
	int r = 0;

	add_up(s);
	s->look_at = 0;
	for (i = pp_table_next(&s->objects, NULL); i && !r; i = pp_table_next(&s->objects, i)) {
		struct pp_sums_object *o = AS(struct pp_sums_object, i);
		uint64_t end = o->since + s->grace_ns;

		if (!o->exists)
			continue;
		if ((o->late || !o->nodes) && end > now_ns) {
			if (!s->look_at || end < s->look_at)
				s->look_at = end;
			o->held = true;
			continue;
		}
		o->held = false;
		r = word(s, o);
	}
	return r;
}

struct pp_sums_object *pp_sums_due(const struct pp_sums *s)
{
	struct pp_table_item *i;

	for (i = pp_table_next(&s->objects, NULL); i; i = pp_table_next(&s->objects, i)) {
		struct pp_sums_object *o = AS(struct pp_sums_object, i);

		if (o->exists && !o->held && !o->tried && o->want.message &&
		    !same_status(&o->want, &o->have))
			return o;
	}
	return NULL;
}

char *pp_sums_patch(const struct pp_sums_object *o, const char *now)
{
	const struct pp_sums_status *w = &o->want;
	bool same = strcmp(w->ready, o->have.ready) == 0 && o->transition[0];
	/* a merge patch takes away what is null (RFC 7396) */
	json_t *none = o->have.peers ? json_null() : NULL;
	json_t *peers = w->peers ? json_integer((json_int_t)w->peers) : none;
	json_t *patch = json_pack(
		"{s:{s:I, s:I, s:I, s:o*, s:[{s:s, s:s, s:s, s:s, s:s, s:I}]}}", "status",
		"observedGeneration", (json_int_t)w->generation, "pods", (json_int_t)w->pods,
		"nodes", (json_int_t)w->nodes, "peers", peers, "conditions", "type", "Ready",
		"status", w->ready, "reason", w->reason, "message", w->message,
		"lastTransitionTime", same ? o->transition : now, "observedGeneration",
		(json_int_t)w->generation);
	char *text = patch ? json_dumps(patch, JSON_COMPACT) : NULL;

	json_decref(patch);
	return text;
}

void pp_sums_close(struct pp_sums *s)
{
	struct pp_table_item *i, *next;

	for (i = pp_table_next(&s->nodes, NULL); i; i = next) {
		next = pp_table_next(&s->nodes, i);
		pp_table_remove(&s->nodes, i);
		free_node(s, AS(struct pp_sums_node, i));
	}
	for (i = pp_table_next(&s->objects, NULL); i; i = next) {
		next = pp_table_next(&s->objects, i);
		pp_table_remove(&s->objects, i);
		free_object(AS(struct pp_sums_object, i));
	}
	pp_table_close(&s->nodes);
	pp_table_close(&s->objects);
	pp_table_close(&s->texts);
	*s = (struct pp_sums){ .grace_ns = s->grace_ns };
}
