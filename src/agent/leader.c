// SPDX-License-Identifier: Apache-2.0
// Nothing is written before all that is summed has been heard: of half of the nodes the sum would
// be wrong. What was written is known from the answer, and again from the watch.
#define _GNU_SOURCE
#include "agent/leader.h"
#include "agent/report.h"
#include "agent/sums.h"
#include "base/base.h"
#include "base/log.h"
#include "kube/backoff.h"
#include "kube/call.h"
#include "kube/time.h"
#include "kube/watch.h"

#define NS_PER_S 1000000000ull
#define LEASE "podpace"
#define CALL_NS (30 * NS_PER_S)
#define CALLS 4 /* under way at once */
#define NODES PP_N_KINDS
#define SOURCES (PP_N_KINDS + 1)

const struct pp_leader_times pp_leader_times_default = {
	.gather_ns = NS_PER_S,
	.grace_ns = 20 * NS_PER_S,
	.pace_ns = NS_PER_S / 20,
	.retry_ns = NS_PER_S,
	.retry_max_ns = 60 * NS_PER_S,
};

static const char *const resources[SOURCES] = {
	[PP_CLASS] = "bandwidthclasses",
	[PP_POLICY] = "bandwidthpolicies",
	[PP_CLUSTER_POLICY] = "clusterbandwidthpolicies",
	[NODES] = "bandwidthnodes",
};

struct source {
	struct pp_leader *leader;
	int which;
	struct pp_watch *watch;
	bool synced, told;
};

/* A write that is under way. */
struct write {
	struct pp_leader *leader;
	struct pp_call *call; /* NULL: none */
	char *key;
};

struct pp_leader {
	struct pp_kube *kube;
	struct pp_lease *lease;
	struct pp_leader_times times;
	struct pp_backoff backoff;
	struct source sources[SOURCES];
	struct write writes[CALLS];
	struct pp_sums sums;
	struct pp_source *gather_timer, *pace_timer;
	bool gathering, pacing; /* the timers are armed, for what has changed */
	bool told;
	uint64_t written, failed;
	char why[240];
};

static void gather(struct pp_leader *l, uint64_t ns)
{
	if (!l->gathering)
		pp_source_arm(l->gather_timer, ns);
	l->gathering = true;
}

static void pace(struct pp_leader *l, uint64_t ns)
{
	if (!l->pacing)
		pp_source_arm(l->pace_timer, ns);
	l->pacing = true;
}

/* --- writes */

static void fail(struct pp_leader *l, const char *why)
{
	l->failed++;
	snprintf(l->why, sizeof(l->why), "%s", why);
	if (!l->told)
		pp_log(PP_LOG_WARN, "the status of objects is not written", "why", l->why, NULL);
	l->told = true;
}

static void pause_writes(struct pp_leader *l)
{
	l->pacing = true;
	pp_source_arm(l->pace_timer, pp_backoff_next(&l->backoff, pp_loop_now()));
}

/* As it is, and would be again. */
static bool is_refused(const struct pp_kube_answer *a)
{
	return a->status == 400 || a->status == 413 || a->status == 415 || a->status == 422;
}

static void on_written(const struct pp_kube_answer *a, void *arg)
{
	struct write *w = arg;
	struct pp_leader *l = w->leader;
	_cleanup_free_ char *key = TAKE_PTR(w->key);
	struct pp_sums_object *o = pp_sums_find(&l->sums, key);

	w->call = NULL;
	if (!a->error && a->status == 200) {
		if (o)
			pp_sums_put_object(&l->sums, o->kind, a->body, pp_loop_now());
		l->written++;
		l->told = false;
		l->why[0] = '\0';
		pace(l, l->times.pace_ns);
		return;
	}
	/* gone, or changed: the watch tells */
	if (!a->error && (a->status == 404 || a->status == 409)) {
		pace(l, l->times.pace_ns);
		return;
	}
	fail(l, a->why);
	if (o && !is_refused(a))
		o->tried = false;
	pause_writes(l);
}

static int write_status(struct pp_leader *l, struct write *w, const struct pp_sums_object *o)
{
	_cleanup_free_ char *path = NULL, *body = NULL;
	struct pp_call_spec spec = {
		.method = "PATCH",
		.type = "application/merge-patch+json",
		.timeout_ns = CALL_NS,
		.answered = on_written,
		.arg = w,
	};
	char now[32];
	int r;

	body = pp_sums_patch(o, pp_time_now(now));
	r = asprintf(&path, PP_API_PATH "%s%s/%s/%s/status", *o->namespace ? "/namespaces/" : "",
		     o->namespace, resources[o->kind], o->name);
	if (r < 0 || !body)
		return -ENOMEM;
	w->key = strdup(o->key);
	spec.path = path;
	spec.body = body;
	r = w->key ? pp_call_new(l->kube, &spec, &w->call) : -ENOMEM;
	if (r)
		free(TAKE_PTR(w->key));
	return r;
}

/* One at a time; an answer asks for the next when all calls are under way. */
static void on_pace(void *arg)
{
	struct pp_leader *l = arg;
	struct pp_sums_object *o;
	struct write *w = l->writes;

	l->pacing = false;
	while (w < l->writes + CALLS && w->call)
		w++;
	o = w < l->writes + CALLS ? pp_sums_due(&l->sums) : NULL;
	if (!o)
		return;
	o->tried = true;
	if (write_status(l, w, o)) {
		o->tried = false;
		fail(l, "out of memory");
		pause_writes(l);
		return;
	}
	pace(l, l->times.pace_ns);
}

static bool all_synced(const struct pp_leader *l)
{
	for (int i = 0; i < SOURCES; i++)
		if (!l->sources[i].synced)
			return false;
	return true;
}

