// SPDX-License-Identifier: Apache-2.0
// Objects of core/v1 as subjects, namespaces and labels of a node.
#include <ctype.h>
#include <stdarg.h>

#include "base/base.h"
#include "policy/identity.h"
#include "policy/items.h"
#include "policy/timed.h"
#include "policy/world.h"

#define NAME_KEY "kubernetes.io/metadata.name"

struct pp_world_thing {
	struct pp_world_thing *before;
	enum pp_core kind;
	size_t order; /* in which it was added */
	const char *file;
	unsigned int line;
	bool valid;
	struct pp_subject subject; /* of each kind: its name, namespace, labels */
	/* of a pod: */
	const char *node; /* NULL: it is on none */
	bool over;
	uint8_t (*addresses)[16]; /* of its own */
	size_t n_addresses;
};

/* What reading one needs to know. */
struct reading {
	struct pp_world *world;
	const struct pp_values *file;
	pp_fault_fn fn;
	void *arg;
	struct pp_world_thing *thing;
};

__attribute__((format(printf, 4, 5))) static void fault(const struct reading *r, unsigned int line,
							const char *field, const char *fmt, ...)
{
	const struct pp_subject *s = &r->thing->subject;
	char what[300], text[700], name[120];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	pp_err_escape(name, sizeof(name), s->name ? s->name : "(no name)",
		      strlen(s->name ? s->name : "(no name)"));
	snprintf(text, sizeof(text), "%s:%u: %s %s: %s: %s", r->thing->file, line,
		 pp_core_name(r->thing->kind), name, field, what);
	r->fn(text, r->arg);
	r->world->invalid += r->thing->valid;
	r->thing->valid = false;
}

/* NULL if it is absent or, with a fault, no text. */
static const char *read_text(const struct reading *r, const struct pp_value *map, const char *key,
			     const char *field)
{
	const struct pp_value *v = pp_value_get(map, key);
	char shown[80];

	if (!v || v->type == PP_VALUE_TEXT)
		return v ? v->text : NULL;
	pp_err_escape(shown, sizeof(shown), key, strlen(key));
	fault(r, v->line, field, "%s is %s; valid is text: write it in quotes", shown,
	      pp_value_kind(v));
	return NULL;
}

static bool has_label(const struct pp_subject *s, const char *key)
{
	for (size_t i = 0; i < s->n_labels; i++)
		if (strcmp(s->labels[i].key, key) == 0)
			return true;
	return false;
}

/* A namespace has its name as a label, as the API server sees to. */
static void read_labels(struct reading *r, const struct pp_value *v)
{
	struct pp_subject *s = &r->thing->subject;
	struct pp_label *labels;
	size_t n = 1;

	if (v && v->type != PP_VALUE_MAP) {
		fault(r, v->line, "metadata.labels", "is %s; valid is a map", pp_value_kind(v));
		return;
	}
	for (const struct pp_value *m = v ? v->first : NULL; m; m = m->next)
		n++;
	s->labels = labels = pp_arena_alloc(&r->world->arena, n, sizeof(*labels));
	if (!labels)
		return;
	for (const struct pp_value *m = v ? v->first : NULL; m; m = m->next) {
		const char *value =
			m->type == PP_VALUE_NULL ? "" : read_text(r, v, m->key, "metadata.labels");

		if (value)
			labels[s->n_labels++] = (struct pp_label){ m->key, value };
	}
	if (r->thing->kind == PP_CORE_NAMESPACE && s->name && !has_label(s, NAME_KEY))
		labels[s->n_labels++] = (struct pp_label){ NAME_KEY, s->name };
}

/* What is limited for a time is taken to be. */
static void read_limit(struct reading *r, const struct pp_value *annotations, enum pp_way way)
{
	static const char field[] = "metadata.annotations";
	const struct pp_value *v = pp_value_get(annotations, pp_timed_key[way]);
	const char *text = read_text(r, annotations, pp_timed_key[way], field);
	struct pp_timed t = {};
	struct pp_err e = { "" };

	if (text && pp_timed_parse(text, &t, &e))
		fault(r, v ? v->line : 0, pp_timed_key[way], "%s", e.msg);
	r->thing->subject.limit[way] = t.rate;
}

