// SPDX-License-Identifier: Apache-2.0
// What a watch does after each answer that a server may give, and what it tells of it. The answers
// are those of API servers 1.20 to 1.36, and some that none should give.
#define _GNU_SOURCE
#include <signal.h>

#include "base/base.h"
#include "kube/watch_times.h"
#include "server.h"
#include "tap.h"

#define MS 1000000ull
#define META(name, uid, rv) "\"metadata\":{\"namespace\":\"a\",\"name\":\"" name "\",\"uid\":\"" uid \
	"\",\"resourceVersion\":\"" rv "\",\"managedFields\":[{\"manager\":\"m\"}]}"
#define EVENT(type, name, uid, rv) "{\"type\":\"" type "\",\"object\":{\"kind\":\"Pod\"," META(name, uid, rv) "}}\n"
#define MARK(rv) "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"resourceVersion\":\"" rv "\"}}}\n"
#define LIST_END(rv) "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"" rv \
	"\",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n"
#define STATUS(code, reason, message) "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"code\":" \
	code ",\"reason\":\"" reason "\",\"message\":\"" message "\"}"
#define ERROR(code, reason, message) "{\"type\":\"ERROR\",\"object\":" STATUS(code, reason, message) "}\n"
#define ITEM(name, uid, rv) "{" META(name, uid, rv) "}"
#define PAGE(rv, more, items) "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"" rv \
	"\",\"continue\":\"" more "\"},\"items\":[" items "]}"
#define STREAMED "GET /api/v1/pods?fieldSelector=x&watch=1 allowWatchBookmarks=true sendInitialEvents=true " \
	"resourceVersionMatch=NotOlderThan timeoutSeconds="
#define WATCH "GET watch=1 allowWatchBookmarks=true timeoutSeconds= "
#define REFUSED { STREAMED, NULL, 422, NULL, STATUS("422", "Invalid", "sendInitialEvents is forbidden"), END }
/* the last event of every script: the object that stops the test */
#define STOP EVENT("ADDED", "stop", "s", "999")
#define ONE EVENT("ADDED", "p", "u1", "5") LIST_END("10")

struct script {
	const char *name;
	const struct step steps[8];
	const char *told; /* in order, separated by | */
	unsigned int lists, restarts;
};

struct run {
	struct pp_loop *loop;
	char *told;
	size_t len;
	FILE *f;
};

static void on_put(json_t *object, void *arg)
{
	json_t *meta = json_object_get(object, "metadata");
	const char *name = json_string_value(json_object_get(meta, "name"));
	struct run *run = arg;

	if (strcmp(name, "stop") == 0) {
		pp_loop_stop(run->loop);
		return;
	}
	fprintf(run->f, "put %s %s %s%s|", name, json_string_value(json_object_get(meta, "uid")),
		json_string_value(json_object_get(meta, "resourceVersion")),
		json_object_get(meta, "managedFields") ? " managedFields!" : "");
}

static void on_gone(const char *ns, const char *name, const char *uid, void *arg)
{
	struct run *run = arg;

	fprintf(run->f, "gone %s/%s %s|", ns, name, uid);
}

static void on_synced(void *arg)
{
	struct run *run = arg;

	fprintf(run->f, "synced|");
}

static void on_failed(const char *why, void *arg)
{
	struct run *run = arg;
	const char *at = strstr(why, "http://127.0.0.1:");

	/* what differs from run to run and between versions of curl */
	if (at)
		why = strstr(why, ": ") ? "connection" : why;
	fprintf(run->f, "failed %s|", why);
}

static void on_late(void *arg)
{
	struct run *run = arg;

	fprintf(run->f, "LATE|");
	pp_loop_stop(run->loop);
}

static void follow(struct run *run, int port, struct pp_watch_stats *stats)
{
	static const struct pp_watch_ops ops = { on_put, on_gone, on_synced, on_failed };
	struct pp_watch_times times = pp_watch_times_default;
	struct pp_kube_config config = {};
	struct pp_source *late = NULL;
	struct pp_kube *k = NULL;
	struct pp_watch *w = NULL;
	struct pp_err e = { "" };

	times.backoff.min_ns = 2 * MS;
	times.backoff.max_ns = 8 * MS;
	times.silence_ns = 300 * MS;
	if (asprintf(&config.server, "http://127.0.0.1:%d", port) < 0 || pp_loop_new(&run->loop) ||
	    pp_source_timer(run->loop, on_late, run, &late) ||
	    pp_kube_new(run->loop, &config, "podpace/test", &k, &e) ||
	    pp_watch_new(k, "/api/v1/pods", "fieldSelector=x", &ops, run, &w))
		abort();
	pp_watch_set_times(w, &times);
	pp_source_arm(late, 8000 * MS);
	pp_loop_run(run->loop);
	pp_watch_stats(w, stats);
	pp_watch_free(w);
	pp_kube_free(k);
	pp_source_free(late);
	pp_loop_free(run->loop);
	pp_kube_config_close(&config);
}

