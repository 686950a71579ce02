// SPDX-License-Identifier: Apache-2.0
// A folder of objects, followed: its files *.yaml, *.yml and *.json, but hidden ones. Folders in it
// are not looked into.
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "policy/sources.h"

struct pp_confdir;

/*
 * Reads the folder into the store, and calls changed(arg) whenever it has read anything new. The
 * sources are the files' paths. What is wrong is logged, once as long as it stays so; then what was
 * said before stays. 0, or -errno with a message: there is no such folder, or it cannot be read.
 */
int pp_confdir_new(struct pp_loop *l, const char *dir, struct pp_sources *store,
		   void (*changed)(void *arg), void *arg, struct pp_confdir **ret,
		   struct pp_err *e);
/* To be freed before the loop and the store. */
void pp_confdir_free(struct pp_confdir *c);

/* Why the folder itself cannot be read now; "" if it can. */
const char *pp_confdir_why(const struct pp_confdir *c);
