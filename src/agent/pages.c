// SPDX-License-Identifier: Apache-2.0
// What the agent says of itself: /livez, /readyz, and /metrics in the text format of Prometheus
// (prometheus.io/docs/instrumenting/exposition_formats). Bytes, not bits, as its naming rules say.
#include <inttypes.h>
#include <math.h>

#include "agent/agent.h"
#include "agent/limits.h"
#include "agent/rules.h"
#include "base/base.h"
#include "bpf/law.h"
#include "kernel/pairs.h"

const unsigned int pp_agent_buckets_ms[PP_AGENT_N_BUCKETS] = {
	10, 25, 50, 100, 250, 500, 1000, 5000
};

const char *const pp_agent_dirs[PP_N_DIR] = { "egress", "ingress" };

/* --- health */

static int livez(FILE *f, const char *rest, void *arg)
{
	(void)rest, (void)arg;
	fputs("ok\n", f);
	return 200;
}

static bool objects_known(FILE *f, const struct pp_agent *a)
{
	struct pp_watch_stats stats;
	const char *resource, *why;

	for (int i = 0; i < PP_N_OBJECTS_SOURCE; i++) {
		why = pp_objects_watch_source(a->objects, i, &stats, &resource);
		if (why[0])
			fprintf(f, "[%c]%s: %s\n", stats.synced ? '!' : '-', resource, why);
	}
	return pp_objects_watch_known(a->objects);
}

/* A line for each thing that has to be so. */
static int readyz(FILE *f, const char *rest, void *arg)
{
	const struct pp_agent *a = arg;
	struct pp_watch_stats stats = {};
	bool applied = a->loaded && !a->apply_error[0], known = true;

	(void)rest;
	if (a->watch) {
		pp_watch_stats(a->watch, &stats);
		fprintf(f, "[%c]pods are known%s%s\n", stats.synced ? '+' : '-',
			a->watch_error[0] ? ": " : "", a->watch_error);
		known = stats.synced && objects_known(f, a);
	}
	fprintf(f, "[%c]limits are applied%s%s\n", applied ? '+' : '-',
		a->apply_error[0] ? ": " : "", a->apply_error);
	/* without them limits on what pods receive hold too, if less well */
	for (int i = 0; a->cluster && i < PP_N_PEER_SOURCE; i++) {
		struct pp_cluster_source s;

		pp_cluster_source(a->cluster, i, &s);
		if (s.why[0])
			fprintf(f, "[!]peers: %s are not known: %s\n", s.resource, s.why);
	}
	if (a->unmet.peers[0])
		fprintf(f, "[!]peers: %s\n", a->unmet.peers);
	if (pp_agent_match_why(a)[0] || !pp_agent_matched(a))
		fprintf(f, "[!]peers of rules: %s\n",
			pp_agent_match_why(a)[0] ? pp_agent_match_why(a) : "not all are known yet");
	if (a->unmet.locals[0])
		fprintf(f, "[!]uplink: %s\n", a->unmet.locals);
	return known && applied ? 200 : 503;
}

/* --- metrics */

static void head(FILE *f, const char *name, const char *type, const char *help)
{
	fprintf(f, "# HELP podpace_%s %s\n# TYPE podpace_%s %s\n", name, help, name, type);
}

static void single(FILE *f, const char *name, const char *type, const char *help, uint64_t value)
{
	head(f, name, type, help);
	fprintf(f, "podpace_%s %" PRIu64 "\n", name, value);
}

enum value {
	LIMIT,
	GUARANTEE,
	CAPACITY,
	FAIR,
	FLOWS,
	BYTES,
	PACKETS,
	REFUSED_BYTES,
	REFUSED_PACKETS,
	LIMITED_NS,
	MISSED_NS,
	UNHEARD_PACKETS,
	DELAYED,
};

