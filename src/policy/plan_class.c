// SPDX-License-Identifier: Apache-2.0
// The class of each pod: the first that may be its, of what it says itself, what the policies of
// its namespace say, what its namespace says, and the default.
#include "base/base.h"
#include "policy/plan_parts.h"

static bool is_open(const struct pp_plan_item *class, const struct pp_plan_member *m)
{
	const struct pp_namespace *ns = m->namespace;

	return pp_selector_matches(&class->o->namespaces, ns ? ns->labels : NULL,
				   ns ? ns->n_labels : 0);
}

static int compare_name(const void *key, const void *item)
{
	return strcmp(key, ((const struct pp_plan_item *)item)->o->name);
}

static struct pp_plan_item *find_class(const struct pp_build *b, const char *name)
{
	size_t n = b->begin[PP_CLASS + 1];

	return n ? bsearch(name, b->items, n, sizeof(*b->items), compare_name) : NULL;
}

/* "valid are a, b": those that a pod may have. */
static const char *valid_classes(const struct pp_build *b, const struct pp_plan_member *m,
				 char text[static 160])
{
	size_t n = 0, at = 0;

	for (size_t i = 0; i < b->begin[PP_CLASS + 1]; i++) {
		const char *name = b->items[i].o->name;

		if (!is_open(&b->items[i], m))
			continue;
		if (at + strlen(name) + 8 > 160) {
			snprintf(text + at, 160 - at, ", ...");
			break;
		}
		at += (size_t)snprintf(text + at, 160 - at, "%s%s", n++ ? ", " : "", name);
	}
	if (!n)
		snprintf(text, 160, "none");
	return text;
}

/* Gives m the class of this name, or says why it has no effect. by: the policy that gives it. */
static bool give(struct pp_build *b, struct pp_plan_member *m, const char *name,
		 const struct pp_plan_item *by, const char *from)
{
	struct pp_plan_item *class = find_class(b, name);
	char valid[160];

	if (class && is_open(class, m)) {
		m->class = class;
		m->out->class_from = from;
		return true;
	}
	pp_plan_remark(b, by, m, "%s%sclass %s %s; valid in namespace %s: %s", by ? "" : from,
		       by ? "" : ": ", pp_plan_show(b, name),
		       class ? "is not open to the namespace" : "is not known", m->s->namespace,
		       valid_classes(b, m, valid));
	return false;
}

/* The first policy that gives a class that is allowed; others that give another are told. */
static bool give_by_policy(struct pp_build *b, struct pp_plan_member *m)
{
	const struct pp_plan_item *first = NULL;

	for (size_t i = 0; i < m->n_bindings; i++) {
		struct pp_plan_item *item = m->bindings[i].item;
		const char *class = item->o->class;

		if (!class)
			continue;
		if (!first && give(b, m, class, item, item->text))
			first = item;
		else if (first && strcmp(class, first->o->class) != 0)
			pp_plan_remark(b, item, m, "class %s: %s comes first",
				       pp_plan_show(b, class), first->text);
	}
	return first != NULL;
}

static bool give_by_namespace(struct pp_build *b, struct pp_plan_member *m)
{
	const struct pp_namespace *ns = m->namespace;

	for (size_t i = 0; ns && i < ns->n_labels; i++)
		if (strcmp(ns->labels[i].key, PP_CLASS_KEY) == 0)
			return give(b, m, ns->labels[i].value, NULL,
				    pp_arena_text(b->memory,
						  "label " PP_CLASS_KEY " of namespace %s",
						  ns->name));
	return false;
}

static const struct pp_plan_item *find_default(struct pp_build *b)
{
	const struct pp_plan_item *first = NULL;

	for (size_t i = 0; i < b->begin[PP_CLASS + 1]; i++) {
		const struct pp_plan_item *item = &b->items[i];

		if (!item->o->is_default)
			continue;
		if (first)
			pp_plan_remark(b, item, NULL, "default: %s comes first", first->text);
		else if (!item->o->namespaces.present)
			pp_plan_remark(b, item, NULL,
				       "default: no namespace may use it; valid is a selector in "
				       "spec.namespaces, {} for all");
		if (!first)
			first = item;
	}
	return first;
}

void pp_plan_classes(struct pp_build *b)
{
	const struct pp_plan_item *first = find_default(b);

	for (size_t i = 0; i < b->n_members; i++) {
		struct pp_plan_member *m = &b->members[i];
		const char *class = m->s->class;

		if (!m->s->namespace)
			continue;
		if (!(class && give(b, m, class, NULL, "annotation " PP_CLASS_KEY)) &&
		    !give_by_policy(b, m) && !give_by_namespace(b, m) && first &&
		    is_open(first, m)) {
			m->class = first;
			m->out->class_from = "default";
		}
		if (!m->class)
			continue;
		b->items[m->class - b->items].n_subjects++;
		m->out->class = pp_arena_copy(b->memory, m->class->o->name);
	}
}
