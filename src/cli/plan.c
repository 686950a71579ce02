// SPDX-License-Identifier: Apache-2.0
// podpace plan: what would be enforced of the objects, pods and namespaces in these files on one
// node, and where each number is from. It asks neither the kernel nor an API.
#include <jansson.h>

#include "base/base.h"
#include "cli/files.h"
#include "policy/print.h"
#include "policy/world.h"

/* Bits/s; null is none. */
static json_t *json_rate(uint64_t bytes)
{
	return bytes ? json_integer((json_int_t)(bytes * 8)) : json_null();
}

static json_t *json_text(const char *s)
{
	return s ? json_string(s) : json_null();
}

static json_t *json_pipe(const struct pp_plan_pipe *p)
{
	static const char *const ways[] = { "egress", "ingress" };

	return json_pack(
		"{s:s, s:s, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "name", p->name,
		"direction", ways[p->way], "uplink", p->uplink, "observe", p->observe, "ceil",
		json_rate(p->ceil), "ceilFrom", json_text(p->ceil_from), "guarantee",
		json_rate(p->guarantee), "guaranteeFrom", json_text(p->guarantee_from), "weight",
		p->parent ? json_integer(p->weight) : json_null(), "weightFrom",
		json_text(p->weight_from), "parent", json_text(p->parent ? p->parent->name : NULL),
		"match", json_text(p->match ? p->match->text : NULL), "eachPeer", p->pairs);
}

static json_t *json_subject(const struct pp_plan_subject *s)
{
	json_t *caps = json_array(), *rules = json_array();

	for (int i = 0; i < PP_N_WAYS * PP_PLAN_CAPS; i++) {
		const struct pp_plan_pipe *p = s->cap[i / PP_PLAN_CAPS][i % PP_PLAN_CAPS];

		if (p)
			json_array_append_new(caps, json_pipe(p));
	}
	for (int way = 0; way < PP_N_WAYS; way++)
		for (size_t i = 0; i < s->n_rules[way]; i++)
			json_array_append_new(rules, json_pipe(s->rule[way][i].pipe));
	return json_pack("{s:o, s:s, s:s, s:o, s:o, s:o, s:o}", "namespace",
			 json_text(s->namespace), "name", s->name, "uid", s->uid, "class",
			 json_text(s->class), "classFrom", json_text(s->class_from), "beside", caps,
			 "rules", rules);
}

/* The pods of the files, and what of them matches. */
struct peers {
	const struct pp_party_pod *pods;
	size_t n;
	struct pp_parties *parties;
};

static json_t *json_match(const struct pp_plan_match *m, const struct peers *peers)
{
	json_t *pods = json_array();

	for (size_t i = 0; i < peers->n; i++)
		if (pp_parties_has(peers->parties, peers->parties->of_pod[i], m->index))
			json_array_append_new(pods, json_sprintf("%s/%s", peers->pods[i].namespace,
								 peers->pods[i].name));
	return json_pack("{s:s, s:b, s:o, s:I}", "match", m->text, "everything", m->all, "pods",
			 pods, "peers", (json_int_t)peers->parties->n_matched[m->index]);
}

static json_t *json_plan(const struct pp_plan *p, const struct peers *peers)
{
	json_t *subjects = json_array(), *pipes = json_array(), *objects = json_array(),
	       *matches = json_array(), *notes = json_array();
	int r = 0;

	for (size_t i = 0; i < p->n_subjects; i++)
		r |= json_array_append_new(subjects, json_subject(&p->subjects[i]));
	for (size_t i = 0; i < p->n_pipes; i++)
		r |= json_array_append_new(pipes, json_pipe(p->pipes[i]));
	for (size_t i = 0; i < p->n_objects; i++) {
		const struct pp_plan_object *o = &p->objects[i];

		r |= json_array_append_new(
			objects, json_pack("{s:s, s:o, s:s, s:I}", "kind", pp_kind_name(o->kind),
					   "namespace", json_text(o->namespace), "name", o->name,
					   "subjects", (json_int_t)o->n_subjects));
	}
	for (size_t i = 0; i < p->n_matches; i++)
		r |= json_array_append_new(matches, json_match(p->matches[i], peers));
	for (size_t i = 0; i < p->n_notes; i++) {
		const struct pp_plan_note *n = &p->notes[i];

		r |= json_array_append_new(
			notes, json_pack("{s:o, s:o, s:s}", "object", json_text(n->object),
					 "subject", json_text(n->subject), "text", n->text));
	}
	if (r) {
		json_decref(subjects);
		json_decref(pipes);
		json_decref(objects);
		json_decref(matches);
		json_decref(notes);
		return NULL;
	}
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "subjects", subjects, "pipes", pipes,
			 "objects", objects, "matches", matches, "notes", notes);
}

static int print(const struct pp_plan *p, const struct peers *peers, enum pp_format format)
{
	json_auto_t *json = NULL;

	if (format == PP_TEXT) {
		pp_plan_print(stdout, p);
		pp_parties_print(stdout, p, peers->parties, peers->pods, peers->n);
		return 0;
	}
	json = json_plan(p, peers);
	if (!json)
		return -ENOMEM;
	return json_dumpf(json, stdout, JSON_INDENT(2)) || fputc('\n', stdout) == EOF ? -EIO : 0;
}

static int run(struct pp_files *f, struct pp_world *w, const struct pp_args *args, struct pp_err *e)
{
	struct pp_plan_input in;
	struct peers peers = { 0 };
	struct pp_plan *plan = NULL;
	int r = pp_files_read(f, args, e);

	for (size_t i = 0; i < f->n && r != -ENOMEM; i++) {
		int added = pp_world_add(w, f->values[i], pp_files_say, NULL);

		r = added ? added : r;
	}
	if (r)
		return r;
	if (w->invalid)
		return pp_err_set(e, -EINVAL, "%zu of %zu pods, namespaces and nodes are not valid",
				  w->invalid, w->n);
	r = pp_world_input(w, &f->objects, args->node, &in, e);
	if (!r)
		r = pp_plan_compile(&in, &plan);
	if (!r)
		r = pp_world_parties(w, &peers.pods, &peers.n);
	if (!r)
		r = pp_parties_compile(plan, in.namespaces, in.n_namespaces, peers.pods, peers.n,
				       &peers.parties);
	if (!r)
		r = print(plan, &peers, args->format);
	pp_parties_free(peers.parties);
	pp_plan_free(plan);
	return r;
}

int pp_cmd_plan(const struct pp_args *args, struct pp_err *e)
{
	_cleanup_(pp_files_free) struct pp_files f = PP_FILES_INIT(f);
	_cleanup_(pp_world_free) struct pp_world w = PP_WORLD_INIT;

	return run(&f, &w, args, e);
}
