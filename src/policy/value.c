// SPDX-License-Identifier: Apache-2.0
// YAML documents as values with their places.
#include <stdarg.h>
#include <yaml.h>

#include "base/base.h"
#include "policy/value.h"

enum { MAX_DEPTH = 32, MAX_VALUES = 1000000, MAX_MEMBERS = 1000 };

/* One allocation each, so that pointers stay: files are small. */
struct block {
	struct pp_value v;
	struct block *next;
	char text[];
};

struct source {
	struct pp_values *values;
	yaml_document_t *doc;
	struct pp_err *e;
};

__attribute__((format(printf, 3, 4))) static int wrong(struct source *s, size_t line,
						       const char *fmt, ...)
{
	char text[sizeof(s->e->msg)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return pp_err_set(s->e, -EINVAL, "%s:%zu: %s", s->values->file, line + 1, text);
}

/* A value with room for a text behind it. */
static struct pp_value *new_value(struct source *s, const char *text, size_t len, int *r)
{
	struct block *b;

	*r = -ENOMEM;
	if (++s->values->n > MAX_VALUES) {
		*r = pp_err_set(s->e, -EINVAL, "%s: more than %d values", s->values->file,
				MAX_VALUES);
		return NULL;
	}
	b = calloc(1, sizeof(*b) + len + 1);
	if (!b)
		return NULL;
	b->next = (struct block *)s->values->all;
	s->values->all = &b->v;
	if (text)
		memcpy(b->text, text, len);
	b->v.text = b->text;
	*r = 0;
	return &b->v;
}

/* JSON's grammar of numbers, and a sign or a point more, as YAML has it. */
static bool is_number(const char *s)
{
	size_t digits = 0, n;

	s += *s == '-' || *s == '+';
	n = strspn(s, "0123456789");
	digits += n;
	s += n;
	if (*s == '.') {
		n = strspn(++s, "0123456789");
		digits += n;
		s += n;
	}
	if (!digits)
		return false;
	if (*s == 'e' || *s == 'E') {
		s++;
		s += *s == '-' || *s == '+';
		n = strspn(s, "0123456789");
		if (!n)
			return false;
		s += n;
	}
	return !*s;
}

static bool is_one_of(const char *s, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(s, *words) == 0)
			return true;
	return false;
}

static enum pp_value_type type_of(const yaml_node_t *n, const char *text)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
	static const char *const bools[] = {
		"true", "True", "TRUE", "false", "False", "FALSE", NULL
	};

	if (n->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return PP_VALUE_TEXT;
	if (is_one_of(text, nulls))
		return PP_VALUE_NULL;
	if (is_one_of(text, bools))
		return PP_VALUE_BOOL;
	return is_number(text) ? PP_VALUE_NUMBER : PP_VALUE_TEXT;
}

static int convert(struct source *s, int index, unsigned int depth, struct pp_value **ret);

static int convert_scalar(struct source *s, const yaml_node_t *n, struct pp_value **ret)
{
	const char *text = (const char *)n->data.scalar.value;
	int r;

	if (strlen(text) != n->data.scalar.length)
		return wrong(s, n->start_mark.line, "has a NUL");
	*ret = new_value(s, text, n->data.scalar.length, &r);
	if (*ret)
		(*ret)->type = type_of(n, text);
	return r;
}

static int convert_list(struct source *s, const yaml_node_t *n, unsigned int depth,
			struct pp_value **ret)
{
	struct pp_value **last;
	int r;

	*ret = new_value(s, NULL, 0, &r);
	if (!*ret)
		return r;
	(*ret)->type = PP_VALUE_LIST;
	last = &(*ret)->first;
	for (const yaml_node_item_t *i = n->data.sequence.items.start;
	     i < n->data.sequence.items.top && !r; i++) {
		r = convert(s, *i, depth + 1, last);
		if (!r)
			last = &(*last)->next;
	}
	return r;
}

/* Borrowed. NULL, with a message, where a key is none, or stands there before. */
static const char *key_of(struct source *s, const yaml_node_t *k, const struct pp_value *map)
{
	char shown[64];
	const char *key;
	int n = 0;

	if (!k || k->type != YAML_SCALAR_NODE) {
		wrong(s, k ? k->start_mark.line : 0, "a key that is no text");
		return NULL;
	}
	key = (const char *)k->data.scalar.value;
	for (const struct pp_value *m = map->first; m; m = m->next) {
		if (++n == MAX_MEMBERS) {
			wrong(s, k->start_mark.line, "more than %d keys in a map", MAX_MEMBERS);
			return NULL;
		}
		if (strcmp(m->key, key) == 0) {
			pp_err_escape(shown, sizeof(shown), key, strlen(key));
			wrong(s, k->start_mark.line, "%s: stands here before, in line %u", shown,
			      m->line);
			return NULL;
		}
	}
	return key;
}

