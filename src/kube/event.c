// SPDX-License-Identifier: Apache-2.0
// Nothing the server sends is trusted to have the type it should have.

#include "base/base.h"
#include "kube/event.h"

#define FIRST_SIZE 4096

static int keep(struct pp_lines *l, const char *data, size_t len)
{
	size_t size = l->size ?: FIRST_SIZE;
	char *more;

	if (l->len + len > PP_LINE_MAX)
		return -EMSGSIZE;
	while (size < l->len + len)
		size *= 2;
	if (size != l->size) {
		more = realloc(l->buf, size);
		if (!more)
			return -ENOMEM;
		l->buf = more;
		l->size = size;
	}
	memcpy(l->buf + l->len, data, len);
	l->len += len;
	return 0;
}

static bool blank(const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
			return false;
	return true;
}

int pp_lines_feed(struct pp_lines *l, const char *data, size_t len,
		  int (*fn)(const char *line, size_t len, void *arg), void *arg)
{
	const char *end;
	int r;

	while (len && (end = memchr(data, '\n', len))) {
		const char *line = data;
		size_t n = end - data;

		if (l->len) {
			r = keep(l, data, n);
			if (r)
				return r;
			line = l->buf;
			n = l->len;
			l->len = 0;
		}
		if (n > PP_LINE_MAX)
			return -EMSGSIZE;
		r = blank(line, n) ? 0 : fn(line, n, arg);
		if (r)
			return r;
		len -= end + 1 - data;
		data = end + 1;
	}
	return len ? keep(l, data, len) : 0;
}

void pp_lines_close(struct pp_lines *l)
{
	free(l->buf);
	*l = (struct pp_lines){};
}

json_t *pp_json_read(const char *text, size_t len, struct pp_err *e)
{
	json_error_t error;
	json_t *json = json_loadb(text, len, JSON_ALLOW_NUL, &error);

	if (!json && json_error_code(&error) == json_error_numeric_overflow)
		json = json_loadb(text, len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
	if (!json)
		pp_err_set(e, -EBADMSG, "not JSON: %s at byte %d", error.text, error.position);
	return json;
}

/* A string that is not empty, or NULL. */
static const char *text_of(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s && *s ? s : NULL;
}

int pp_object_read(json_t *object, struct pp_object_id *ret, struct pp_err *e)
{
	json_t *meta = json_object_get(object, "metadata");
	json_t *ns = json_object_get(meta, "namespace");
	struct pp_object_id id = {
		.ns = ns ? json_string_value(ns) : "",
		.name = text_of(meta, "name"),
		.uid = text_of(meta, "uid"),
		.version = text_of(meta, "resourceVersion"),
	};

	if (!id.ns || !id.name || !id.uid || !id.version)
		return pp_err_set(e, -EBADMSG, "an object whose metadata%s%s is no text",
				  json_is_object(meta) ? "." : "",
				  !json_is_object(meta) ? ""
				  : !id.name		? "name"
				  : !id.uid		? "uid"
				  : !id.version		? "resourceVersion"
							: "namespace");
	json_object_del(meta, "managedFields");
	*ret = id;
	return 0;
}

static int read_bookmark(struct pp_event *event, struct pp_err *e)
{
	json_t *meta = json_object_get(event->object, "metadata");
	const char *ends = text_of(json_object_get(meta, "annotations"),
				   "k8s.io/initial-events-end");

	event->id.version = text_of(meta, "resourceVersion");
	if (!event->id.version)
		return pp_err_set(e, -EBADMSG, "a bookmark without a resourceVersion");
	event->list_ends = ends && strcmp(ends, "true") == 0;
	return 0;
}

static int read_type(const json_t *root, enum pp_event_type *ret, struct pp_err *e)
{
	static const char *const names[] = {
		[PP_EVENT_ADDED] = "ADDED",	  [PP_EVENT_MODIFIED] = "MODIFIED",
		[PP_EVENT_DELETED] = "DELETED",	  [PP_EVENT_BOOKMARK] = "BOOKMARK",
		[PP_EVENT_ERROR] = "ERROR",
	};
	const char *type = text_of(root, "type");
	char shown[64];

	if (!type)
		return pp_err_set(e, -EBADMSG, "an event without a type");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(type, names[i]) == 0) {
			*ret = i;
			return 0;
		}
	pp_err_escape(shown, sizeof(shown), type, strlen(type));
	return pp_err_set(e, -EBADMSG, "an event of the unknown type \"%s\"", shown);
}

int pp_event_parse(const char *line, size_t len, struct pp_event *ret, struct pp_err *e)
{
	json_t *root = pp_json_read(line, len, e);
	struct pp_event event = {};
	int r;

	if (!root)
		return -EBADMSG;
	r = read_type(root, &event.type, e);
	if (r)
		goto out;
	event.object = json_incref(json_object_get(root, "object"));
	if (!json_is_object(event.object))
		r = pp_err_set(e, -EBADMSG, "an event without an object");
	else if (event.type == PP_EVENT_BOOKMARK)
		r = read_bookmark(&event, e);
	else if (event.type != PP_EVENT_ERROR)
		r = pp_object_read(event.object, &event.id, e);
out:
	json_decref(root);
	if (r)
		pp_event_close(&event);
	else
		*ret = event;
	return r;
}

void pp_event_close(struct pp_event *event)
{
	json_decref(event->object);
	*event = (struct pp_event){};
}

/* Older servers say it in the message alone (apimachinery, IsTooLargeResourceVersion). */
static bool too_large(const json_t *body)
{
	const json_t *causes = json_object_get(json_object_get(body, "details"), "causes");
	const char *message = text_of(body, "message");

	for (size_t i = 0; i < json_array_size(causes); i++) {
		const char *reason = text_of(json_array_get(causes, i), "reason");

		if (reason && strcmp(reason, "ResourceVersionTooLarge") == 0)
			return true;
	}
	return message && strstr(message, "Too large resource version");
}

static json_int_t code_of(const json_t *body, int http)
{
	return http ?: json_integer_value(json_object_get(body, "code"));
}

enum pp_status pp_status_read(const json_t *body, int http)
{
	const char *reason = text_of(body, "reason") ?: "";

	if (too_large(body))
		return PP_STATUS_TOO_LARGE;
	if (strcmp(reason, "Expired") == 0 || strcmp(reason, "Gone") == 0)
		return PP_STATUS_EXPIRED;
	switch (code_of(body, http)) {
	case 410:
		return PP_STATUS_EXPIRED;
	case 429:
	case 503:
		return PP_STATUS_BUSY;
	case 500:
	case 502:
	case 504:
		return PP_STATUS_FAULT;
	case 400:
	case 405:
	case 406:
	case 415:
	case 422:
	case 501:
		return PP_STATUS_REFUSED;
	case 404:
		return PP_STATUS_MISSING;
	}
	return PP_STATUS_OTHER;
}

void pp_status_describe(const json_t *body, int http, struct pp_err *ret)
{
	const char *message = text_of(body, "message"), *reason = text_of(body, "reason");
	json_int_t code = code_of(body, http);
	char label[80];

	snprintf(label, sizeof(label), "%s%.0lld%s%s", http ? "HTTP " : "", (long long)code,
		 code && reason ? " " : "", reason ?: "");
	if (!message)
		pp_err_set(ret, 0, "%s", label[0] ? label : "a Status that says nothing");
	else if (label[0])
		/* the code must survive a message that has to be cut */
		pp_err_set(ret, 0, "%.180s%s (%s)", message, strlen(message) > 180 ? "..." : "",
			   label);
	else
		pp_err_set(ret, 0, "%s", message);
}
