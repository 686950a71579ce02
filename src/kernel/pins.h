// SPDX-License-Identifier: Apache-2.0
// The bpf file system: where a datapath is pinned, by which names, and the lock on it.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* The bpf file system, mounted at its usual place if it is not. 0, or -errno with a message. */
int pp_pins_mount(struct pp_err *e);

/*
 * Opens and locks the bpf file system; waits for another podpace to finish. Returns the fd, or
 * -errno with a message.
 */
int pp_pins_lock(struct pp_err *e);

/* The directory of the datapath at this cgroup (normalized path). NULL without memory. */
char *pp_pins_dir(const char *root);

/* Makes the directory with its parents. 0 or -errno. */
int pp_pins_make(const char *dir);

/*
 * Removes every pin in the directory, the directory, and its parents if they are empty. 0 (also if
 * gone) or -errno.
 */
int pp_pins_remove(const char *dir);

/*
 * Calls fn for the cgroup path of each pinned datapath. Stops at the first error of fn and returns
 * it.
 */
int pp_pins_each(int (*fn)(const char *root, void *arg), void *arg);
