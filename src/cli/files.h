// SPDX-License-Identifier: Apache-2.0
// The objects of the files that a command takes; what is wrong with them goes to standard error.
#pragma once

#include "cli/cmd.h"
#include "policy/object.h"

struct pp_files {
	struct pp_objects objects;
	struct pp_values **values; /* of each file */
	size_t n;
};

#define PP_FILES_INIT(f) ((struct pp_files){ .objects = PP_OBJECTS_INIT((f).objects) })

/* A line about a fault; arg is not used. */
void pp_files_say(const char *line, void *arg);

/*
 * Reads all files of args. 0; -EINVAL with a message if any could not be read or an object is not
 * valid; -ENOMEM.
 */
int pp_files_read(struct pp_files *f, const struct pp_args *args, struct pp_err *e);
void pp_files_free(struct pp_files *f);
