// SPDX-License-Identifier: Apache-2.0
// A node's report: what is written, when, to what it belongs, and what an API that refuses, lacks
// or loses it makes of that.
#define _GNU_SOURCE
#include <signal.h>

#include "agent/report.h"
#include "base/base.h"
#include "server.h"
#include "tap.h"

#define MS 1000000ull
#define STATUS(code, reason)                                                                       \
	"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"code\":" code         \
	",\"reason\":\"" reason "\",\"message\":\"scripted\"}"
#define PATH "/apis/podpace.io/v1alpha1/bandwidthnodes"
#define READ "GET " PATH "/n1"
#define OWNER "GET /api/v1/nodes/n1"
#define CREATE "POST " PATH " \"kind\":\"BandwidthNode\" \"name\":\"n1\""
#define WRITE                                                                                      \
	"PATCH " PATH "/n1/status application/merge-patch+json \"observedTime\":\"20 "             \
	"\"version\":\"0.1.0\" "
#define NODE "{\"kind\":\"Node\",\"metadata\":{\"name\":\"n1\",\"uid\":\"u-n1\"}}"
#define OBJECT "{\"kind\":\"BandwidthNode\",\"metadata\":{\"name\":\"n1\"}}"
#define OWNED                                                                                      \
	"\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"name\":\"n1\",\"uid\":\"u-n1\"}]"
#define GOLD(pods, enforced)                                                                       \
	"{\"kind\":\"BandwidthClass\",\"name\":\"gold\",\"generation\":3,\"pods\":" pods           \
	",\"enforced\":" enforced "}"
#define UP                                                                                         \
	"{\"kind\":\"ClusterBandwidthPolicy\",\"name\":\"up\",\"generation\":1,\"pods\":0,"        \
	"\"enforced\":0}"
#define WEB                                                                                        \
	"{\"kind\":\"BandwidthPolicy\",\"name\":\"web\",\"generation\":1,\"pods\":2,"              \
	"\"enforced\":1,\"peers\":12,\"namespace\":\"a\",\"reason\":\"NotEnforced\",\"problem\":\"no_room\"}"

static const struct step read_none = { READ, NULL, 404, NULL, STATUS("404", "NotFound"), END };
static const struct step owner = { OWNER, NULL, 200, NULL, NODE, END };
static const struct step create = { CREATE " " OWNED, NULL, 201, NULL, OBJECT, END };
static const struct step write_first = { WRITE "\"ready\":true \"truncated\":false "
					       "\"objects\":[" GOLD("4", "4") "]",
					 NULL,
					 200,
					 NULL,
					 OBJECT,
					 END };
static const struct step write_second = {
	WRITE "\"ready\":true \"objects\":[" WEB "," GOLD("5", "5") "," UP "]",
	NULL,
	200,
	NULL,
	OBJECT,
	END
};

struct run {
	struct pp_loop *loop;
	struct pp_report *report;
	struct pp_source *change, *poll;
	struct server *server;
	size_t n;
	uint64_t end, reached;
};

static const struct pp_report_object first[] = {
	{ PP_CLASS, NULL, "gold", 3, 4, 4, NULL, NULL, false, 0 },
	{ PP_POLICY, "a", "none", 1, 0, 0, NULL, NULL, false, 0 },
};

static const struct pp_report_object second[] = {
	{ PP_CLASS, NULL, "gold", 3, 5, 5, NULL, NULL, false, 0 },
	{ PP_POLICY, "a", "web", 1, 2, 1, "no_room", NULL, false, 12 },
	{ PP_CLUSTER_POLICY, NULL, "up", 1, 0, 0, NULL, NULL, true, 0 },
};

/* What it says at once. */
static struct said {
	const struct pp_report_object *objects;
	size_t n;
	const char *why; /* NULL: it is ready */
} begin_with = { first, ARRAY_SIZE(first), NULL };