/* Of a pod, and of many pods together; without the name of one of them it has no such. */
static const struct {
	const char *pod, *many, *type, *help;
	enum value value;
} metrics[] = {
	{ "pod_limit_bytes_per_second", "limit_bytes_per_second", "gauge",
	  "The limit in force; +Inf if it has only a share.", LIMIT },
	{ "pod_guarantee_bytes_per_second", "guarantee_bytes_per_second", "gauge",
	  "What it has before weights count.", GUARANTEE },
	{ "pod_capacity_bytes_per_second", "capacity_bytes_per_second", "gauge",
	  "What it may have now: its limit, or its share of another.", CAPACITY },
	{ "pod_fair_rate_bytes_per_second", NULL, "gauge",
	  "What each connection under the limit may carry now.", FAIR },
	{ "pod_flows", NULL, "gauge", "Connections that share the limit.", FLOWS },
	{ "pod_bytes_total", "bytes_total", "counter",
	  "Bytes of IP packets that the limit let through.", BYTES },
	{ "pod_packets_total", "packets_total", "counter", "Packets that the limit let through.",
	  PACKETS },
	{ "pod_refused_bytes_total", "refused_bytes_total", "counter",
	  "Bytes that were refused; of what a pod receives, dropped; of an observed limit, beyond it.",
	  REFUSED_BYTES },
	{ "pod_refused_packets_total", "refused_packets_total", "counter",
	  "Packets that were refused; of what a pod receives, dropped; of an observed limit, beyond it.",
	  REFUSED_PACKETS },
	{ "pod_limited_seconds_total", "limited_seconds_total", "counter",
	  "Time in which the limit bound.", LIMITED_NS },
	{ "pod_guarantee_missed_seconds_total", "guarantee_missed_seconds_total", "counter",
	  "Time in which it wanted its guarantee and had less.", MISSED_NS },
	{ "pod_unheard_packets_total", NULL, "counter",
	  "Of the packets, TCP segments with data from senders that do not hear the rate.",
	  UNHEARD_PACKETS },
	{ "pod_delayed_connections_total", NULL, "counter",
	  "Connections to the pod whose handshake waited, since more came than the limit lets through.",
	  DELAYED },
};

static double value_of(const struct pp_pipe *p, enum value value)
{
	bool idle = pp_pipe_idle(p, pp_now());
	uint64_t refused = 0;

	for (int why = 0; why < PP_N_REFUSAL; why++)
		refused += p->refused[why];
	switch (value) {
	case LIMIT:
		return p->rate < PP_NO_CEIL ? p->rate : INFINITY;
	case GUARANTEE:
		return p->guarantee;
	case CAPACITY:
		return pp_min(pp_law_rate(p), p->rate);
	case FAIR:
		return idle ? p->rate : pp_min(pp_law_fair(p), p->rate);
	case FLOWS:
		return idle ? 0 : p->n16 / 16;
	case BYTES:
		return p->bytes;
	case PACKETS:
		return p->packets;
	case REFUSED_BYTES:
		return p->refused_bytes;
	case REFUSED_PACKETS:
		return refused;
	case LIMITED_NS:
		return p->busy_ns / 1e9;
	case MISSED_NS:
		return p->missed_ns / 1e9;
	case UNHEARD_PACKETS:
		return p->unheard;
	case DELAYED:
		return p->delayed;
	}
	return 0;
}

/* names and namespaces of pods need no escaping: DNS labels */
static void pod_metric(FILE *f, const struct pp_agent *a, size_t m, const struct pp_pod *pod,
		       int dir, bool uplink)
{
	uint32_t pipe = uplink ? pod->limit[dir].uplink : pod->limit[dir].pipe;

	if (pipe && pipe < PP_MAX_PIPES)
		fprintf(f, "podpace_%s{namespace=\"%s\",pod=\"%s\",direction=\"%s\"%s} %.15g\n",
			metrics[m].pod, pod->ns, pod->name, pp_agent_dirs[dir],
			uplink ? ",uplink=\"true\"" : "",
			value_of(&a->d.pipes[pipe], metrics[m].value));
}

static void pods_metrics(FILE *f, const struct pp_agent *a)
{
	for (size_t m = 0; m < ARRAY_SIZE(metrics); m++) {
		head(f, metrics[m].pod, metrics[m].type, metrics[m].help);
		for (size_t i = 0; a->loaded && i < a->pods.n * PP_N_DIR; i++) {
			pod_metric(f, a, m, a->pods.pods[i / PP_N_DIR], i % PP_N_DIR, false);
			pod_metric(f, a, m, a->pods.pods[i / PP_N_DIR], i % PP_N_DIR, true);
		}
	}
	head(f, "pod_class", "gauge", "The class of each pod that has one.");
	for (size_t i = 0; a->plan && i < a->plan->n_subjects; i++) {
		const struct pp_plan_subject *s = &a->plan->subjects[i];

		if (s->class && s->namespace)
			fprintf(f,
				"podpace_pod_class{namespace=\"%s\",pod=\"%s\",class=\"%s\"} 1\n",
				s->namespace, s->name, s->class);
	}
}

