// SPDX-License-Identifier: Apache-2.0
// The Lease: who takes it, when, with what, and who gives it up; on the clock of this process
// alone.
#define _GNU_SOURCE
#include <signal.h>

#include "base/base.h"
#include "kube/lease.h"
#include "server.h"
#include "tap.h"

#define MS 1000000ull
#define LEASE(rv, holder, renewed, transitions)                                                    \
	"{\"kind\":\"Lease\",\"metadata\":{\"name\":\"l\",\"namespace\":\"ns\","                   \
	"\"resourceVersion\":\"" rv "\",\"labels\":{\"kept\":\"1\"}},"                             \
	"\"spec\":{\"holderIdentity\":\"" holder "\",\"leaseDurationSeconds\":1,"                  \
	"\"acquireTime\":\"2020-01-01T00:00:00.000000Z\",\"renewTime\":\"" renewed                 \
	"\",\"leaseTransitions\":" transitions "}}"
#define STATUS(code, reason)                                                                       \
	"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"code\":" code         \
	",\"reason\":\"" reason "\",\"message\":\"scripted\"}"
#define PATH "/apis/coordination.k8s.io/v1/namespaces/ns/leases"
#define LOOK "GET " PATH "/l?resourceVersion=0"
#define LOOK_AFRESH "GET " PATH "/l"
#define PUT(rv) "PUT " PATH "/l \"resourceVersion\":\"" rv "\" \"kept\":\"1\""
#define MINE "\"holderIdentity\":\"me\" \"leaseDurationSeconds\":1"

struct run {
	struct pp_loop *loop;
	struct pp_lease *lease;
	struct pp_source *timer, *poll;
	struct server *server;
	size_t n;            /* steps */
	uint64_t linger_ns;  /* after the last of them */
	uint64_t release_ns; /* after it leads; 0: not */
	uint64_t end;
	FILE *f;
};

static void on_done(void *arg)
{
	struct run *run = arg;

	fprintf(run->f, "done|");
	pp_loop_stop(run->loop);
}

static void on_release(void *arg)
{
	struct run *run = arg;

	pp_lease_release(run->lease, on_done, run);
}

static void on_changed(bool leads, void *arg)
{
	struct run *run = arg;

	fprintf(run->f, leads ? "leads|" : "not|");
	if (leads && run->release_ns)
		pp_source_arm(run->timer, run->release_ns);
}

static void on_poll(void *arg)
{
	struct run *run = arg;
	uint64_t now = pp_loop_now();

	if (server_at(run->server) == run->n && run->end > now + run->linger_ns)
		run->end = now + run->linger_ns;
	if (now >= run->end)
		pp_loop_stop(run->loop);
	else
		pp_source_arm(run->poll, 5 * MS);
}

/* Until it is released, or so long after the last step. */
static void play(const char *name, const struct step *steps, size_t n, uint64_t linger_ms,
		 uint64_t release_ms, uint64_t renew_ms, const char *told)
{
	const struct pp_lease_times times = { 1000 * MS, renew_ms * MS, 600 * MS, 50 * MS };
	struct server *server = server_start(steps, n);
	struct pp_kube_config config = {};
	struct pp_kube *k = NULL;
	struct pp_err e = { "" };
	char *text = NULL;
	size_t size, at;
	struct run run = {
		.f = open_memstream(&text, &size),
		.server = server,
		.n = n,
		.linger_ns = linger_ms * MS,
		.release_ns = release_ms * MS,
		.end = pp_loop_now() + 8000 * MS,
	};
	bool matched;

	if (asprintf(&config.server, "http://127.0.0.1:%d", server_port(server)) < 0 ||
	    pp_loop_new(&run.loop) || pp_source_timer(run.loop, on_poll, &run, &run.poll) ||
	    pp_source_timer(run.loop, on_release, &run, &run.timer) ||
	    pp_kube_new(run.loop, &config, "podpace/test", &k, &e) ||
	    pp_lease_new(k, "ns", "l", "me", &times, on_changed, &run, &run.lease))
		abort();
	pp_source_arm(run.poll, 0);
	pp_loop_run(run.loop);
	pp_lease_free(run.lease);
	pp_kube_free(k);
	pp_source_free(run.poll);
	pp_source_free(run.timer);
	pp_loop_free(run.loop);
	pp_kube_config_close(&config);
	at = server_stop(server, &matched);
	fclose(run.f);
	is_str(text, told, "%s: what is told", name);
	ok(matched, "%s: what is asked for", name);
	is_u64(at, n, "%s: how often", name);
	free(text);
}

#define PLAY(name, linger_ms, release_ms, renew_ms, told, ...)                                     \
	play(name, (struct step[]){ __VA_ARGS__ },                                                 \
	     sizeof((struct step[]){ __VA_ARGS__ }) / sizeof(struct step), linger_ms, release_ms,  \
	     renew_ms, told)

