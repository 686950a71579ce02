// SPDX-License-Identifier: Apache-2.0
// Which objects a watch knows: name, uid and version of each, nothing more. A new list marks what
// it has; what it does not have is gone when it ends, and not before.
#pragma once

#include <stdbool.h>

#include "base/table.h"
#include "kube/event.h"

/* Zeroed is empty. */
struct pp_store {
	struct pp_table table;
	unsigned int round; /* which list is under way, or was the last */
};

enum pp_change {
	PP_SAME,     /* known, in this version */
	PP_PUT,	     /* new, or another version */
	PP_REPLACED, /* as PP_PUT, but another object had the name: gone has been called for that */
};

typedef void pp_gone_fn(const char *ns, const char *name, const char *uid, void *arg);

void pp_store_begin(struct pp_store *s);

/* The object is there. 0, or -ENOMEM: the object may be missing, and a new list is needed. */
int pp_store_put(struct pp_store *s, const struct pp_object_id *id, pp_gone_fn *gone, void *arg,
		 enum pp_change *ret);

/* It was deleted; nothing happens if it is unknown or another has its name by now. 0 or -ENOMEM. */
int pp_store_delete(struct pp_store *s, const struct pp_object_id *id, pp_gone_fn *gone, void *arg);

/* The list has ended: what it did not have is gone. */
void pp_store_end(struct pp_store *s, pp_gone_fn *gone, void *arg);

/* Forgets all, without a callback. */
void pp_store_close(struct pp_store *s);
