// SPDX-License-Identifier: Apache-2.0
// What the agent of this node says.
#pragma once

#include <jansson.h>

#include "base/err.h"

/*
 * Asks the agent that listens at listen (NULL: where agents do) for the page /KIND/WHAT; what may
 * have any characters. *ret is to be freed. 0; -ENOENT with what the agent says is wrong; -EIO with
 * a message if there is none.
 */
int pp_ask_agent(const char *listen, const char *kind, const char *what, json_t **ret,
		 struct pp_err *e);
