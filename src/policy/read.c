// SPDX-License-Identifier: Apache-2.0
// Values of an object read into what they mean.
#include <ctype.h>
#include <stdarg.h>

#include "base/base.h"
#include "base/qty.h"
#include "policy/read.h"

/* FILE:LINE: KIND NAME: FIELD: what is wrong. */
__attribute__((format(printf, 4, 5))) void pp_fault(struct pp_reader *r, unsigned int line,
						    const char *field, const char *fmt, ...)
{
	const struct pp_object *o = r->o;
	char what[400], text[700];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(text, sizeof(text), "%s:%u: %s %s%s%s%s%s%s", o->file, line ? line : o->line,
		 pp_kind_name(o->kind), o->namespace ? o->namespace : "", o->namespace ? "/" : "",
		 o->name ? o->name : "(no name)", field[0] ? ": " : "", field,
		 field[0] ? ": " : ": ");
	r->fn(strncat(text, what, sizeof(text) - strlen(text) - 1), r->arg);
	r->o->valid = false;
}

static bool is_one_of(const char *key, const char *const *names)
{
	for (; *names; names++)
		if (strcmp(*names, key) == 0)
			return true;
	return false;
}

/* Is it a map, or absent? Members that nobody knows are faults. */
bool pp_read_map(struct pp_reader *r, const struct pp_value *v, const char *field,
		 const char *const *names)
{
	char valid[300] = "", shown[80];

	if (!v)
		return false;
	if (v->type != PP_VALUE_MAP) {
		pp_fault(r, v->line, field, "is %s; valid is a map", pp_value_kind(v));
		return false;
	}
	for (const char *const *n = names; *n; n++)
		snprintf(valid + strlen(valid), sizeof(valid) - strlen(valid), "%s%s",
			 n == names ? "" : ", ", *n);
	for (const struct pp_value *m = v->first; m; m = m->next)
		if (!is_one_of(m->key, names)) {
			pp_err_escape(shown, sizeof(shown), m->key, strlen(m->key));
			pp_fault(r, m->line, field, "%s is not known; valid are %s", shown, valid);
		}
	return true;
}

const char *pp_read_text(struct pp_reader *r, const struct pp_value *v, const char *field)
{
	if (!v)
		return NULL;
	if (v->type == PP_VALUE_TEXT)
		return v->text;
	pp_fault(r, v->line, field, "is %s; valid is text", pp_value_kind(v));
	return NULL;
}

/* Which of some words; -1, with a fault, for another. `later`: those that will be valid one day. */
int pp_read_word(struct pp_reader *r, const struct pp_value *v, const char *field,
		 const char *const *words, const char *const *later)
{
	const char *text = pp_read_text(r, v, field), *are = words[0] && words[1] ? "are" : "is";
	char valid[120] = "", shown[80];

	if (!text)
		return -1;
	for (int i = 0; words[i]; i++) {
		if (strcmp(words[i], text) == 0)
			return i;
		snprintf(valid + strlen(valid), sizeof(valid) - strlen(valid), "%s%s",
			 i ? ", " : "", words[i]);
	}
	pp_err_escape(shown, sizeof(shown), text, strlen(text));
	if (is_one_of(text, later))
		pp_fault(r, v->line, field, "%s is not built yet; valid %s %s", shown, are, valid);
	else
		pp_fault(r, v->line, field, "is \"%s\"; valid %s %s", shown, are, valid);
	return -1;
}

uint64_t pp_read_rate(struct pp_reader *r, const struct pp_value *v, const char *field)
{
	struct pp_err e = { "" };
	uint64_t rate = 0;

	if (!v)
		return 0;
	if (v->type != PP_VALUE_TEXT && v->type != PP_VALUE_NUMBER)
		pp_fault(r, v->line, field, "is %s; valid is a number of bits/s, as in 50M",
			 pp_value_kind(v));
	else if (pp_rate_parse(v->text, &rate, &e))
		pp_fault(r, v->line, field, "%s", e.msg);
	return rate;
}

uint32_t pp_read_weight(struct pp_reader *r, const struct pp_value *v, const char *field)
{
	char shown[40];
	uint32_t n = 0;

	if (!v)
		return 0;
	if (v->type == PP_VALUE_NUMBER && strspn(v->text, "0123456789") == strlen(v->text) &&
	    strlen(v->text) < 6)
		for (const char *c = v->text; *c; c++)
			n = n * 10 + (uint32_t)(*c - '0');
	if (n >= 1 && n <= 1000)
		return n;
	pp_err_escape(shown, sizeof(shown), v->text, strlen(v->text));
	pp_fault(r, v->line, field, "is %s; valid is a number from 1 to 1000",
		 v->type == PP_VALUE_NUMBER ? shown : pp_value_kind(v));
	return 0;
}

/* --- labels and selectors */

