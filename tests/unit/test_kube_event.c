// SPDX-License-Identifier: Apache-2.0
// Lines, events and Statuses: as servers write them, and as none should.
#define _GNU_SOURCE
#include "base/base.h"
#include "kube/backoff.h"
#include "kube/event.h"
#include "kube/query.h"
#include "kube/store.h"
#include "tap.h"

#define META "\"metadata\":{\"namespace\":\"n\",\"name\":\"p\",\"uid\":\"u\",\"resourceVersion\":\"7\""

static int collect(const char *line, size_t len, void *arg)
{
	FILE *f = arg;

	fprintf(f, "<%.*s>", (int)len, line);
	return len == 4 && memcmp(line, "stop", 4) == 0 ? -EBADMSG : 0;
}

/* The text fed in pieces of n bytes. */
static char *split(const char *text, size_t n, int *ret)
{
	struct pp_lines l = {};
	char *out = NULL;
	size_t size, len = strlen(text);
	FILE *f = open_memstream(&out, &size);

	*ret = 0;
	for (size_t at = 0; at < len && !*ret; at += n)
		*ret = pp_lines_feed(&l, text + at, len - at < n ? len - at : n, collect, f);
	fprintf(f, "%zu", l.len);
	fclose(f);
	pp_lines_close(&l);
	return out;
}

static void test_lines(void)
{
	for (size_t n = 1; n < 20; n++) {
		int r;
		_cleanup_free_ char *a = split("one\n\n \r\ntwo two\r\nthree", n, &r);

		is_str(a, "<one><two two\r>5", "lines from pieces of %zu", n);
	}
	for (size_t n = 1; n < 12; n += 5) {
		int r;
		_cleanup_free_ char *a = split("a\nstop\nb\n", n, &r);

		is_u64(-r, EBADMSG, "stops in pieces of %zu", n);
		is_str(a, "<a><stop>0", "and reads no further");
	}
}

static int ignore(const char *line, size_t len, void *arg)
{
	(void)line;
	*(size_t *)arg = len;
	return 0;
}

static void test_long_lines(void)
{
	size_t size = PP_LINE_MAX + 2, seen = 0;
	struct pp_lines l = {};
	char *big = malloc(size);
	int r = 0;

	memset(big, 'x', size);
	big[PP_LINE_MAX] = '\n';
	is_u64(-pp_lines_feed(&l, big, PP_LINE_MAX + 1, ignore, &seen), 0, "4 MiB at once");
	is_u64(seen, PP_LINE_MAX, "are one line");
	for (size_t at = 0; at < PP_LINE_MAX + 1 && !r; at += 65536)
		r = pp_lines_feed(&l, big + at, at == PP_LINE_MAX ? 1 : 65536, ignore, &seen);
	is_u64(-r, 0, "4 MiB in pieces");
	big[PP_LINE_MAX] = 'x';
	is_u64(-pp_lines_feed(&l, big, PP_LINE_MAX, ignore, &seen), 0, "4 MiB without an end");
	is_u64(-pp_lines_feed(&l, "x", 1, ignore, &seen), EMSGSIZE, "and one byte more");
	pp_lines_close(&l);
	big[PP_LINE_MAX + 1] = '\n';
	is_u64(-pp_lines_feed(&l, big, size, ignore, &seen), EMSGSIZE, "a longer line at once");
	pp_lines_close(&l);
	free(big);
}

