// SPDX-License-Identifier: Apache-2.0
// Every limit of the node on one page. Rates are bits/s; counters go on, so that who asks twice
// knows what happened between.
#include "agent/limits.h"
#include "base/base.h"
#include "bpf/law.h"
#include "kernel/pairs.h"

static const struct pp_plan_subject *subject_of(const struct pp_plan *plan,
						const struct pp_plan_pipe *p)
{
	return p->subject < plan->n_subjects ? &plan->subjects[p->subject] : NULL;
}

/* What goes through it now; nothing, if its last epoch is long over. */
static void add_traffic(json_t *o, const struct pp_pipe *p)
{
	bool idle = pp_pipe_idle(p, pp_now());
	uint64_t refused = 0;

	for (int why = 0; why < PP_N_REFUSAL; why++)
		refused += p->refused[why];
	json_object_set_new(o, "rate", json_integer(idle ? 0 : (json_int_t)p->y * 8));
	if (!p->members)
		json_object_set_new(o, "flows", json_integer(idle ? 0 : p->n16 / 16));
	json_object_set_new(o, "refused", json_integer((json_int_t)refused));
}

static json_t *one(const struct pp_agent *a, const struct pp_plan_pipe *p)
{
	const struct pp_plan_subject *s = subject_of(a->plan, p);
	uint32_t k = a->loaded ? a->in_kernel.pipe[p->index] : 0;
	json_t *o = pp_agent_limit_json(a, p, s ? pp_agent_why_not(a, s, p->way) : "");

	if (s && s->namespace) {
		json_object_set_new(o, "namespace", json_string(s->namespace));
		json_object_set_new(o, "pod", json_string(s->name));
	}
	if (k) {
		struct pp_pipe sum = pp_pairs_sum(&a->d, k);

		add_traffic(o, &sum);
	}
	return o;
}

/* Of what a pod asks and that is not valid there is no pipe: it is not in force all the same. */
static void add_invalid(const struct pp_agent *a, json_t *list)
{
	for (size_t i = 0; i < a->pods.n * PP_N_DIR; i++) {
		const struct pp_pod *pod = a->pods.pods[i / PP_N_DIR];
		const struct pp_pod_limit *l = &pod->limit[i % PP_N_DIR];
		char name[600];

		if (l->state != PP_POD_INVALID)
			continue;
		snprintf(name, sizeof(name), "pod %s/%s", pod->ns, pod->name);
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:b, s:s}", "limit", name,
						      "namespace", pod->ns, "pod", pod->name,
						      "direction", pp_agent_dirs[i % PP_N_DIR],
						      "in_force", 0, "why", l->why));
	}
}

int pp_agent_limits(FILE *f, const char *rest, void *arg)
{
	const struct pp_agent *a = arg;
	json_t *o = json_object(), *list = json_array();

	(void)rest;
	for (size_t i = 0; a->plan && i < a->plan->n_pipes; i++)
		json_array_append_new(list, one(a, a->plan->pipes[i]));
	add_invalid(a, list);
	json_object_set_new(o, "node", json_string(a->o.node ?: ""));
	json_object_set_new(o, "version", json_string(PP_VERSION));
	json_object_set_new(o, "at_ns", json_integer((json_int_t)pp_now()));
	json_object_set_new(o, "known", json_boolean(a->plan != NULL));
	json_object_set_new(o, "error", json_string(a->apply_error));
	json_object_set_new(o, "limits", list);
	return pp_agent_answer(f, a->plan ? 200 : 503, o);
}
