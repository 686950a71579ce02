// SPDX-License-Identifier: Apache-2.0
// libcurl's connections on the loop.
#pragma once

#include <curl/curl.h>

#include "base/loop.h"

struct pp_pool;

/* after(arg) is called from the loop whenever curl has worked: then transfers may have ended. */
int pp_pool_new(struct pp_loop *l, void (*after)(void *arg), void *arg, struct pp_pool **ret);

/* Closes the connections. Transfers must have been removed. */
void pp_pool_free(struct pp_pool *p);

/* To add and remove transfers and to ask which have ended, and for no other use. */
CURLM *pp_pool_multi(struct pp_pool *p);