static void test_good_events(void)
{
	static const struct {
		const char *line;
		enum pp_event_type type;
		const char *ns, *name;
		bool ends;
	} cases[] = {
		{ "{\"type\":\"ADDED\",\"object\":{" META "}}}", PP_EVENT_ADDED, "n", "p", false },
		{ "{\"type\":\"MODIFIED\",\"object\":{" META ",\"managedFields\":[1]},\"x\":1}}",
		  PP_EVENT_MODIFIED, "n", "p", false },
		{ "{\"object\":{\"metadata\":{\"name\":\"c\",\"uid\":\"u\",\"resourceVersion\":\"7\"}},"
		  "\"type\":\"DELETED\"}", PP_EVENT_DELETED, "", "c", false },
		{ "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"7\"}}}",
		  PP_EVENT_BOOKMARK, NULL, NULL, false },
		{ "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"7\",\"annotations\":"
		  "{\"k8s.io/initial-events-end\":\"true\"}}}}", PP_EVENT_BOOKMARK, NULL, NULL, true },
		/* anyone may write such into an annotation or a custom resource */
		{ "{\"type\":\"ADDED\",\"object\":{" META ",\"annotations\":{\"a\":\"\\u0000\"}}}}",
		  PP_EVENT_ADDED, "n", "p", false },
		{ "{\"type\":\"ADDED\",\"object\":{" META "},\"spec\":{\"n\":100000000000000000000}}}",
		  PP_EVENT_ADDED, "n", "p", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pp_event event = {};
		struct pp_err e = { "" };
		int r = pp_event_parse(cases[i].line, strlen(cases[i].line), &event, &e);

		if (!ok(!r, "event %zu is read", i)) {
			printf("# %s\n", e.msg);
			continue;
		}
		is_u64(event.type, cases[i].type, "event %zu: its type", i);
		is_str(event.id.version, "7", "event %zu: its version", i);
		if (cases[i].name) {
			is_str(event.id.name, cases[i].name, "event %zu: its name", i);
			is_str(event.id.ns, cases[i].ns, "event %zu: its namespace", i);
			is_str(event.id.uid, "u", "event %zu: its uid", i);
		}
		is_u64(event.list_ends, cases[i].ends, "event %zu: whether the list ends", i);
		ok(!json_object_get(json_object_get(event.object, "metadata"), "managedFields"),
		   "event %zu: no managedFields", i);
		pp_event_close(&event);
	}
}

static void test_bad_events(void)
{
	static const struct {
		const char *line, *msg;
	} cases[] = {
		{ "", "not JSON: '[' or '{' expected near end of file at byte 0" },
		{ "{\"type\":\"ADDED\"", "not JSON: '}' expected near end of file at byte 15" },
		{ "[]", "an event without a type" },
		{ "{\"type\":7}", "an event without a type" },
		{ "{\"type\":\"\"}", "an event without a type" },
		{ "{\"type\":\"added\",\"object\":{}}", "an event of the unknown type \"added\"" },
		{ "{\"type\":\"\\u001b[2J\\n\"}", "an event of the unknown type \"\\x1b[2J\\x0a\"" },
		{ "{\"type\":\"ADDED\"}", "an event without an object" },
		{ "{\"type\":\"ERROR\",\"object\":[]}", "an event without an object" },
		{ "{\"type\":\"ADDED\",\"object\":{}}", "an object whose metadata is no text" },
		{ "{\"type\":\"ADDED\",\"object\":{\"metadata\":{}}}", "an object whose metadata.name is no text" },
		{ "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"p\",\"uid\":[],\"resourceVersion\":\"7\"}}}",
		  "an object whose metadata.uid is no text" },
		{ "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"p\",\"uid\":\"u\",\"resourceVersion\":7}}}",
		  "an object whose metadata.resourceVersion is no text" },
		{ "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"p\",\"uid\":\"u\",\"resourceVersion\":\"7\","
		  "\"namespace\":null}}}", "an object whose metadata.namespace is no text" },
		{ "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":7}}", "a bookmark without a resourceVersion" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pp_event event = { .type = 99 };
		struct pp_err e = { "" };

		is_u64(-pp_event_parse(cases[i].line, strlen(cases[i].line), &event, &e), EBADMSG,
		       "bad event %zu", i);
		is_str(e.msg, cases[i].msg, "message of bad event %zu", i);
		ok(event.type == 99 && !event.object, "result untouched by bad event %zu", i);
	}
}

