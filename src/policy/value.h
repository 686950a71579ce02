// SPDX-License-Identifier: Apache-2.0
// What a person or the API wrote, before anybody asks what it means: values with their places.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum pp_value_type {
	PP_VALUE_NULL,
	PP_VALUE_BOOL,
	PP_VALUE_NUMBER,
	PP_VALUE_TEXT,
	PP_VALUE_LIST,
	PP_VALUE_MAP
};

struct pp_value {
	enum pp_value_type type;
	const char *text;       /* of a scalar, as it was written: "true", "1e3", "a" */
	const char *key;        /* in a map */
	unsigned int line;      /* 1 is the first; of a member of a map, its key's */
	struct pp_value *first; /* of a list or a map */
	struct pp_value *next;  /* beside it */
};

/* The documents of one file. */
struct pp_values {
	char *file;
	struct pp_value *first;
	struct pp_value *all; /* every value, to be freed */
	size_t n;
};

/*
 * Reads a stream of YAML documents, of which JSON is a part; empty ones are left out. file is named
 * in messages. As Kubernetes reads it: keys are text, a key stands once in a map, true and false
 * are booleans, what looks like a number is one, quoted text is text. 0; -EINVAL with a message
 * that has the file and line; -ENOMEM.
 */
int pp_values_parse(const char *file, const char *text, size_t len, struct pp_values **ret,
		    struct pp_err *e);
void pp_values_free(struct pp_values *v);

/* The member of a map, or NULL; also where there is null. */
const struct pp_value *pp_value_get(const struct pp_value *map, const char *key);

/* "a list", "text" and so on, for messages. */
const char *pp_value_kind(const struct pp_value *v);
