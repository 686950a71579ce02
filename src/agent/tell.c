// SPDX-License-Identifier: Apache-2.0
// An apply says what is new and no more.
#include "agent/tell.h"
#include "base/base.h"
#include "base/log.h"
#include "base/qty.h"

#define MS 1000000ull

static void took(struct pp_agent *a, uint64_t ns)
{
	int i = 0;

	while (i < PP_AGENT_N_BUCKETS && ns > pp_agent_buckets_ms[i] * MS)
		i++;
	a->took[i]++;
	a->took_count++;
	a->took_sum_ns += ns;
}

static uint64_t latest(const struct pp_agent *a, uint64_t asked)
{
	uint64_t t = asked > a->tree_changed ? asked : a->tree_changed;

	return t > a->objects_changed ? t : a->objects_changed;
}

static void tell_granted(const struct pp_agent *a, const struct pp_pod *pod, enum pp_dir dir)
{
	const struct pp_plan_subject *s = pp_plan_find(a->plan, pod->ns, pod->name, pod->uid);
	const struct pp_plan_pipe *p = s ? s->leaf[dir] : NULL;
	char limit[32] = "a share";

	if (p && p->ceil)
		pp_rate_format(limit, p->ceil);
	pp_log(PP_LOG_INFO, "limit in force", "namespace", pod->ns, "pod", pod->name, "direction",
	       pp_agent_dirs[dir], "limit", limit, "from",
	       p && p->ceil_from ? p->ceil_from : "a limit of many", NULL);
}

void pp_agent_tell(struct pp_agent *a)
{
	for (size_t i = 0; i < a->pods.n * PP_N_DIR; i++) {
		struct pp_pod *pod = a->pods.pods[i / PP_N_DIR];
		struct pp_pod_limit *l = &pod->limit[i % PP_N_DIR];
		uint64_t known = latest(a, l->asked);

		if (l->granted) {
			took(a, l->granted > known ? l->granted - known : 0);
			tell_granted(a, pod, i % PP_N_DIR);
		}
		l->granted = 0;
		if (l->reported)
			continue;
		if (l->state == PP_POD_FAILED || l->state == PP_POD_INVALID)
			pp_agent_report(a, pod, i % PP_N_DIR);
		l->reported = true;
	}
}

void pp_agent_tell_unmet(struct pp_agent *a, const struct pp_unmet *now)
{
	char n[32];

	snprintf(n, sizeof(n), "%zu", now->identities);
	if (now->identities && !a->unmet.identities)
		pp_log(PP_LOG_WARN,
		       "pods are not announced by their identity: the map of cgroups is full",
		       "pods", n, NULL);
	else if (!now->identities && a->unmet.identities)
		pp_log(PP_LOG_INFO, "all pods are announced by their identity again", NULL);
	if (now->peers[0] && strcmp(now->peers, a->unmet.peers) != 0)
		pp_log(PP_LOG_WARN, "peers are missing", "why", now->peers, NULL);
	else if (!now->peers[0] && a->unmet.peers[0])
		pp_log(PP_LOG_INFO, "all peers are there again", NULL);
	if (now->parties[0] && strcmp(now->parties, a->unmet.parties) != 0)
		pp_log(PP_LOG_WARN, "rules are not in force towards all of their peers", "why",
		       now->parties, NULL);
	else if (!now->parties[0] && a->unmet.parties[0])
		pp_log(PP_LOG_INFO, "rules are in force towards all of their peers again", NULL);
	a->unmet = *now;
}
