// SPDX-License-Identifier: Apache-2.0
// Builds the one-line error message for what a person wrote wrong.

#include <stdarg.h>

#include "base/base.h"
#include "base/err.h"

static const char ELLIPSIS[] = "...";

/* Cuts before a UTF-8 sequence, not inside it. room counts the NUL. */
static void cut(char *msg, size_t room)
{
	size_t end = room - sizeof(ELLIPSIS);

	while (end > 0 && ((unsigned char)msg[end] & 0xc0) == 0x80)
		end--;
	memcpy(msg + end, ELLIPSIS, sizeof(ELLIPSIS));
}

/* A cgroup may have any name; a message stays one line and leaves the terminal alone. */
static void disarm(char *msg)
{
	for (; *msg; msg++)
		if ((unsigned char)*msg < 0x20 || *msg == 0x7f)
			*msg = '?';
}

int pp_err_set(struct pp_err *e, int code, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (!e)
		return code;
	va_start(ap, fmt);
	n = vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	if (n < 0)
		e->msg[0] = '\0';
	else if ((size_t)n >= sizeof(e->msg))
		cut(e->msg, sizeof(e->msg));
	disarm(e->msg);
	return code;
}

int pp_err_wrap(struct pp_err *e, int code, const char *fmt, ...)
{
	struct pp_err context = {};
	struct pp_err inner;
	va_list ap;

	if (!e)
		return code;
	inner = *e;
	va_start(ap, fmt);
	vsnprintf(context.msg, sizeof(context.msg), fmt, ap);
	va_end(ap);
	return pp_err_set(e, code, "%s: %s", context.msg,
			  inner.msg[0] ? inner.msg : strerror(-code));
}

const char *pp_err_escape(char *buf, size_t size, const char *s, size_t len)
{
	size_t at = 0; /* where the next byte goes */
	size_t fits = 0; /* the last place where "..." still has room */

	for (size_t i = 0; i < len; i++) {
		unsigned char c = s[i];
		bool plain = c >= 0x20 && c <= 0x7e && c != '"';
		size_t need = plain ? 1 : 4;

		if (at + sizeof(ELLIPSIS) <= size)
			fits = at;
		if (at + need >= size) {
			memcpy(buf + fits, ELLIPSIS, sizeof(ELLIPSIS));
			return buf;
		}
		if (plain)
			buf[at] = c;
		else
			snprintf(buf + at, size - at, "\\x%02x", c);
		at += need;
	}
	buf[at] = '\0';
	return buf;
}
