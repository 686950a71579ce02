// SPDX-License-Identifier: Apache-2.0
// The one-line message about what a person wrote: built where the facts are, printed once.
#pragma once

#include <stddef.h>

/* Lives on the caller's stack, zeroed. Text is one line without control characters. */
struct pp_err {
	char msg[240];
};

/*
 * Sets the message and returns code, a negative errno, so that a function can end in
 * `return pp_err_set(e, -EINVAL, ...)`. A message that does not fit ends in "...". e may be NULL.
 * Arguments must not point into e->msg.
 */
int pp_err_set(struct pp_err *e, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "context: " before the message, or before what code means if it is empty. Returns code. */
int pp_err_wrap(struct pp_err *e, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Copies len bytes of s so that they can be shown to a person: printable ASCII as it is, but the
 * double quote and any other byte as \xNN. What does not fit in size (at least 4) is cut and ends
 * in "...". 4 * len + 1 bytes always suffice. Returns buf.
 */
const char *pp_err_escape(char *buf, size_t size, const char *s, size_t len);
