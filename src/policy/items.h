// SPDX-License-Identifier: Apache-2.0
// What files of Kubernetes hold beside our objects: lists of objects, and pods, namespaces, nodes.
#pragma once

#include "policy/value.h"

/* Kinds of core/v1 that a plan is made of. */
enum pp_core { PP_CORE_POD, PP_CORE_NAMESPACE, PP_CORE_NODE };

/* Which of them an object is; -1: none. */
int pp_core_kind(const struct pp_value *v);

/* "Pod" and so on. */
const char *pp_core_name(enum pp_core kind);

/*
 * Calls fn for each object of a file in its order; items of a List are objects, of whatever depth.
 * Ends with what fn returns if that is not 0.
 */
int pp_values_each(const struct pp_values *v, int (*fn)(const struct pp_value *v, void *arg),
		   void *arg);
