// SPDX-License-Identifier: Apache-2.0
// The leader: it writes nothing before it leads and has heard all, then only what is not so yet, at
// its pace, and stops when another leads.
#define _GNU_SOURCE
#include <signal.h>

#include "agent/leader.h"
#include "base/base.h"
#include "server.h"
#include "tap.h"

#define MS 1000000ull
#define STATUS(code, reason)                                                                       \
	"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"code\":" code         \
	",\"reason\":\"" reason "\",\"message\":\"scripted\"}"
#define LEASE(rv, holder)                                                                          \
	"{\"metadata\":{\"name\":\"podpace\",\"namespace\":\"ns\",\"resourceVersion\":\"" rv       \
	"\"},\"spec\":{\"holderIdentity\":\"" holder "\",\"leaseDurationSeconds\":5,"              \
	"\"leaseTransitions\":0}}"
#define LEASES "/apis/coordination.k8s.io/v1/namespaces/ns/leases"
#define API "/apis/podpace.io/v1alpha1"
#define WATCH(plural) "GET " API "/" plural "?watch=1 sendInitialEvents=true"
#define LIST_END                                                                                   \
	"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"10\","             \
	"\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n"
#define META(ns, name)                                                                             \
	"\"metadata\":{" ns "\"name\":\"" name "\",\"uid\":\"u-" name                              \
	"\",\"resourceVersion\":\"7\",\"generation\":2}"
#define ADDED(object) "{\"type\":\"ADDED\",\"object\":{" object "}}\n"
#define WEB META("\"namespace\":\"a\",", "web")
#define READY(status, reason, message) READY_WITH("", status, reason, message)
#define READY_WITH(more, status, reason, message)                                                  \
	"\"status\":{" more "\"observedGeneration\":2,\"pods\":3,\"nodes\":2,\"conditions\":[{\"type\":"   \
	"\"Ready\",\"status\":\"" status "\",\"reason\":\"" reason "\",\"message\":\"" message     \
	"\",\"lastTransitionTime\":\"2020-01-01T00:00:00Z\",\"observedGeneration\":2}]}"
#define IN_FORCE READY("True", "InForce", "in force wherever it applies")
#define ENTRY(kind, ns, name, pods, enforced)                                                      \
	"{\"kind\":\"" kind "\"," ns "\"name\":\"" name "\",\"generation\":2,\"pods\":" pods       \
	",\"enforced\":" enforced "}"
#define NODE(name, entries)                                                                        \
	ADDED(META("", name) ",\"status\":{\"ready\":true,\"objects\":[" entries "]}")
#define OF_WEB(pods, enforced)                                                                     \
	ENTRY("BandwidthPolicy", "\"namespace\":\"a\",", "web", pods, enforced)
#define PATCH "PATCH application/merge-patch+json "
#define PATCH_WEB PATCH API "/namespaces/a/bandwidthpolicies/web/status "
#define WEB_IS(ready) "\"observedGeneration\":2,\"pods\":3,\"nodes\":2 \"status\":\"" ready "\" "

static const struct step look = { "GET " LEASES "/podpace",  NULL, 404, NULL,
				  STATUS("404", "NotFound"), END };
static const struct step make = {
	"POST " LEASES " \"holderIdentity\":\"me\"", NULL, 201, NULL, LEASE("1", "me"), END
};
static const struct step no_classes = {
	WATCH("bandwidthclasses"), NULL, 200, NULL, LIST_END, HOLD
};
static const struct step no_tenants = {
	WATCH("clusterbandwidthpolicies"), NULL, 200, NULL, LIST_END, HOLD
};
static const struct step web = { WATCH("bandwidthpolicies"), NULL, 200, NULL,
				 ADDED(WEB) LIST_END,        HOLD };
static const struct step nodes = { WATCH("bandwidthnodes"),
				   NULL,
				   200,
				   NULL,
				   NODE("n1", OF_WEB("1", "1")) NODE("n2", OF_WEB("2", "2"))
					   LIST_END,
				   HOLD };

struct run {
	struct pp_loop *loop;
	struct pp_leader *leader;
	struct pp_source *poll;
	struct server *server;
	size_t n;
	uint64_t end, reached, linger_ns;
	bool releases, released;
};

static void on_done(void *arg)
{
	struct run *run = arg;

	run->released = true;
	pp_loop_stop(run->loop);
}

