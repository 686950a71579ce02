// SPDX-License-Identifier: Apache-2.0
// What the agent says of itself: /livez, /readyz, and /metrics in the text format of Prometheus
// (prometheus.io/docs/instrumenting/exposition_formats). Bytes, not bits, as its naming rules say.
#include <inttypes.h>

#include "agent/agent.h"
#include "base/base.h"
#include "bpf/law.h"

const unsigned int pp_agent_buckets_ms[PP_AGENT_N_BUCKETS] = { 10,  25,	 50,   100,
							       250, 500, 1000, 5000 };

const char *const pp_agent_dirs[PP_N_DIR] = { "egress", "ingress" };

/* --- health */

static int livez(FILE *f, void *arg)
{
	(void)arg;
	fputs("ok\n", f);
	return 200;
}

/* A line for each thing that has to be so. */
static int readyz(FILE *f, void *arg)
{
	const struct pp_agent *a = arg;
	struct pp_watch_stats stats = {};
	bool applied = a->loaded && !a->apply_error[0];

	if (a->watch)
		pp_watch_stats(a->watch, &stats);
	fprintf(f, "[%c]pods are known%s%s\n", stats.synced ? '+' : '-',
		a->watch_error[0] ? ": " : "", a->watch_error);
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
	return stats.synced && applied ? 200 : 503;
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
	FAIR,
	FLOWS,
	BYTES,
	PACKETS,
	REFUSED_BYTES,
	REFUSED_PACKETS,
	LIMITED_NS,
	UNHEARD_PACKETS,
	DELAYED,
};

static const struct {
	const char *name, *type, *help;
	enum value value;
} metrics[] = {
	{ "pod_limit_bytes_per_second", "gauge", "The limit in force.", LIMIT },
	{ "pod_fair_rate_bytes_per_second", "gauge",
	  "What each connection under the limit may carry now.", FAIR },
	{ "pod_flows", "gauge", "Connections that share the limit.", FLOWS },
	{ "pod_bytes_total", "counter", "Bytes of IP packets that the limit let through.", BYTES },
	{ "pod_packets_total", "counter", "Packets that the limit let through.", PACKETS },
	{ "pod_refused_bytes_total", "counter",
	  "Bytes that were refused; of what a pod receives, dropped.", REFUSED_BYTES },
	{ "pod_refused_packets_total", "counter",
	  "Packets that were refused; of what a pod receives, dropped.", REFUSED_PACKETS },
	{ "pod_limited_seconds_total", "counter", "Time in which the limit bound.", LIMITED_NS },
	{ "pod_unheard_packets_total", "counter",
	  "Of the packets, TCP segments with data from senders that do not hear the rate.",
	  UNHEARD_PACKETS },
	{ "pod_delayed_connections_total", "counter",
	  "Connections to the pod whose handshake waited, since more came than the limit lets through.",
	  DELAYED },
};

static double value_of(const struct pp_pipe *p, enum value value)
{
	bool idle = pp_now() - p->last > PP_NSEC && pp_now() - p->last > 8 * pp_law_epoch(p);
	uint64_t refused = 0;

	for (int why = 0; why < PP_N_REFUSAL; why++)
		refused += p->refused[why];
	switch (value) {
	case LIMIT:
		return p->rate;
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
	case UNHEARD_PACKETS:
		return p->unheard;
	case DELAYED:
		return p->delayed;
	}
	return 0;
}

static void pods_metrics(FILE *f, const struct pp_agent *a)
{
	for (size_t m = 0; m < ARRAY_SIZE(metrics); m++) {
		head(f, metrics[m].name, metrics[m].type, metrics[m].help);
		for (size_t i = 0; a->loaded && i < a->pods.n * PP_N_DIR; i++) {
			const struct pp_pod *pod = a->pods.pods[i / PP_N_DIR];
			uint32_t pipe = pod->limit[i % PP_N_DIR].pipe;

			if (!pipe || pipe >= PP_MAX_PIPES)
				continue;
			/* names and namespaces of pods need no escaping: DNS labels */
			fprintf(f, "podpace_%s{namespace=\"%s\",pod=\"%s\",direction=\"%s\"} %.15g\n",
				metrics[m].name, pod->ns, pod->name, pp_agent_dirs[i % PP_N_DIR],
				value_of(&a->d.pipes[pipe], metrics[m].value));
		}
	}
}

