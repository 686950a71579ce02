// SPDX-License-Identifier: Apache-2.0
// The objects of podpace.io/v1alpha1, as docs/policy.md says: read from values, checked, kept.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "policy/value.h"

enum pp_kind { PP_CLASS, PP_POLICY, PP_CLUSTER_POLICY, PP_N_KINDS };

enum pp_way { PP_WAY_EGRESS, PP_WAY_INGRESS, PP_N_WAYS };

/* What each pod, or all of them together, or each namespace, has of a limit; on each node. */
enum pp_per { PP_PER_NONE, PP_PER_POD, PP_PER_POLICY, PP_PER_NAMESPACE, PP_PER_NODE };

/* Rates are bytes/s; 0 stands for what is not said. */
struct pp_share_spec {
	uint64_t ceil, guarantee;
	uint32_t weight;
	unsigned int line; /* 0: nothing is said of this direction */
};

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

struct pp_object {
	enum pp_kind kind;
	const char *name, *namespace; /* namespace of a PP_POLICY only */
	const char *file;
	unsigned int line;
	int64_t generation; /* metadata.generation, which the API counts; 0: it is not said */
	struct pp_object *next;
	bool valid; /* nothing was wrong with it */
	bool observe; /* its limits are measured against, and not enforced */
	enum pp_per per;
	struct pp_share_spec share[PP_N_WAYS];
	const char *class;              /* that a policy gives; NULL: it has shares of its own */
	bool is_default;                /* of a class */
	struct pp_selector namespaces;  /* that may use a class, or that are a tenant */
	struct pp_selector pods;        /* that a policy is for; a tenant's, of `namespaces` */
	struct pp_selector nodes;       /* whose uplinks are limited */
	const struct pp_value *cgroups; /* a list of paths; NULL: it is not for cgroups */
};

/* Called for each thing that is wrong; the line is complete. */
typedef void (*pp_fault_fn)(const char *line, void *arg);

/* Every object of some files. Values and files outlive it. */
struct pp_objects {
	struct pp_object *first, **last;
	struct pp_requirement *requirements; /* all, to be freed */
	size_t n, invalid;
};

#define PP_OBJECTS_INIT(o) ((struct pp_objects){ .last = &(o).first })

/*
 * Adds the objects of a file, also those with faults, which are said to fn in the order of the
 * file. Items of a List are objects; pods, namespaces and nodes are left to others. An object that
 * stands in another file too is a fault of the later one. 0, or -ENOMEM.
 */
int pp_objects_add(struct pp_objects *o, const struct pp_values *v, pp_fault_fn fn, void *arg);
void pp_objects_free(struct pp_objects *o);

const char *pp_kind_name(enum pp_kind kind);

/* Does the selector select what has these labels? */
bool pp_selector_matches(const struct pp_selector *s, const struct pp_label *labels, size_t n);
