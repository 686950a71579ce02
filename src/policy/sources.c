// SPDX-License-Identifier: Apache-2.0
// A put reads its text into copies that nobody sees yet, and then, where nothing can fail, lets
// them take the place of those that the source had.
#include "base/base.h"
#include "policy/copies.h"

/* One put. */
struct put {
	struct pp_sources *s;
	struct source *source;
	struct text *text;
	struct copy *first, **last;
	struct pp_faults strays; /* of documents that do not say which object they are */
	pp_fault_fn fn;
	void *arg;
};

/* --- reading */

/* Which object is it? Takes c, unless it fails. */
static int take(struct put *p, struct copy *c)
{
	struct pp_object *o = c->good.first;
	struct copy *before;
	int r;

	r = pp_copies_entry(p->s, o, &c->entry);
	if (r)
		return r;
	c->line = o->line;
	c->generation = o->generation;
	before = c->entry->fresh;
	if (before) {
		pp_copies_twice(&before->faults, c->entry, o->file, o->line, o->file, before->line);
		if (c->faults.text)
			pp_faults_add(c->faults.text, &before->faults);
		pp_copies_free(c);
		return 0;
	}
	if (o->valid) {
		c->text = p->text;
		p->text->users++;
	} else {
		pp_objects_free(&c->good);
	}
	c->source = p->source;
	c->entry->fresh = c;
	*p->last = c;
	p->last = &c->next;
	return 0;
}

static int read_document(struct put *p, struct pp_value *doc)
{
	struct pp_values one = { .file = p->text->values->file, .first = doc };
	struct pp_value *next = doc->next;
	struct copy *c = calloc(1, sizeof(*c));
	const struct pp_object *o;
	int r;

	if (!c)
		return -ENOMEM;
	c->good = PP_OBJECTS_INIT(c->good);
	/* alone: whose faults they are is known then, and an object costs the same in any number */
	doc->next = NULL;
	r = pp_objects_add(&c->good, &one, pp_faults_add, &c->faults);
	doc->next = next;
	pp_faults_end(&c->faults, p->source->shown);
	o = c->good.first;
	if (!r && (c->faults.failed || p->strays.failed))
		r = -ENOMEM;
	if (!r && o && o->name && (o->namespace || o->kind != PP_POLICY)) {
		r = take(p, c);
		if (!r)
			return 0;
	} else if (!r && c->faults.text) {
		pp_faults_add(c->faults.text, &p->strays);
	}
	pp_copies_free(c);
	return r;
}

static int read_text(struct put *p)
{
	int r = 0;

	for (struct pp_value *doc = p->text->values->first; doc && !r; doc = doc->next)
		r = read_document(p, doc);
	pp_faults_end(&p->strays, p->source->shown);
	for (struct copy *c = p->first; c; c = c->next) {
		pp_faults_end(&c->faults, p->source->shown);
		r = c->faults.failed ? -ENOMEM : r;
	}
	return p->strays.failed ? -ENOMEM : r;
}

/* A put that failed leaves nothing behind. */
static void abandon(struct put *p)
{
	struct copy *next;

	for (struct copy *c = p->first; c; c = next) {
		next = c->next;
		c->entry->fresh = NULL;
		pp_copies_free(c);
	}
	for (size_t i = p->s->n_entries; i-- > 0;)
		if (!p->s->entries[i]->first)
			pp_copies_remove_entry(p->s, p->s->entries[i]);
	pp_faults_free(&p->strays);
}

/* --- taking effect */

static void move_good(struct copy *to, struct copy *from)
{
	to->good = from->good;
	to->text = TAKE_PTR(from->text);
	to->old = true;
	from->good = PP_OBJECTS_INIT(from->good);
}

/* What is new takes from what was there: its good version, if it has none, and what was said. */
static void inherit(struct put *p)
{
	for (struct copy *c = p->first; c; c = c->next) {
		struct copy *old = pp_copies_of(c->entry, p->source);

		if (old && old->good.first && !c->good.first)
			move_good(c, old);
		if (old) {
			c->conflict = old->conflict;
			old->conflict = (struct pp_faults){ 0 };
		}
		pp_faults_say(&c->faults, old ? &old->faults : &(struct pp_faults){ 0 }, p->fn,
			      p->arg);
	}
}

