// SPDX-License-Identifier: Apache-2.0
// Every limit on a pod's or a cgroup's way, which of them binds now, and which object it is from.
// Rates are bits/s, as wherever people see them.
#include <time.h>

#include "agent/limits.h"
#include "agent/pairs.h"
#include "agent/rules.h"
#include "base/base.h"
#include "bpf/law.h"
#include "kernel/pairs.h"

/* Of one that is full with its share of another it is that one. */
bool pp_agent_binds(const struct pp_pipe *p)
{
	uint64_t C = pp_law_rate(p), ago = pp_now() - p->last;

	return !p->observe && C == p->rate && p->y >= C - C / 8 &&
	       ago < PP_NSEC + 8 * pp_law_epoch(p);
}

static json_int_t bits(uint64_t bytes)
{
	return bytes < PP_NO_CEIL ? (json_int_t)bytes * 8 : -1;
}

static void set(json_t *o, const char *key, json_t *value)
{
	json_object_set_new(o, key, value);
}

static void set_text(json_t *o, const char *key, const char *text)
{
	if (text)
		set(o, key, json_string(text));
}

static void set_rate(json_t *o, const char *key, uint64_t rate, const char *from_key,
		     const char *from)
{
	if (rate && rate < PP_NO_CEIL) {
		set(o, key, json_integer(bits(rate)));
		set_text(o, from_key, from);
	}
}