static bool is_name_part(const char *s, size_t len, const char *inner)
{
	if (!len || !isalnum((unsigned char)s[0]) || !isalnum((unsigned char)s[len - 1]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && !strchr(inner, s[i]))
			return false;
	return true;
}

/* A DNS subdomain (RFC 1123), as names of objects and prefixes of labels are. */
bool pp_is_subdomain(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (isupper((unsigned char)s[i]) || (i && s[i] == '.' && s[i - 1] == '.'))
			return false;
	return len <= 253 && is_name_part(s, len, "-.");
}

static bool is_label_key(const char *key)
{
	const char *slash = strchr(key, '/'), *name = slash ? slash + 1 : key;

	if (slash && !pp_is_subdomain(key, (size_t)(slash - key)))
		return false;
	return strlen(name) <= 63 && is_name_part(name, strlen(name), "-_.");
}

static bool is_label_value(const char *v)
{
	return !*v || (strlen(v) <= 63 && is_name_part(v, strlen(v), "-_."));
}

/* With room for n values. */
static struct pp_requirement *require(struct pp_reader *r, struct pp_selector *s,
				      enum pp_operator op, const char *key, size_t n)
{
	struct pp_requirement *q = calloc(1, sizeof(*q) + n * sizeof(q->value[0]));

	if (!q) {
		r->error = -ENOMEM;
		return NULL;
	}
	q->op = op;
	q->key = key;
	q->next = s->first;
	s->first = q;
	q->other = r->all->requirements;
	r->all->requirements = q;
	return q;
}

static bool check_key(struct pp_reader *r, const char *key, unsigned int line, const char *field)
{
	char shown[80];

	if (is_label_key(key))
		return true;
	pp_err_escape(shown, sizeof(shown), key, strlen(key));
	pp_fault(r, line, field, "\"%s\" is no label's key; valid is [PREFIX/]NAME", shown);
	return false;
}

static bool check_value(struct pp_reader *r, const struct pp_value *v, const char *field)
{
	char shown[80];

	if (v->type != PP_VALUE_TEXT) {
		pp_fault(r, v->line, field, "is %s; valid is text: write it in quotes",
			 pp_value_kind(v));
		return false;
	}
	if (is_label_value(v->text))
		return true;
	pp_err_escape(shown, sizeof(shown), v->text, strlen(v->text));
	pp_fault(r, v->line, field,
		 "\"%s\" is no label's value; valid are 63 letters, digits, - _ .", shown);
	return false;
}

static void read_labels(struct pp_reader *r, const struct pp_value *v, const char *field,
			struct pp_selector *s)
{
	if (v && v->type != PP_VALUE_MAP) {
		pp_fault(r, v->line, field, "matchLabels is %s; valid is a map", pp_value_kind(v));
		return;
	}
	for (const struct pp_value *m = v ? v->first : NULL; m; m = m->next) {
		struct pp_requirement *q;

		if (!check_key(r, m->key, m->line, field) || !check_value(r, m, field))
			continue;
		q = require(r, s, PP_IN, m->key, 1);
		if (q)
			q->value[q->n++] = m->text;
	}
}

static void read_expression(struct pp_reader *r, const struct pp_value *v, const char *field,
			    struct pp_selector *s)
{
	static const char *const names[] = { "key", "operator", "values", NULL };
	static const char *const words[] = { "In", "NotIn", "Exists", "DoesNotExist", NULL };
	static const char *const later[] = { NULL };
	const struct pp_value *values = pp_value_get(v, "values");
	struct pp_requirement *q;
	const char *key;
	size_t n = 0;
	int op;

	if (!pp_read_map(r, v, field, names))
		return;
	key = pp_read_text(r, pp_value_get(v, "key"), field);
	op = pp_read_word(r, pp_value_get(v, "operator"), field, words, later);
	if (!key || !pp_value_get(v, "operator")) {
		pp_fault(r, v->line, field, "an expression needs a key and an operator");
		return;
	}
	if (op < 0 || !check_key(r, key, v->line, field))
		return;
	if (values && values->type != PP_VALUE_LIST) {
		pp_fault(r, values->line, field, "values is %s; valid is a list",
			 pp_value_kind(values));
		return;
	}
	for (const struct pp_value *m = values ? values->first : NULL; m; m = m->next)
		n++;
	if ((op == PP_IN || op == PP_NOT_IN) != (n > 0)) {
		pp_fault(r, v->line, field, n ? "%s takes no values" : "%s needs values",
			 words[op]);
		return;
	}
	q = require(r, s, (enum pp_operator)op, key, n);
	for (const struct pp_value *m = n && q ? values->first : NULL; m; m = m->next)
		if (check_value(r, m, field))
			q->value[q->n++] = m->text;
}

void pp_read_selector(struct pp_reader *r, const struct pp_value *v, const char *field,
		      struct pp_selector *s)
{
	static const char *const names[] = { "matchLabels", "matchExpressions", NULL };
	const struct pp_value *list = pp_value_get(v, "matchExpressions");

	if (!pp_read_map(r, v, field, names))
		return;
	s->present = true;
	read_labels(r, pp_value_get(v, "matchLabels"), field, s);
	if (list && list->type != PP_VALUE_LIST)
		pp_fault(r, list->line, field, "matchExpressions is %s; valid is a list",
			 pp_value_kind(list));
	else
		for (const struct pp_value *m = list ? list->first : NULL; m; m = m->next)
			read_expression(r, m, field, s);
}
