// SPDX-License-Identifier: Apache-2.0
// The PEER of --to and --from.
#pragma once

#include "cli/cmd.h"
#include "kernel/matches.h"

/*
 * As pp_peer_parse(); and pod/NAMESPACE/NAME, about which the agent is asked: the pod that has this
 * name now. 0, or -errno with a message.
 */
int pp_peer_read(const struct pp_args *args, const char *peer, struct pp_match *ret,
		 char text[static PP_PEER_TEXT], struct pp_err *e);

/* What such a peer is called, without asking. */
int pp_peer_name(const char *peer, char text[static PP_PEER_TEXT], struct pp_err *e);