/* As a label's value: a cgroup's path may have any character. */
static const char *label(char *buf, size_t size, const char *text)
{
	size_t n = 0;

	for (; *text && n + 3 < size; text++) {
		if (*text == '\\' || *text == '"' || *text == '\n')
			buf[n++] = '\\';
		buf[n++] = *text == '\n' ? 'n' : *text;
	}
	buf[n] = '\0';
	return buf;
}

/* What is limited together: tenants, policies, the uplink; cgroups of a host; observed limits. */
static void many_metrics(FILE *f, const struct pp_agent *a)
{
	const struct pp_plan *plan = a->plan;

	for (size_t m = 0; m < ARRAY_SIZE(metrics); m++) {
		if (!metrics[m].many)
			continue;
		head(f, metrics[m].many, metrics[m].type, metrics[m].help);
		for (size_t i = 0; a->loaded && i < plan->n_pipes; i++) {
			const struct pp_plan_pipe *p = plan->pipes[i];
			bool pod = p->subject != SIZE_MAX && plan->subjects[p->subject].namespace;
			char name[5000];
			const struct pp_pipe *pipe = &a->d.pipes[a->in_kernel.pipe[i]];
			struct pp_pipe sum;

			if (!a->in_kernel.pipe[i] || (pod && !p->observe && !p->match))
				continue;
			if (p->pairs) {
				sum = pp_pairs_sum(&a->d, a->in_kernel.pipe[i]);
				pipe = &sum;
			}
			fprintf(f,
				"podpace_%s{limit=\"%s\",direction=\"%s\",uplink=\"%s\",observe=\"%s\"} "
				"%.15g\n",
				metrics[m].many, label(name, sizeof(name), p->name),
				pp_agent_dirs[p->way],
				p->uplink ? "true" : "false", p->observe ? "true" : "false",
				value_of(pipe, metrics[m].value));
		}
	}
}

/* --- classes: their pods of now, and what those did that are gone or have another class */

struct sum {
	double bytes, limited, missed;
};

static struct sum class_sum(const struct pp_agent *a, uint32_t ledger)
{
	const struct pp_pipe *l = &a->d.pipes[ledger], *p;
	struct sum s = { (double)l->bytes, (double)l->busy_ns / 1e9, (double)l->missed_ns / 1e9 };

	for (uint32_t k = 1; k < pp_pipes_end(&a->d); k++) {
		p = &a->d.pipes[k];
		/* one that is freed stays as it is until it is added up */
		if (!p->ledger || p->ledger != l->key)
			continue;
		s.bytes += (double)(p->bytes - p->ledger_from);
		s.limited += (double)(p->busy_ns - p->ledger_busy) / 1e9;
		s.missed += (double)(p->missed_ns - p->ledger_missed) / 1e9;
	}
	return s;
}

static void class_metric(FILE *f, const struct pp_agent *a, const char *name, const char *help,
			 int which)
{
	head(f, name, "counter", help);
	for (size_t i = 0; a->loaded && i < a->plan->n_objects * PP_N_DIR; i++) {
		uint32_t ledger = a->in_kernel.ledger[i / PP_N_DIR][i % PP_N_DIR];
		struct sum s;

		if (!ledger)
			continue;
		s = class_sum(a, ledger);
		fprintf(f, "podpace_%s{class=\"%s\",direction=\"%s\"} %.15g\n", name,
			a->plan->objects[i / PP_N_DIR].name, pp_agent_dirs[i % PP_N_DIR],
			which == 0   ? s.bytes
			: which == 1 ? s.limited
				     : s.missed);
	}
}

static void classes_metrics(FILE *f, const struct pp_agent *a)
{
	class_metric(f, a, "class_bytes_total",
		     "Bytes of all pods that had the class while they had it.", 0);
	class_metric(f, a, "class_limited_seconds_total",
		     "Time in which limits of such pods bound, of all of them together.", 1);
	class_metric(f, a, "class_guarantee_missed_seconds_total",
		     "Time in which such pods wanted their guarantee and had less.", 2);
}

