// SPDX-License-Identifier: Apache-2.0
// What became of each object on this node, for its BandwidthNode; and of what a pod says of itself,
// for its events.
#include "agent/agent.h"
#include "agent/rules.h"
#include "base/base.h"

/* "BandwidthPolicy a/web", as in notes and origins. */
static void object_text(char text[static 500], enum pp_kind kind, const char *ns, const char *name)
{
	snprintf(text, 500, "%s %.80s%s%.300s", pp_kind_name(kind), ns ? ns : "", ns ? "/" : "",
		 name);
}

struct report {
	const struct pp_agent *a;
	struct pp_report_object *o; /* those of the plan first, in its order */
	size_t n, room;
	char (*text)[500]; /* of each of the plan */
	char (*why)[400];  /* of each of the plan, if it is not in force somewhere */
};

static void report_free(struct report *r)
{
	free(r->o);
	free(r->text);
	free(r->why);
}

/* --- where limits are not in force */

static bool names(const char *from, const char *text)
{
	return from && strcmp(from, text) == 0;
}

/* Is the object among those that gave the pipe, or what it is a member of, its numbers? */
static bool is_of(const struct pp_plan_pipe *p, const char *text)
{
	for (; p; p = p->parent)
		if (names(p->ceil_from, text) || names(p->guarantee_from, text) ||
		    names(p->weight_from, text))
			return true;
	return false;
}

static bool applies(const struct pp_plan_subject *s, int way, const struct pp_plan_object *o,
		    const char *text)
{
	if (o->kind == PP_CLASS)
		return s->class && strcmp(s->class, o->name) == 0;
	if (is_of(s->leaf[way], text) || is_of(s->uplink[way], text))
		return true;
	for (int i = 0; i < PP_PLAN_CAPS; i++)
		if (is_of(s->cap[way][i], text))
			return true;
	for (size_t i = 0; i < s->n_rules[way]; i++)
		if (is_of(s->rule[way][i].pipe, text))
			return true;
	return false;
}

static void note_failure(struct report *r, const struct pp_place *place, int way)
{
	const struct pp_plan *plan = r->a->plan;
	const struct pp_plan_subject *s = place->subject;

	for (size_t i = 0; i < plan->n_objects; i++) {
		if (!applies(s, way, &plan->objects[i], r->text[i]))
			continue;
		if (r->o[i].enforced)
			r->o[i].enforced--;
		snprintf(r->why[i], sizeof(r->why[i]), "%s %s%s%s: %s",
			 s->namespace ? "pod" : "cgroup", s->namespace ? s->namespace : "",
			 s->namespace ? "/" : "", s->name, place->why[way]);
		r->o[i].problem = r->why[i];
		r->o[i].reason = NULL;
	}
}

static void note_failures(struct report *r)
{
	for (size_t i = 0; i < r->a->n_places; i++) {
		const struct pp_place *place = &r->a->places[i];

		for (int way = 0; place->subject && way < PP_N_WAYS; way++)
			if (place->why[way][0]) {
				note_failure(r, place, way);
				break;
			}
	}
}

/* --- what has no effect */

static int by_object(const void *text, const void *note)
{
	const struct pp_plan_note *n = note;

	return n->object ? strcmp(text, n->object) : 1;
}

/* Pods and blocks that its rules are for, each match once. Whether it has rules for some. */
static bool count_peers(const struct pp_agent *a, const char *text, size_t *ret)
{
	const struct pp_plan *plan = a->plan;
	_cleanup_free_ bool *seen = plan->n_matches ? calloc(plan->n_matches, sizeof(*seen)) : NULL;
	bool some = false;

	*ret = 0;
	for (size_t i = 0; seen && i < plan->n_pipes; i++) {
		const struct pp_plan_match *m = plan->pipes[i]->match;

		if (!m || m->all || seen[m->index] || !names(plan->pipes[i]->ceil_from, text))
			continue;
		seen[m->index] = some = true;
		*ret += pp_agent_count_peers(a, m);
	}
	return some;
}

/* A rule for peers that are not all known limits some of what it is to limit, or nothing. */
static void note_peers(struct report *r, size_t i)
{
	const char *why = pp_agent_match_why(r->a);

	if (!count_peers(r->a, r->text[i], &r->o[i].peers) || !why[0])
		return;
	snprintf(r->why[i], sizeof(r->why[i]), "peers of its rules: %s", why);
	r->o[i].problem = r->why[i];
	r->o[i].reason = "PeersUnknown";
}

/* The first note on the object, which begins with whom it is about. */
static void note_remark(struct report *r, size_t i)
{
	const struct pp_plan *plan = r->a->plan;
	const struct pp_plan_note *n = plan->n_notes ? bsearch(r->text[i], plan->notes,
							       plan->n_notes, sizeof(*n), by_object)
						     : NULL;

	while (n && n > plan->notes && by_object(r->text[i], n - 1) == 0)
		n--;
	if (!n)
		return;
	snprintf(r->why[i], sizeof(r->why[i]), "%.150s%s%s", n->subject ? n->subject : "",
		 n->subject ? ": " : "", n->text);
	r->o[i].problem = r->why[i];
	r->o[i].reason = strstr(n->text, "is not open to") ? "ChoiceNotAllowed" : "NoEffect";
}