static void taken(void)
{
	PLAY("there is none: made, renewed, given up", 3000, 300, 200, "leads|not|done|",
	     { LOOK, NULL, 404, NULL, STATUS("404", "NotFound"), END },
	     { "POST " PATH " \"namespace\":\"ns\" " MINE " \"leaseTransitions\":0", NULL, 201,
	       NULL, LEASE("1", "me", "x", "0"), END },
	     { PUT("1") " " MINE " \"leaseTransitions\":0", NULL, 200, NULL,
	       LEASE("2", "me", "y", "0"), END },
	     { PUT("2") " \"holderIdentity\":\"\" \"leaseDurationSeconds\":1", NULL, 200, NULL,
	       LEASE("3", "", "z", "0"), END });
	PLAY("one that was given up is taken at once", 100, 0, 500, "leads|",
	     { LOOK, NULL, 200, NULL, LEASE("5", "", "x", "3"), END },
	     { PUT("5") " " MINE " \"leaseTransitions\":4", "2020-01-01", 200, NULL,
	       LEASE("6", "me", "x", "4"), END });
	PLAY("one's own from before", 100, 0, 500, "leads|",
	     { LOOK, NULL, 200, NULL, LEASE("5", "me", "x", "3"), END },
	     { PUT("5") " " MINE " \"leaseTransitions\":3 2020-01-01", NULL, 200, NULL,
	       LEASE("6", "me", "x", "3"), END });
	/* what its holder thinks the time is does not count, one way or the other */
	PLAY("another's, until it is not renewed", 100, 0, 500, "leads|",
	     { LOOK, NULL, 200, NULL, LEASE("5", "other", "2001-01-01T00:00:00.000000Z", "0"),
	       END },
	     { LOOK, NULL, 200, NULL, LEASE("6", "other", "2999-01-01T00:00:00.000000Z", "0"),
	       END },
	     { LOOK, NULL, 200, NULL, LEASE("6", "other", "2999-01-01T00:00:00.000000Z", "0"),
	       END },
	     { PUT("6") " " MINE " \"leaseTransitions\":1", NULL, 200, NULL,
	       LEASE("7", "me", "x", "1"), END });
}

static void lost(void)
{
	PLAY("two take it at once", 200, 0, 500, "",
	     { LOOK, NULL, 200, NULL, LEASE("5", "", "x", "3"), END },
	     { PUT("5"), NULL, 409, NULL, STATUS("409", "Conflict"), END },
	     { LOOK_AFRESH, "resourceVersion=0", 200, NULL, LEASE("6", "other", "y", "4"), END });
	PLAY("two make it at once", 200, 0, 500, "",
	     { LOOK, NULL, 404, NULL, STATUS("404", "NotFound"), END },
	     { "POST " PATH, NULL, 409, NULL, STATUS("409", "AlreadyExists"), END },
	     { LOOK_AFRESH, "resourceVersion=0", 200, NULL, LEASE("6", "other", "y", "4"), END });
	PLAY("no answer to a renewal", 300, 0, 500, "leads|not|",
	     { LOOK, NULL, 200, NULL, LEASE("5", "", "x", "3"), END },
	     { PUT("5"), NULL, 200, NULL, LEASE("6", "me", "x", "3"), END },
	     { PUT("6"), NULL, 200, NULL, NULL, HOLD });
	PLAY("a renewal whose answer was lost", 100, 0, 250, "leads|",
	     { LOOK, NULL, 200, NULL, LEASE("5", "", "x", "3"), END },
	     { PUT("5"), NULL, 200, NULL, LEASE("6", "me", "x", "3"), END },
	     { PUT("6"), NULL, 200, NULL, "{", CUT },
	     { LOOK_AFRESH, "resourceVersion=0", 200, NULL, LEASE("7", "me", "x", "3"), END },
	     { PUT("7"), NULL, 200, NULL, LEASE("8", "me", "x", "3"), END });
	PLAY("another has taken it", 100, 0, 250, "leads|not|",
	     { LOOK, NULL, 200, NULL, LEASE("5", "", "x", "3"), END },
	     { PUT("5"), NULL, 200, NULL, LEASE("6", "me", "x", "3"), END },
	     { PUT("6"), NULL, 409, NULL, STATUS("409", "Conflict"), END },
	     { LOOK_AFRESH, "resourceVersion=0", 200, NULL, LEASE("9", "other", "y", "4"), END });
	PLAY("deleted while it was held", 100, 0, 250, "leads|",
	     { LOOK, NULL, 200, NULL, LEASE("5", "", "x", "3"), END },
	     { PUT("5"), NULL, 200, NULL, LEASE("6", "me", "x", "3"), END },
	     { PUT("6"), NULL, 404, NULL, STATUS("404", "NotFound"), END },
	     { LOOK_AFRESH, NULL, 404, NULL, STATUS("404", "NotFound"), END },
	     { "POST " PATH " " MINE, "resourceVersion", 201, NULL, LEASE("1", "me", "x", "0"),
	       END });
}

static void never_held(void)
{
	/* given up before there was anything to give up: nothing is written */
	PLAY("not allowed", 100, 0, 500, "",
	     { LOOK, NULL, 403, NULL, STATUS("403", "Forbidden"), END },
	     { LOOK, NULL, 403, NULL, STATUS("403", "Forbidden"), END },
	     { LOOK, NULL, 200, NULL, LEASE("9", "other", "y", "4"), END });
}

int main(void)
{
	setenv("NO_PROXY", "*", 1);
	signal(SIGPIPE, SIG_IGN);
	taken();
	lost();
	never_held();
	return done_testing();
}
