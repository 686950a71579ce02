// SPDX-License-Identifier: Apache-2.0
// Pods that rules name: what is asked for when what is wanted changes, what is known meanwhile, and
// when it is told.
#define _GNU_SOURCE
#include <signal.h>

#include "agent/others.h"
#include "base/base.h"
#include "server.h"
#include "tap.h"

#define MS 1000000ull
#define POD(type, ns, name, rv, labels, status)                                                    \
	"{\"type\":\"" type "\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"namespace\":\"" ns    \
	"\",\"name\":\"" name "\",\"uid\":\"u-" name "\",\"resourceVersion\":\"" rv                \
	"\",\"labels\":{" labels "}},\"status\":{" status "}}}\n"
#define IP(n) "\"podIPs\":[{\"ip\":\"10.0.0." n "\"}]"
#define WEB "\"app\":\"web\""
#define LIST_END(rv)                                                                               \
	"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"" rv "\","         \
	"\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n"
#define STATUS(code, reason)                                                                       \
	"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"code\":" code         \
	",\"reason\":\"" reason "\",\"message\":\"scripted\"}"
#define ERROR(code, reason) "{\"type\":\"ERROR\",\"object\":" STATUS(code, reason) "}\n"
#define LISTED(query) query "watch=1 sendInitialEvents=true"
#define GO_ON(query, rv) query "watch=1 resourceVersion=" rv
#define IN_A "GET /api/v1/namespaces/a/pods?labelSelector=app%3Dweb&"
#define IN_B "GET /api/v1/namespaces/b/pods?"
#define ANYWHERE "GET /api/v1/pods?labelSelector=tier%20in%20%28x%2Cy%29%2C%21old%2Ck8s.io%2Fz_-.~%3D1&"
#define ALL "GET /api/v1/pods?watch=1 "

#define WEB_IN_A { "a", "app=web" }
#define ALL_OF_B { "b", "" }
#define SOME { NULL, "tier in (x,y),!old,k8s.io/z_-.~=1" }
#define EVERY { NULL, "" }

/* Wanted after the n-th changed(), 0: before any. Up to the first without labels, not even "". */
struct wish {
	int after;
	struct pp_others_query q[3];
};

struct script {
	const char *name;
	int until; /* the changed() that ends it; 0: none may come in two seconds */
	struct wish wishes[3];
	struct step steps[8];
	const char *told;
	const char *sums;
	int logged; /* lines */
};

struct run {
	const struct script *script;
	struct pp_loop *loop;
	struct pp_others *others;
	FILE *f;
	int times; /* that changed() was called */
	/* of a slow one */
	uint64_t lasts_ns, begin[2], end[2];
	size_t known[2];
};

static int by_name(const void *a, const void *b)
{
	const struct pp_other *x = *(const struct pp_other **)a, *y = *(const struct pp_other **)b;
	int r = strcmp(x->namespace, y->namespace);

	return r ? r : strcmp(x->name, y->name);
}

/* "+" when all is known, then "ns/name:label:address" of each. */
static void print(struct run *run)
{
	_cleanup_free_ const struct pp_other **list = NULL;
	size_t n;

	if (pp_others_list(run->others, &list, &n))
		abort();
	qsort(list, n, sizeof(*list), by_name);
	fprintf(run->f, "%s", pp_others_known(run->others) ? "+" : "-");
	for (size_t i = 0; i < n; i++)
		fprintf(run->f, " %s/%s:%s:%d", list[i]->namespace, list[i]->name,
			list[i]->n_labels ? list[i]->labels[0].value : "",
			list[i]->n_addresses ? list[i]->addresses[0][15] : 0);
	fprintf(run->f, "|");
}