static void on_gather(void *arg)
{
	struct pp_leader *l = arg;
	uint64_t now = pp_loop_now();

	l->gathering = false;
	if (!all_synced(l))
		return;
	if (pp_sums_count(&l->sums, now)) {
		gather(l, l->times.gather_ns);
		return;
	}
	/* not as `gathering`: what changes before is told sooner */
	if (l->sums.look_at)
		pp_source_arm(l->gather_timer, l->sums.look_at > now ? l->sums.look_at - now : 0);
	pace(l, 0);
}

/* --- what the watches tell */

static void heard(struct source *s)
{
	if (!s->told)
		return;
	pp_log(PP_LOG_INFO, "the API is heard again", "resource", resources[s->which], NULL);
	s->told = false;
	s->leader->why[0] = '\0';
}

static void on_put(json_t *object, void *arg)
{
	struct source *s = arg;
	struct pp_leader *l = s->leader;
	int r;

	heard(s);
	if (s->which == NODES)
		r = pp_sums_put_node(&l->sums, object);
	else
		r = pp_sums_put_object(&l->sums, (enum pp_kind)s->which, object, pp_loop_now());
	if (r)
		fail(l, "out of memory");
	gather(l, l->times.gather_ns);
}

static void on_gone(const char *ns, const char *name, const char *uid, void *arg)
{
	struct source *s = arg;
	struct pp_leader *l = s->leader;

	(void)uid;
	if (s->which == NODES)
		pp_sums_remove_node(&l->sums, name);
	else
		pp_sums_remove_object(&l->sums, (enum pp_kind)s->which, ns, name);
	gather(l, l->times.gather_ns);
}

static void on_synced(void *arg)
{
	struct source *s = arg;

	heard(s);
	s->synced = true;
	gather(s->leader, s->leader->times.gather_ns);
}

static void on_failed(const char *why, void *arg)
{
	struct source *s = arg;

	/* the words differ between the ways in which a watch tries: told once */
	if (!s->told)
		pp_log(PP_LOG_WARN,
		       s->synced ? "the API is not heard; the status of objects stays as it is"
				 : "the status of objects is not written: they cannot be read",
		       "resource", resources[s->which], "why", why, NULL);
	s->told = true;
	snprintf(s->leader->why, sizeof(s->leader->why), "%s: %s", resources[s->which], why);
}

/* --- to lead */

static void end(struct pp_leader *l)
{
	for (int i = 0; i < SOURCES; i++) {
		pp_watch_free(l->sources[i].watch);
		l->sources[i] = (struct source){};
	}
	for (int i = 0; i < CALLS; i++) {
		pp_call_free(l->writes[i].call);
		free(l->writes[i].key);
		l->writes[i] = (struct write){};
	}
	if (l->gather_timer)
		pp_source_disarm(l->gather_timer);
	if (l->pace_timer)
		pp_source_disarm(l->pace_timer);
	l->gathering = l->pacing = l->told = false;
	l->why[0] = '\0';
	pp_sums_close(&l->sums);
}

static int begin(struct pp_leader *l)
{
	static const struct pp_watch_ops ops = { on_put, on_gone, on_synced, on_failed };
	int r = 0;

	for (int i = 0; i < CALLS; i++)
		l->writes[i].leader = l;
	for (int i = 0; i < SOURCES && !r; i++) {
		struct source *s = &l->sources[i];
		char path[80];

		snprintf(path, sizeof(path), PP_API_PATH "/%s", resources[i]);
		s->leader = l;
		s->which = i;
		r = pp_watch_new(l->kube, path, NULL, &ops, s, &s->watch);
	}
	return r;
}

static void on_changed(bool leads, void *arg)
{
	struct pp_leader *l = arg;

	pp_log(PP_LOG_INFO,
	       leads ? "this agent writes the status of objects"
		     : "this agent does not write the status of objects any more",
	       NULL);
	end(l);
	if (leads && begin(l)) {
		end(l);
		fail(l, "out of memory");
	}
}

/* --- wiring */

int pp_leader_new(struct pp_kube *k, const char *namespace, const char *identity,
		  const struct pp_leader_times *times, const struct pp_lease_times *lease_times,
		  struct pp_leader **ret)
{
	struct pp_leader *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->kube = k;
	l->times = times ? *times : pp_leader_times_default;
	l->sums.grace_ns = l->times.grace_ns;
	l->backoff = (struct pp_backoff){
		.min_ns = l->times.retry_ns,
		.max_ns = l->times.retry_max_ns,
		.reset_ns = 2 * l->times.retry_max_ns,
	};
	r = pp_source_timer(pp_kube_loop(k), on_gather, l, &l->gather_timer);
	if (!r)
		r = pp_source_timer(pp_kube_loop(k), on_pace, l, &l->pace_timer);
	if (!r)
		r = pp_lease_new(k, namespace, LEASE, identity, lease_times, on_changed, l,
				 &l->lease);
	if (r) {
		pp_leader_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

void pp_leader_free(struct pp_leader *l)
{
	if (!l)
		return;
	end(l);
	pp_lease_free(l->lease);
	pp_source_free(l->gather_timer);
	pp_source_free(l->pace_timer);
	free(l);
}

void pp_leader_release(struct pp_leader *l, void (*done)(void *arg), void *arg)
{
	pp_lease_release(l->lease, done, arg);
}

void pp_leader_state(const struct pp_leader *l, struct pp_leader_state *ret)
{
	*ret = (struct pp_leader_state){
		.leads = pp_lease_leads(l->lease),
		.holder = pp_lease_holder(l->lease),
		.why = l->why[0] ? l->why : pp_lease_why(l->lease),
		.nodes = l->sums.nodes.n,
		.objects = l->sums.objects.n,
		.written = l->written,
		.failed = l->failed,
	};
}
