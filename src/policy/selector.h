// SPDX-License-Identifier: Apache-2.0
// Labels, and what selects by them, as Kubernetes has it.
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum pp_operator { PP_IN, PP_NOT_IN, PP_EXISTS, PP_DOES_NOT_EXIST };

struct pp_requirement {
	struct pp_requirement *next;  /* of the selector */
	struct pp_requirement *other; /* of all selectors, to be freed */
	enum pp_operator op;
	const char *key;
	size_t n;
	const char *value[]; /* n */
};

/* With no requirement it selects all; one that is absent (present is false) selects nothing. */
struct pp_selector {
	bool present;
	struct pp_requirement *first;
};

/* A label of something that is selected. */
struct pp_label {
	const char *key, *value;
};

/* Does the selector select what has these labels? */
bool pp_selector_matches(const struct pp_selector *s, const struct pp_label *labels, size_t n);

/*
 * As labelSelector of the API has it: "app=web,tier in (a,b),!old"; "" selects all. Selectors that
 * require the same have the same text, in whatever order they say it. NULL without memory; to be
 * freed.
 */
char *pp_selector_format(const struct pp_selector *s);
