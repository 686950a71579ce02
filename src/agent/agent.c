// SPDX-License-Identifier: Apache-2.0
// Wiring. Whatever changes, a pod or a cgroup, makes an apply due; one apply, a moment later, takes
// all that came together. Between two changes there is one every half minute, which finds and mends
// what others did to the kernel's state.
#include "agent/agent.h"
#include "agent/compile.h"
#include "agent/limits.h"
#include "agent/once.h"
#include "agent/rules.h"
#include "agent/tell.h"
#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "kernel/caps.h"

#define MS 1000000ull
/* after a change: what comes in one burst is applied together */
#define SOON_NS (2 * MS)
#define SWEEP_NS (30000 * MS)
#define RETRY_NS (2000 * MS)
#define AGAIN_NS (1500 * MS)
/* for the first lists of pods that rules name */
#define MATCH_NS (10000 * MS)

static void make_due(struct pp_agent *a)
{
	if (!a->due && !a->ending)
		pp_source_arm(a->apply_timer, SOON_NS);
	a->due = true;
}

/* --- applying */

/*
 * Is all known that limits are made of? Until then they stay as another agent has left them: a plan
 * of half of the objects would lift what the other half limits.
 */
static bool all_known(const struct pp_agent *a)
{
	struct pp_watch_stats stats;

	if (a->confdir)
		return true;
	pp_watch_stats(a->watch, &stats);
	return stats.synced && pp_objects_watch_known(a->objects);
}

static void look_for_lost(const struct pp_problem *p, void *arg)
{
	bool *lost = arg;

	*lost |= !p->has_last_good;
}

/*
 * A file that is at fault when the agent begins may have said something that is in the kernel. Of
 * the API's objects the API server has seen to it that they are valid.
 */
static void look_at_faults(struct pp_agent *a)
{
	bool lost = false;

	if (!a->confdir || (a->loaded && !a->half_known))
		return;
	pp_sources_problems(a->said, look_for_lost, &lost);
	if (lost && !a->half_known)
		pp_log(PP_LOG_WARN,
		       "what faulty objects said before is not known: until they are valid no limit is "
		       "taken away, and none is raised",
		       NULL);
	a->half_known = lost;
}

static int make_plan(struct pp_agent *a)
{
	int r = a->names_due ? pp_agent_name_groups(a) : 0;

	if (!r)
		a->names_due = false;
	if (!r && (a->plan_due || !a->plan)) {
		uint64_t begin = pp_now();

		r = pp_agent_compile(a);
		a->compile_ns = pp_now() - begin;
		a->parties_due = true;
		if (!r) {
			/* they speak of the plan before */
			pp_parties_free(a->parties);
			a->parties = NULL;
			r = pp_agent_follow(a);
		}
	}
	if (!r)
		a->plan_due = false;
	if (!r && (a->parties_due || !a->parties)) {
		uint64_t begin = pp_now();

		r = pp_agent_match(a);
		if (a->others)
			pp_others_took(a->others, pp_now() - begin + a->apply_ns);
	}
	if (!r)
		a->parties_due = false;
	return r;
}

/*
 * Of an agent that begins, and does not know yet whom rules are for, the kernel keeps what another
 * one has left it: for a while nothing is taken away or raised, and who matches stays until it is
 * known.
 */
static bool waits_for_parties(const struct pp_agent *a)
{
	return !a->matched && pp_now() - a->began < MATCH_NS;
}

static void wait_for_parties(struct pp_agent *a, struct pp_wanted *w)
{
	a->matched |= pp_agent_matched(a);
	if (a->matched)
		w->parties = a->parties;
	else if (waits_for_parties(a))
		w->complete = false;
}

static int apply_all(struct pp_agent *a, bool thorough, struct pp_err *e)
{
	_cleanup_free_ struct pp_local *locals = NULL;
	struct pp_wanted w = { .complete = true,
			       .thorough = thorough || !a->loaded,
			       .peers_changed = a->peers_due };
	struct pp_unmet unmet = a->unmet;
	uint64_t begin;
	int r = make_plan(a);

	look_at_faults(a);
	w.complete = !a->half_known;
	wait_for_parties(a, &w);
	if (!r)
		r = pp_agent_locals(a, &locals, &w.n_locals);
	if (r)
		return r;
	w.plan = a->plan;
	w.places = a->places;
	w.n_places = a->n_places;
	w.locals = locals;
	w.peers = a->o.peers;
	w.n_peers = a->o.n_peers;
	w.peers_complete = true;
	if (a->cluster)
		w.peers_complete = pp_cluster_peers(a->cluster, &w.peers, &w.n_peers);
	begin = pp_now();
	r = pp_apply(a->o.root, &w, &a->d, &a->in_kernel, &unmet, e);
	a->apply_ns = pp_now() - begin;
	if (!r)
		a->peers_due = false;
	pp_agent_tell_unmet(a, &unmet);
	return r;
}

