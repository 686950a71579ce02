// SPDX-License-Identifier: Apache-2.0
// A folder of files with objects, followed: what is written into it is in the sources a moment
// later.
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "policy/sources.h"

struct pp_confdir;

/*
 * Reads the files *.yaml, *.yml and *.json of dir, by name, into sources, each as a source of its
 * path, and follows them. Hidden files and folders are left out; links are followed, also those of
 * a mounted ConfigMap. Calls changed(arg) after sources have changed, but not for the first
 * reading.
 *
 * A file of at most 16 MiB that is gone is removed; one that cannot be read keeps what it had, and
 * so do all when the folder itself goes, until it is back. Faults are logged, once for as long as
 * they are the same. 0, or -errno with a message if there is no such folder; files with faults are
 * no error.
 */
int pp_confdir_new(struct pp_loop *l, const char *dir, struct pp_sources *sources,
		   void (*changed)(void *arg), void *arg, struct pp_confdir **ret,
		   struct pp_err *e);

/* The sources stay as they are. */
void pp_confdir_free(struct pp_confdir *c);

/*
 * Calls fn for the folder, if it cannot be read, and for each file that cannot; what is wrong with
 * their texts is among the problems of the sources.
 */
void pp_confdir_problems(const struct pp_confdir *c, pp_problem_fn fn, void *arg);