static void states_metric(FILE *f, const struct pp_agent *a)
{
	head(f, "limits", "gauge", "Limits that pods ask for, by what became of them.");
	for (int dir = 0; dir < PP_N_DIR; dir++)
		for (int state = PP_POD_WAITING; state < PP_N_POD_STATE; state++) {
			size_t n = 0;

			for (size_t i = 0; i < a->pods.n; i++)
				n += (a->pods.pods[i]->limit[dir].wanted ||
				      a->pods.pods[i]->limit[dir].text) &&
				     a->pods.pods[i]->limit[dir].state == (enum pp_pod_state)state;
			fprintf(f, "podpace_limits{direction=\"%s\",state=\"%s\"} %zu\n",
				pp_agent_dirs[dir], pp_pod_state_name(state), n);
		}
}

static void took_metric(FILE *f, const struct pp_agent *a)
{
	static const char name[] = "enforcement_seconds";
	uint64_t sum = 0;

	head(f, name, "histogram",
	     "From the moment a pod's annotation and cgroup were known until its limit was in force.");
	for (int i = 0; i < PP_AGENT_N_BUCKETS; i++) {
		sum += a->took[i];
		fprintf(f, "podpace_%s_bucket{le=\"%g\"} %" PRIu64 "\n", name,
			pp_agent_buckets_ms[i] / 1e3, sum);
	}
	fprintf(f, "podpace_%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, a->took_count);
	fprintf(f, "podpace_%s_sum %.9g\npodpace_%s_count %" PRIu64 "\n", name,
		a->took_sum_ns / 1e9, name, a->took_count);
}

enum watch_value { EVENTS, LISTS, RESTARTS, SYNCED, CONNECTED };

static const struct {
	const char *name, *type, *help;
	enum watch_value value;
} watch_metrics[] = {
	{ "watch_events_total", "counter", "Events received from the API.", EVENTS },
	{ "watch_lists_total", "counter", "Lists received.", LISTS },
	{ "watch_restarts_total", "counter", "Streams opened again.", RESTARTS },
	{ "watch_synced", "gauge", "Was there a list?", SYNCED },
	{ "watch_connected", "gauge", "Is the API heard?", CONNECTED },
};

static uint64_t watch_value(const struct pp_watch_stats *s, enum watch_value value)
{
	switch (value) {
	case EVENTS:
		return s->events;
	case LISTS:
		return s->lists;
	case RESTARTS:
		return s->restarts;
	case SYNCED:
		return s->synced;
	case CONNECTED:
		return s->connected;
	}
	return 0;
}

static void watches_metrics(FILE *f, const struct pp_agent *a)
{
	struct pp_cluster_source s[PP_N_PEER_SOURCE + PP_N_OBJECTS_SOURCE + 2] = {
		{ .resource = "pods" }
	};
	struct pp_others_stats o;
	size_t n = 1;

	if (a->watch)
		pp_watch_stats(a->watch, &s[0].watch);
	for (int i = 0; a->cluster && i < PP_N_PEER_SOURCE; i++)
		pp_cluster_source(a->cluster, i, &s[n++]);
	for (int i = 0; a->objects && i < PP_N_OBJECTS_SOURCE; i++, n++)
		s[n].why = pp_objects_watch_source(a->objects, i, &s[n].watch, &s[n].resource);
	if (a->others) {
		pp_others_stats(a->others, &o);
		s[n++] = (struct pp_cluster_source){ .resource = "peers of rules",
						     .watch = { .events = o.events,
								.lists = o.lists,
								.restarts = o.restarts,
								.synced = o.synced,
								.connected = !o.why[0] } };
	}
	for (size_t m = 0; m < ARRAY_SIZE(watch_metrics); m++) {
		head(f, watch_metrics[m].name, watch_metrics[m].type, watch_metrics[m].help);
		for (size_t i = 0; i < n; i++)
			fprintf(f, "podpace_%s{resource=\"%s\"} %" PRIu64 "\n",
				watch_metrics[m].name, s[i].resource,
				watch_value(&s[i].watch, watch_metrics[m].value));
	}
}

static void rules_metrics(FILE *f, const struct pp_agent *a)
{
	struct pp_others_stats o = { .synced = true };
	uint32_t pairs = 0;

	if (a->others)
		pp_others_stats(a->others, &o);
	for (uint32_t k = PP_MAX_PIPES; a->loaded && k < PP_ALL_PIPES; k++)
		pairs += a->d.pipes[k].kind == PP_KIND_PAIR;
	single(f, "rule_watches", "gauge", "Watches of pods that rules name.", o.watches);
	single(f, "rule_pods", "gauge", "Pods that these have.", o.pods);
	single(f, "rule_parties", "gauge",
	       "Addresses and identities of pods that some rule of this node is for.",
	       a->parties ? a->parties->n_parties : 0);
	single(f, "pairs", "gauge", "Pairs that have a limit of their own now.", pairs);
}

static void peers_metrics(FILE *f, const struct pp_agent *a)
{
	const struct pp_cidr *peers;
	size_t n = 0;
	bool all = a->cluster && pp_cluster_peers(a->cluster, &peers, &n);

	single(f, "peers", "gauge", "Prefixes of addresses whose hosts take part in feedback.", n);
	single(f, "peers_complete", "gauge", "Are these all of the cluster?",
	       all && !a->unmet.peers[0]);
	rules_metrics(f, a);
	single(f, "pods_unidentified", "gauge", "Pods whose identity found no room.",
	       a->unmet.identities);
}

static int write_metrics(FILE *f, const char *rest, void *arg)
{
	static const char *const events[PP_N_EVENT] = {
		[PP_EVENT_NO_STORAGE] = "no_storage",
		[PP_EVENT_PATH_FULL] = "path_full",
		[PP_EVENT_NO_PACE] = "no_pace",
		[PP_EVENT_SLOT_FREED] = "slot_freed",
		[PP_EVENT_PAIRS_FULL] = "pairs_full",
	};
	const struct pp_agent *a = arg;

	(void)rest;
	head(f, "build_info", "gauge", "The version that runs.");
	fprintf(f, "podpace_build_info{version=\"%s\"} 1\n", PP_VERSION);
	single(f, "pods", "gauge", "Pods of this node.", a->pods.n);
	states_metric(f, a);
	took_metric(f, a);
	pods_metrics(f, a);
	many_metrics(f, a);
	classes_metrics(f, a);
	watches_metrics(f, a);
	peers_metrics(f, a);
	single(f, "apply_total", "counter", "Times the limits were compared.", a->applied);
	head(f, "compile_seconds", "gauge", "What making the last plan took.");
	fprintf(f, "podpace_compile_seconds %.9g\n", a->compile_ns / 1e9);
	head(f, "apply_seconds", "gauge", "What comparing it with the kernel, and changing that, took.");
	fprintf(f, "podpace_apply_seconds %.9g\n", a->apply_ns / 1e9);
	single(f, "apply_failing", "gauge", "Did the last comparison fail as a whole?",
	       a->apply_error[0] != '\0');
	head(f, "datapath_events_total", "counter", "What happened in the kernel programs.");
	for (int i = 0; a->loaded && i < PP_N_EVENT; i++)
		fprintf(f, "podpace_datapath_events_total{event=\"%s\"} %llu\n", events[i],
			(unsigned long long)a->d.state->event[i]);
	return 200;
}

static int index_page(FILE *f, const char *rest, void *arg)
{
	(void)rest, (void)arg;
	fputs("podpace agent: /metrics /readyz /livez /explain/pod/NAMESPACE/NAME /explain/cgroup/PATH "
	      "/pod/NAMESPACE/NAME /limits\n",
	      f);
	return 200;
}

static const char text[] = "text/plain; charset=utf-8";

const struct pp_page pp_agent_pages[] = {
	{ "/", text, index_page },
	{ "/livez", text, livez },
	{ "/readyz", text, readyz },
	{ "/explain/", "application/json", pp_agent_explain },
	{ "/pod/", "application/json", pp_agent_pod },
	{ "/limits", "application/json", pp_agent_limits },
	{ "/metrics", "text/plain; version=0.0.4; charset=utf-8", write_metrics },
	{},
};
