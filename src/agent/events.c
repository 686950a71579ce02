// SPDX-License-Identifier: Apache-2.0
// Events on pods (events.k8s.io/v1). One for each state that its users should know of: there is
// nothing to repeat.
#include <time.h>

#include "agent/agent.h"
#include "base/base.h"
#include "base/log.h"
#include "kube/time.h"

static void on_answer(const struct pp_kube_answer *answer, void *arg)
{
	(void)arg;
	if (answer->why[0])
		pp_log(PP_LOG_WARN, "an event could not be written", "why", answer->why, NULL);
}

static json_t *event(const struct pp_agent *a, const struct pp_pod *pod, const char *reason,
		     const char *note)
{
	struct timespec now;
	char name[300], at[32];

	clock_gettime(CLOCK_REALTIME, &now);
	pp_time_now_micro(at);
	/* an object's name has at most 253 characters */
	snprintf(name, sizeof(name), "%.200s.%llx", pod->name,
		 (unsigned long long)now.tv_sec * 1000000000ull + now.tv_nsec);
	return json_pack("{s:s, s:s, s:{s:s, s:s}, s:s, s:s, s:s, s:s, s:s, s:s, s:s,"
			 " s:{s:s, s:s, s:s, s:s, s:s}}",
			 "apiVersion", "events.k8s.io/v1", "kind", "Event", "metadata", "name",
			 name, "namespace", pod->ns, "eventTime", at, "type", "Warning", "reason",
			 reason, "action", "LimitBandwidth", "note", note, "reportingController",
			 "podpace", "reportingInstance", a->o.node, "regarding", "apiVersion", "v1",
			 "kind", "Pod", "namespace", pod->ns, "name", pod->name, "uid", pod->uid);
}

void pp_agent_warn(struct pp_agent *a, const struct pp_pod *pod, const char *reason,
		   const char *note)
{
	char path[400];
	char *text;
	json_t *o;

	snprintf(path, sizeof(path), "/apis/events.k8s.io/v1/namespaces/%.253s/events", pod->ns);
	o = event(a, pod, reason, note);
	text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	if (text)
		pp_kube_request(a->kube, "POST", path, "application/json", text, on_answer, NULL);
	free(text);
}

void pp_agent_report(struct pp_agent *a, const struct pp_pod *pod, enum pp_dir dir)
{
	const struct pp_pod_limit *l = &pod->limit[dir];
	bool invalid = l->state == PP_POD_INVALID;
	char note[600];

	snprintf(note, sizeof(note), "the %s limit is not in force: %s", pp_agent_dirs[dir],
		 l->why);
	pp_log(PP_LOG_WARN, invalid ? "invalid bandwidth" : "limit not in force", "namespace",
	       pod->ns, "pod", pod->name, "direction", pp_agent_dirs[dir], "why", l->why, NULL);
	pp_agent_warn(a, pod, invalid ? "InvalidBandwidth" : "BandwidthNotLimited",
		      invalid ? l->why : note);
}