static void apply(void *arg)
{
	struct pp_agent *a = arg;
	struct pp_err e = { "" };
	bool due = a->due; /* something has changed, or it is time for a sweep */
	int r;

	if (a->ending)
		return;
	a->due = false;
	if (!all_known(a))
		return;
	r = apply_all(a, !due, &e);
	if (r) {
		const char *why = e.msg[0] ? e.msg : strerror(-r);

		if (strcmp(a->apply_error, why) != 0)
			pp_log(PP_LOG_ERROR, "limits cannot be applied", "why", why, NULL);
		snprintf(a->apply_error, sizeof(a->apply_error), "%s", why);
		pp_agent_status(a);
		pp_source_arm(a->apply_timer, RETRY_NS);
		return;
	}
	if (a->apply_error[0])
		pp_log(PP_LOG_INFO, "limits are applied again", NULL);
	a->apply_error[0] = '\0';
	if (!a->loaded)
		pp_notify_ready(a->notify);
	a->loaded = true;
	a->applied++;
	pp_agent_settle(a);
	pp_agent_tell(a);
	if (a->kube)
		pp_agent_remark(a);
	pp_agent_status(a);
	pp_agent_wait_expiry(a);
	if (!due && !a->rests)
		pp_mem_trim();
	a->rests = !due;
	pp_source_arm(a->apply_timer,
		      a->in_kernel.more || waits_for_parties(a) ? AGAIN_NS : SWEEP_NS);
}

/* --- what changes */

static void on_tree(void *arg)
{
	struct pp_agent *a = arg;

	a->tree_changed = pp_now();
	a->plan_due = true;
	make_due(a);
}

static void on_objects(void *arg)
{
	struct pp_agent *a = arg;

	a->objects_changed = pp_now();
	a->plan_due = a->names_due = true;
	make_due(a);
}

static void on_cluster(void *arg)
{
	struct pp_agent *a = arg;

	a->peers_due = true;
	make_due(a);
}

static void on_others(void *arg)
{
	struct pp_agent *a = arg;

	a->parties_due = true;
	make_due(a);
}

static void on_put(json_t *object, void *arg)
{
	struct pp_agent *a = arg;

	pp_pods_put(&a->pods, object, pp_now());
	a->watch_error[0] = '\0';
	a->plan_due = true;
	make_due(a);
}

static void on_gone(const char *ns, const char *name, const char *uid, void *arg)
{
	struct pp_agent *a = arg;

	pp_pods_remove(&a->pods, ns, name, uid);
	a->plan_due = true;
	make_due(a);
}

static void on_synced(void *arg)
{
	struct pp_agent *a = arg;
	char n[32];

	snprintf(n, sizeof(n), "%zu", a->pods.n);
	pp_log(PP_LOG_INFO, "all pods of the node are known", "pods", n, NULL);
	a->watch_error[0] = '\0';
	make_due(a);
}

static void on_failed(const char *why, void *arg)
{
	struct pp_agent *a = arg;

	if (strcmp(a->watch_error, why) != 0)
		pp_log(PP_LOG_WARN, "the API is not heard; limits stay as they are", "why", why,
		       NULL);
	snprintf(a->watch_error, sizeof(a->watch_error), "%s", why);
}

/* --- wiring */

static int open_kube(struct pp_agent *a, struct pp_err *e)
{
	struct pp_kube_config config = {};
	int r = pp_kube_config_load(a->o.kubeconfig, NULL, &config, e);

	if (r)
		return r;
	r = pp_kube_new(a->loop, &config, "podpace/" PP_VERSION, &a->kube, e);
	pp_kube_config_close(&config);
	return r;
}

static int open_watch(struct pp_agent *a)
{
	static const struct pp_watch_ops ops = { on_put, on_gone, on_synced, on_failed };
	char query[400];

	snprintf(query, sizeof(query), "fieldSelector=spec.nodeName%%3D%s", a->o.node);
	return pp_watch_new(a->kube, "/api/v1/pods", query, &ops, a, &a->watch);
}