static void on_poll(void *arg)
{
	struct run *run = arg;
	uint64_t now = pp_loop_now();

	if (run->releases && server_at(run->server) == run->n - 1) {
		pp_leader_release(run->leader, on_done, run);
		return;
	}
	if (!run->reached && server_at(run->server) == run->n) {
		run->reached = now;
		run->end = now + run->linger_ns;
	}
	if (now >= run->end)
		pp_loop_stop(run->loop);
	else
		pp_source_arm(run->poll, 5 * MS);
}

/* Until a while after the last step. In how many ms that was reached; *ret as it was then. */
static uint64_t play(const char *name, const struct step *steps, size_t n, uint64_t linger_ms,
		     bool releases, struct pp_leader_state *ret)
{
	const struct pp_leader_times times = { 50 * MS, 300 * MS, 100 * MS, 100 * MS, 200 * MS };
	const struct pp_lease_times lease = { 5000 * MS, 1500 * MS, 4000 * MS, 50 * MS };
	struct server *server = server_start(steps, n);
	struct run run = { .server = server,
			   .n = n,
			   .end = pp_loop_now() + 6000 * MS,
			   .linger_ns = linger_ms * MS,
			   .releases = releases };
	struct pp_kube_config config = {};
	struct pp_kube *k = NULL;
	struct pp_err e = { "" };
	uint64_t began = pp_loop_now();
	static char holder[64], why[240];
	bool matched;

	if (asprintf(&config.server, "http://127.0.0.1:%d", server_port(server)) < 0 ||
	    pp_loop_new(&run.loop) || pp_source_timer(run.loop, on_poll, &run, &run.poll) ||
	    pp_kube_new(run.loop, &config, "podpace/test", &k, &e) ||
	    pp_leader_new(k, "ns", "me", &times, &lease, &run.leader))
		abort();
	pp_source_arm(run.poll, 0);
	pp_loop_run(run.loop);
	pp_leader_state(run.leader, ret);
	snprintf(holder, sizeof(holder), "%s", ret->holder);
	snprintf(why, sizeof(why), "%s", ret->why);
	ret->holder = holder;
	ret->why = why;
	ok(run.released == releases, "%s: ends", name);
	printf("# %s: why: %s\n", name, ret->why);
	pp_leader_free(run.leader);
	pp_kube_free(k);
	pp_source_free(run.poll);
	pp_loop_free(run.loop);
	pp_kube_config_close(&config);
	is_u64(server_stop(server, &matched), n, "%s: how often something is asked for", name);
	ok(matched, "%s: what is asked for", name);
	return (run.reached - began) / MS;
}

#define PLAY(name, linger_ms, releases, ret, ...)                                                  \
	play(name, (struct step[]){ __VA_ARGS__ },                                                 \
	     sizeof((struct step[]){ __VA_ARGS__ }) / sizeof(struct step), linger_ms, releases,    \
	     ret)

static void sums(void)
{
	struct pp_leader_state s;

	PLAY("a policy", 300, false, &s, look, make, no_classes, web, no_tenants, nodes,
	     { PATCH_WEB WEB_IS("True") "\"lastTransitionTime\":\"20", "2020-01-01", 200, NULL,
	       "{" WEB "," IN_FORCE "}", END });
	is_u64(s.written, 1, "a policy: written");
	is_u64(s.nodes, 2, "a policy: nodes");
	ok(s.leads && strcmp(s.holder, "me") == 0 && !s.why[0], "a policy: who leads");
	PLAY("one whose status is right", 300, false, &s, look, make, no_classes,
	     { WATCH("bandwidthpolicies"), NULL, 200, NULL, ADDED(WEB "," IN_FORCE) LIST_END,
	       HOLD },
	     no_tenants, nodes);
	is_u64(s.written, 0, "one whose status is right: not written");
	PLAY("one that is not in force on a node", 300, false, &s, look, make, no_classes,
	     { WATCH("bandwidthpolicies"), NULL, 200, NULL, ADDED(WEB "," IN_FORCE) LIST_END,
	       HOLD },
	     no_tenants,
	     { WATCH("bandwidthnodes"), NULL, 200, NULL,
	       NODE("n1", OF_WEB("1", "1")) NODE("n2", OF_WEB("2", "1")) LIST_END, HOLD },
	     { PATCH_WEB WEB_IS("False") "NotEnforced n2:", "2020-01-01", 200, NULL,
	       "{" WEB "," READY("False", "NotEnforced", "node n2: in force for 1 of 2 pods") "}",
	       END });
}