/* Adds one, as Kubernetes writes it. */
static void read_address(const struct reading *r, const struct pp_value *map, const char *key,
			 const char *field)
{
	struct pp_world_thing *t = r->thing;
	const char *text = read_text(r, map, key, field);
	struct pp_err e = { "" };
	struct pp_cidr c;

	if (!text)
		return;
	if (strchr(text, '/') || pp_cidr_parse(text, &c, &e))
		fault(r, pp_value_get(map, key)->line, field, "valid are addresses, as in 10.1.2.3");
	else if (t->addresses)
		memcpy(t->addresses[t->n_addresses++], c.addr, sizeof(c.addr));
}

static void read_status(const struct reading *r, const struct pp_value *v)
{
	const struct pp_value *spec = pp_value_get(v, "spec"), *status = pp_value_get(v, "status"),
			      *host = pp_value_get(spec, "hostNetwork"),
			      *ips = pp_value_get(status, "podIPs");
	const char *phase = read_text(r, status, "phase", "status"),
		   *node_ip = read_text(r, status, "hostIP", "status"),
		   *ip = read_text(r, status, "podIP", "status");
	size_t n = 1;

	r->thing->over =
		phase && (strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0);
	if ((host && host->type == PP_VALUE_BOOL && tolower((unsigned char)host->text[0]) == 't') ||
	    (ip && node_ip && strcmp(ip, node_ip) == 0))
		return;
	if (ips && ips->type != PP_VALUE_LIST) {
		fault(r, ips->line, "status.podIPs", "is %s; valid is a list", pp_value_kind(ips));
		return;
	}
	for (const struct pp_value *m = ips ? ips->first : NULL; m; m = m->next)
		n++;
	r->thing->addresses = pp_arena_alloc(&r->world->arena, n, sizeof(*r->thing->addresses));
	for (const struct pp_value *m = ips ? ips->first : NULL; m; m = m->next)
		read_address(r, m, "ip", "status.podIPs");
	if (!ips)
		read_address(r, status, "podIP", "status.podIP");
}

static void read_pod(struct reading *r, const struct pp_value *v)
{
	static const char field[] = "metadata.annotations";
	const struct pp_value *metadata = pp_value_get(v, "metadata"),
			      *annotations = pp_value_get(metadata, "annotations");
	struct pp_subject *s = &r->thing->subject;
	const char *uid = read_text(r, metadata, "uid", "metadata");

	s->namespace = pp_value_get(metadata, "namespace")
			       ? read_text(r, metadata, "namespace", "metadata")
			       : "default";
	s->uid = uid ? uid : "";
	s->class = read_text(r, annotations, PP_CLASS_KEY, field);
	s->annotation[PP_WAY_EGRESS] =
		read_text(r, annotations, "kubernetes.io/egress-bandwidth", field);
	s->annotation[PP_WAY_INGRESS] =
		read_text(r, annotations, "kubernetes.io/ingress-bandwidth", field);
	for (int way = 0; way < PP_N_WAYS; way++)
		read_limit(r, annotations, (enum pp_way)way);
	r->thing->node = read_text(r, pp_value_get(v, "spec"), "nodeName", "spec");
	read_status(r, v);
}

static int add(const struct pp_value *v, void *arg)
{
	struct reading *r = arg;
	const struct pp_value *metadata = pp_value_get(v, "metadata");
	int kind = pp_core_kind(v);

	if (kind < 0)
		return 0;
	r->thing = pp_arena_alloc(&r->world->arena, 1, sizeof(*r->thing));
	if (!r->thing)
		return -ENOMEM;
	*r->thing = (struct pp_world_thing){ .before = r->world->things,
					     .kind = (enum pp_core)kind,
					     .order = r->world->n,
					     .file = r->file->file,
					     .line = v->line,
					     .valid = true };
	r->world->things = r->thing;
	r->world->n++;
	r->thing->subject.name = read_text(r, metadata, "name", "metadata");
	if (!r->thing->subject.name && r->thing->valid)
		fault(r, v->line, "metadata", "needs a name");
	read_labels(r, pp_value_get(metadata, "labels"));
	if (kind == PP_CORE_POD)
		read_pod(r, v);
	return r->world->arena.failed ? -ENOMEM : 0;
}

