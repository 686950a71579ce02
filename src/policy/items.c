// SPDX-License-Identifier: Apache-2.0
// Lists of objects, as kubectl prints them, and the kinds of core/v1.
#include "base/base.h"
#include "policy/items.h"

static const char *const names[] = { "Pod", "Namespace", "Node" };

const char *pp_core_name(enum pp_core kind)
{
	return names[kind];
}

static bool is_core(const struct pp_value *v, const char *name)
{
	const struct pp_value *version = pp_value_get(v, "apiVersion"),
			      *kind = pp_value_get(v, "kind");

	return version && kind && strcmp(version->text, "v1") == 0 && strcmp(kind->text, name) == 0;
}

int pp_core_kind(const struct pp_value *v)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (is_core(v, names[i]))
			return (int)i;
	return -1;
}

/* As deep as values are at most. */
static int each(const struct pp_value *v, int (*fn)(const struct pp_value *v, void *arg), void *arg)
{
	const struct pp_value *items = pp_value_get(v, "items");
	int r = 0;

	if (!is_core(v, "List") || (items && items->type != PP_VALUE_LIST))
		return fn(v, arg);
	for (const struct pp_value *i = items ? items->first : NULL; i && !r; i = i->next)
		r = each(i, fn, arg);
	return r;
}

int pp_values_each(const struct pp_values *v, int (*fn)(const struct pp_value *v, void *arg),
		   void *arg)
{
	int r = 0;

	for (const struct pp_value *doc = v->first; doc && !r; doc = doc->next)
		r = each(doc, fn, arg);
	return r;
}