static void play(const struct script *s)
{
	struct pp_watch_stats stats = {};
	struct server *server;
	struct run run = {};
	size_t n = 0, served;
	bool matched;

	while (n < ARRAY_SIZE(s->steps) && s->steps[n].expect)
		n++;
	run.f = open_memstream(&run.told, &run.len);
	server = server_start(s->steps, n);
	follow(&run, server_port(server), &stats);
	served = server_stop(server, &matched);
	fclose(run.f);
	is_str(run.told, s->told, "%s: what is told", s->name);
	ok(matched && served == n, "%s: what is asked for (%zu of %zu)", s->name, served, n);
	is_u64(stats.lists, s->lists, "%s: lists", s->name);
	is_u64(stats.restarts, s->restarts, "%s: restarts", s->name);
	ok(stats.synced && stats.connected, "%s: synced and connected", s->name);
	free(run.told);
}

static const struct script scripts[] = {
	{ "a streamed list, then events",
	  { { STREAMED, "resourceVersion=", 200, NULL,
	      EVENT("ADDED", "p", "u1", "5") EVENT("ADDED", "q", "u2", "3") LIST_END("10")
	      EVENT("MODIFIED", "p", "u1", "11") EVENT("DELETED", "q", "u2", "12") MARK("13") STOP, HOLD } },
	  "put p u1 5|put q u2 3|synced|put p u1 11|gone a/q u2|", 1, 0 },
	{ "an end: on from the last version, at once",
	  { { STREAMED, NULL, 200, NULL, ONE MARK("13"), END },
	    { WATCH "resourceVersion=13", "sendInitialEvents", 200, NULL, EVENT("MODIFIED", "p", "u1", "14"), END },
	    { WATCH "resourceVersion=14", NULL, 200, NULL, STOP, HOLD } },
	  "put p u1 5|synced|put p u1 14|", 1, 2 },
	{ "410 in the stream: a new list tells what has changed, and what is gone by its absence",
	  { { STREAMED, NULL, 200, NULL, EVENT("ADDED", "q", "u2", "4") EVENT("ADDED", "r", "u3", "4") ONE
	      ERROR("410", "Expired", "too old resource version: 10 (20)"), END },
	    { STREAMED " resourceVersion=10", NULL, 200, NULL,
	      EVENT("ADDED", "r", "u3", "15") EVENT("ADDED", "p", "u1", "5") LIST_END("30") STOP, HOLD } },
	  "put q u2 4|put r u3 4|put p u1 5|synced|put r u3 15|gone a/q u2|synced|", 2, 1 },
	{ "410 as the answer",
	  { { STREAMED, NULL, 200, NULL, ONE, END },
	    { WATCH "resourceVersion=10", NULL, 410, NULL, STATUS("410", "Expired", "too old"), END },
	    { STREAMED " resourceVersion=10", NULL, 200, NULL, LIST_END("30") STOP, HOLD } },
	  "put p u1 5|synced|gone a/p u1|synced|", 2, 2 },
	{ "deleted and made again under the same name",
	  { { STREAMED, NULL, 200, NULL, ONE EVENT("ADDED", "p", "u9", "11")
	      EVENT("DELETED", "p", "u1", "12") STOP, HOLD } },
	  "put p u1 5|synced|gone a/p u1|put p u9 11|", 1, 0 },
	{ "no streamed lists: pages, then a watch",
	  { REFUSED,
	    { "GET limit=500 resourceVersion=0", "watch=", 200, NULL, PAGE("20", "a+/=b", ITEM("p", "u1", "5")), END },
	    { "GET limit=500 continue=a%2B%2F%3Db", "watch=", 200, NULL, PAGE("20", "", ITEM("q", "u2", "6")), END },
	    { WATCH "resourceVersion=20", "sendInitialEvents", 200, NULL, EVENT("DELETED", "q", "u2", "21") STOP, HOLD } },
	  "put p u1 5|put q u2 6|synced|gone a/q u2|", 1, 1 },
	{ "410 between pages: all at once, and fresh",
	  { REFUSED,
	    { "GET limit=500 resourceVersion=0", NULL, 200, NULL, PAGE("20", "c", ITEM("p", "u1", "5")), END },
	    { "GET limit=500 continue=c", NULL, 410, NULL, STATUS("410", "Expired", "continue token"), END },
	    { "GET resourceVersion=", "limit", 200, NULL, PAGE("40", "", ITEM("q", "u2", "6")), END },
	    { WATCH "resourceVersion=40", NULL, 200, NULL, STOP, HOLD } },
	  "put p u1 5|put q u2 6|gone a/p u1|synced|", 1, 1 },
	{ "no streamed lists and 410 later: listed from the cache",
	  { REFUSED,
	    { "GET limit=500 resourceVersion=0", NULL, 200, NULL, PAGE("20", "", ITEM("p", "u1", "5")), END },
	    { WATCH "resourceVersion=20", NULL, 200, NULL, ERROR("410", "Expired", "too old"), END },
	    { "GET resourceVersion=20", "limit", 200, NULL, PAGE("40", "", ""), END },
	    { WATCH "resourceVersion=40", NULL, 200, NULL, STOP, HOLD } },
	  "put p u1 5|synced|gone a/p u1|synced|", 2, 2 },
	{ "429: later the same",
	  { { STREAMED, NULL, 429, "Retry-After: 1\r\n", STATUS("429", "TooManyRequests", "too many requests"), END },
	    { STREAMED, NULL, 200, NULL, ONE, END },
	    { WATCH "resourceVersion=10", NULL, 429, NULL, STATUS("429", "TooManyRequests", "too many requests"), END },
	    { WATCH "resourceVersion=10", NULL, 200, NULL, STOP, HOLD } },
	  "failed too many requests (HTTP 429 TooManyRequests)|put p u1 5|synced|"
	  "failed too many requests (HTTP 429 TooManyRequests)|", 1, 3 },
	{ "429 in the stream",
	  { { STREAMED, NULL, 200, NULL, ONE ERROR("429", "TooManyRequests", "storage is (re)initializing"), END },
	    { WATCH "resourceVersion=10", NULL, 200, NULL, STOP, HOLD } },
	  "put p u1 5|synced|failed storage is (re)initializing (429 TooManyRequests)|", 1, 1 },
	{ "500 in the stream: three times the same, then a list",
	  { { STREAMED, NULL, 200, NULL, ONE ERROR("500", "InternalError", "x"), END },
	    { WATCH "resourceVersion=10", NULL, 200, NULL, ERROR("500", "InternalError", "x"), END },
	    { WATCH "resourceVersion=10", NULL, 200, NULL, ERROR("500", "InternalError", "x"), END },
	    { STREAMED " resourceVersion=10", NULL, 200, NULL, ONE STOP, HOLD } },
	  "put p u1 5|synced|failed x (500 InternalError)|failed x (500 InternalError)|failed x (500 InternalError)|"
	  "synced|", 2, 3 },
	{ "a version from the future: a list without one",
	  { { STREAMED, NULL, 200, NULL, ONE ERROR("410", "Expired", "too old"), END },
	    { STREAMED " resourceVersion=10", NULL, 504, NULL,
	      "{\"kind\":\"Status\",\"code\":504,\"reason\":\"Timeout\",\"message\":\"Too large resource version: 10, "
	      "current: 7\",\"details\":{\"causes\":[{\"reason\":\"ResourceVersionTooLarge\"}]}}", END },
	    { STREAMED, "resourceVersion=", 200, NULL, LIST_END("7") STOP, HOLD } },
	  "put p u1 5|synced|failed Too large resource version: 10, current: 7 (HTTP 504 Timeout)|gone a/p u1|synced|", 2, 2 },
	{ "three times 500 for a streamed list: a plain one; the next is streamed again",
	  { { STREAMED, NULL, 500, NULL, STATUS("500", "InternalError", "x"), END },
	    { STREAMED, NULL, 500, NULL, STATUS("500", "InternalError", "x"), END },
	    { STREAMED, NULL, 500, NULL, "no JSON", END },
	    { "GET limit=500 resourceVersion=0", NULL, 200, NULL, PAGE("20", "", ITEM("p", "u1", "5")), END },
	    { WATCH "resourceVersion=20", NULL, 200, NULL, ERROR("410", "Expired", "too old"), END },
	    { STREAMED " resourceVersion=20", NULL, 200, NULL, EVENT("ADDED", "p", "u1", "5") LIST_END("30") STOP, HOLD } },
	  "failed x (HTTP 500 InternalError)|failed x (HTTP 500 InternalError)|failed HTTP 500|put p u1 5|synced|synced|", 2, 4 },
	{ "forbidden: the same again, without forgetting",
	  { { STREAMED, NULL, 200, NULL, ONE, END },
	    { WATCH "resourceVersion=10", NULL, 403, NULL, STATUS("403", "Forbidden", "pods is forbidden"), END },
	    { WATCH "resourceVersion=10", NULL, 200, NULL, STOP, HOLD } },
	  "put p u1 5|synced|failed pods is forbidden (HTTP 403 Forbidden)|", 1, 2 },
	{ "cut in the list: nothing is gone, the list begins anew",
	  { { STREAMED, NULL, 200, NULL, EVENT("ADDED", "p", "u1", "5") EVENT("ADDED", "q", "u2", "5"), CUT },
	    { STREAMED, "resourceVersion=", 200, NULL, ONE STOP, HOLD } },
	  "put p u1 5|put q u2 5|failed connection|gone a/q u2|synced|", 1, 1 },
	{ "cut inside an event",
	  { { STREAMED, NULL, 200, NULL, ONE "{\"type\":\"DELETED\",\"object\":{\"metadata\":{\"na", CUT },
	    { WATCH "resourceVersion=10", NULL, 200, NULL, "{\"type\":\"DEL", END },
	    { WATCH "resourceVersion=10", NULL, 200, NULL, EVENT("DELETED", "p", "u1", "11") STOP, HOLD } },
	  "put p u1 5|synced|failed connection|failed the stream was cut inside an event|gone a/p u1|", 1, 2 },
	{ "silence: the connection is given up",
	  { { STREAMED, NULL, 200, NULL, ONE, HOLD },
	    { WATCH "resourceVersion=10", NULL, 200, NULL, STOP, HOLD } },
	  "put p u1 5|synced|failed neither event nor bookmark for 0.3 s|", 1, 1 },
	{ "watches that end at once and bring nothing: after three of them a list",
	  { { STREAMED, NULL, 200, NULL, ONE, END },
	    { WATCH "resourceVersion=10", NULL, 200, NULL, "", END },
	    { WATCH "resourceVersion=10", NULL, 200, NULL, "", END },
	    { WATCH "resourceVersion=10", NULL, 200, NULL, "", END },
	    { STREAMED " resourceVersion=10", NULL, 200, NULL, ONE STOP, HOLD } },
	  "put p u1 5|synced|failed a watch that ended at once and brought nothing|failed a watch that ended at once and "
	  "brought nothing|failed a watch that ended at once and brought nothing|synced|", 2, 4 },
	{ "lines that are no events: a new list",
	  { { STREAMED, NULL, 200, NULL, ONE "what\n" EVENT("DELETED", "p", "u1", "11"), END },
	    { STREAMED, "resourceVersion=", 200, NULL, ONE "{\"type\":\"RENAMED\",\"object\":{}}\n", END },
	    { STREAMED, "resourceVersion=", 200, NULL, ONE "{\"object\":{}}\n", END },
	    { STREAMED, "resourceVersion=", 200, NULL, ONE "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":1}}}\n", END },
	    { STREAMED, "resourceVersion=", 200, NULL, ONE STOP, HOLD } },
	  "put p u1 5|synced|failed not JSON: '[' or '{' expected near 'what' at byte 4|synced|"
	  "failed an event of the unknown type \"RENAMED\"|synced|failed an event without a type|synced|"
	  "failed an object whose metadata.name is no text|synced|", 5, 4 },
	{ "a list that is none",
	  { REFUSED,
	    { "GET limit=500 resourceVersion=0", NULL, 200, NULL, "[]", END },
	    { "GET limit=500 resourceVersion=0", NULL, 200, NULL, "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[7]}", END },
	    { "GET limit=500 resourceVersion=0", NULL, 200, NULL, "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":null}", END },
	    { WATCH "resourceVersion=1", NULL, 200, NULL, STOP, HOLD } },
	  "failed a list without items or resourceVersion|failed an object whose metadata is no text|synced|", 1, 1 },
};

/* 5 MiB before the line ends. */
static void play_long_line(void)
{
	static char body[5 << 20];
	const struct script s = {
		"a line longer than 4 MiB",
		{ { STREAMED, NULL, 200, NULL, ONE, END },
		  { WATCH "resourceVersion=10", NULL, 200, NULL, body, END },
		  { STREAMED, "resourceVersion=", 200, NULL, ONE STOP, HOLD } },
		"put p u1 5|synced|failed an event longer than 4 MiB|synced|", 2, 2,
	};

	memset(body, 'x', sizeof(body) - 1);
	play(&s);
}

int main(void)
{
	setenv("NO_PROXY", "*", 1);
	signal(SIGPIPE, SIG_IGN); /* the server's, too: the client hangs up on it */
	play_long_line();
	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++)
		play(&scripts[i]);
	return done_testing();
}
