// SPDX-License-Identifier: Apache-2.0
// Cgroups that objects name by their paths, as on a plain host: which of them are there. A service
// that starts gets its cgroup, and with it its limits, anew each time.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/loop.h"
#include "kernel/cgroup.h"

struct pp_group {
	char *path;  /* normalized */
	uint64_t id; /* 0: there is no such cgroup now */
};

struct pp_groups;

/* Calls changed(arg) after one has come or gone. 0, or -errno with a message. */
int pp_groups_new(struct pp_loop *l, const struct pp_cgroupfs *c, void (*changed)(void *arg),
		  void *arg, struct pp_groups **ret, struct pp_err *e);
void pp_groups_free(struct pp_groups *g);

/*
 * These are the paths from now on, n of them, as people write them; one may stand there twice.
 * Looks for all of them. What is no path is left out. 0 or -ENOMEM: then they are as they were.
 */
int pp_groups_set(struct pp_groups *g, const char *const *paths, size_t n);

/* Looks again. Whether anything has changed. */
bool pp_groups_scan(struct pp_groups *g);

/* Sorted by path, each once; valid until the next callback of the loop or pp_groups_set(). */
const struct pp_group *pp_groups_list(const struct pp_groups *g, size_t *ret_n);