/* Who writes what all nodes say: one of the agents of the DaemonSet's namespace. */
static int open_leader(struct pp_agent *a)
{
	const char *slash = a->o.daemonset ? strchr(a->o.daemonset, '/') : NULL;
	char ns[256] = "podpace-system", identity[400];

	if (slash)
		snprintf(ns, sizeof(ns), "%.*s", (int)(slash - a->o.daemonset), a->o.daemonset);
	/* a restart is another: what it led it leads no more */
	snprintf(identity, sizeof(identity), "%s_%d_%llx", a->o.node, getpid(),
		 (unsigned long long)pp_now());
	return pp_leader_new(a->kube, ns, identity, NULL, NULL, &a->leader);
}

/* Where objects and pods come from. */
static int open_cluster(struct pp_agent *a, struct pp_err *e)
{
	int r = pp_tree_new(a->loop, &a->cgroupfs, on_tree, a, &a->tree, e);

	if (!r)
		r = open_kube(a, e);
	if (!r)
		r = open_watch(a);
	if (!r)
		r = pp_objects_watch_new(a->kube, a->o.node, a->said, on_objects, a, &a->objects);
	if (!r)
		r = pp_cluster_new(a->kube, a->loop, a->o.peers, a->o.n_peers, on_cluster, a,
				   &a->cluster);
	if (!r)
		r = pp_others_new(a->kube, a->loop, on_others, a, &a->others);
	if (!r)
		r = pp_report_new(a->kube, a->o.node, PP_VERSION, NULL, &a->report);
	if (!r)
		r = open_leader(a);
	return r;
}

static int open_all(struct pp_agent *a, struct pp_err *e)
{
	int r = pp_loop_new(&a->loop);

	if (!r)
		r = pp_agent_open_end(a);
	if (!r)
		r = pp_source_timer(a->loop, apply, a, &a->apply_timer);
	if (!r)
		r = pp_agent_open_expiry(a);
	if (!r)
		r = pp_cgroupfs_open(&a->cgroupfs, e);
	if (!r)
		r = pp_notify_new(a->loop, &a->notify, e);
	if (!r)
		r = pp_sources_new(&a->said);
	if (!r)
		r = pp_groups_new(a->loop, &a->cgroupfs, on_tree, a, &a->groups, e);
	if (!r && a->o.config)
		r = pp_confdir_new(a->loop, a->o.config, a->said, on_objects, a, &a->confdir, e);
	else if (!r)
		r = open_cluster(a, e);
	if (!r && a->o.listen)
		r = pp_http_new(a->loop, a->o.listen, pp_agent_pages, a, &a->http, e);
	return r;
}

static void close_all(struct pp_agent *a)
{
	pp_http_free(a->http);
	pp_cluster_free(a->cluster);
	pp_leader_free(a->leader);
	pp_report_free(a->report);
	pp_others_free(a->others);
	pp_objects_watch_free(a->objects);
	pp_watch_free(a->watch);
	pp_kube_free(a->kube);
	pp_tree_free(a->tree);
	pp_confdir_free(a->confdir);
	pp_groups_free(a->groups);
	pp_notify_free(a->notify);
	pp_sources_free(a->said);
	pp_source_free(a->apply_timer);
	pp_source_free(a->expiry_timer);
	pp_source_free(a->end_timer);
	pp_source_free(a->signals);
	if (a->signal_fd >= 0)
		close(a->signal_fd);
	pp_plan_free(a->plan);
	pp_parties_free(a->parties);
	pp_applied_free(&a->in_kernel);
	free(a->places);
	pp_datapath_close(&a->d);
	pp_cgroupfs_close(&a->cgroupfs);
	pp_pods_free(&a->pods);
	pp_loop_free(a->loop);
}

int pp_agent_run(const struct pp_agent_options *o, struct pp_err *e)
{
	struct pp_agent a = {
		.o = *o, .signal_fd = -1, .d = PP_DATAPATH_INIT, .cgroupfs = { .fd = -1 }
	};
	_cleanup_close_ int claim = pp_agent_claim(o->root);
	int r = open_all(&a, e);

	if (claim == -EADDRINUSE)
		pp_log(PP_LOG_WARN, "another agent keeps the limits here: both will", "root", o->root,
		       NULL);
	if (!r)
		r = pp_caps_lower();
	if (!r) {
		pp_log(PP_LOG_INFO, "podpace agent begins", "version", PP_VERSION, "node", o->node,
		       "root", o->root, "listen", o->listen, NULL);
		a.plan_due = a.names_due = true;
		a.began = pp_now();
		make_due(&a);
		r = pp_loop_run(a.loop);
	}
	close_all(&a);
	return r;
}