/* The copies of the put become those of the source. */
static int commit(struct put *p)
{
	struct copy *old = p->source->first, *next;
	int r = 0, q;

	pp_faults_say(&p->strays, &p->source->faults, p->fn, p->arg);
	inherit(p);
	p->source->first = NULL;
	for (; old; old = next) {
		next = old->next;
		if (p->strays.text && !old->entry->fresh && old->good.first) {
			/* it may be the one that does not say what it is */
			pp_faults_free(&old->faults);
			old->old = true;
			old->next = NULL;
			*p->last = old;
			p->last = &old->next;
			old->entry->fresh = old;
			continue;
		}
		pp_copies_unlink(old);
		q = old->entry->fresh ? 0 : pp_copies_settle(p->s, old->entry, p->fn, p->arg);
		r = q ? q : r;
		pp_copies_free(old);
	}
	for (struct copy *c = p->first; c; c = c->next) {
		if (!pp_copies_of(c->entry, p->source))
			pp_copies_link(c);
		c->entry->fresh = NULL;
		q = pp_copies_settle(p->s, c->entry, p->fn, p->arg);
		r = q ? q : r;
	}
	p->source->first = p->first;
	pp_faults_free(&p->source->faults);
	p->source->faults = p->strays;
	return r;
}

/* --- what others call */

int pp_sources_new(struct pp_sources **ret)
{
	struct pp_sources *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	*ret = s;
	return 0;
}

void pp_sources_free(struct pp_sources *s)
{
	if (!s)
		return;
	while (s->n_sources)
		pp_sources_remove(s, s->sources[s->n_sources - 1]->name);
	free(s->sources);
	free(s->entries);
	free(s->objects);
	free(s);
}

/* All that the source had stays. */
static int put_broken(struct put *p, const char *why)
{
	struct pp_faults old = p->source->faults;

	p->source->faults = (struct pp_faults){ 0 };
	pp_faults_add(why, &p->source->faults);
	pp_faults_say(&p->source->faults, &old, p->fn, p->arg);
	pp_faults_free(&old);
	return p->source->faults.failed ? -ENOMEM : 0;
}

int pp_sources_put(struct pp_sources *s, const char *source, const char *text, size_t len,
		   pp_fault_fn fn, void *arg)
{
	struct put p = { .s = s, .last = &p.first, .fn = fn, .arg = arg };
	struct pp_err e = { "" };
	int r;

	r = pp_copies_source(s, source, &p.source);
	if (r)
		return r;
	p.text = calloc(1, sizeof(*p.text));
	if (!p.text)
		return -ENOMEM;
	p.text->users = 1;
	r = pp_values_parse(p.source->shown, text, len, &p.text->values, &e);
	if (!r) {
		r = read_text(&p);
		if (r)
			abandon(&p);
		else
			r = commit(&p);
	} else if (r != -ENOMEM) {
		r = put_broken(&p, e.msg);
	}
	pp_copies_unref(p.text);
	return r;
}

void pp_sources_remove(struct pp_sources *s, const char *source)
{
	struct put p = { .s = s, .last = &p.first };

	pp_copies_find_source(s, source, &p.source);
	if (!p.source)
		return;
	commit(&p);
	pp_copies_remove_source(s, p.source);
}

const struct pp_object *const *pp_sources_objects(struct pp_sources *s, size_t *ret_n)
{
	const struct pp_object *o;

	if (s->stale) {
		s->n_objects = 0;
		for (size_t i = 0; i < s->n_entries; i++) {
			o = pp_copies_in_force(s->entries[i]);
			if (o)
				s->objects[s->n_objects++] = o;
		}
	}
	s->stale = false;
	*ret_n = s->n_objects;
	return s->objects;
}

static bool has_good(const struct source *source)
{
	for (const struct copy *c = source->first; c; c = c->next)
		if (c->good.first)
			return true;
	return false;
}

static void tell(const struct copy *c, const struct pp_faults *f, bool old, pp_problem_fn fn,
		 void *arg)
{
	const struct pp_problem p = { .source = c->source->name,
				      .kind = c->entry->kind,
				      .namespace = c->entry->namespace,
				      .name = c->entry->name,
				      .generation = c->generation,
				      .text = f->text,
				      .has_last_good = old };

	if (f->text)
		fn(&p, arg);
}

void pp_sources_problems(const struct pp_sources *s, pp_problem_fn fn, void *arg)
{
	for (size_t i = 0; i < s->n_sources; i++) {
		const struct source *source = s->sources[i];
		const struct pp_problem p = { .source = source->name,
					      .kind = PP_N_KINDS,
					      .text = source->faults.text,
					      .has_last_good = has_good(source) };

		if (p.text)
			fn(&p, arg);
		for (const struct copy *c = source->first; c; c = c->next) {
			tell(c, &c->faults, c->old, fn, arg);
			tell(c, &c->conflict, false, fn, arg);
		}
	}
}

const char *pp_sources_problem(const struct pp_sources *s, const char *source, enum pp_kind kind,
			       const char *namespace, const char *name)
{
	const struct copy *c = NULL;
	struct source *from;
	struct entry *e;

	pp_copies_find_source(s, source, &from);
	pp_copies_find_entry(s, kind, namespace, name, &e);
	if (from && e)
		c = pp_copies_of(e, from);
	if (!c)
		return NULL;
	return c->faults.text ? c->faults.text : c->conflict.text;
}