/* The first again, which is nothing new; then, in the same breath, more than one change. */
static void on_change(void *arg)
{
	struct run *run = arg;

	pp_report_set(run->report, first, ARRAY_SIZE(first), true, NULL);
	pp_report_set(run->report, first, 1, false, "not_ready");
	pp_report_set(run->report, second, ARRAY_SIZE(second), true, NULL);
}

static void on_poll(void *arg)
{
	struct run *run = arg;
	uint64_t now = pp_loop_now();

	if (!run->reached && server_at(run->server) == run->n) {
		run->reached = now;
		run->end = now + 150 * MS;
	}
	if (now >= run->end)
		pp_loop_stop(run->loop);
	else
		pp_source_arm(run->poll, 5 * MS);
}

/* change_ms: when it is to say something else; 0: never. Until a while after the last step. ms. */
static uint64_t play(const char *name, const struct step *steps, size_t n, uint64_t change_ms,
		     bool fails)
{
	const struct pp_report_times times = { 400 * MS, 1, 50 * MS, 300 * MS, 60000 * MS };
	struct server *server = server_start(steps, n);
	struct run run = { .server = server, .n = n, .end = pp_loop_now() + 5000 * MS };
	struct pp_kube_config config = {};
	struct pp_kube *k = NULL;
	struct pp_err e = { "" };
	uint64_t began = pp_loop_now();
	bool matched;

	if (asprintf(&config.server, "http://127.0.0.1:%d", server_port(server)) < 0 ||
	    pp_loop_new(&run.loop) || pp_source_timer(run.loop, on_poll, &run, &run.poll) ||
	    pp_source_timer(run.loop, on_change, &run, &run.change) ||
	    pp_kube_new(run.loop, &config, "podpace/test", &k, &e) ||
	    pp_report_new(k, "n1", "0.1.0", &times, &run.report) ||
	    pp_report_set(run.report, begin_with.objects, begin_with.n, !begin_with.why,
			  begin_with.why))
		abort();
	if (change_ms)
		pp_source_arm(run.change, change_ms * MS);
	pp_source_arm(run.poll, 0);
	pp_loop_run(run.loop);
	ok(!pp_report_why(run.report)[0] == !fails, "%s: why it is not written: \"%s\"", name,
	   pp_report_why(run.report));
	pp_report_free(run.report);
	pp_kube_free(k);
	pp_source_free(run.poll);
	pp_source_free(run.change);
	pp_loop_free(run.loop);
	pp_kube_config_close(&config);
	is_u64(server_stop(server, &matched), n, "%s: how often something is asked for", name);
	ok(matched, "%s: what is asked for", name);
	return (run.reached - began) / MS;
}

#define PLAY(name, change_ms, fails, ...)                                                          \
	play(name, (struct step[]){ __VA_ARGS__ },                                                 \
	     sizeof((struct step[]){ __VA_ARGS__ }) / sizeof(struct step), change_ms, fails)

static void written(void)
{
	const struct step same = { READ,
				   NULL,
				   200,
				   NULL,
				   "{\"metadata\":{\"name\":\"n1\"},\"status\":{\"observedTime\":"
				   "\"2020-01-01T00:00:00Z\",\"version\":\"0.1.0\",\"ready\":true,"
				   "\"message\":\"\",\"truncated\":false,\"objects\":[" GOLD(
					   "4", "4") "]}}",
				   END };
	const struct step other = {
		READ,
		NULL,
		200,
		NULL,
		"{\"metadata\":{\"name\":\"n1\"},\"status\":{\"version\":\"0.0.9\","
		"\"ready\":true,\"objects\":[]}}",
		END
	};
	uint64_t ms;

	ms = PLAY("a new node", 0, false, read_none, owner, create, write_first);
	ok(ms < 300, "a new node: at once: %" PRIu64 " ms", ms);
	ms = PLAY("changes", 100, false, read_none, owner, create, write_first, write_second);
	ok(ms >= 400 && ms < 1500, "changes: together, not before 400 ms: %" PRIu64, ms);
	PLAY("what an agent before has said", 0, false, same);
	PLAY("and then another thing", 100, false, same, write_second);
	PLAY("what an older agent has said", 0, false, other, write_first);
	PLAY("made by another meanwhile", 0, false, read_none, owner,
	     { CREATE, NULL, 409, NULL, STATUS("409", "AlreadyExists"), END }, write_first);
	PLAY("deleted, and its node made anew", 100, false, read_none, owner, create, write_first,
	     { WRITE, NULL, 404, NULL, STATUS("404", "NotFound"), END },
	     { OWNER, NULL, 200, NULL, "{\"metadata\":{\"uid\":\"u-2\"}}", END },
	     { CREATE " \"uid\":\"u-2\"", NULL, 201, NULL, OBJECT, END }, write_second);
}

