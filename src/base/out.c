// SPDX-License-Identifier: Apache-2.0
// Prints a table of typed cells as aligned text or as JSON.

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>

#include <jansson.h>

#include "base/base.h"
#include "base/err.h"
#include "base/out.h"
#include "base/qty.h"

/* Between two columns of text. */
#define GAP 2

static const enum pp_tag TAG_OF[] = {
	[PP_STR] = PP_TAG_STR,	   [PP_RATE] = PP_TAG_NUM,    [PP_RATE_LIVE] = PP_TAG_NUM,
	[PP_COUNT] = PP_TAG_NUM,   [PP_PERCENT] = PP_TAG_NUM, [PP_BOOL] = PP_TAG_BOOL,
	[PP_LIST] = PP_TAG_LIST,   [PP_NS] = PP_TAG_NUM,
};
_Static_assert(ARRAY_SIZE(TAG_OF) == _PP_N_TYPES, "every type has its tag");

static char *escape(const char *s)
{
	size_t len = strlen(s);
	size_t size = 4 * len + 8;
	char *text = malloc(size);

	if (text)
		pp_err_escape(text, size, s, len);
	return text;
}

static char *join(const char *const *list)
{
	_cleanup_free_ char *all = NULL;
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&all, &len);

	if (!f)
		return NULL;
	for (const char *const *s = list; *s; s++)
		fprintf(f, "%s%s", s == list ? "" : ",", *s);
	if (fclose(f))
		return NULL;
	text = escape(all);
	return TAKE_PTR(text);
}

static const char *format_num(char buf[static 32], enum pp_type type, uint64_t num)
{
	switch (type) {
	case PP_RATE:
		return pp_rate_format(buf, num);
	case PP_RATE_LIVE:
		return pp_rate_human(buf, num);
	case PP_NS:
		return pp_duration_human(buf, num);
	case PP_PERCENT:
		snprintf(buf, 32, "%" PRIu64 ".%u%%", num / 10, (unsigned int)(num % 10));
		return buf;
	default:
		snprintf(buf, 32, "%" PRIu64, num);
		return buf;
	}
}

/* Returns the text of a cell, never empty, for the caller to free; NULL without memory. */
static char *cell_text(enum pp_type type, const struct pp_cell *cell)
{
	char buf[32];

	switch (cell->tag) {
	case PP_TAG_STR:
		return cell->str[0] ? escape(cell->str) : strdup("-");
	case PP_TAG_NUM:
		return strdup(format_num(buf, type, cell->num));
	case PP_TAG_BOOL:
		return strdup(cell->flag ? "yes" : "no");
	case PP_TAG_LIST:
		return cell->list[0] ? join(cell->list) : strdup("-");
	default:
		return strdup("-");
	}
}

static json_t *json_text(const char *s)
{
	json_t *value = json_string(s);
	_cleanup_free_ char *text = NULL;

	if (value)
		return value;
	text = escape(s); /* jansson takes UTF-8 only; a cgroup may have any name */
	return text ? json_string(text) : NULL;
}

static json_t *json_num(enum pp_type type, uint64_t num)
{
	if (type == PP_PERCENT)
		return json_real(num / 10.0);
	if ((type == PP_RATE || type == PP_RATE_LIVE) && __builtin_mul_overflow(num, 8, &num))
		num = INT64_MAX;
	return json_integer(num > INT64_MAX ? INT64_MAX : num);
}

