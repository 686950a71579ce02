// SPDX-License-Identifier: Apache-2.0
// A web server for GET requests of small texts, in the loop's thread.
#pragma once

#include <stdio.h>

#include "base/err.h"
#include "base/loop.h"

struct pp_http;

/*
 * A page: writes the body to f and returns the HTTP status. One whose path ends with a slash has
 * pages below it, and is given the rest of what was asked for; others are given "".
 */
struct pp_page {
	const char *path;
	const char *type; /* content type */
	int (*write)(FILE *f, const char *rest, void *arg);
};

/*
 * Listens at addr: "ADDRESS:PORT", "[IPV6]:PORT", or ":PORT" for all addresses. pages ends with a
 * NULL path and must stay. 0, or -errno with a message.
 */
int pp_http_new(struct pp_loop *l, const char *addr, const struct pp_page *pages, void *arg,
		struct pp_http **ret, struct pp_err *e);
void pp_http_free(struct pp_http *h);
