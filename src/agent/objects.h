// SPDX-License-Identifier: Apache-2.0
// What the API says beside this node's pods: the objects of podpace.io, namespaces and this node,
// followed by watches.
#pragma once

#include "agent/labeled.h"
#include "kube/watch.h"
#include "policy/sources.h"

enum pp_objects_source {
	PP_SOURCE_CLASSES,
	PP_SOURCE_POLICIES,
	PP_SOURCE_CLUSTER_POLICIES,
	PP_SOURCE_NAMESPACES,
	PP_SOURCE_NODE,
	PP_N_OBJECTS_SOURCE,
};

struct pp_objects_watch;

/* Calls changed(arg) whenever anything may mean other limits. 0 or -errno. */
int pp_objects_watch_new(struct pp_kube *k, const char *node, struct pp_sources *store,
			 void (*changed)(void *arg), void *arg, struct pp_objects_watch **ret);
/* To be freed before the client and the store. */
void pp_objects_watch_free(struct pp_objects_watch *w);

/*
 * Is all known? What the API does not have (404) is: there is none. One that it refuses is not, but
 * for the node, and why is said.
 */
bool pp_objects_watch_known(const struct pp_objects_watch *w);

/* How one source is doing; why it is not heard, "" if it is. Valid until the next callback. */
const char *pp_objects_watch_source(const struct pp_objects_watch *w, enum pp_objects_source source,
				    struct pp_watch_stats *ret, const char **ret_resource);

const struct pp_labeled *pp_objects_watch_namespaces(const struct pp_objects_watch *w);
const struct pp_labeled *pp_objects_watch_node(const struct pp_objects_watch *w);

/* The node's addresses; valid until the next callback. */
const struct pp_local *pp_objects_watch_addresses(const struct pp_objects_watch *w, size_t *ret_n);
