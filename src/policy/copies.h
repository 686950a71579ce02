// SPDX-License-Identifier: Apache-2.0
// Which source has which object: what src/policy/sources.c keeps, and nobody else includes.
//
// Two sorted arrays: the sources by name, the entries by kind, namespace and name. A copy is what
// one source has of one entry; the first copy with a good version is the one in force.
#pragma once

#include "policy/faults.h"
#include "policy/sources.h"

/* Values live as long as one object that was read from them. */
struct text {
	struct pp_values *values;
	size_t users;
};

struct copy {
	struct copy *next;  /* of its source, in the order of the text */
	struct copy *rival; /* of its entry, by the name of the source */
	struct source *source;
	struct entry *entry;
	struct pp_objects good;    /* one, or none yet */
	struct text *text;         /* that good was read from */
	bool old;                  /* good was read from an earlier text than the last */
	unsigned int line;         /* in the last text */
	int64_t generation;        /* as the last text says */
	struct pp_faults faults;   /* of the last text */
	struct pp_faults conflict; /* another source has it */
};

struct source {
	struct copy *first;
	struct pp_faults faults; /* of what is not known to be one of the copies */
	char *shown;             /* name, as it can be shown */
	char name[];
};

struct entry {
	enum pp_kind kind;
	const char *namespace, *name; /* in texts */
	struct copy *first;
	struct copy *fresh; /* of the put that is under way */
	char texts[];
};

struct pp_sources {
	struct source **sources;
	size_t n_sources, room_sources;
	struct entry **entries;
	size_t n_entries, room_entries;
	const struct pp_object **objects; /* room_entries; those of the entries, unless stale */
	size_t n_objects;
	bool stale;
};

/* Where it is, or would be; *ret is NULL if it is not there. */
size_t pp_copies_find_source(const struct pp_sources *s, const char *name, struct source **ret);
size_t pp_copies_find_entry(const struct pp_sources *s, enum pp_kind kind, const char *namespace,
			    const char *name, struct entry **ret);

/* The one there is, or a new one without copies. 0 or -ENOMEM. */
int pp_copies_source(struct pp_sources *s, const char *name, struct source **ret);
int pp_copies_entry(struct pp_sources *s, const struct pp_object *o, struct entry **ret);

/* They must have no copies. */
void pp_copies_remove_source(struct pp_sources *s, struct source *source);
void pp_copies_remove_entry(struct pp_sources *s, struct entry *e);

/* NULL: the source has none. */
struct copy *pp_copies_of(const struct entry *e, const struct source *source);

/* Into the chain of its entry, and out of it. */
void pp_copies_link(struct copy *c);
void pp_copies_unlink(struct copy *c);

void pp_copies_free(struct copy *c);
void pp_copies_unref(struct text *t);

/* NULL: no source has a good version. */
const struct pp_object *pp_copies_in_force(const struct entry *e);

/* Adds FILE:LINE: KIND NAME: stands in FILE:LINE before. */
void pp_copies_twice(struct pp_faults *f, const struct entry *e, const char *file,
		     unsigned int line, const char *other, unsigned int other_line);

/*
 * After the copies of an entry have changed: who has it now; the others are told of to fn. An entry
 * without copies goes. 0, or -ENOMEM: a fault is missing.
 */
int pp_copies_settle(struct pp_sources *s, struct entry *e, pp_fault_fn fn, void *arg);