static void not_written(void)
{
	const struct step missing = { CREATE, NULL, 404, NULL, "404 page not found\n", END };
	uint64_t ms;

	PLAY("no right to see the node", 0, false, read_none,
	     { OWNER, NULL, 403, NULL, STATUS("403", "Forbidden"), END },
	     { CREATE, "ownerReferences", 201, NULL, OBJECT, END }, write_first);
	PLAY("the API is away", 0, false, { READ, NULL, 200, NULL, "{", CUT },
	     { READ, NULL, 503, NULL, STATUS("503", "ServiceUnavailable"), END }, read_none, owner,
	     create, { WRITE, NULL, 500, NULL, STATUS("500", "InternalError"), END },
	     { READ, NULL, 200, NULL, OBJECT, END }, write_first);
	ms = PLAY("the API has no BandwidthNodes", 0, true, read_none, owner, missing, read_none,
		  owner, missing);
	ok(ms >= 300, "the API has no BandwidthNodes: tried again slowly: after %" PRIu64 " ms",
	   ms);
	ms = PLAY("one without a status", 0, true, read_none, owner, create,
		  { WRITE, NULL, 404, NULL, "404 page not found\n", END });
	PLAY("no right to write", 0, true,
	     { READ, NULL, 403, NULL, STATUS("403", "Forbidden"), END });
	PLAY("a conflict", 0, false, read_none, owner, create,
	     { WRITE, NULL, 409, NULL, STATUS("409", "Conflict"), END },
	     { READ, NULL, 200, NULL, OBJECT, END }, write_first);
}

/* The last of too many has a problem: it is the first that is said. Its text is cut. */
static void too_many(void)
{
	static struct pp_report_object many[PP_REPORT_MAX + 5];
	static char name[PP_REPORT_MAX + 5][12], problem[400];

	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		snprintf(name[i], sizeof(name[i]), "o-%04zu", i);
		many[i] =
			(struct pp_report_object){ PP_CLUSTER_POLICY, NULL, name[i], 1, 1, 1, NULL,
						   "Invalid",         false, 0 };
	}
	memset(problem, 'p', sizeof(problem) - 1);
	many[ARRAY_SIZE(many) - 1].problem = problem;
	begin_with = (struct said){ many, ARRAY_SIZE(many), "the_tree_is_full" };
	PLAY("too many", 0, false, read_none, owner, create,
	     { WRITE "\"ready\":false \"message\":\"the_tree_is_full\" \"truncated\":true "
		     "\"objects\":[{\"kind\":\"ClusterBandwidthPolicy\",\"name\":\"o-2004\" "
		     "\"reason\":\"Invalid\" pppp\"},{ o-0000 o-1998",
	       "o-1999", 200, NULL, OBJECT, END });
}

int main(void)
{
	setenv("NO_PROXY", "*", 1);
	signal(SIGPIPE, SIG_IGN);
	written();
	not_written();
	too_many();
	return done_testing();
}
