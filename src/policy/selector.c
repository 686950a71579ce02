// SPDX-License-Identifier: Apache-2.0
// Label selectors, as Kubernetes has them: all requirements have to hold. NotIn holds for what has
// no such label (apimachinery, pkg/labels/selector.go).
#include "base/base.h"
#include "policy/object.h"

static const char *value_of(const struct pp_label *labels, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(labels[i].key, key) == 0)
			return labels[i].value;
	return NULL;
}

static bool holds(const struct pp_requirement *q, const char *value)
{
	bool in = false;

	for (size_t i = 0; i < q->n && value; i++)
		in |= strcmp(q->value[i], value) == 0;
	switch (q->op) {
	case PP_IN:
		return in;
	case PP_NOT_IN:
		return !in;
	case PP_EXISTS:
		return value != NULL;
	case PP_DOES_NOT_EXIST:
		return value == NULL;
	}
	return false;
}

bool pp_selector_matches(const struct pp_selector *s, const struct pp_label *labels, size_t n)
{
	if (!s->present)
		return false;
	for (const struct pp_requirement *q = s->first; q; q = q->next)
		if (!holds(q, value_of(labels, n, q->key)))
			return false;
	return true;
}
