// SPDX-License-Identifier: Apache-2.0
// Values of an object read into what they mean; what is wrong is said, and reading goes on.
#pragma once

#include "policy/object.h"

/* One object that is being read. */
struct pp_reader {
	struct pp_objects *all;
	struct pp_object *o;
	pp_fault_fn fn;
	void *arg;
	int error; /* -ENOMEM, once */
};

/*
 * Says FILE:LINE: KIND NAME: FIELD: what is wrong, and marks the object as invalid. line 0 is the
 * object's.
 */
void pp_fault(struct pp_reader *r, unsigned int line, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Is it a map? It may be absent. Members that are not among names, which end with NULL, are faults.
 */
bool pp_read_map(struct pp_reader *r, const struct pp_value *v, const char *field,
		 const char *const *names);

/* Borrowed; NULL if it is absent or, with a fault, no text. */
const char *pp_read_text(struct pp_reader *r, const struct pp_value *v, const char *field);

/*
 * Which of some words, that end with NULL; -1 if it is absent or, with a fault, another one. later:
 * those that will be valid one day.
 */
int pp_read_word(struct pp_reader *r, const struct pp_value *v, const char *field,
		 const char *const *words, const char *const *later);

/* bytes/s; 0 if it is absent or, with a fault, none. */
uint64_t pp_read_rate(struct pp_reader *r, const struct pp_value *v, const char *field);

/* 1 to 1000; 0 if it is absent or, with a fault, none. */
uint32_t pp_read_weight(struct pp_reader *r, const struct pp_value *v, const char *field);

/* A label selector of Kubernetes; it stays as it is if v is NULL. */
void pp_read_selector(struct pp_reader *r, const struct pp_value *v, const char *field,
		      struct pp_selector *s);

/* The rules of a direction into the object; it stays as it is if v is NULL. */
void pp_read_rules(struct pp_reader *r, const struct pp_value *v, enum pp_way way);
void pp_rules_free(struct pp_rule_spec *rules);

/* Is it a DNS subdomain (RFC 1123), as names of objects and prefixes of labels are? */
bool pp_is_subdomain(const char *s, size_t len);
