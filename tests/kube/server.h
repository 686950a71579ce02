// SPDX-License-Identifier: Apache-2.0
// An API server that follows a script: it expects requests in order and gives to each the answer
// that stands beside it. HTTP/1.1, one request per connection.
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum ending {
	END,  /* as it should */
	CUT,  /* the connection closes before the answer is complete */
	HOLD, /* nothing more comes, the connection stays open */
};

struct step {
	const char *expect; /* in the request: words that must be there, separated by spaces */
	const char *refuse; /* one that must not be there, or NULL */
	int status;
	const char *headers; /* lines that end in \r\n, or NULL */
	const char *body;    /* a line's end where events end */
	enum ending ending;
};

struct server;

/* Listens on a port of 127.0.0.1 and serves in a thread of its own. */
struct server *server_start(const struct step *steps, size_t n);
int server_port(const struct server *s);

/* How many steps were asked for so far. */
size_t server_at(const struct server *s);

/* Ends it. How many steps were asked for; the first that did not match is printed as a comment. */
size_t server_stop(struct server *s, bool *ret_matched);
