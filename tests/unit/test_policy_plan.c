// SPDX-License-Identifier: Apache-2.0
// Plans: of every file in tests/golden/plan the same, whatever the order of the input and after
// its objects have been printed and read again; who may have what is in those files. Built with
// sanitizers, run at the top of the tree.
#include <glob.h>

#include "base/base.h"
#include "base/file.h"
#include "policy/print.h"
#include "policy/world.h"
#include "tap.h"

/* Files, as they were read. */
struct read {
	struct pp_objects objects;
	struct pp_values *values;
	struct pp_world world;
	size_t faults;
};

static void count(const char *line, void *arg)
{
	(void)line;
	++*(size_t *)arg;
}

static void read_text(struct read *r, const char *text, size_t len)
{
	struct pp_err e = { "" };

	*r = (struct read){ .objects = PP_OBJECTS_INIT(r->objects) };
	if (pp_values_parse("test", text, len, &r->values, &e) ||
	    pp_objects_add(&r->objects, r->values, count, &r->faults) ||
	    pp_world_add(&r->world, r->values, count, &r->faults))
		r->faults++;
}

static void read_free(struct read *r)
{
	pp_world_free(&r->world);
	pp_objects_free(&r->objects);
	pp_values_free(r->values);
}

/* With what the pods of the world are to it. */
static char *plan_text(const struct pp_plan *p, const struct pp_plan_input *in, struct pp_world *w)
{
	const struct pp_party_pod *pods = NULL;
	struct pp_parties *parties = NULL;
	char *text = NULL;
	size_t len, n_pods = 0;
	FILE *f = open_memstream(&text, &len);

	pp_plan_print(f, p);
	if (w && !pp_world_parties(w, &pods, &n_pods) &&
	    !pp_parties_compile(p, in->namespaces, in->n_namespaces, pods, n_pods, &parties))
		pp_parties_print(f, p, parties, pods, n_pods);
	pp_parties_free(parties);
	fclose(f);
	return text;
}

static char *objects_text(const struct pp_objects *o)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	pp_objects_print(f, o);
	fclose(f);
	return text;
}

static void turn(const void *array, size_t n, size_t size)
{
	unsigned char *all = (unsigned char *)(uintptr_t)array, one[256];

	for (size_t i = 0; i < n / 2 && size <= sizeof(one); i++) {
		memcpy(one, all + i * size, size);
		memcpy(all + i * size, all + (n - 1 - i) * size, size);
		memcpy(all + (n - 1 - i) * size, one, size);
	}
}

/* The plan of these objects in this world, as text; NULL: there is none. */
static char *compile(struct pp_world *w, const struct pp_objects *o, bool reverse)
{
	struct pp_plan_input in = { 0 };
	struct pp_plan *p = NULL;
	struct pp_err e = { "" };
	char *text;

	if (pp_world_input(w, o, NULL, &in, &e))
		return NULL;
	if (reverse) {
		turn(in.objects, in.n_objects, sizeof(in.objects[0]));
		turn(in.subjects, in.n_subjects, sizeof(in.subjects[0]));
		turn(in.namespaces, in.n_namespaces, sizeof(in.namespaces[0]));
	}
	if (pp_plan_compile(&in, &p))
		return NULL;
	text = plan_text(p, &in, w);
	pp_plan_free(p);
	return text;
}

/* A parent stands before its members, and a plan is found by its subjects. */
static void is_in_order(struct pp_world *w, const struct pp_objects *o, const char *name)
{
	struct pp_plan_input in = { 0 };
	struct pp_plan *p = NULL;
	struct pp_err e = { "" };
	bool good = true;

	if (pp_world_input(w, o, NULL, &in, &e) || pp_plan_compile(&in, &p))
		return;
	for (size_t i = 0; i < p->n_pipes; i++) {
		bool before = !p->pipes[i]->parent;

		for (size_t k = 0; k < i; k++) {
			before |= p->pipes[k] == p->pipes[i]->parent;
			good &= p->pipes[k]->way != p->pipes[i]->way ||
				p->pipes[k]->uplink != p->pipes[i]->uplink ||
				strcmp(p->pipes[k]->name, p->pipes[i]->name) != 0;
		}
		good &= before && p->pipes[i]->guarantee <= INT64_MAX;
	}
	ok(good, "%s: parents before members, names once", name);
	good = p->n_subjects == in.n_subjects;
	for (size_t i = 0; i < p->n_subjects; i++) {
		const struct pp_plan_subject *s = &p->subjects[i];

		good &= pp_plan_find(p, s->namespace, s->name, s->uid) == s;
	}
	ok(good && !pp_plan_find(p, "nowhere", "none", ""), "%s: subjects are found", name);
	pp_plan_free(p);
}

