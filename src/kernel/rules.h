// SPDX-License-Identifier: Apache-2.0
// Limits towards some, set by hand: of a cgroup, a direction and a peer.
#pragma once

#include "base/err.h"
#include "kernel/limits.h"
#include "kernel/matches.h"

/*
 * Sets or changes the limit on what the cgroup sends to the peer, or receives from it: as
 * pp_limit_set(). ask has a rate and no share. text: as pp_peer_parse() has written it.
 */
int pp_rule_set(struct pp_datapath *d, const char *path, const struct pp_limit_ask *ask,
		const struct pp_match *m, const char *text, struct pp_socket_count *ret_sockets,
		struct pp_err *e);

/* Takes it away again. -ENOENT with a message if there is none. */
int pp_rule_remove(struct pp_datapath *d, const char *path, enum pp_dir dir, const char *text,
		   struct pp_socket_count *ret_sockets, struct pp_err *e);