static int convert_map(struct source *s, const yaml_node_t *n, unsigned int depth,
		       struct pp_value **ret)
{
	struct pp_value **last, *name;
	int r;

	*ret = new_value(s, NULL, 0, &r);
	if (!*ret)
		return r;
	(*ret)->type = PP_VALUE_MAP;
	last = &(*ret)->first;
	for (const yaml_node_pair_t *p = n->data.mapping.pairs.start;
	     p < n->data.mapping.pairs.top && !r; p++) {
		const yaml_node_t *k = yaml_document_get_node(s->doc, p->key);
		const char *key = key_of(s, k, *ret);
		struct pp_value *v = NULL;

		if (!key)
			return -EINVAL;
		name = new_value(s, key, strlen(key), &r);
		if (!r)
			r = convert(s, p->value, depth + 1, &v);
		if (r)
			break;
		v->key = name->text;
		v->line = k->start_mark.line + 1;
		*last = v;
		last = &v->next;
	}
	return r;
}

static int convert(struct source *s, int index, unsigned int depth, struct pp_value **ret)
{
	const yaml_node_t *n = yaml_document_get_node(s->doc, index);
	int r = -EINVAL;

	if (!n)
		return -ENOMEM;
	if (depth > MAX_DEPTH)
		return wrong(s, n->start_mark.line, "values in values, more than %d deep",
			     MAX_DEPTH);
	if (n->type == YAML_SCALAR_NODE)
		r = convert_scalar(s, n, ret);
	else if (n->type == YAML_SEQUENCE_NODE)
		r = convert_list(s, n, depth, ret);
	else if (n->type == YAML_MAPPING_NODE)
		r = convert_map(s, n, depth, ret);
	if (!r)
		(*ret)->line = n->start_mark.line + 1;
	return r;
}

static int blame_parser(const yaml_parser_t *p, const char *file, struct pp_err *e)
{
	const char *problem = p->problem ? p->problem : "out of memory";

	if (p->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (p->error == YAML_READER_ERROR) /* it has no line */
		return pp_err_set(e, -EINVAL, "%s: not YAML: %s at byte %zu", file, problem,
				  p->problem_offset);
	return pp_err_set(e, -EINVAL, "%s:%zu: not YAML: %s", file, p->problem_mark.line + 1,
			  problem);
}

static int read_documents(yaml_parser_t *parser, struct pp_values *values, struct pp_err *e)
{
	struct pp_value **last = &values->first;

	for (;;) {
		yaml_document_t doc;
		struct source s = { values, &doc, e };
		int r = 0;

		if (!yaml_parser_load(parser, &doc))
			return blame_parser(parser, values->file, e);
		if (!yaml_document_get_root_node(&doc)) {
			yaml_document_delete(&doc);
			return 0;
		}
		r = convert(&s, 1, 0, last);
		yaml_document_delete(&doc);
		if (r)
			return r;
		if ((*last)->type == PP_VALUE_NULL)
			*last = NULL;
		else
			last = &(*last)->next;
	}
}

int pp_values_parse(const char *file, const char *text, size_t len, struct pp_values **ret,
		    struct pp_err *e)
{
	struct pp_values *v = calloc(1, sizeof(*v));
	yaml_parser_t parser;
	int r = -ENOMEM;

	if (v && (v->file = strdup(file)) && yaml_parser_initialize(&parser)) {
		yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
		r = read_documents(&parser, v, e);
		yaml_parser_delete(&parser);
	}
	if (r) {
		pp_values_free(v);
		return r;
	}
	*ret = v;
	return 0;
}

void pp_values_free(struct pp_values *v)
{
	struct block *next;

	if (!v)
		return;
	for (struct block *b = (struct block *)v->all; b; b = next) {
		next = b->next;
		free(b);
	}
	free(v->file);
	free(v);
}

const struct pp_value *pp_value_get(const struct pp_value *map, const char *key)
{
	if (!map || map->type != PP_VALUE_MAP)
		return NULL;
	for (const struct pp_value *v = map->first; v; v = v->next)
		if (strcmp(v->key, key) == 0)
			return v->type == PP_VALUE_NULL ? NULL : v;
	return NULL;
}

const char *pp_value_kind(const struct pp_value *v)
{
	static const char *const kinds[] = {
		[PP_VALUE_NULL] = "nothing",    [PP_VALUE_BOOL] = "true or false",
		[PP_VALUE_NUMBER] = "a number", [PP_VALUE_TEXT] = "text",
		[PP_VALUE_LIST] = "a list",     [PP_VALUE_MAP] = "a map",
	};

	return kinds[v->type];
}
