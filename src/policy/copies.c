// SPDX-License-Identifier: Apache-2.0
// Which source has which object: two sorted arrays, and chains of copies.
#include "policy/copies.h"
#include "base/base.h"

/* --- sorted arrays */

/* Opens a gap at i for one more pointer, for which there is room. */
static void open_gap(void *array, size_t *n, size_t i)
{
	char *at = (char *)array + i * sizeof(void *);

	memmove(at + sizeof(void *), at, (*n - i) * sizeof(void *));
	++*n;
}

static void close_gap(void *array, size_t *n, size_t i)
{
	char *at = (char *)array + i * sizeof(void *);

	--*n;
	memmove(at, at + sizeof(void *), (*n - i) * sizeof(void *));
}

static size_t bigger(size_t room)
{
	return room ? 2 * room : 16;
}

size_t pp_copies_find_source(const struct pp_sources *s, const char *name, struct source **ret)
{
	size_t low = 0, high = s->n_sources;

	*ret = NULL;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int r = strcmp(name, s->sources[mid]->name);

		if (r == 0) {
			*ret = s->sources[mid];
			return mid;
		}
		if (r < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static int compare(const struct entry *e, enum pp_kind kind, const char *namespace,
		   const char *name)
{
	int r;

	if (kind != e->kind)
		return kind < e->kind ? -1 : 1;
	r = strcmp(namespace ? namespace : "", e->namespace ? e->namespace : "");
	return r ? r : strcmp(name, e->name);
}

size_t pp_copies_find_entry(const struct pp_sources *s, enum pp_kind kind, const char *namespace,
			    const char *name, struct entry **ret)
{
	size_t low = 0, high = s->n_entries;

	*ret = NULL;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int r = compare(s->entries[mid], kind, namespace, name);

		if (r == 0) {
			*ret = s->entries[mid];
			return mid;
		}
		if (r < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static struct source *source_new(const char *name)
{
	size_t len = strlen(name), shown = 4 * len + 5;
	struct source *source = calloc(1, sizeof(*source) + len + 1);

	if (!source)
		return NULL;
	source->shown = malloc(shown);
	if (!source->shown) {
		free(source);
		return NULL;
	}
	pp_err_escape(source->shown, shown, name, len);
	memcpy(source->name, name, len + 1);
	return source;
}

int pp_copies_source(struct pp_sources *s, const char *name, struct source **ret)
{
	size_t i = pp_copies_find_source(s, name, ret);

	if (*ret)
		return 0;
	if (s->n_sources == s->room_sources) {
		size_t room = bigger(s->room_sources);
		struct source **more = reallocarray(s->sources, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		s->sources = more;
		s->room_sources = room;
	}
	*ret = source_new(name);
	if (!*ret)
		return -ENOMEM;
	open_gap(s->sources, &s->n_sources, i);
	s->sources[i] = *ret;
	return 0;
}

void pp_copies_remove_source(struct pp_sources *s, struct source *source)
{
	size_t i = pp_copies_find_source(s, source->name, &source);

	close_gap(s->sources, &s->n_sources, i);
	pp_faults_free(&source->faults);
	free(source->shown);
	free(source);
}

/* The objects have as much room as the entries, so that to list them cannot fail. */
static int grow_entries(struct pp_sources *s)
{
	size_t room = bigger(s->room_entries);
	const struct pp_object **objects;
	struct entry **entries;

	if (s->n_entries < s->room_entries)
		return 0;
	entries = reallocarray(s->entries, room, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	s->entries = entries;
	objects = reallocarray(s->objects, room, sizeof(*objects));
	if (!objects)
		return -ENOMEM;
	s->objects = objects;
	s->room_entries = room;
	return 0;
}

int pp_copies_entry(struct pp_sources *s, const struct pp_object *o, struct entry **ret)
{
	size_t ns = o->namespace ? strlen(o->namespace) + 1 : 0, name = strlen(o->name) + 1;
	size_t i = pp_copies_find_entry(s, o->kind, o->namespace, o->name, ret);
	struct entry *e;

	if (*ret)
		return 0;
	if (grow_entries(s))
		return -ENOMEM;
	e = calloc(1, sizeof(*e) + ns + name);
	if (!e)
		return -ENOMEM;
	e->kind = o->kind;
	if (o->namespace)
		e->namespace = memcpy(e->texts, o->namespace, ns);
	e->name = memcpy(e->texts + ns, o->name, name);
	open_gap(s->entries, &s->n_entries, i);
	s->entries[i] = *ret = e;
	return 0;
}

void pp_copies_remove_entry(struct pp_sources *s, struct entry *e)
{
	size_t i = pp_copies_find_entry(s, e->kind, e->namespace, e->name, &e);

	close_gap(s->entries, &s->n_entries, i);
	free(e);
}

/* --- copies */

void pp_copies_unref(struct text *t)
{
	if (!t || --t->users)
		return;
	pp_values_free(t->values);
	free(t);
}

void pp_copies_free(struct copy *c)
{
	pp_objects_free(&c->good);
	pp_copies_unref(c->text);
	pp_faults_free(&c->faults);
	pp_faults_free(&c->conflict);
	free(c);
}

struct copy *pp_copies_of(const struct entry *e, const struct source *source)
{
	struct copy *c = e->first;

	while (c && c->source != source)
		c = c->rival;
	return c;
}

void pp_copies_unlink(struct copy *c)
{
	struct copy **at = &c->entry->first;

	while (*at != c)
		at = &(*at)->rival;
	*at = c->rival;
}

void pp_copies_link(struct copy *c)
{
	struct copy **at = &c->entry->first;

	while (*at && strcmp((*at)->source->name, c->source->name) < 0)
		at = &(*at)->rival;
	c->rival = *at;
	*at = c;
}

const struct pp_object *pp_copies_in_force(const struct entry *e)
{
	for (const struct copy *c = e->first; c; c = c->rival)
		if (c->good.first)
			return c->good.first;
	return NULL;
}

void pp_copies_twice(struct pp_faults *l, const struct entry *e, const char *file,
		     unsigned int line, const char *other, unsigned int other_line)
{
	char text[760];

	snprintf(text, sizeof(text), "%.200s:%u: %s %.60s%s%.200s: stands in %.200s:%u before",
		 file, line, pp_kind_name(e->kind), e->namespace ? e->namespace : "",
		 e->namespace ? "/" : "", e->name, other, other_line);
	pp_faults_add(text, l);
}

int pp_copies_settle(struct pp_sources *s, struct entry *e, pp_fault_fn fn, void *arg)
{
	const struct pp_object *first = pp_copies_in_force(e), *o;
	int r = 0;

	for (struct copy *c = e->first; c; c = c->rival) {
		struct pp_faults old = c->conflict;

		c->conflict = (struct pp_faults){ 0 };
		o = c->good.first;
		if (o && o != first) {
			pp_copies_twice(&c->conflict, e, o->file, o->line, first->file,
					first->line);
			pp_faults_say(&c->conflict, &old, fn, arg);
			r = c->conflict.failed ? -ENOMEM : r;
		}
		pp_faults_free(&old);
	}
	if (!e->first)
		pp_copies_remove_entry(s, e);
	s->stale = true;
	return r;
}