static void test_status(void)
{
	static const struct {
		const char *body;
		int http;
		enum pp_status status;
		const char *text;
	} cases[] = {
		{ "{\"code\":410,\"reason\":\"Expired\",\"message\":\"too old\"}", 0, PP_STATUS_EXPIRED, "too old (410 Expired)" },
		{ "{\"code\":410,\"reason\":\"Gone\"}", 0, PP_STATUS_EXPIRED, "410 Gone" },
		{ "{\"code\":504,\"reason\":\"Timeout\",\"message\":\"Too large resource version: 9\"}", 504,
		  PP_STATUS_TOO_LARGE, "Too large resource version: 9 (HTTP 504 Timeout)" },
		{ "{\"details\":{\"causes\":[7,{\"reason\":\"ResourceVersionTooLarge\"}]}}", 504, PP_STATUS_TOO_LARGE, "HTTP 504" },
		{ "{\"code\":429}", 0, PP_STATUS_BUSY, "429" },
		{ NULL, 503, PP_STATUS_BUSY, "HTTP 503" },
		{ NULL, 502, PP_STATUS_FAULT, "HTTP 502" },
		{ NULL, 422, PP_STATUS_REFUSED, "HTTP 422" },
		{ NULL, 404, PP_STATUS_MISSING, "HTTP 404" },
		{ NULL, 403, PP_STATUS_OTHER, "HTTP 403" },
		{ "{\"code\":\"410\",\"reason\":[],\"message\":{},\"details\":\"\"}", 0, PP_STATUS_OTHER, "a Status that says nothing" },
		{ "{\"message\":\"a\\nb\"}", 0, PP_STATUS_OTHER, "a?b" },
		{ "{}", 0, PP_STATUS_OTHER, "a Status that says nothing" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *body = cases[i].body ? json_loads(cases[i].body, 0, NULL) : NULL;
		struct pp_err e = { "" };

		is_u64(pp_status_read(body, cases[i].http), cases[i].status, "Status %zu", i);
		pp_status_describe(body, cases[i].http, &e);
		is_str(e.msg, cases[i].text, "text of Status %zu", i);
		json_decref(body);
	}
}

static void gone(const char *ns, const char *name, const char *uid, void *arg)
{
	fprintf(arg, "-%s/%s:%s", ns, name, uid);
}

static void put(struct pp_store *s, const char *name, const char *uid, const char *version, FILE *f)
{
	struct pp_object_id id = { "n", name, uid, version };
	enum pp_change change = 99;

	if (pp_store_put(s, &id, gone, f, &change))
		abort();
	fprintf(f, "%c", "=+!"[change]);
}

static void test_store(void)
{
	struct pp_object_id other = { "n", "b", "u7", "1" }, cluster = { "", "c", "u3", "1" };
	struct pp_store s = {};
	char *out = NULL;
	size_t size;
	FILE *f = open_memstream(&out, &size);
	enum pp_change change;

	pp_store_begin(&s);
	put(&s, "a", "u1", "1", f);
	put(&s, "b", "u2", "1", f);
	put(&s, "b", "u2", "1", f);
	put(&s, "b", "u2", "2", f);
	pp_store_end(&s, gone, f);
	pp_store_delete(&s, &other, gone, f);
	fprintf(f, "|");
	pp_store_begin(&s);
	put(&s, "b", "u7", "3", f);
	pp_store_begin(&s); /* that list was never finished */
	put(&s, "a", "u1", "1", f);
	fprintf(f, "|");
	pp_store_end(&s, gone, f);
	pp_store_put(&s, &cluster, gone, f, &change);
	pp_store_delete(&s, &cluster, gone, f);
	fclose(f);
	is_str(out, "++=+|-n/b:u2!=|-n/b:u7-/c:u3", "what a store tells");
	is_u64(s.table.n, 1, "and what is left in it");
	pp_store_close(&s);
	free(out);
}

static void test_backoff(void)
{
	struct pp_backoff b = { .min_ns = 100, .max_ns = 1000, .reset_ns = 5000 };
	const uint64_t want[] = { 100, 200, 400, 800, 1000, 1000 };
	unsigned int wrong = 0;

	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		uint64_t got = pp_backoff_next(&b, 10 + i);

		wrong += got < want[i] || got >= 2 * want[i];
	}
	is_u64(wrong, 0, "delays double up to the longest, with up to as much again");
	ok(pp_backoff_next(&b, 20000) < 200, "after a quiet time they begin again");
}

int main(void)
{
	_cleanup_free_ char *escaped = pp_query_escape("aZ9-._~ /=+%\xff");

	is_str(escaped, "aZ9-._~%20%2F%3D%2B%25%FF", "text in a query");
	test_lines();
	test_long_lines();
	test_good_events();
	test_bad_events();
	test_status();
	test_store();
	test_backoff();
	return done_testing();
}
