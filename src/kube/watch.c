// SPDX-License-Identifier: Apache-2.0
// Lists, then watches, then deals with every way in which that ends. What the stream asks for is
// noted in `step` and `pause` while it is read; one place, reopen(), acts on it.
#define _GNU_SOURCE
#include <inttypes.h>

#include "base/base.h"
#include "kube/call.h"
#include "kube/query.h"
#include "kube/store.h"
#include "kube/watch.h"
#include "kube/watch_times.h"

#define NS_PER_S 1000000000ull
#define PAGE 500
#define STREAM_MIN_S 300 /* the server ends a stream after this, or up to twice as much */
#define LIST_NS (60 * NS_PER_S)
#define TRIES_STREAMED 3 /* streamed lists that failed before the plain one is tried */
#define TRIES_SAME 3 /* watches from one version that brought nothing before a new list is made */

const struct pp_watch_times pp_watch_times_default = {
	/* as client-go's reflector */
	.backoff = {
		.min_ns = 800000000,
		.max_ns = 30 * NS_PER_S,
		.reset_ns = 120 * NS_PER_S,
	},
	.short_ns = NS_PER_S,
	.silence_ns = 180 * NS_PER_S,
};

enum step {
	STREAMED_LIST, /* objects, then the bookmark that ends the list, then as WATCH */
	PLAIN_LIST,
	WATCH,
};

struct pp_watch {
	struct pp_kube *kube;
	char *path, *query;
	const struct pp_watch_ops *ops;
	void *arg;
	struct pp_watch_times times;
	struct pp_watch_stats stats;
	struct pp_store store;

	struct pp_call *call;
	struct pp_source *timer; /* until the next call; while there is one, until it is silent */
	struct pp_lines lines;
	enum step step; /* of the call, or the next */
	bool plain;	/* the next list is not streamed: the server refuses, */
	bool doubt;	/* or fails to do it, and may succeed next time */
	char *version;	/* of the last event or list; NULL: none, or it is of no use any more */
	bool fresh;	/* the next list is not to come from the server's cache */
	char *more;	/* "continue" of the last page */
	bool whole;	/* pages have expired while being read: ask for one */

	bool streamed;	/* there was a stream before */
	bool pause;	/* not at once, but after a backoff */
	int failures;	/* in a row, of this step */
	uint64_t opened, heard; /* pp_loop_now() */
	uint64_t events_before; /* stats.events when the call began */
};

static void reopen(struct pp_watch *w, uint64_t at_least_ns);

static void fail(struct pp_watch *w, const char *why)
{
	w->pause = true;
	w->failures++;
	if (w->ops->failed)
		w->ops->failed(why, w->arg);
}

static void relist(struct pp_watch *w)
{
	w->step = w->plain ? PLAIN_LIST : STREAMED_LIST;
	w->failures = 0;
	free(TAKE_PTR(w->more));
}

static void forget_version(struct pp_watch *w)
{
	free(TAKE_PTR(w->version));
	w->fresh = true;
}