static void wish(struct run *run)
{
	for (size_t i = 0; i < ARRAY_SIZE(run->script->wishes); i++) {
		const struct wish *w = &run->script->wishes[i];
		size_t n = 0;

		if (w->after != run->times || (i && !w->after))
			continue;
		while (n < ARRAY_SIZE(w->q) && w->q[n].labels)
			n++;
		if (pp_others_want(run->others, w->q, n))
			abort();
		fprintf(run->f, "want ");
		print(run);
	}
}

static void on_changed(void *arg)
{
	struct run *run = arg;

	print(run);
	run->times++;
	wish(run);
	if (run->times == run->script->until)
		pp_loop_stop(run->loop);
}

static void on_late(void *arg)
{
	struct run *run = arg;

	fprintf(run->f, "late|");
	pp_loop_stop(run->loop);
}

/* Whether the server was asked for all that is in the script, and nothing else. */
static bool follow(struct run *run, void (*changed)(void *arg),
		   void (*look)(struct run *run, const struct pp_others_stats *stats))
{
	struct pp_others_stats stats;
	struct pp_kube_config config = {};
	struct pp_source *late = NULL;
	struct pp_kube *k = NULL;
	struct pp_err e = { "" };
	struct server *server;
	bool matched;
	size_t n = 0;

	while (n < ARRAY_SIZE(run->script->steps) && run->script->steps[n].expect)
		n++;
	server = server_start(run->script->steps, n);
	if (asprintf(&config.server, "http://127.0.0.1:%d", server_port(server)) < 0 ||
	    pp_loop_new(&run->loop) || pp_source_timer(run->loop, on_late, run, &late) ||
	    pp_kube_new(run->loop, &config, "podpace/test", &k, &e) ||
	    pp_others_new(k, run->loop, changed, run, &run->others))
		abort();
	wish(run);
	pp_source_arm(late, (run->script->until ? 8000 : 2000) * MS);
	pp_loop_run(run->loop);
	pp_others_stats(run->others, &stats);
	look(run, &stats);
	pp_others_free(run->others);
	pp_kube_free(k);
	pp_source_free(late);
	pp_loop_free(run->loop);
	pp_kube_config_close(&config);
	return server_stop(server, &matched) == n && matched;
}

static void look(struct run *run, const struct pp_others_stats *stats)
{
	char text[200];

	snprintf(text, sizeof(text), "%zu watches, %zu pods, %d lists, %d restarts, %sall known%s%s",
		 stats->watches, stats->pods, (int)stats->lists, (int)stats->restarts,
		 stats->synced ? "" : "not ", stats->why[0] ? ": " : "", stats->why);
	is_str(text, run->script->sums, "%s: sums", run->script->name);
}

static void play(const struct script *s)
{
	struct run run = { .script = s };
	FILE *log = tmpfile();
	int err = dup(2), lines = 0;
	char *told = NULL;
	size_t size;
	bool matched;

	fflush(stderr);
	dup2(fileno(log), 2);
	run.f = open_memstream(&told, &size);
	matched = follow(&run, on_changed, look);
	fclose(run.f);
	fflush(stderr);
	dup2(err, 2);
	close(err);
	rewind(log);
	for (int c; (c = fgetc(log)) != EOF;) {
		fputc(c, stderr);
		lines += c == '\n';
	}
	fclose(log);
	is_str(told, s->told, "%s: what is told", s->name);
	ok(matched, "%s: what is asked for", s->name);
	is_u64(lines, s->logged, "%s: lines of the log", s->name);
	free(told);
}

#define FORBIDDEN(query) { LISTED(query), NULL, 403, NULL, STATUS("403", "Forbidden"), END }
/* after which a second or two pass */
#define BUSY(query) { query, NULL, 429, NULL, STATUS("429", "TooManyRequests"), END }
#define ONE POD("ADDED", "a", "p", "5", WEB, IP("1")) LIST_END("10")

