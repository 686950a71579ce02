// SPDX-License-Identifier: Apache-2.0
// What client.c and call.c share: the server, the connections, the token, the calls under way.
#pragma once

#include "kube/call.h"
#include "kube/pool.h"

struct pp_kube {
	struct pp_loop *loop;
	struct pp_pool *pool;
	struct pp_call *calls; /* all that have not ended */
	struct pp_kube_config config;
	char *agent;
	uint64_t heard; /* pp_loop_now() when a byte last came */

	char *base; /* what a URL begins with: https://NAME:PORT/PREFIX */
	/* if the name to verify is not the one to connect to, else NULL */
	char *connect_to;  /* CURLOPT_CONNECT_TO */
	char *host_header; /* "Host: ..." */

	char *token; /* as last read, or NULL */
	uint64_t token_read; /* pp_loop_now() of that */
};

/* Called by the pool: hands out what came, then ends what has ended. */
void pp_call_dispatch(void *kube);

/* The token to use now, NULL for none. Read again once a minute; an unreadable one stays. */
const char *pp_kube_token(struct pp_kube *k);

/* Reads the token now. Whether it has changed. */
bool pp_kube_token_changed(struct pp_kube *k);
