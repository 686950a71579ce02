// SPDX-License-Identifier: Apache-2.0
// All objects of many sources, files or objects of the API, and the last good version of each.
// Pure: it is given texts, and asks the system for nothing but memory.
#pragma once

#include "policy/object.h"

struct pp_sources;

/* What is wrong with an object of a source, or with the text of a source. */
struct pp_problem {
	const char *source;
	/* of the object; name is NULL where it is not known which: kind says nothing then */
	enum pp_kind kind;
	const char *namespace, *name;
	int64_t generation; /* of the version that has the fault; 0: not known */
	/* faults, as pp_fault_fn is told them, with a newline between two */
	const char *text;
	bool has_last_good; /* what the source said before stays in its place */
};

typedef void (*pp_problem_fn)(const struct pp_problem *p, void *arg);

/* Empty. 0 or -ENOMEM. */
int pp_sources_new(struct pp_sources **ret);
void pp_sources_free(struct pp_sources *s);

/*
 * The text of a source is this from now on: YAML or JSON, any number of objects. source is the path
 * of a file or an object of the API, "BandwidthPolicy a/web"; it is named in faults. fn, which may
 * be NULL, is told the faults that are new; it must not call into s.
 *
 * Text that cannot be parsed leaves all of the source's objects as they were. An object with faults
 * leaves its own last version without, if there was one; others of the text take effect. What the
 * text no longer has goes, unless something in it does not say which object it is: that may be it.
 * Where several sources have the same object it is the first's, by name; in the others it is a
 * fault for as long as that is so.
 *
 * 0; -ENOMEM: nothing has changed, or all has and some of "stands in ... before" is missing.
 */
int pp_sources_put(struct pp_sources *s, const char *source, const char *text, size_t len,
		   pp_fault_fn fn, void *arg);

/* The source has gone, with all of its objects; nothing happens if it is not known. */
void pp_sources_remove(struct pp_sources *s, const char *source);

/*
 * The valid objects that are in force, each once, sorted by kind, namespace, name. Until the next
 * put or remove.
 */
const struct pp_object *const *pp_sources_objects(struct pp_sources *s, size_t *ret_n);

/*
 * Calls fn for each problem, sorted by source, then as in its text; what is not about one object
 * comes first.
 */
void pp_sources_problems(const struct pp_sources *s, pp_problem_fn fn, void *arg);

/* The faults of one object of a source as pp_problem.text; NULL: it has none, or is not there. */
const char *pp_sources_problem(const struct pp_sources *s, const char *source, enum pp_kind kind,
			       const char *namespace, const char *name);