/* --- one of each */

/* 0: there can be only one of them. */
static int compare(const struct pp_world_thing *x, const struct pp_world_thing *y)
{
	int r = (int)x->kind - (int)y->kind;

	if (!r && x->kind == PP_CORE_POD)
		r = strcmp(x->subject.namespace, y->subject.namespace);
	if (!r)
		r = strcmp(x->subject.name, y->subject.name);
	if (!r && x->kind == PP_CORE_POD)
		r = strcmp(x->subject.uid, y->subject.uid);
	return r;
}

static int compare_things(const void *a, const void *b)
{
	const struct pp_world_thing *x = *(struct pp_world_thing *const *)a,
				    *y = *(struct pp_world_thing *const *)b;
	int r = compare(x, y);

	return r ? r : (x->order > y->order) - (x->order < y->order);
}

/* Those that are valid, sorted. *ret_n of them; NULL without memory. */
static struct pp_world_thing **sort(struct pp_world *w, size_t *ret_n)
{
	struct pp_world_thing **things =
		pp_arena_alloc(&w->arena, w->n + 1, sizeof(struct pp_world_thing *));
	size_t n = 0;

	for (struct pp_world_thing *t = w->things; t && things; t = t->before)
		if (t->valid)
			things[n++] = t;
	if (n)
		qsort(things, n, sizeof(struct pp_world_thing *), compare_things);
	*ret_n = n;
	return things;
}

int pp_world_add(struct pp_world *w, const struct pp_values *v, pp_fault_fn fn, void *arg)
{
	struct reading r = { w, v, fn, arg, NULL };
	struct pp_world_thing **things;
	int error = pp_values_each(v, add, &r);
	size_t n;

	if (error)
		return error;
	things = sort(w, &n);
	for (size_t i = 1; i < n; i++) {
		const struct pp_world_thing *before = things[i - 1];

		if (compare(before, things[i]) != 0)
			continue;
		r.thing = things[i];
		fault(&r, r.thing->line, "metadata", "stands in %s:%u before", before->file,
		      before->line);
		things[i] = things[i - 1];
	}
	return things ? 0 : -ENOMEM;
}

/* --- the input */

static int pick_node(struct pp_world_thing **things, size_t n, const char *node,
		     const struct pp_world_thing **ret, struct pp_err *e)
{
	char names[140] = "", shown[80];
	size_t n_nodes = 0;

	for (size_t i = 0; i < n; i++) {
		const struct pp_subject *s = &things[i]->subject;

		if (things[i]->kind != PP_CORE_NODE)
			continue;
		*ret = things[i];
		if (node && strcmp(node, s->name) == 0)
			return 0;
		pp_err_escape(shown, sizeof(shown), s->name, strlen(s->name));
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
			 n_nodes++ ? ", " : "", shown);
	}
	if (n_nodes == 0 || (n_nodes == 1 && !node))
		return 0;
	if (!node)
		return pp_err_set(e, -EINVAL, "%zu nodes: say which with --node; valid are %s",
				  n_nodes, names);
	pp_err_escape(shown, sizeof(shown), node, strlen(node));
	return pp_err_set(e, -EINVAL, "--node \"%s\": there is no such node; valid are %s", shown,
			  names);
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(((const struct pp_subject *)a)->name, ((const struct pp_subject *)b)->name);
}

/* Each path that a valid object names, once. */
static size_t add_cgroups(const struct pp_objects *o, struct pp_subject *subjects)
{
	size_t n = 0, kept = 0;

	for (const struct pp_object *p = o->first; p; p = p->next)
		for (const struct pp_value *v = p->valid && p->cgroups ? p->cgroups->first : NULL;
		     v; v = v->next)
			subjects[n++] = (struct pp_subject){ .name = v->text, .uid = "" };
	if (n)
		qsort(subjects, n, sizeof(*subjects), compare_paths);
	for (size_t i = 0; i < n; i++)
		if (!kept || compare_paths(&subjects[kept - 1], &subjects[i]) != 0)
			subjects[kept++] = subjects[i];
	return kept;
}

static size_t count_cgroups(const struct pp_objects *o)
{
	size_t n = 0;

	for (const struct pp_object *p = o->first; p; p = p->next)
		for (const struct pp_value *v = p->valid && p->cgroups ? p->cgroups->first : NULL;
		     v; v = v->next)
			n++;
	return n;
}