static const struct script scripts[] = {
	{ "a change that says nothing is not told, and one that has other labels now is gone", 2, { { 0, { WEB_IN_A } } },
	  { { LISTED(IN_A), NULL, 200, NULL, POD("ADDED", "a", "p", "5", WEB, IP("1"))
	      POD("ADDED", "a", "q", "6", WEB, IP("2")) LIST_END("10"), END },
	    BUSY(IN_A),
	    { GO_ON(IN_A, "10"), NULL, 200, NULL, POD("MODIFIED", "a", "p", "11", WEB, IP("1") ",\"phase\":\"Running\""), END },
	    BUSY(IN_A),
	    { GO_ON(IN_A, "11"), NULL, 200, NULL, POD("DELETED", "a", "p", "12", WEB, IP("1"))
	      POD("MODIFIED", "a", "q", "13", WEB, IP("7")), HOLD } },
	  "want -|+ a/p:web:1 a/q:web:2|+ a/q:web:7|", "1 watches, 1 pods, 1 lists, 4 restarts, all known", 2 },
	{ "a list that is cut is not told of", 1, { { 0, { WEB_IN_A } } },
	  { { LISTED(IN_A), NULL, 200, NULL, POD("ADDED", "a", "p", "5", WEB, IP("1")), CUT },
	    { LISTED(IN_A), NULL, 200, NULL, POD("ADDED", "a", "q", "6", WEB, IP("2")) LIST_END("10"), HOLD } },
	  "want -|+ a/q:web:2|", "1 watches, 1 pods, 1 lists, 1 restarts, all known", 1 },
	{ "410: what the new list does not have is gone", 2, { { 0, { WEB_IN_A } } },
	  { { LISTED(IN_A), NULL, 200, NULL, POD("ADDED", "a", "p", "5", WEB, IP("1"))
	      POD("ADDED", "a", "q", "6", WEB, IP("2")) LIST_END("10"), END },
	    { GO_ON(IN_A, "10"), NULL, 200, NULL, ERROR("410", "Expired"), END },
	    { LISTED(IN_A) " resourceVersion=10", NULL, 200, NULL, POD("ADDED", "a", "q", "6", WEB, IP("2"))
	      POD("ADDED", "a", "r", "12", WEB, IP("3")) LIST_END("20"), HOLD } },
	  "want -|+ a/p:web:1 a/q:web:2|+ a/q:web:2 a/r:web:3|",
	  "1 watches, 2 pods, 2 lists, 2 restarts, all known", 0 },
	{ "a selector in the URL", 1, { { 0, { SOME } } },
	  { { LISTED(ANYWHERE), NULL, 200, NULL, ONE, HOLD } },
	  "want -|+ a/p:web:1|", "1 watches, 1 pods, 1 lists, 0 restarts, all known", 0 },
	{ "another instead: the pods stay until it is listed", 2, { { 0, { WEB_IN_A } }, { 1, { ALL_OF_B } }, { 2, {} } },
	  { { LISTED(IN_A), NULL, 200, NULL, ONE, HOLD },
	    FORBIDDEN(IN_B),
	    { LISTED(IN_B), NULL, 200, NULL, POD("ADDED", "b", "x", "4", "", "") LIST_END("20"), HOLD } },
	  "want -|+ a/p:web:1|want - a/p:web:1|+ b/x::0|want +|", "0 watches, 0 pods, 2 lists, 1 restarts, all known", 1 },
	{ "another instead, and at once back: listed anew", 2, { { 0, { WEB_IN_A } }, { 1, { ALL_OF_B } }, { 1, { WEB_IN_A } } },
	  { { LISTED(IN_A), "labelSelector=&", 200, NULL, ONE, HOLD },
	    { LISTED(IN_A), NULL, 200, NULL, POD("ADDED", "a", "p", "11", WEB, IP("7")) LIST_END("20"), HOLD } },
	  "want -|+ a/p:web:1|want - a/p:web:1|want - a/p:web:1|+ a/p:web:7|",
	  "1 watches, 1 pods, 2 lists, 0 restarts, all known", 0 },
	{ "one more, which has a newer copy: the first goes on", 2, { { 0, { WEB_IN_A, WEB_IN_A } }, { 1, { WEB_IN_A, EVERY } } },
	  { { LISTED(IN_A), NULL, 200, NULL, POD("ADDED", "a", "q", "110", WEB, IP("2")) ONE, HOLD },
	    { LISTED(ALL), "labelSelector", 200, NULL, POD("ADDED", "a", "p", "100", "", IP("9"))
	      POD("ADDED", "a", "q", "20", "", IP("9")) POD("ADDED", "b", "x", "4", "", "")
	      POD("ADDED", "b", "over", "4", "", "\"phase\":\"Succeeded\"") LIST_END("120"), HOLD } },
	  "want -|+ a/p:web:1 a/q:web:2|want - a/p:web:1 a/q:web:2|+ a/p::9 a/q:web:2 b/x::0|",
	  "2 watches, 6 pods, 2 lists, 0 restarts, all known", 0 },
	{ "both refused: nothing is told, and one line is logged", 0, { { 0, { WEB_IN_A, ALL_OF_B } } },
	  { FORBIDDEN("GET "), FORBIDDEN("GET "), FORBIDDEN("GET "), FORBIDDEN("GET ") },
	  "want -|late|", "2 watches, 0 pods, 0 lists, 2 restarts, not all known: scripted (HTTP 403 Forbidden)", 1 },
};

