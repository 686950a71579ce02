// SPDX-License-Identifier: Apache-2.0
// What comes down a watch: bytes to lines, lines to events, and what a Status asks for. No I/O.
// The format is that of "Efficient detection of changes" in Kubernetes' API concepts.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* An object takes at most 1.5 MiB in etcd; no event is longer than this. */
#define PP_LINE_MAX (4u << 20)

/* The beginning of a line whose end has not come yet. Zeroed is empty. */
struct pp_lines {
	char *buf;
	size_t len, size;
};

/*
 * Calls fn for each whole line, without its end; lines of white space are dropped. Stops with what
 * fn returned, if that was not 0. 0, -EMSGSIZE after a line longer than PP_LINE_MAX, or -ENOMEM;
 * after any of them nothing more may be fed before a close.
 */
int pp_lines_feed(struct pp_lines *l, const char *data, size_t len,
		  int (*fn)(const char *line, size_t len, void *arg), void *arg);
void pp_lines_close(struct pp_lines *l);

enum pp_event_type {
	PP_EVENT_ADDED,
	PP_EVENT_MODIFIED,
	PP_EVENT_DELETED,
	PP_EVENT_BOOKMARK,
	PP_EVENT_ERROR,
};

/* What every object has, borrowed from it. ns is "" for those that are in no namespace. */
struct pp_object_id {
	const char *ns, *name, *uid, *version;
};

struct pp_event {
	enum pp_event_type type;
	json_t *object;		/* owned; without metadata.managedFields */
	struct pp_object_id id; /* of a bookmark only version, of an ERROR nothing */
	bool list_ends;		/* the bookmark after the initial objects */
};

/* 0, -EBADMSG with a message, or -ENOMEM. */
int pp_event_parse(const char *line, size_t len, struct pp_event *ret, struct pp_err *e);
void pp_event_close(struct pp_event *event);

/*
 * Reads JSON as API servers write it. NUL in strings is allowed, and if one integer does not fit in
 * 64 bits all are read as reals: anyone who may write an annotation or a custom resource could stop
 * us otherwise. NULL if it is none, with a message.
 */
json_t *pp_json_read(const char *text, size_t len, struct pp_err *e);

/* Reads an object's identity and drops its managedFields. 0, or -EBADMSG with a message. */
int pp_object_read(json_t *object, struct pp_object_id *ret, struct pp_err *e);

enum pp_status {
	PP_STATUS_OTHER,
	PP_STATUS_EXPIRED,   /* the version is too old: list again */
	PP_STATUS_TOO_LARGE, /* the version is from the future: list again without one */
	PP_STATUS_BUSY,	     /* 429, 503: the same again, later */
	PP_STATUS_FAULT,     /* 500, 502, 504: the same again, a few times */
	PP_STATUS_REFUSED,   /* 400, 405, 406, 415, 422, 501: the server does not do this */
	PP_STATUS_MISSING,   /* 404 */
};

/* http: the status of the answer, 0 for a Status that came in a stream. body may be NULL. */
enum pp_status pp_status_read(const json_t *body, int http);

/* "the Status' message (410 Expired)", as far as it has these. http as above. */
void pp_status_describe(const json_t *body, int http, struct pp_err *ret);
