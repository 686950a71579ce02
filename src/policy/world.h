// SPDX-License-Identifier: Apache-2.0
// Pods, namespaces and nodes of files, as kubectl get -o yaml prints them: what a plan is made of
// beside objects, where there is no API.
#pragma once

#include "base/arena.h"
#include "policy/parties.h"

/* Of files whose values outlive it. */
struct pp_world {
	struct pp_arena arena;
	struct pp_world_thing *things; /* the last one added */
	size_t n, invalid;
};

#define PP_WORLD_INIT ((struct pp_world){})

/*
 * Adds the pods, namespaces and nodes of a file; what is wrong with them is said to fn. Fields that
 * no plan needs may be of any shape. 0, or -ENOMEM.
 */
int pp_world_add(struct pp_world *w, const struct pp_values *v, pp_fault_fn fn, void *arg);

/*
 * The input of a plan of one node: its pods and those that are on none, the cgroups that objects
 * name, which are taken as existing, and the valid objects. A namespace without an object has the
 * label that each has, kubernetes.io/metadata.name. node NULL: there is at most one in the world.
 * It lasts as long as the world, the objects and their values. 0; -EINVAL with a message; -ENOMEM.
 */
int pp_world_input(struct pp_world *w, const struct pp_objects *o, const char *node,
		   struct pp_plan_input *ret, struct pp_err *e);

/*
 * The pods of all nodes that have not ended, by namespace and name: what peers of rules may be. One
 * in its node's network, by spec.hostNetwork or its address, has no address of its own. They last
 * as pp_world_input()'s do. 0 or -ENOMEM.
 */
int pp_world_parties(struct pp_world *w, const struct pp_party_pod **ret, size_t *ret_n);

void pp_world_free(struct pp_world *w);
