// SPDX-License-Identifier: Apache-2.0
// cgroup v2: where it is mounted, and the way between a cgroup's path, its id and its network
// namespaces.
#pragma once

#include <stdint.h>

#include "base/err.h"

/* A cgroup2 mount. */
struct pp_cgroupfs {
	char *mount; /* path of the mount point */
	int fd;      /* the mount point, O_RDONLY | O_DIRECTORY */
};

/*
 * Finds the cgroup2 mount in /proc/self/mountinfo; the shortest where there are several. 0,
 * -ENOENT, or -errno.
 */
int pp_cgroupfs_open(struct pp_cgroupfs *ret, struct pp_err *e);
void pp_cgroupfs_close(struct pp_cgroupfs *c);

/*
 * Checks a path below the mount as a person writes it and returns it in its one form: it begins
 * with a slash, has no empty, "." or ".." part and no slash at the end. 0, -EINVAL with a message,
 * or -ENOMEM.
 */
int pp_cgroup_normalize(const char *path, char **ret, struct pp_err *e);

/*
 * Opens the cgroup (O_RDONLY | O_DIRECTORY) and tells its id. 0, -ENOENT with a message, or -errno.
 */
int pp_cgroup_open(const struct pp_cgroupfs *c, const char *path, int *ret_fd, uint64_t *ret_id,
		   struct pp_err *e);

/*
 * The path below the mount of the cgroup with this id. 0, -ESTALE or -ENOENT if it is gone, or
 * -errno.
 */
int pp_cgroup_path(const struct pp_cgroupfs *c, uint64_t id, char **ret);

/*
 * How many levels the cgroup with this id lies below the root of the hierarchy, as the kernel
 * counts them. -1 if that cannot be said: it is gone, or the mount is that of a cgroup namespace,
 * whose root is not the root.
 */
int pp_cgroup_level(const struct pp_cgroupfs *c, uint64_t id);

/*
 * Calls fn with an open network namespace for each distinct one that a process in the cgroup or
 * below it is in. Processes and cgroups that vanish meanwhile are left out. Stops at the first
 * error of fn and returns it.
 */
int pp_cgroup_each_netns(const struct pp_cgroupfs *c, const char *path,
			 int (*fn)(int netns_fd, void *arg), void *arg);

/* Is path the cgroup `root` or below it? Both normalized. */
int pp_cgroup_below(const char *root, const char *path);
