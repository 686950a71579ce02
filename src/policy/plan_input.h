// SPDX-License-Identifier: Apache-2.0
// What a plan is made of beside objects: pods or cgroups, namespaces, the node.
#pragma once

#include "policy/object.h"

/* The key of a class: of an annotation of a pod, of a label of a namespace. */
#define PP_CLASS_KEY "podpace.io/class"

/* Something that is limited: a pod of this node, or a cgroup of a plain host. */
struct pp_subject {
	const char *namespace; /* NULL: a cgroup of a plain host, whose path is the name */
	const char *name;
	const char *uid; /* "" of a cgroup */
	const struct pp_label *labels;
	size_t n_labels;
	const char *class;                /* its annotation PP_CLASS_KEY; NULL: none */
	const char *annotation[PP_N_WAYS]; /* kubernetes.io/egress-bandwidth, -ingress-; or NULL */
	uint64_t limit[PP_N_WAYS];         /* timed.h, while it lasts, bytes/s; 0: none */
};

struct pp_namespace {
	const char *name;
	const struct pp_label *labels;
	size_t n_labels;
};

/* All that a plan is made of. None of it is kept. */
struct pp_plan_input {
	const struct pp_object *const *objects; /* valid ones, in any order */
	size_t n_objects;
	const struct pp_subject *subjects; /* in any order; each (namespace, name, uid) once */
	size_t n_subjects;
	const struct pp_namespace *namespaces; /* those of the subjects at least */
	size_t n_namespaces;
	const struct pp_label *node_labels;
	size_t n_node_labels;
};