/* --- all of them */

static int64_t generation_of(struct pp_sources *s, const struct pp_plan_object *o)
{
	size_t n;
	const struct pp_object *const *all = pp_sources_objects(s, &n);

	/* both are sorted alike, and one may have more than the other for a moment only */
	for (size_t low = 0, high = n; low < high;) {
		size_t i = low + (high - low) / 2;
		int r = (int)all[i]->kind - (int)o->kind;

		if (!r)
			r = strcmp(all[i]->namespace ? all[i]->namespace : "",
				   o->namespace ? o->namespace : "");
		if (!r)
			r = strcmp(all[i]->name, o->name);
		if (!r)
			return all[i]->generation;
		if (r < 0)
			low = i + 1;
		else
			high = i;
	}
	return 0;
}

/* Does it limit what the node exchanges with others? */
static bool is_uplink(const struct pp_plan *plan, const struct pp_plan_object *o)
{
	char name[320];

	snprintf(name, sizeof(name), "uplink %s", o->name);
	for (size_t i = 0; i < plan->n_pipes; i++)
		if (plan->pipes[i]->uplink && !plan->pipes[i]->parent &&
		    strcmp(plan->pipes[i]->name, name) == 0)
			return true;
	return false;
}

static void add_planned(struct report *r)
{
	const struct pp_plan *plan = r->a->plan;

	for (size_t i = 0; i < plan->n_objects; i++) {
		const struct pp_plan_object *o = &plan->objects[i];

		object_text(r->text[i], o->kind, o->namespace, o->name);
		r->o[r->n++] = (struct pp_report_object){
			.kind = o->kind,
			.namespace = o->namespace,
			.name = o->name,
			.generation = generation_of(r->a->said, o),
			.pods = o->n_subjects,
			.enforced = o->n_subjects,
			.applies = o->n_subjects || is_uplink(plan, o),
		};
		note_remark(r, i);
		note_peers(r, i);
	}
}

/* An object that is not valid, or was once: what it says now has no effect. */
static void add_problem(const struct pp_problem *p, void *arg)
{
	struct report *r = arg;

	if (!p->name)
		return;
	for (size_t i = 0; i < r->n; i++) {
		struct pp_report_object *o = &r->o[i];

		if (o->kind != p->kind || strcmp(o->name, p->name) != 0 ||
		    strcmp(o->namespace ? o->namespace : "", p->namespace ? p->namespace : "") != 0)
			continue;
		o->problem = p->text;
		o->reason = "Invalid";
		o->generation = p->generation;
		return;
	}
	if (r->n < r->room)
		r->o[r->n++] = (struct pp_report_object){ .kind = p->kind,
							  .namespace = p->namespace,
							  .name = p->name,
							  .generation = p->generation,
							  .problem = p->text,
							  .reason = "Invalid" };
}

static void count_problem(const struct pp_problem *p, void *arg)
{
	(void)p;
	++*(size_t *)arg;
}

int pp_agent_status(struct pp_agent *a)
{
	_cleanup_(report_free) struct report r = { .a = a };
	size_t n_problems = 0;

	if (!a->report || !a->plan)
		return 0;
	pp_sources_problems(a->said, count_problem, &n_problems);
	r.room = a->plan->n_objects + n_problems;
	r.o = calloc(r.room + 1, sizeof(*r.o));
	r.text = calloc(a->plan->n_objects + 1, sizeof(*r.text));
	r.why = calloc(a->plan->n_objects + 1, sizeof(*r.why));
	if (!r.o || !r.text || !r.why)
		return -ENOMEM;
	add_planned(&r);
	note_failures(&r);
	pp_sources_problems(a->said, add_problem, &r);
	return pp_report_set(a->report, r.o, r.n, a->loaded && !a->apply_error[0], a->apply_error);
}

/* --- pods */

void pp_agent_remark(struct pp_agent *a)
{
	for (size_t i = 0; i < a->pods.n; i++) {
		struct pp_pod *pod = a->pods.pods[i];
		char name[400];
		const char *text = NULL;

		snprintf(name, sizeof(name), "pod %s/%s", pod->ns, pod->name);
		for (size_t k = 0; k < a->plan->n_notes && !a->plan->notes[k].object && !text; k++)
			if (strcmp(a->plan->notes[k].subject ? a->plan->notes[k].subject : "",
				   name) == 0 &&
			    strncmp(a->plan->notes[k].text, "kubernetes.io/", 14) != 0)
				text = a->plan->notes[k].text;
		if (text && strncmp(text, pod->remark, sizeof(pod->remark) - 1) != 0)
			pp_agent_warn(a, pod, "BandwidthNoEffect", text);
		snprintf(pod->remark, sizeof(pod->remark), "%s", text ? text : "");
	}
}
