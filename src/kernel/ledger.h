// SPDX-License-Identifier: Apache-2.0
// Names of pipes, and ledgers: what pipes did that are gone is added up, for those who are billed.
#pragma once

#include <stdint.h>

#include "kernel/datapath.h"

/* What the pipe with this key limits, to be freed; NULL if there is no such name. */
char *pp_name_of(const struct pp_datapath *d, uint64_t key);

/* 0 or -errno. */
int pp_name_set(struct pp_datapath *d, uint64_t key, const char *name);

/* Forgets the names that no pipe has any more. */
void pp_names_sweep(struct pp_datapath *d);

/* Pipe k comes under the ledger with this key, 0 for none, from now on. */
void pp_ledger_open(struct pp_datapath *d, uint32_t k, uint64_t ledger);

/* What pipe k did since goes to its ledger, if it has one; and it is under none any more. */
void pp_ledger_close(struct pp_datapath *d, uint32_t k);

/* Likewise, of all that the kernel has freed. */
void pp_ledgers_close(struct pp_datapath *d);