static void states_metric(FILE *f, const struct pp_agent *a)
{
	head(f, "limits", "gauge", "Limits that pods ask for, by what became of them.");
	for (int dir = 0; dir < PP_N_DIR; dir++)
		for (int state = PP_POD_WAITING; state < PP_N_POD_STATE; state++) {
			size_t n = 0;

			for (size_t i = 0; i < a->pods.n; i++)
				n += a->pods.pods[i]->limit[dir].text &&
				     a->pods.pods[i]->limit[dir].state ==
					     (enum pp_pod_state)state;
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
	struct pp_cluster_source s[PP_N_PEER_SOURCE + 1] = { { .resource = "pods" } };
	size_t n = 1;

	if (a->watch)
		pp_watch_stats(a->watch, &s[0].watch);
	for (int i = 0; a->cluster && i < PP_N_PEER_SOURCE; i++)
		pp_cluster_source(a->cluster, i, &s[n++]);
	for (size_t m = 0; m < ARRAY_SIZE(watch_metrics); m++) {
		head(f, watch_metrics[m].name, watch_metrics[m].type, watch_metrics[m].help);
		for (size_t i = 0; i < n; i++)
			fprintf(f, "podpace_%s{resource=\"%s\"} %" PRIu64 "\n",
				watch_metrics[m].name, s[i].resource,
				watch_value(&s[i].watch, watch_metrics[m].value));
	}
}

static void peers_metrics(FILE *f, const struct pp_agent *a)
{
	const struct pp_cidr *peers;
	size_t n = 0;
	bool all = a->cluster && pp_cluster_peers(a->cluster, &peers, &n);

	single(f, "peers", "gauge", "Prefixes of addresses whose hosts take part in feedback.", n);
	single(f, "peers_complete", "gauge", "Are these all of the cluster?",
	       all && !a->unmet.peers[0]);
	single(f, "pods_unidentified", "gauge", "Pods whose identity found no room.",
	       a->unmet.identities);
}

static int write_metrics(FILE *f, void *arg)
{
	static const char *const events[PP_N_EVENT] = {
		[PP_EVENT_NO_STORAGE] = "no_storage",
		[PP_EVENT_PATH_FULL] = "path_full",
		[PP_EVENT_NO_PACE] = "no_pace",
		[PP_EVENT_SLOT_FREED] = "slot_freed",
	};
	const struct pp_agent *a = arg;

	head(f, "build_info", "gauge", "The version that runs.");
	fprintf(f, "podpace_build_info{version=\"%s\"} 1\n", PP_VERSION);
	single(f, "pods", "gauge", "Pods of this node.", a->pods.n);
	states_metric(f, a);
	took_metric(f, a);
	pods_metrics(f, a);
	watches_metrics(f, a);
	peers_metrics(f, a);
	single(f, "apply_total", "counter", "Times the limits were compared.", a->applied);
	single(f, "apply_failing", "gauge", "Did the last comparison fail as a whole?",
	       a->apply_error[0] != '\0');
	head(f, "datapath_events_total", "counter", "What happened in the kernel programs.");
	for (int i = 0; a->loaded && i < PP_N_EVENT; i++)
		fprintf(f, "podpace_datapath_events_total{event=\"%s\"} %llu\n", events[i],
			(unsigned long long)a->d.state->event[i]);
	return 200;
}

static int index_page(FILE *f, void *arg)
{
	(void)arg;
	fputs("podpace agent: /metrics /readyz /livez\n", f);
	return 200;
}

static const char text[] = "text/plain; charset=utf-8";

const struct pp_page pp_agent_pages[] = {
	{ "/", text, index_page },
	{ "/livez", text, livez },
	{ "/readyz", text, readyz },
	{ "/metrics", "text/plain; version=0.0.4; charset=utf-8", write_metrics },
	{},
};