/* A number of nodes' that goes is taken out of the object. */
static void peers(void)
{
	struct pp_leader_state s;

	PLAY("one with peers", 300, false, &s, look, make, no_classes, web, no_tenants,
	     { WATCH("bandwidthnodes"), NULL, 200, NULL,
	       NODE("n1", OF_WEB("1", "1,\"peers\":12")) NODE("n2", OF_WEB("2", "2,\"peers\":11"))
		       LIST_END,
	       HOLD },
	     { PATCH_WEB "\"pods\":3,\"nodes\":2,\"peers\":12 \"status\":\"True\"", NULL, 200, NULL,
	       "{" WEB "," READY_WITH("\"peers\":12,", "True", "InForce",
				      "in force wherever it applies") "}",
	       END });
	PLAY("one that had peers", 300, false, &s, look, make, no_classes,
	     { WATCH("bandwidthpolicies"), NULL, 200, NULL,
	       ADDED(WEB ",\"status\":{\"pods\":3,\"nodes\":2,\"peers\":9}") LIST_END, HOLD }, no_tenants, nodes,
	     { PATCH_WEB "\"nodes\":2,\"peers\":null", NULL, 200, NULL,
	       "{" WEB "," IN_FORCE "}", END });
}

static void paced(void)
{
	const struct step one = { PATCH "/bandwidthclasses/c NoPods", NULL, 404, NULL,
				  STATUS("404", "NotFound"),          END };
	struct pp_leader_state s;
	uint64_t ms;

	/* each is tried once: that they are not there the watch will say */
	ms = PLAY("three classes", 300, false, &s, look, make,
		  { WATCH("bandwidthclasses"), NULL, 200, NULL,
		    ADDED(META("", "c1")) ADDED(META("", "c2")) ADDED(META("", "c3")) LIST_END,
		    HOLD },
		  { WATCH("bandwidthpolicies"), NULL, 200, NULL, LIST_END, HOLD }, no_tenants,
		  { WATCH("bandwidthnodes"), NULL, 200, NULL, NODE("n1", "") LIST_END, HOLD }, one,
		  one, one);
	ok(ms >= 500, "three classes: after the grace, one after another: %" PRIu64 " ms", ms);
	is_u64(s.failed, 0, "three classes: what is gone is no failure");
}

static void fails(void)
{
	const struct step forbidden = { WATCH("bandwidthnodes"),    NULL, 403, NULL,
					STATUS("403", "Forbidden"), END };
	const struct step written = { PATCH_WEB WEB_IS("True"), NULL, 200, NULL,
				      "{" WEB "," IN_FORCE "}", END };
	struct pp_leader_state s;

	PLAY("no right to see what nodes say", 400, false, &s, look, make, no_classes, web,
	     no_tenants, forbidden);
	ok(strstr(s.why, "bandwidthnodes"), "no right to see what nodes say: is told");
	is_u64(s.written, 0, "no right to see what nodes say: nothing is written");
	PLAY("errors are tried again", 100, false, &s, look, make, no_classes, web, no_tenants,
	     nodes, { PATCH_WEB, NULL, 500, NULL, STATUS("500", "InternalError"), END },
	     { PATCH_WEB, NULL, 403, NULL, STATUS("403", "Forbidden"), END }, written);
	is_u64(s.failed, 2, "errors are tried again: counted");
	ok(!s.why[0], "errors are tried again: and over");
	PLAY("what is refused is not", 400, false, &s, look, make, no_classes, web, no_tenants,
	     nodes, { PATCH_WEB, NULL, 422, NULL, STATUS("422", "Invalid"), END });
	is_u64(s.failed, 1, "what is refused is not: counted");
}

static void ends(void)
{
	struct pp_leader_state s;

	PLAY("given up", 0, true, &s, look, make, no_classes, web, no_tenants, nodes,
	     { PATCH_WEB, NULL, 200, NULL, "{" WEB "," IN_FORCE "}", END },
	     { "PUT " LEASES "/podpace \"holderIdentity\":\"\"", NULL, 200, NULL, LEASE("2", ""),
	       END });
	ok(!s.leads && !s.nodes && !s.objects, "given up: all is forgotten");
	PLAY("another leads", 300, false, &s, look, make, no_classes, web, no_tenants, nodes,
	     { PATCH_WEB, NULL, 200, NULL, "{" WEB "," IN_FORCE "}", END },
	     { "PUT " LEASES "/podpace", NULL, 409, NULL, STATUS("409", "Conflict"), END },
	     { "GET " LEASES "/podpace", NULL, 200, NULL, LEASE("9", "other"), END });
	ok(!s.leads && strcmp(s.holder, "other") == 0 && !s.nodes, "another leads: who");
}

int main(void)
{
	setenv("NO_PROXY", "*", 1);
	signal(SIGPIPE, SIG_IGN);
	sums();
	peers();
	paced();
	fails();
	ends();
	return done_testing();
}