static json_t *json_list(const char *const *list)
{
	json_t *array = json_array();

	for (; array && *list; list++) {
		if (json_array_append_new(array, json_text(*list))) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *cell_json(enum pp_type type, const struct pp_cell *cell)
{
	switch (cell->tag) {
	case PP_TAG_STR:
		return json_text(cell->str);
	case PP_TAG_NUM:
		return json_num(type, cell->num);
	case PP_TAG_BOOL:
		return json_boolean(cell->flag);
	case PP_TAG_LIST:
		return json_list(cell->list);
	default:
		return json_null();
	}
}

static int print_json(FILE *f, const char *json_key, const struct pp_col *cols, size_t ncols,
		      const struct pp_cell *cells, size_t nrows, json_t *extra)
{
	json_auto_t *root = json_object();
	json_t *rows = json_array(); /* root owns it from here on, even if that fails */

	if (!root || (extra && json_object_update(root, extra))) {
		json_decref(rows);
		return -ENOMEM;
	}
	if (json_object_set_new(root, json_key, rows))
		return -ENOMEM;
	for (size_t r = 0; r < nrows; r++) {
		json_t *row = json_object();

		if (json_array_append_new(rows, row))
			return -ENOMEM;
		for (size_t c = 0; c < ncols; c++) {
			const struct pp_cell *cell = &cells[r * ncols + c];

			if (cols[c].key && json_object_set_new(row, cols[c].key,
							       cell_json(cols[c].type, cell)))
				return -ENOMEM;
		}
	}
	/* 15 digits: 99.5 as people write it, not 99.499999999999999. */
	if (json_dumpf(root, f, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) || fputc('\n', f) == EOF)
		return -EIO;
	return 0;
}

static bool align_right(const struct pp_col *col)
{
	if (col->align == PP_ALIGN_TYPE)
		return TAG_OF[col->type] == PP_TAG_NUM;
	return col->align == PP_ALIGN_RIGHT;
}

/* Blanks are owed until the next text is written, so that a line never ends in them. */
static void print_aligned(FILE *f, const struct pp_col *col, const char *text, size_t width,
			  size_t *owed)
{
	size_t fill = width - strlen(text);
	bool right = align_right(col);

	fprintf(f, "%*s%s", (int)(*owed + (right ? fill : 0)), "", text);
	*owed = GAP + (right ? 0 : fill);
}

static void print_heads(FILE *f, const struct pp_col *cols, size_t ncols, const size_t *widths)
{
	size_t owed = 0;

	for (size_t c = 0; c < ncols; c++) {
		char head[64] = "";

		if (!cols[c].head)
			continue;
		for (size_t i = 0; cols[c].head[i] && i < sizeof(head) - 1; i++)
			head[i] = toupper((unsigned char)cols[c].head[i]);
		print_aligned(f, &cols[c], head, widths[c], &owed);
	}
	fputc('\n', f);
}

/* Makes every cell twice, to measure and to print it: tables are small, and nothing is kept. */
static int print_text(FILE *f, const struct pp_col *cols, size_t ncols,
		      const struct pp_cell *cells, size_t nrows)
{
	_cleanup_free_ size_t *widths = calloc(ncols, sizeof(*widths));

	if (!widths)
		return -ENOMEM;
	for (size_t c = 0; c < ncols; c++)
		widths[c] = cols[c].head ? strlen(cols[c].head) : 0;
	for (size_t i = 0; i < nrows * ncols; i++) {
		_cleanup_free_ char *text = cell_text(cols[i % ncols].type, &cells[i]);

		if (!text)
			return -ENOMEM;
		if (strlen(text) > widths[i % ncols])
			widths[i % ncols] = strlen(text);
	}
	print_heads(f, cols, ncols, widths);
	for (size_t r = 0; r < nrows; r++) {
		size_t owed = 0;

		for (size_t c = 0; c < ncols; c++) {
			_cleanup_free_ char *text = cell_text(cols[c].type, &cells[r * ncols + c]);

			if (!text)
				return -ENOMEM;
			if (cols[c].head)
				print_aligned(f, &cols[c], text, widths[c], &owed);
		}
		fputc('\n', f);
	}
	return 0;
}

int pp_out_table(FILE *f, enum pp_format fmt, const char *json_key, const struct pp_col *cols,
		 size_t ncols, const struct pp_cell *cells, size_t nrows, json_t *extra)
{
	int r;

	for (size_t i = 0; i < nrows * ncols; i++)
		assert(cells[i].tag == PP_ABSENT || cells[i].tag == TAG_OF[cols[i % ncols].type]);
	r = fmt == PP_JSON ? print_json(f, json_key, cols, ncols, cells, nrows, extra) :
			     print_text(f, cols, ncols, cells, nrows);
	if (r == 0 && (fflush(f) || ferror(f)))
		return -EIO;
	return r;
}