static void set_since(json_t *o, uint64_t since)
{
	time_t t = (time_t)(since / 1000000000);
	char text[32];
	struct tm tm;

	if (gmtime_r(&t, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		set_text(o, "since", text);
}

/* Whom it is towards, and how many those are. */
static void set_match(const struct pp_agent *a, json_t *o, const struct pp_plan_pipe *p)
{
	if (!p->match)
		return;
	set_text(o, "peers", p->match->to);
	if (!p->match->all)
		set(o, "matched", json_integer((json_int_t)pp_agent_count_peers(a, p->match)));
	set_text(o, "per", p->pairs ? "Pair" : p->subject != SIZE_MAX ? "Pod" : NULL);
}

json_t *pp_agent_limit_json(const struct pp_agent *a, const struct pp_plan_pipe *p,
			    const char *why)
{
	uint32_t k = a->loaded ? a->in_kernel.pipe[p->index] : 0;
	const struct pp_pipe *pipe = k ? &a->d.pipes[k] : NULL;
	json_t *o = json_object();
	struct pp_pipe sum;

	set_text(o, "limit", p->name);
	set_text(o, "direction", pp_agent_dirs[p->way]);
	set(o, "uplink", json_boolean(p->uplink));
	set(o, "observe", json_boolean(p->observe));
	set_rate(o, "ceil", p->ceil, "ceil_from", p->ceil_from);
	set_match(a, o, p);
	if (p->parent) {
		set_text(o, "share_of", p->parent->name);
		set_rate(o, "guarantee", p->guarantee, "guarantee_from", p->guarantee_from);
		set(o, "weight", json_integer(p->weight));
		set_text(o, "weight_from", p->weight_from);
	}
	set(o, "in_force", json_boolean(pipe && !why[0]));
	if (why[0])
		set_text(o, "why", why);
	else if (!pipe)
		set_text(o, "why", "its cgroup is not there");
	if (!pipe)
		return o;
	set(o, "binds",
	    json_boolean(pp_agent_binds(pipe) || (p->pairs && pp_agent_pair_binds(a, k))));
	set(o, "capacity", json_integer(bits(pp_min(pp_law_rate(pipe), pipe->rate))));
	if (!pipe->members)
		set(o, "fair_rate",
		    json_integer(bits(pp_min(pp_law_fair(pipe), pp_law_rate(pipe)))));
	sum = pp_pairs_sum(&a->d, k);
	set(o, "bytes", json_integer((json_int_t)sum.bytes));
	set(o, "limited_seconds", json_real((double)sum.busy_ns / 1e9));
	if (p->parent && p->guarantee)
		set(o, "guarantee_missed_seconds", json_real((double)pipe->missed_ns / 1e9));
	set_since(o, pipe->since);
	return o;
}

const char *pp_agent_why_not(const struct pp_agent *a, const struct pp_plan_subject *s, int way)
{
	for (size_t i = 0; i < a->n_places; i++)
		if (a->places[i].subject == s)
			return a->places[i].why[way];
	return "";
}

/* From the innermost out; in the tree of the uplink from there on again. */
static void chain(const struct pp_agent *a, json_t *list, const struct pp_plan_pipe *p,
		  const char *why)
{
	for (; p; p = p->parent)
		json_array_append_new(list, pp_agent_limit_json(a, p, why));
}

static json_t *rule(const struct pp_agent *a, const struct pp_plan_pipe *p, const char *why)
{
	uint32_t k = a->loaded ? a->in_kernel.pipe[p->index] : 0;
	json_t *o = pp_agent_limit_json(a, p, why);

	if (k && p->pairs)
		set(o, "pairs", pp_agent_pairs_json(a, k));
	return o;
}

static json_t *limits(const struct pp_agent *a, const struct pp_plan_subject *s)
{
	json_t *list = json_array();

	for (int way = 0; way < PP_N_WAYS; way++) {
		const char *why = pp_agent_why_not(a, s, way);

		chain(a, list, s->leaf[way], why);
		for (int i = 0; i < PP_PLAN_CAPS; i++)
			if (s->cap[way][i])
				json_array_append_new(
					list, pp_agent_limit_json(a, s->cap[way][i], why));
		for (size_t i = 0; i < s->n_rules[way]; i++)
			json_array_append_new(list, rule(a, s->rule[way][i].pipe, why));
		chain(a, list, s->uplink[way], why);
	}
	return list;
}

static bool is_about(const struct pp_plan_note *n, const char *subject)
{
	return n->subject && strcmp(n->subject, subject) == 0;
}

static json_t *notes(const struct pp_plan *plan, const char *subject)
{
	json_t *list = json_array();

	for (size_t i = 0; i < plan->n_notes; i++) {
		const struct pp_plan_note *n = &plan->notes[i];
		json_t *o;

		if (!is_about(n, subject))
			continue;
		o = json_object();
		set_text(o, "object", n->object);
		set_text(o, "text", n->text);
		json_array_append_new(list, o);
	}
	return list;
}

/* What only shows when it is known who matches. */
static void add_crowds(const struct pp_agent *a, const struct pp_plan_subject *s, json_t *list)
{
	for (int way = 0; way < PP_N_WAYS; way++) {
		size_t room, n = pp_agent_crowd(a, s, way, &room);
		char text[200];

		if (!n)
			continue;
		snprintf(text, sizeof(text),
			 "%s: %zu rules are for one peer, and %zu have room beside the other "
			 "limits: the last may not bind",
			 pp_agent_dirs[way], n, room);
		json_array_append_new(list, json_pack("{s:s}", "text", text));
	}
}

int pp_agent_answer(FILE *f, int status, json_t *o)
{
	json_dumpf(o, f, JSON_INDENT(2));
	fputc('\n', f);
	json_decref(o);
	return status;
}

static int refuse(FILE *f, int status, const char *fmt, const char *what)
{
	char text[400];

	snprintf(text, sizeof(text), fmt, what);
	return pp_agent_answer(f, status, json_pack("{s:s}", "error", text));
}

/* pod/NAMESPACE/NAME or cgroup/PATH. */
static const struct pp_plan_subject *find(const struct pp_agent *a, const char *target, char *name,
					  size_t size)
{
	const char *slash;

	if (strncmp(target, "cgroup/", 7) == 0) {
		snprintf(name, size, "cgroup %s", target + 6);
		return pp_plan_find(a->plan, NULL, target + 6, "");
	}
	slash = strncmp(target, "pod/", 4) == 0 ? strchr(target + 4, '/') : NULL;
	snprintf(name, size, "pod %s", slash ? target + 4 : "");
	for (size_t i = 0; slash && i < a->plan->n_subjects; i++) {
		const struct pp_plan_subject *s = &a->plan->subjects[i];
		size_t n = (size_t)(slash - target - 4);

		if (s->namespace && strlen(s->namespace) == n &&
		    memcmp(s->namespace, target + 4, n) == 0 && strcmp(s->name, slash + 1) == 0)
			return s;
	}
	return NULL;
}

/* podpace's own, as the limits in force have them: whoever sets one can see that it is known. */
static json_t *annotations(const struct pp_agent *a, const struct pp_plan_subject *s)
{
	const struct pp_pod *pod = s->namespace ? pp_pods_find(&a->pods, s->uid) : NULL;
	json_t *o = json_object();

	/* while something is still to be applied, what is in force may be of the text before */
	for (int way = 0; pod && !a->plan_due && !a->due && way < PP_N_WAYS; way++)
		set_text(o, pp_timed_key[way], pod->limit[way].own_text);
	return o;
}

int pp_agent_explain(FILE *f, const char *rest, void *arg)
{
	const struct pp_agent *a = arg;
	const struct pp_plan_subject *s;
	char name[400];
	json_t *o, *list;

	if (!a->plan)
		return refuse(f, 503, "not all objects are known yet%s", "");
	s = find(a, rest, name, sizeof(name));
	if (!s)
		return refuse(
			f, 404,
			"%s: no such pod on this node, nor a cgroup that an object names; valid "
			"are pod/NAMESPACE/NAME and cgroup/PATH",
			rest);
	o = json_object();
	set_text(o, "target", name);
	set_text(o, "node", a->o.node);
	set_text(o, "class", s->class);
	set_text(o, "class_from", s->class_from);
	set(o, "limits", limits(a, s));
	set(o, "annotations", annotations(a, s));
	list = notes(a->plan, name);
	add_crowds(a, s, list);
	set(o, "notes", list);
	return pp_agent_answer(f, 200, o);
}
