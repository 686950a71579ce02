// SPDX-License-Identifier: Apache-2.0
// The cgroups of pods, found by walking and watching the cgroup tree: whatever the runtime, the
// cgroup driver, the QoS class and the nesting, a pod's cgroup lies below a kubepods cgroup and
// carries the pod's uid in its name.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/loop.h"
#include "kernel/cgroup.h"

/* A uid as a cgroup's name has it: 36 characters, or the 32 of a static pod's config hash. */
#define PP_POD_UID_SIZE 37

struct pp_tree_pod {
	char uid[PP_POD_UID_SIZE]; /* with dashes, as the API has it */
	uint64_t id;		   /* of the cgroup */
	char *path;		   /* below the cgroup2 mount, normalized */
};

struct pp_tree;

/*
 * Is name that of the cgroup below which the kubelet makes those of pods: "kubepods",
 * "kubepods.slice" or, below another cgroup root, "kubelet-kubepods.slice"?
 */
bool pp_tree_is_kubepods(const char *name);

/*
 * Reads the uid out of the name of a pod's cgroup: "pod<uid>" (cgroupfs driver),
 * "kubepods-burstable-pod<uid with underscores>.slice" (systemd driver; any prefix that ends in a
 * dash). Returns whether it is one.
 */
bool pp_tree_pod_uid(const char *name, char uid[static PP_POD_UID_SIZE]);

/*
 * Watches the tree at the cgroup2 mount c, which must stay open: calls changed(arg) after cgroups
 * of pods have come or gone. Scans it once. 0, or -errno with a message.
 */
int pp_tree_new(struct pp_loop *l, const struct pp_cgroupfs *c, void (*changed)(void *arg),
		void *arg, struct pp_tree **ret, struct pp_err *e);
void pp_tree_free(struct pp_tree *t);

/*
 * Walks the whole tree, as is done once a minute for what inotify could miss. 0, or -errno: what
 * was known stays.
 */
int pp_tree_scan(struct pp_tree *t);

/* What the last scan found, sorted by uid. Valid until the next callback of the loop. */
const struct pp_tree_pod *pp_tree_pods(const struct pp_tree *t, size_t *ret_n);