static void same_again(const char *file)
{
	_cleanup_free_ char *text = NULL, *plan = NULL, *objects = NULL, *again = NULL,
			    *reversed = NULL, *objects_again = NULL;
	struct read first, second;
	size_t len;

	if (pp_file_read(file, 1 << 20, &text, &len)) {
		ok(false, "%s is read", file);
		return;
	}
	read_text(&first, text, len);
	if (!first.faults)
		plan = compile(&first.world, &first.objects, false);
	if (plan) {
		reversed = compile(&first.world, &first.objects, true);
		is_str(reversed, plan, "%s: the same in reverse order", file);
		objects = objects_text(&first.objects);
		read_text(&second, objects, strlen(objects));
		ok(!second.faults && second.objects.n == first.objects.n,
		   "%s: its objects are valid when printed", file);
		again = compile(&first.world, &second.objects, false);
		is_str(again, plan, "%s: the same after printing", file);
		objects_again = objects_text(&second.objects);
		is_str(objects_again, objects, "%s: printed the same", file);
		is_in_order(&first.world, &first.objects, file);
		read_free(&second);
	}
	read_free(&first);
}

/* A plan has no pointer into its input. */
static void outlives(void)
{
	static const char text[] = "{apiVersion: podpace.io/v1alpha1, kind: BandwidthPolicy, "
				   "metadata: {name: p, namespace: a}, "
				   "spec: {podSelector: {}, egress: {ceil: 1M, rules: [{name: r, "
				   "ceil: 1M, ports: [{port: 1}], to: [{podSelector: {matchLabels:"
				   " {app: db}}}, {namespaceSelector: {matchLabels: {x: y}}}, "
				   "{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]}]}}}\n"
				   "---\n"
				   "{apiVersion: v1, kind: Pod, metadata: {name: b, namespace: a, "
				   "uid: u, annotations: {podpace.io/class: gold}}}";
	struct pp_plan_input in = { 0 };
	struct pp_plan *p = NULL;
	struct pp_err e = { "" };
	_cleanup_free_ char *said = NULL;
	struct read r;

	read_text(&r, text, sizeof(text) - 1);
	ok(!pp_world_input(&r.world, &r.objects, NULL, &in, &e) && !pp_plan_compile(&in, &p),
	   "compiles");
	read_free(&r);
	said = plan_text(p, NULL, NULL);
	ok(strstr(said, "pod a/b: ceil 1M (BandwidthPolicy a/p)"), "a plan outlives its input");
	ok(p->n_matches == 1 && p->matches[0]->n_peers == 3 && p->matches[0]->n_ports == 1 &&
		   p->matches[0]->peers[0].except[0].addr[13] == 1 &&
		   strcmp(p->matches[0]->peers[1].pods.first->value[0], "db") == 0 &&
		   strcmp(p->matches[0]->peers[2].namespaces.first->value[0], "y") == 0,
	   "with the peers of its rules");
	ok(pp_plan_find(p, "a", "b", "u") && !pp_plan_find(p, "a", "b", "v") &&
		   !pp_plan_find(p, NULL, "b", "u"),
	   "a subject is found by all of its name");
	pp_plan_free(p);
}

static void nothing(void)
{
	const struct pp_plan_input in = { 0 };
	struct pp_plan *p = NULL;

	ok(!pp_plan_compile(&in, &p) && !p->n_pipes && !p->n_subjects && !p->n_notes,
	   "nothing makes an empty plan");
	ok(!pp_plan_find(p, NULL, "", ""), "that has nothing to be found");
	pp_plan_free(p);
	pp_plan_free(NULL);
}

/* A namespace of which nothing is known has no labels. */
static void unknown_namespace(void)
{
	static const char text[] =
		"{apiVersion: podpace.io/v1alpha1, kind: ClusterBandwidthPolicy, "
		"metadata: {name: p}, spec: {subject: {namespaces: {}}, per: Namespace, "
		"egress: {ceil: 1M}}}";
	const struct pp_subject pod = { .namespace = "a", .name = "b", .uid = "" };
	struct pp_plan_input in = { .subjects = &pod, .n_subjects = 1 };
	struct pp_plan *p = NULL;
	struct read r;

	read_text(&r, text, sizeof(text) - 1);
	in.objects = (const struct pp_object *const *)&r.objects.first;
	in.n_objects = 1;
	ok(!pp_plan_compile(&in, &p), "compiles");
	is_str(p->subjects[0].leaf[PP_WAY_EGRESS]->parent->name, "tenant p in a",
	       "an unknown namespace is selected by {}");
	ok(!p->subjects[0].leaf[PP_WAY_INGRESS] && !p->subjects[0].uplink[PP_WAY_EGRESS],
	   "it has no more than it was given");
	pp_plan_free(p);
	read_free(&r);
}

int main(void)
{
	glob_t files;

	if (glob("tests/golden/plan/*.yaml", 0, NULL, &files)) {
		ok(false, "tests/golden/plan is found: run it at the top of the tree");
		return done_testing();
	}
	for (size_t i = 0; i < files.gl_pathc; i++)
		same_again(files.gl_pathv[i]);
	globfree(&files);
	outlives();
	nothing();
	unknown_namespace();
	return done_testing();
}
