// SPDX-License-Identifier: Apache-2.0
// The peers as they come from nodes and ServiceCIDRs: when they are told, what is told together,
// and what the agent goes on with when the API refuses one or does not have it.
#define _GNU_SOURCE
#include <signal.h>

#include "agent/cluster.h"
#include "base/base.h"
#include "server.h"
#include "tap.h"

#define MS 1000000ull
#define NODE(type, name, rv, cidr)                                                                 \
	"{\"type\":\"" type "\",\"object\":{\"kind\":\"Node\",\"metadata\":{\"name\":\"" name      \
	"\",\"uid\":\"u-" name "\",\"resourceVersion\":\"" rv                                      \
	"\"},\"spec\":{\"podCIDRs\":[\"" cidr "\"]}}}\n"
#define LIST_END                                                                                   \
	"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"10\","             \
	"\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n"
#define STATUS(code, reason)                                                                       \
	"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"code\":" code         \
	",\"reason\":\"" reason "\",\"message\":\"scripted\"}"
#define NODES "GET /api/v1/nodes?watch=1 sendInitialEvents=true"
#define SERVICES "GET /apis/networking.k8s.io/v1/servicecidrs?watch=1 sendInitialEvents=true"

struct run {
	struct pp_loop *loop;
	struct pp_cluster *cluster;
	FILE *f;
	int until; /* times that something is told */
};

static void on_changed(void *arg)
{
	const struct pp_cidr *c;
	struct run *run = arg;
	char text[PP_CIDR_TEXT];
	size_t n;

	fprintf(run->f, "%s", pp_cluster_peers(run->cluster, &c, &n) ? "all" : "some");
	for (size_t i = 0; i < n; i++)
		fprintf(run->f, " %s", pp_cidr_format(text, &c[i]));
	fprintf(run->f, "|");
	if (--run->until == 0)
		pp_loop_stop(run->loop);
}

/* All has come by now, but is not told yet: a list that lacks some must not be taken for whole. */
static void on_early(void *arg)
{
	const struct pp_cidr *c;
	struct run *run = arg;
	size_t n;
	bool all = pp_cluster_peers(run->cluster, &c, &n);

	fprintf(run->f, "before: %s %zu|", all ? "all" : "some", n);
}

static void on_late(void *arg)
{
	struct run *run = arg;

	fprintf(run->f, "LATE|");
	pp_loop_stop(run->loop);
}

/* until: how often something is told before the end. */
static void play(const char *name, const struct step *steps, size_t n, int until, const char *told,
		 const int refused[static PP_N_PEER_SOURCE])
{
	struct server *server = server_start(steps, n);
	struct pp_kube_config config = {};
	struct pp_source *late = NULL, *early = NULL;
	struct pp_kube *k = NULL;
	struct pp_err e = { "" };
	struct pp_cidr more;
	char *text = NULL;
	size_t size;
	struct run run = { .f = open_memstream(&text, &size), .until = until };
	bool matched;

	if (pp_cidr_parse("192.0.2.0/24", &more, &e) ||
	    asprintf(&config.server, "http://127.0.0.1:%d", server_port(server)) < 0 ||
	    pp_loop_new(&run.loop) || pp_source_timer(run.loop, on_late, &run, &late) ||
	    pp_source_timer(run.loop, on_early, &run, &early) ||
	    pp_kube_new(run.loop, &config, "podpace/test", &k, &e) ||
	    pp_cluster_new(k, run.loop, &more, 1, on_changed, &run, &run.cluster))
		abort();
	pp_source_arm(early, 500 * MS);
	pp_source_arm(late, 8000 * MS);
	pp_loop_run(run.loop);
	for (int i = 0; i < PP_N_PEER_SOURCE; i++) {
		struct pp_cluster_source s;

		pp_cluster_source(run.cluster, i, &s);
		is_u64(s.watch.refused, refused[i], "%s: how %s were refused", name, s.resource);
		ok(!s.why[0] == !refused[i], "%s: what is told of %s: %s", name, s.resource, s.why);
	}
	pp_cluster_free(run.cluster);
	pp_kube_free(k);
	pp_source_free(late);
	pp_source_free(early);
	pp_loop_free(run.loop);
	pp_kube_config_close(&config);
	server_stop(server, &matched);
	fclose(run.f);
	is_str(text, told, "%s: what is told", name);
	ok(matched, "%s: what is asked for", name);
	free(text);
}

int main(void)
{
	const struct step nodes = { NODES, NULL, 200, NULL,
				    NODE("ADDED", "n1", "5", "10.1.0.0/24")
				    NODE("ADDED", "n2", "6", "10.1.1.0/24") LIST_END
				    NODE("MODIFIED", "n1", "11", "10.1.0.0/24"),
				    HOLD };
	const struct step services = {
		SERVICES, NULL, 200, NULL,
		"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"kubernetes\",\"uid\":\"s\","
		"\"resourceVersion\":\"3\"},\"spec\":{\"cidrs\":[\"10.96.0.0/16\"]}}}\n" LIST_END,
		HOLD
	};
	const struct step absent = { SERVICES, NULL, 404, NULL, "404 page not found\n", END };
	const struct step forbidden = { NODES, NULL, 403, NULL, STATUS("403", "Forbidden"), END };

	setenv("NO_PROXY", "*", 1);
	signal(SIGPIPE, SIG_IGN);
	play("all are there", (struct step[]){ nodes, services }, 2, 2,
	     "some 192.0.2.0/24|before: some 1|all 10.1.0.0/24 10.1.1.0/24 10.96.0.0/16 192.0.2.0/24|",
	     (int[]){ 0, 0 });
	/* asked for a second time before the second in which all is gathered is over, or not */
	play("an API without ServiceCIDRs", (struct step[]){ nodes, absent, absent, absent }, 4, 2,
	     "some 192.0.2.0/24|before: some 1|all 10.1.0.0/24 10.1.1.0/24 192.0.2.0/24|", (int[]){ 0, 404 });
	play("no right to see nodes",
	     (struct step[]){ forbidden, services, forbidden, forbidden }, 4, 2,
	     "some 192.0.2.0/24|before: some 1|some 10.96.0.0/16 192.0.2.0/24|", (int[]){ 403, 0 });
	return done_testing();
}