/* The namespaces that are there, and those that pods are in; things are sorted. */
static void add_namespaces(struct pp_world *w, struct pp_world_thing **things, size_t n,
			   struct pp_namespace *to, struct pp_plan_input *in)
{
	const char *last = NULL;

	in->namespaces = to;
	for (size_t i = 0; i < n; i++)
		if (things[i]->kind == PP_CORE_NAMESPACE) {
			const struct pp_subject *s = &things[i]->subject;

			to[in->n_namespaces++] =
				(struct pp_namespace){ s->name, s->labels, s->n_labels };
		}
	for (size_t i = 0, known = in->n_namespaces; i < n && things[i]->kind == PP_CORE_POD; i++) {
		const char *name = things[i]->subject.namespace;
		struct pp_label *label;
		bool found = last && strcmp(last, name) == 0;

		last = name;
		for (size_t k = 0; k < known && !found; k++)
			found = strcmp(to[k].name, name) == 0;
		label = found ? NULL : pp_arena_alloc(&w->arena, 1, sizeof(*label));
		if (!label)
			continue;
		*label = (struct pp_label){ NAME_KEY, name };
		to[in->n_namespaces++] = (struct pp_namespace){ name, label, 1 };
	}
}

int pp_world_input(struct pp_world *w, const struct pp_objects *o, const char *node,
		   struct pp_plan_input *ret, struct pp_err *e)
{
	const struct pp_world_thing *here = NULL;
	struct pp_plan_input in = { 0 };
	struct pp_world_thing **things;
	const struct pp_object **objects;
	struct pp_subject *subjects;
	struct pp_namespace *namespaces;
	size_t n, n_cgroups = count_cgroups(o);
	int r;

	things = sort(w, &n);
	objects = pp_arena_alloc(&w->arena, o->n + 1, sizeof(*objects));
	subjects = pp_arena_alloc(&w->arena, w->n + n_cgroups + 1, sizeof(*subjects));
	namespaces = pp_arena_alloc(&w->arena, 2 * w->n + 1, sizeof(*namespaces));
	if (!things || !objects || !subjects || !namespaces)
		return -ENOMEM;
	r = pick_node(things, n, node, &here, e);
	if (r)
		return r;
	if (here) {
		node = here->subject.name;
		in.node_labels = here->subject.labels;
		in.n_node_labels = here->subject.n_labels;
	}
	for (const struct pp_object *p = o->first; p; p = p->next)
		if (p->valid)
			objects[in.n_objects++] = p;
	in.objects = objects;
	in.subjects = subjects;
	in.n_subjects = add_cgroups(o, subjects);
	for (size_t i = 0; i < n && things[i]->kind == PP_CORE_POD; i++)
		if (!node || !things[i]->node || strcmp(things[i]->node, node) == 0)
			subjects[in.n_subjects++] = things[i]->subject;
	add_namespaces(w, things, n, namespaces, &in);
	*ret = in;
	return w->arena.failed ? -ENOMEM : 0;
}

int pp_world_parties(struct pp_world *w, const struct pp_party_pod **ret, size_t *ret_n)
{
	size_t n, kept = 0;
	struct pp_world_thing **things = sort(w, &n);
	struct pp_party_pod *pods = pp_arena_alloc(&w->arena, n + 1, sizeof(*pods));

	if (!things || !pods)
		return -ENOMEM;
	for (size_t i = 0; i < n && things[i]->kind == PP_CORE_POD; i++) {
		const struct pp_world_thing *t = things[i];

		if (t->over)
			continue;
		pods[kept++] =
			(struct pp_party_pod){ .namespace = t->subject.namespace,
					       .labels = t->subject.labels,
					       .n_labels = t->subject.n_labels,
					       .identity = pp_identity_of(t->subject.uid),
					       .addresses = t->addresses,
					       .n_addresses = t->n_addresses,
					       .name = t->subject.name };
	}
	*ret = pods;
	*ret_n = kept;
	return 0;
}

void pp_world_free(struct pp_world *w)
{
	pp_arena_free(&w->arena);
	*w = PP_WORLD_INIT;
}