static int set_text(char **to, const char *from)
{
	char *copy = strdup(from);

	if (!copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

static void on_gone(const char *ns, const char *name, const char *uid, void *arg)
{
	struct pp_watch *w = arg;

	if (w->ops->gone)
		w->ops->gone(ns, name, uid, w->arg);
}

static int put(struct pp_watch *w, json_t *object, const struct pp_object_id *id)
{
	enum pp_change change;
	int r = pp_store_put(&w->store, id, on_gone, w, &change);

	if (!r && change != PP_SAME && w->ops->put)
		w->ops->put(object, w->arg);
	return r;
}

static int end_list(struct pp_watch *w, const char *version)
{
	int r = set_text(&w->version, version);

	if (r)
		return r;
	w->step = WATCH;
	w->failures = 0;
	w->whole = w->fresh = false;
	w->plain = w->plain && !w->doubt;
	pp_store_end(&w->store, on_gone, w);
	w->stats.synced = true;
	w->stats.refused = 0;
	w->stats.lists++;
	if (w->ops->synced)
		w->ops->synced(w->arg);
	return 0;
}

/* Where to go on after a Status that is no success. http: 0 if it came in a stream. */
static void obey(struct pp_watch *w, const json_t *status, int http)
{
	enum pp_status what = pp_status_read(status, http);
	struct pp_err why = { "" };

	pp_status_describe(status, http, &why);
	if (http)
		w->stats.refused = http;
	switch (what) {
	case PP_STATUS_EXPIRED:
		/* happens to any watch: no failure, but not at full speed for ever either */
		if (w->step == WATCH) {
			relist(w);
			w->pause = w->stats.events == w->events_before;
			return;
		}
		/* a list whose pages have expired, or of a version the server has no more */
		w->whole = w->more;
		free(TAKE_PTR(w->more));
		forget_version(w);
		w->pause = true;
		return;
	case PP_STATUS_TOO_LARGE:
		forget_version(w);
		fail(w, why.msg);
		if (w->step == WATCH)
			relist(w);
		return;
	case PP_STATUS_REFUSED:
		if (w->step == STREAMED_LIST) {
			w->plain = true;
			relist(w);
			return;
		}
		__attribute__((fallthrough));
	case PP_STATUS_MISSING:
	case PP_STATUS_OTHER:
		fail(w, why.msg);
		if (w->step == WATCH && http != 401 && http != 403)
			relist(w);
		return;
	case PP_STATUS_BUSY:
		fail(w, why.msg);
		w->failures--; /* it did not try */
		return;
	case PP_STATUS_FAULT:
		fail(w, why.msg);
	}
}

/* Not 0: the stream is of no more use. */
static int take_line(const char *line, size_t len, void *arg)
{
	_cleanup_(pp_event_close) struct pp_event event = {};
	struct pp_watch *w = arg;
	struct pp_err e = { "" };
	int r = pp_event_parse(line, len, &event, &e);

	if (r) {
		/* from the same version the same line would come again */
		fail(w, e.msg);
		relist(w);
		forget_version(w);
		return r;
	}
	if (event.type == PP_EVENT_ERROR) {
		obey(w, event.object, 0);
		return -EBADMSG;
	}
	w->stats.events++;
	if (event.type == PP_EVENT_DELETED)
		r = pp_store_delete(&w->store, &event.id, on_gone, w);
	else if (event.type != PP_EVENT_BOOKMARK)
		r = put(w, event.object, &event.id);
	else if (event.list_ends && w->step == STREAMED_LIST)
		r = end_list(w, event.id.version);
	/* objects of a list come in no order: their versions are not where the watch is */
	if (!r && w->step == WATCH) {
		w->failures = 0;
		r = set_text(&w->version, event.id.version);
	}
	if (r) {
		fail(w, "out of memory");
		relist(w);
	}
	return r;
}

/* After too many failures in a row something else is tried. */
static void despair(struct pp_watch *w)
{
	if (w->step == STREAMED_LIST && w->failures >= TRIES_STREAMED) {
		w->plain = w->doubt = true;
		relist(w);
	} else if (w->step == WATCH && w->failures >= TRIES_SAME) {
		relist(w);
	}
}

static void on_data(const char *data, size_t len, void *arg)
{
	struct pp_watch *w = arg;
	int r;

	w->heard = pp_loop_now();
	r = pp_lines_feed(&w->lines, data, len, take_line, w);
	if (!r)
		return;
	if (r == -EMSGSIZE) {
		fail(w, "an event longer than 4 MiB");
		relist(w);
		forget_version(w);
	}
	pp_call_free(TAKE_PTR(w->call));
	despair(w);
	reopen(w, 0);
}

static void on_stream_end(const struct pp_kube_answer *a, uint64_t retry_after_ns, void *arg)
{
	struct pp_watch *w = arg;
	bool any = w->stats.events != w->events_before;

	w->call = NULL;
	if (a->error) {
		fail(w, a->why);
		/* a server that is away has not refused anything */
		if (!any)
			w->failures = 0;
	} else if (a->status != 200) {
		obey(w, a->body, a->status);
	} else if (w->lines.len) {
		fail(w, "the stream was cut inside an event");
	} else if (w->step == STREAMED_LIST) {
		fail(w, "the stream ended before the list did");
	} else if (!any && pp_loop_now() - w->opened < w->times.short_ns) {
		fail(w, "a watch that ended at once and brought nothing");
	}
	despair(w);
	reopen(w, retry_after_ns);
}

/* Items of a list have metadata as other objects do. */
static int take_page(struct pp_watch *w, json_t *body, struct pp_err *e)
{
	json_t *meta = json_object_get(body, "metadata"), *items = json_object_get(body, "items");
	const char *version = json_string_value(json_object_get(meta, "resourceVersion"));
	const char *more = json_string_value(json_object_get(meta, "continue"));
	struct pp_object_id id;
	json_t *item;
	size_t i;
	int r;

	if (!version || !*version || (!json_is_array(items) && !json_is_null(items)))
		return pp_err_set(e, -EBADMSG, "a list without items or resourceVersion");
	json_array_foreach(items, i, item)
	{
		r = pp_object_read(item, &id, e);
		if (!r)
			r = put(w, item, &id);
		if (r)
			return r;
		w->stats.events++;
	}
	if (more && *more)
		return set_text(&w->more, more);
	free(TAKE_PTR(w->more));
	return end_list(w, version);
}

static void on_page(const struct pp_kube_answer *a, uint64_t retry_after_ns, void *arg)
{
	struct pp_watch *w = arg;
	struct pp_err e = { "" };
	int r;

	w->call = NULL;
	if (a->error) {
		fail(w, a->why);
	} else if (a->status != 200) {
		obey(w, a->body, a->status);
	} else {
		r = take_page(w, a->body, &e);
		if (r) {
			fail(w, e.msg[0] ? e.msg : strerror(-r));
			relist(w);
		}
	}
	reopen(w, retry_after_ns);
}

/* What follows path and the caller's query. NULL: out of memory. */
static char *make_query(const struct pp_watch *w)
{
	_cleanup_free_ char *more = pp_query_escape(w->more ?: "");
	_cleanup_free_ char *version = pp_query_escape(w->version ?: "");
	const char *at = w->version ? "&resourceVersion=" : "";
	uint64_t timeout = STREAM_MIN_S + pp_backoff_random(STREAM_MIN_S);
	char *out = NULL;
	int r;

	if (!more || !version)
		return NULL;
	if (w->step == STREAMED_LIST)
		r = asprintf(&out,
			     "watch=1&allowWatchBookmarks=true&sendInitialEvents=true"
			     "&resourceVersionMatch=NotOlderThan&timeoutSeconds=%" PRIu64 "%s%s",
			     timeout, at, version);
	else if (w->step == WATCH)
		r = asprintf(&out,
			     "watch=1&allowWatchBookmarks=true&timeoutSeconds=%" PRIu64 "%s%s",
			     timeout, at, version);
	else if (w->more)
		r = asprintf(&out, "limit=%d&continue=%s", PAGE, more);
	else if (w->version) /* without a limit, so that the server's cache answers */
		r = asprintf(&out, "resourceVersion=%s", version);
	else if (!w->fresh)
		r = asprintf(&out, "limit=%d&resourceVersion=0", PAGE);
	else if (w->whole)
		r = asprintf(&out, "resourceVersion=");
	else
		r = asprintf(&out, "limit=%d", PAGE);
	return r < 0 ? NULL : out;
}

static int open_call(struct pp_watch *w)
{
	_cleanup_free_ char *query = make_query(w), *path = NULL;
	struct pp_call_spec spec = { .method = "GET", .arg = w };

	if (!query || asprintf(&path, "%s?%s%s%s", w->path, w->query, *w->query ? "&" : "",
			       query) < 0)
		return -ENOMEM;
	spec.path = path;
	if (w->step == PLAIN_LIST) {
		spec.done = on_page;
		spec.timeout_ns = LIST_NS;
	} else {
		spec.data = on_data;
		spec.done = on_stream_end;
	}
	return pp_call_new(w->kube, &spec, &w->call);
}

static void open_step(struct pp_watch *w)
{
	if (w->step != WATCH && !w->more)
		pp_store_begin(&w->store);
	w->pause = false;
	w->opened = w->heard = pp_loop_now();
	w->events_before = w->stats.events;
	if (open_call(w)) {
		fail(w, "out of memory");
		reopen(w, 0);
		return;
	}
	if (w->step == PLAIN_LIST)
		return;
	w->stats.restarts += w->streamed;
	w->streamed = true;
	pp_source_arm(w->timer, w->times.silence_ns);
}

/* There is no call: there will be one, at once or after a pause. */
static void reopen(struct pp_watch *w, uint64_t at_least_ns)
{
	uint64_t delay = w->pause ? pp_backoff_next(&w->times.backoff, pp_loop_now()) : 0;

	pp_lines_close(&w->lines);
	pp_source_arm(w->timer, delay > at_least_ns ? delay : at_least_ns);
}

static void silent(struct pp_watch *w)
{
	char why[80];

	snprintf(why, sizeof(why), "neither event nor bookmark for %g s",
		 (double)w->times.silence_ns / NS_PER_S);
	fail(w, why);
	pp_call_free(TAKE_PTR(w->call));
	/* others that share the connection have heard from the server: then it is not dead */
	if (pp_loop_now() - pp_kube_last_heard(w->kube) >= w->times.silence_ns)
		pp_kube_reconnect(w->kube);
	despair(w);
	reopen(w, 0);
}

static void on_timer(void *arg)
{
	struct pp_watch *w = arg;
	uint64_t quiet = pp_loop_now() - w->heard;

	if (!w->call)
		open_step(w);
	else if (w->step == PLAIN_LIST)
		return;
	else if (quiet < w->times.silence_ns)
		pp_source_arm(w->timer, w->times.silence_ns - quiet);
	else
		silent(w);
}

int pp_watch_new(struct pp_kube *k, const char *path, const char *query,
		 const struct pp_watch_ops *ops, void *arg, struct pp_watch **ret)
{
	struct pp_watch *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->kube = k;
	w->ops = ops;
	w->arg = arg;
	w->times = pp_watch_times_default;
	w->path = strdup(path);
	w->query = strdup(query ?: "");
	r = w->path && w->query ? pp_source_timer(pp_kube_loop(k), on_timer, w, &w->timer)
				: -ENOMEM;
	if (r) {
		pp_watch_free(w);
		return r;
	}
	pp_source_arm(w->timer, 0);
	*ret = w;
	return 0;
}

void pp_watch_set_times(struct pp_watch *w, const struct pp_watch_times *times)
{
	w->times = *times;
}

void pp_watch_free(struct pp_watch *w)
{
	if (!w)
		return;
	pp_call_free(w->call);
	pp_source_free(w->timer);
	pp_lines_close(&w->lines);
	pp_store_close(&w->store);
	free(w->path);
	free(w->query);
	free(w->version);
	free(w->more);
	free(w);
}

void pp_watch_stats(const struct pp_watch *w, struct pp_watch_stats *ret)
{
	*ret = w->stats;
	ret->connected = w->call && w->step != PLAIN_LIST && pp_call_status(w->call) == 200;
}
