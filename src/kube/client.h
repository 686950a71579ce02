// SPDX-License-Identifier: Apache-2.0
// Requests to the API server over libcurl: one HTTP/2 connection, any number of requests on it, all
// in the loop's thread.
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/loop.h"
#include "kube/config.h"

struct pp_kube;

/*
 * config is copied. agent: the User-Agent, "podpace/0.1.0". From here on the process ignores
 * SIGPIPE. 0, or -errno with a message.
 */
int pp_kube_new(struct pp_loop *l, const struct pp_kube_config *config, const char *agent,
		struct pp_kube **ret, struct pp_err *e);
/*
 * Aborts what is under way, without callbacks. Watches must have been freed before. Not from a
 * callback of its own.
 */
void pp_kube_free(struct pp_kube *k);

/* How a request ended. */
struct pp_kube_answer {
	int error;	/* 0, or -errno: the server did not answer */
	int status;	/* HTTP status, 0 if there was none */
	json_t *body;	/* borrowed; NULL if there was none or it was no JSON */
	const char *why; /* one line for a person, "" after a 2xx: the Status' message or curl's */
};

/*
 * Sends a request and calls fn once, later. path: "/api/v1/...", with its query. type: content
 * type of body, NULL for a GET or DELETE. Gives up after 30 s. A 429 or 5xx with Retry-After, and a
 * 401 after which the token has changed, are tried again within that time. 0, or -ENOMEM.
 */
int pp_kube_request(struct pp_kube *k, const char *method, const char *path, const char *type,
		    const char *body, void (*fn)(const struct pp_kube_answer *a, void *arg),
		    void *arg);