/* --- a burst */

static void on_slow(void *arg)
{
	struct run *run = arg;
	struct pp_others_stats stats;

	run->begin[run->times] = pp_loop_now();
	pp_others_stats(run->others, &stats);
	run->known[run->times] = stats.pods;
	usleep(run->lasts_ns / 1000);
	run->end[run->times++] = pp_loop_now();
	if (run->times == run->script->until)
		pp_loop_stop(run->loop);
}

static void look_at_burst(struct run *run, const struct pp_others_stats *stats)
{
	uint64_t took = run->end[0] - run->begin[0];

	is_u64(run->known[0], 1000, "a burst: all of a first list are told of at once");
	is_u64(run->known[1], 1002, "a burst: what came while it was told is told together");
	ok(run->begin[1] - run->end[0] >= 5 * took,
	   "a burst: after %.1f ms for it, %.1f ms pass (%zu events)", took / 1e6,
	   (run->begin[1] - run->end[0]) / 1e6, (size_t)stats->events);
}

/* 1000 pods, then two in streams of their own: after a pause that is shorter than what is left. */
static void play_burst(void)
{
	static char list[200000];
	const struct script s = {
		.name = "a burst", .until = 2, .wishes = { { 0, { WEB_IN_A } } },
		.steps = { { LISTED(IN_A), NULL, 200, NULL, list, END },
			   BUSY(IN_A),
			   { GO_ON(IN_A, "10"), NULL, 200, NULL, POD("ADDED", "a", "p", "11", WEB, ""), END },
			   { GO_ON(IN_A, "11"), NULL, 200, NULL, POD("ADDED", "a", "q", "12", WEB, ""), HOLD } },
	};
	struct run run = { .script = &s, .lasts_ns = 400 * MS };
	char *told = NULL;
	size_t len = 0, size;

	for (int i = 0; i < 1000; i++)
		len += snprintf(list + len, sizeof(list) - len, POD("ADDED", "a", "n%d", "5", WEB, ""), i, i);
	snprintf(list + len, sizeof(list) - len, "%s", LIST_END("10"));
	run.f = open_memstream(&told, &size);
	ok(follow(&run, on_slow, look_at_burst), "a burst: what is asked for");
	fclose(run.f);
	free(told);
}

int main(void)
{
	setenv("NO_PROXY", "*", 1);
	signal(SIGPIPE, SIG_IGN);
	play_burst();
	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++)
		play(&scripts[i]);
	return done_testing();
}
