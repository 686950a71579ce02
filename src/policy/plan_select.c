// SPDX-License-Identifier: Apache-2.0
// Everything of the input in its order, and which subjects each object is for. A selector of
// namespaces is asked once for each namespace, one of pods once for each pod that it could select.
#include "base/base.h"
#include "policy/plan_parts.h"

/* NULL is the first. */
static int compare_texts(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) : (a != NULL) - (b != NULL);
}

/* --- order */

static int compare_items(const void *a, const void *b)
{
	const struct pp_object *x = ((const struct pp_plan_item *)a)->o,
			       *y = ((const struct pp_plan_item *)b)->o;
	int r = (int)x->kind - (int)y->kind;

	if (!r)
		r = compare_texts(x->namespace, y->namespace);
	return r ? r : strcmp(x->name, y->name);
}

static int compare_members(const void *a, const void *b)
{
	const struct pp_subject *x = ((const struct pp_plan_member *)a)->s,
				*y = ((const struct pp_plan_member *)b)->s;
	int r = compare_texts(x->namespace, y->namespace);

	if (!r)
		r = strcmp(x->name, y->name);
	return r ? r : strcmp(x->uid, y->uid);
}

static int compare_namespaces(const void *a, const void *b)
{
	const struct pp_namespace *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static int rank_of(const struct pp_object *o)
{
	if (o->kind == PP_CLASS || o->nodes.present)
		return -1;
	return o->per == PP_PER_POLICY      ? 0
	       : o->per == PP_PER_NAMESPACE ? 1
	       : o->per == PP_PER_NODE      ? 2
					    : -1;
}

static void sort_items(struct pp_build *b)
{
	const struct pp_plan_input *in = b->in;

	for (size_t i = 0; i < in->n_objects; i++)
		b->items[i].o = in->objects[i];
	b->n_items = in->n_objects;
	qsort(b->items, b->n_items, sizeof(*b->items), compare_items);
	for (size_t i = 0; i < b->n_items; i++) {
		struct pp_plan_item *item = &b->items[i];
		const struct pp_object *o = item->o;

		item->rank = rank_of(o);
		item->text = pp_arena_text(b->memory, "%s %s%s%s", pp_kind_name(o->kind),
					   o->namespace ? o->namespace : "",
					   o->namespace ? "/" : "", o->name);
		b->begin[o->kind + 1] = i + 1;
	}
	for (int kind = 0; kind < PP_N_KINDS; kind++)
		if (b->begin[kind + 1] < b->begin[kind])
			b->begin[kind + 1] = b->begin[kind];
}

/* While a pod is replaced, its successor may have its name. */
static const char *text_of(struct pp_build *b, size_t i)
{
	const struct pp_subject *s = b->members[i].s;

	if (!s->namespace)
		return pp_arena_text(b->memory, "cgroup %s", s->name);
	for (size_t other = i ? i - 1 : i + 1; other <= i + 1 && other < b->n_members; other += 2) {
		const struct pp_subject *o = b->members[other].s;

		if (o->namespace && strcmp(o->namespace, s->namespace) == 0 &&
		    strcmp(o->name, s->name) == 0)
			return pp_arena_text(b->memory, "pod %s/%s (%s)", s->namespace, s->name,
					     s->uid);
	}
	return pp_arena_text(b->memory, "pod %s/%s", s->namespace, s->name);
}

static void sort_members(struct pp_build *b)
{
	struct pp_plan *p = b->plan;

	for (size_t i = 0; i < b->in->n_subjects; i++)
		b->members[i].s = &b->in->subjects[i];
	b->n_members = p->n_subjects = b->in->n_subjects;
	qsort(b->members, b->n_members, sizeof(*b->members), compare_members);
	for (size_t i = 0; i < b->n_members; i++) {
		const struct pp_subject *s = b->members[i].s;

		b->members[i].text = text_of(b, i);
		b->members[i].out = &p->subjects[i];
		p->subjects[i].namespace = pp_arena_copy(b->memory, s->namespace);
		p->subjects[i].name = pp_arena_copy(b->memory, s->name);
		p->subjects[i].uid = pp_arena_copy(b->memory, s->uid);
	}
}

int pp_plan_sort(struct pp_build *b)
{
	const struct pp_plan_input *in = b->in;

	b->items = pp_arena_alloc(&b->scratch, in->n_objects, sizeof(*b->items));
	b->members = pp_arena_alloc(&b->scratch, in->n_subjects, sizeof(*b->members));
	b->namespaces = pp_arena_alloc(&b->scratch, in->n_namespaces, sizeof(*b->namespaces));
	b->plan->subjects = pp_arena_alloc(b->memory, in->n_subjects, sizeof(*b->plan->subjects));
	if (b->scratch.failed || b->memory->failed)
		return -ENOMEM;
	if (in->n_objects)
		sort_items(b);
	if (in->n_subjects)
		sort_members(b);
	for (size_t i = 0; i < in->n_namespaces; i++)
		b->namespaces[i] = &in->namespaces[i];
	if (in->n_namespaces)
		qsort(b->namespaces, in->n_namespaces, sizeof(*b->namespaces), compare_namespaces);
	return 0;
}

/* --- selection */

/* What subjects of one namespace have in common; of cgroups, whose namespace is NULL, too. */
struct scope {
	const char *name;
	const struct pp_namespace *namespace;
	struct pp_plan_item **items; /* that may be for them */
	size_t n;
	struct pp_plan_binding *bindings; /* room for those of one subject */
};

/* The group of a subject of the scope in which an object puts it. */
static struct pp_plan_group *group_of(struct pp_build *b, struct pp_plan_item *item,
				      const struct scope *scope)
{
	const char *namespace = item->rank < 2 ? scope->name : NULL, *name = item->o->name;
	struct pp_plan_group *g = item->last;

	if (g && compare_texts(g->namespace, namespace) == 0)
		return g;
	g = pp_arena_alloc(&b->scratch, 1, sizeof(*g));
	if (!g)
		return &b->no_group;
	if (item->rank == 0)
		name = pp_arena_text(b->memory, "policy %s/%s", namespace, name);
	else if (item->rank == 1)
		name = pp_arena_text(b->memory, "tenant %s in %s", name, namespace);
	else
		name = pp_arena_text(b->memory, "tenant %s", name);
	if (item->o->observe)
		name = pp_arena_text(b->memory, "%s observed by %s", name, item->text);
	*g = (struct pp_plan_group){
		.before = b->groups, .item = item, .name = name, .namespace = namespace
	};
	item->last = g;
	b->groups = g;
	b->n_groups++;
	return g;
}

static bool is_below(const char *path, const char *top)
{
	size_t n = strcmp(top, "/") == 0 ? 0 : strlen(top);

	return strncmp(path, top, n) == 0 && path[n] == '/' && path[n + 1];
}

static bool selects_cgroup(const struct pp_object *o, const char *path)
{
	for (const struct pp_value *v = o->cgroups->first; v; v = v->next)
		if (strcmp(v->text, path) == 0 ||
		    (o->per == PP_PER_NODE && is_below(path, v->text)))
			return true;
	return false;
}

/* The namespace is known to be selected. */
static bool selects(const struct pp_object *o, const struct pp_subject *s)
{
	if (o->cgroups)
		return selects_cgroup(o, s->name);
	return (o->kind == PP_CLUSTER_POLICY && !o->pods.present) ||
	       pp_selector_matches(&o->pods, s->labels, s->n_labels);
}

static void select_for(struct pp_build *b, const struct scope *scope, struct pp_plan_member *m)
{
	struct pp_plan_binding *bindings;
	size_t n = 0;

	for (size_t i = 0; i < scope->n; i++) {
		struct pp_plan_item *item = scope->items[i];

		if (!selects(item->o, m->s))
			continue;
		item->n_subjects++;
		scope->bindings[n++] = (struct pp_plan_binding){
			item, item->rank < 0 ? NULL : group_of(b, item, scope)
		};
	}
	m->namespace = scope->namespace;
	bindings = pp_arena_alloc(&b->scratch, n, sizeof(*bindings));
	if (!bindings)
		return;
	memcpy(bindings, scope->bindings, n * sizeof(*bindings));
	m->bindings = bindings;
	m->n_bindings = n;
}

/* The first policy of a namespace, or where it would be. */
static size_t find_policies(const struct pp_build *b, const char *namespace)
{
	size_t low = b->begin[PP_POLICY], high = b->begin[PP_POLICY + 1];

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(b->items[middle].o->namespace, namespace) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct pp_namespace *find_namespace(const struct pp_build *b, const char *name)
{
	struct pp_namespace key = { .name = name };
	const struct pp_namespace *at = &key, **found = NULL;

	if (b->in->n_namespaces)
		found = bsearch(&at, b->namespaces, b->in->n_namespaces, sizeof(*b->namespaces),
				compare_namespaces);
	return found ? *found : NULL;
}

static void enter(const struct pp_build *b, struct scope *scope, const char *name)
{
	const struct pp_namespace *ns = name ? find_namespace(b, name) : NULL;

	scope->name = name;
	scope->namespace = ns;
	scope->n = 0;
	for (size_t i = name ? find_policies(b, name) : b->begin[PP_POLICY + 1];
	     i < b->begin[PP_POLICY + 1] && strcmp(b->items[i].o->namespace, name) == 0; i++)
		scope->items[scope->n++] = &b->items[i];
	for (size_t i = b->begin[PP_CLUSTER_POLICY]; i < b->n_items; i++) {
		const struct pp_object *o = b->items[i].o;

		if (name ? pp_selector_matches(&o->namespaces, ns ? ns->labels : NULL,
					       ns ? ns->n_labels : 0)
			 : o->cgroups != NULL)
			scope->items[scope->n++] = &b->items[i];
	}
}

/* --- cgroups and the uplink */

/* Cgroups are the first among the members, sorted by path. */
static struct pp_plan_member *find_above(struct pp_build *b, size_t n_cgroups, const char *path)
{
	_cleanup_free_ char *top = strdup(path);

	if (!top)
		b->scratch.failed = true;
	for (char *slash = top ? strrchr(top, '/') : NULL; slash; slash = strrchr(top, '/')) {
		struct pp_subject s = { .name = slash == top ? "/" : top, .uid = "" };
		struct pp_plan_member key = { .s = &s }, *found;

		*slash = '\0';
		if (strcmp(s.name, path) == 0)
			break;
		found = bsearch(&key, b->members, n_cgroups, sizeof(key), compare_members);
		if (found)
			return found;
	}
	return NULL;
}

static void select_uplink(struct pp_build *b)
{
	for (size_t i = b->begin[PP_CLUSTER_POLICY]; i < b->n_items; i++) {
		struct pp_plan_item *item = &b->items[i];

		item->is_here = pp_selector_matches(&item->o->nodes, b->in->node_labels,
						    b->in->n_node_labels);
		if (item->is_here)
			item->n_subjects = b->n_members;
		for (int way = 0; way < PP_N_WAYS; way++) {
			const struct pp_plan_item *least = b->uplink[way];
			uint64_t ceil = item->is_here ? item->o->share[way].ceil : 0;

			if (ceil && (!least || ceil < least->o->share[way].ceil))
				b->uplink[way] = item;
		}
	}
	for (size_t i = b->begin[PP_CLUSTER_POLICY]; i < b->n_items; i++)
		for (int way = 0; way < PP_N_WAYS; way++)
			if (b->items[i].is_here && b->items[i].o->share[way].ceil &&
			    b->uplink[way] != &b->items[i])
				pp_plan_remark(b, &b->items[i], NULL,
					       "%s: %s limits the uplink of this node to no more",
					       pp_plan_way[way], b->uplink[way]->text);
}

void pp_plan_select(struct pp_build *b)
{
	struct scope scope = {
		.items = pp_arena_alloc(&b->scratch, b->n_items, sizeof(struct pp_plan_item *)),
		.bindings = pp_arena_alloc(&b->scratch, b->n_items, sizeof(struct pp_plan_binding))
	};
	size_t n_cgroups = 0;

	if (b->scratch.failed)
		return;
	while (n_cgroups < b->n_members && !b->members[n_cgroups].s->namespace)
		n_cgroups++;
	for (size_t i = 0; i < b->n_members; i++) {
		struct pp_plan_member *m = &b->members[i];

		if (!i || compare_texts(scope.name, m->s->namespace) != 0)
			enter(b, &scope, m->s->namespace);
		select_for(b, &scope, m);
		if (!m->s->namespace)
			m->above = find_above(b, n_cgroups, m->s->name);
	}
	select_uplink(b);
}
