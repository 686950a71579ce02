// SPDX-License-Identifier: Apache-2.0
// One request and what is behind it: a call that can be given up, whose answer may be a stream.
// Everything calls back from the loop, never from inside a function of this header.
#pragma once

#include "kube/client.h"

struct pp_call;

struct pp_call_spec {
	const char *method, *path, *type, *body; /* copied */
	uint64_t timeout_ns; /* of all tries together; 0: none */
	/* NULL, or takes the body of a 200 in pieces. May free the call. */
	void (*data)(const char *data, size_t len, void *arg);
	/* One of these is called once, at the end. The call must not be freed then or later. */
	void (*answered)(const struct pp_kube_answer *a, void *arg);
	/* retry_after_ns: what the server asks for, 0 if nothing */
	void (*done)(const struct pp_kube_answer *a, uint64_t retry_after_ns, void *arg);
	void *arg;
};

/* ret may be NULL for a call that nobody gives up. 0 or -ENOMEM. */
int pp_call_new(struct pp_kube *k, const struct pp_call_spec *spec, struct pp_call **ret);

/* Ends it without a callback. */
void pp_call_free(struct pp_call *c);

/* HTTP status, once there is one; 0 before. */
int pp_call_status(const struct pp_call *c);

struct pp_loop *pp_kube_loop(const struct pp_kube *k);

/*
 * What runs now fails with -ETIMEDOUT, and new calls take a new connection. For a connection that
 * is silent, which curl cannot tell from one that has nothing to say.
 */
void pp_kube_reconnect(struct pp_kube *k);

/* When a byte of an answer last came, by pp_loop_now(). */
uint64_t pp_kube_last_heard(const struct pp_kube *k);
