// SPDX-License-Identifier: Apache-2.0
// Feeds any text to readers and compiler: a plan keeps its promises, and its objects, printed and
// read again, give the same plan.
#include "base/base.h"
#include "policy/print.h"
#include "policy/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* assert() would depend on NDEBUG. */
static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check_line(const char *line, void *arg)
{
	(void)arg;
	for (; *line; line++)
		must((unsigned char)*line >= 0x20 && (unsigned char)*line <= 0x7e);
}

static void check_pipe(const struct pp_plan *p, size_t i)
{
	const struct pp_plan_pipe *pipe = p->pipes[i];
	bool before = !pipe->parent;

	for (size_t k = 0; k < i; k++) {
		before |= p->pipes[k] == pipe->parent;
		must(p->pipes[k]->way != pipe->way || p->pipes[k]->uplink != pipe->uplink ||
		     strcmp(p->pipes[k]->name, pipe->name) != 0);
	}
	must(before);
	must(pipe->weight >= 1 && pipe->weight <= 1000);
	must(!pipe->ceil == !pipe->ceil_from && !pipe->guarantee == !pipe->guarantee_from);
	must(!pipe->parent == !pipe->weight_from && (pipe->parent || !pipe->guarantee));
	must(!pipe->ceil || pipe->guarantee <= pipe->ceil);
	must(!pipe->observe || (pipe->ceil && !pipe->parent));
	must(!pipe->parent || (pipe->parent->way == pipe->way &&
			       pipe->parent->uplink == pipe->uplink && !pipe->parent->observe));
	must(pipe->subject == SIZE_MAX || pipe->match ||
	     (pipe->uplink ? p->subjects[pipe->subject].uplink[pipe->way]
			   : p->subjects[pipe->subject].leaf[pipe->way]) == pipe);
	must(!pipe->match || (pipe->ceil && !pipe->parent && !pipe->uplink));
	must(!pipe->pairs || (pipe->match && pipe->subject != SIZE_MAX));
}

/* Each match is that of a rule, and the other way round. */
static void check_rules(const struct pp_plan *p)
{
	_cleanup_free_ bool *used = calloc(p->n_matches + 1, sizeof(*used));

	must(used != NULL);
	for (size_t i = 0; i < p->n_subjects * PP_N_WAYS; i++) {
		const struct pp_plan_subject *s = &p->subjects[i / PP_N_WAYS];
		size_t way = i % PP_N_WAYS;

		must(s->n_rules[way] <= PP_PLAN_RULES);
		for (size_t k = 0; k < s->n_rules[way]; k++) {
			const struct pp_plan_pipe *pipe = s->rule[way][k].pipe;

			must(pipe->way == way && pipe->match == s->rule[way][k].match);
			must(p->matches[pipe->match->index] == pipe->match);
			must(pipe->subject == SIZE_MAX || pipe->subject == i / PP_N_WAYS);
			used[pipe->match->index] = true;
		}
	}
	for (size_t i = 0; i < p->n_matches; i++) {
		const struct pp_plan_match *m = p->matches[i];

		must(used[i] && m->index == i && m->all == !m->n_peers);
		must(!i || strcmp(p->matches[i - 1]->text, m->text) < 0);
		for (size_t k = 1; k < m->n_ports; k++)
			must(m->ports[k - 1].protocol < m->ports[k].protocol ||
			     m->ports[k - 1].last < m->ports[k].first);
	}
}

static void put_parties(FILE *f, const struct pp_plan *p, const struct pp_plan_input *in,
			struct pp_world *w)
{
	const struct pp_party_pod *pods = NULL;
	struct pp_parties *parties = NULL;
	struct pp_party_query *queries = NULL;
	size_t n_pods = 0, n = 0;

	must(pp_world_parties(w, &pods, &n_pods) == 0);
	must(pp_parties_compile(p, in->namespaces, in->n_namespaces, pods, n_pods, &parties) == 0);
	pp_parties_print(f, p, parties, pods, n_pods);
	pp_parties_free(parties);
	must(pp_parties_queries(p, in->namespaces, in->n_namespaces, &queries, &n) == 0);
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%s %s\n", queries[i].namespace ?: "", queries[i].labels);
	pp_parties_queries_free(queries, n);
}

static char *check_plan(const struct pp_plan_input *in, struct pp_world *w)
{
	struct pp_plan *p = NULL;
	char *text = NULL;
	size_t len;
	FILE *f;

	must(pp_plan_compile(in, &p) == 0);
	must(p->n_subjects == in->n_subjects && p->n_objects == in->n_objects);
	for (size_t i = 0; i < p->n_pipes; i++)
		check_pipe(p, i);
	check_rules(p);
	for (size_t i = 0; i < p->n_subjects; i++) {
		const struct pp_plan_subject *s = &p->subjects[i];

		must(pp_plan_find(p, s->namespace, s->name, s->uid) == s);
		must(!s->class == !s->class_from);
	}
	for (size_t i = 0; i < p->n_notes; i++)
		must((p->notes[i].object || p->notes[i].subject) && p->notes[i].text[0]);
	f = open_memstream(&text, &len);
	must(f != NULL);
	pp_plan_print(f, p);
	put_parties(f, p, in, w);
	fclose(f);
	pp_plan_free(p);
	return text;
}

/* The same plan from what is printed. */
static void check_again(const struct pp_objects *o, struct pp_world *w, const char *plan)
{
	struct pp_objects again = PP_OBJECTS_INIT(again);
	_cleanup_free_ char *text = NULL, *said = NULL;
	struct pp_plan_input in;
	struct pp_values *v = NULL;
	struct pp_err e = { "" };
	size_t len;
	FILE *f = open_memstream(&text, &len);

	must(f != NULL);
	pp_objects_print(f, o);
	fclose(f);
	must(pp_values_parse("again", text, len, &v, &e) == 0);
	must(pp_objects_add(&again, v, check_line, NULL) == 0 && !again.invalid);
	must(pp_world_input(w, &again, "one", &in, &e) == 0);
	said = check_plan(&in, w);
	must(strcmp(said, plan) == 0);
	pp_objects_free(&again);
	pp_values_free(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pp_objects o = PP_OBJECTS_INIT(o);
	struct pp_world w = PP_WORLD_INIT;
	struct pp_plan_input in;
	struct pp_values *v = NULL;
	struct pp_err e = { "" };

	if (pp_values_parse("file", (const char *)data, size, &v, &e))
		return 0;
	must(pp_objects_add(&o, v, check_line, NULL) == 0);
	must(pp_world_add(&w, v, check_line, NULL) == 0);
	if (pp_world_input(&w, &o, "one", &in, &e) == 0) {
		_cleanup_free_ char *text = check_plan(&in, &w);

		check_again(&o, &w, text);
	}
	pp_world_free(&w);
	pp_objects_free(&o);
	pp_values_free(v);
	return 0;
}
