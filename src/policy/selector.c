// SPDX-License-Identifier: Apache-2.0
// Label selectors, as Kubernetes has them: all requirements have to hold. NotIn holds for what has
// no such label (apimachinery, pkg/labels/selector.go), which also reads their text.
#include "base/base.h"
#include "policy/selector.h"

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

/* --- text */

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorts them, and leaves each once. Returns how many are left. */
static size_t sort(const char **texts, size_t n)
{
	size_t kept = 0;

	qsort(texts, n, sizeof(*texts), compare_texts);
	for (size_t i = 0; i < n; i++)
		if (!kept || strcmp(texts[kept - 1], texts[i]) != 0)
			texts[kept++] = texts[i];
	return kept;
}

static void put(FILE *f, const struct pp_requirement *q, const char **values)
{
	size_t n = q->n;

	if (n) {
		memcpy(values, q->value, n * sizeof(*values));
		n = sort(values, n);
	}
	fprintf(f, "%s%s", q->op == PP_DOES_NOT_EXIST ? "!" : "", q->key);
	if (n == 1)
		fprintf(f, "%s%s", q->op == PP_IN ? "=" : "!=", values[0]);
	else if (n)
		fputs(q->op == PP_IN ? " in (" : " notin (", f);
	for (size_t i = 0; i < n && n > 1; i++)
		fprintf(f, "%s%s", values[i], i + 1 < n ? "," : ")");
}

/* NULL without memory. */
static char *text_of(const struct pp_requirement *q)
{
	_cleanup_free_ const char **values = calloc(q->n + 1, sizeof(*values));
	char *text = NULL;
	size_t len;
	FILE *f = values ? open_memstream(&text, &len) : NULL;

	if (!f)
		return NULL;
	put(f, q, values);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

static char *join(const char **texts, size_t n)
{
	size_t len = 1;
	char *text, *end;

	for (size_t i = 0; i < n; i++)
		len += strlen(texts[i]) + 1;
	text = end = calloc(1, len);
	for (size_t i = 0; i < n && text; i++)
		end += snprintf(end, len - (size_t)(end - text), "%s%s", i ? "," : "", texts[i]);
	return text;
}

char *pp_selector_format(const struct pp_selector *s)
{
	_cleanup_free_ char **all = NULL;
	_cleanup_free_ const char **texts = NULL;
	char *text = NULL;
	size_t n = 0;
	bool failed;

	for (const struct pp_requirement *q = s->first; q; q = q->next)
		n++;
	all = calloc(n + 1, sizeof(*all));
	texts = calloc(n + 1, sizeof(*texts));
	failed = !all || !texts;
	n = 0;
	for (const struct pp_requirement *q = s->first; q && !failed; q = q->next) {
		texts[n] = all[n] = text_of(q);
		failed = !texts[n++];
	}
	if (!failed)
		text = join(texts, sort(texts, n));
	for (size_t i = 0; i < n; i++)
		free(all[i]);
	return text;
}
