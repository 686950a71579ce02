// SPDX-License-Identifier: Apache-2.0
// The one output table: every command describes its columns once and prints text or JSON from them.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum pp_format {
	PP_TEXT,
	PP_JSON,
};

/* What a cell holds, and how it reads: text | JSON. */
enum pp_type {
	PP_STR, /* string | string */
	PP_RATE, /* bytes/s: exact bits/s, "1.5G" | integer bits/s */
	PP_RATE_LIVE, /* bytes/s, measured: four digits, "99.61M" | integer bits/s */
	PP_COUNT, /* number | integer */
	PP_PERCENT, /* tenths of a percent: "99.5%" | 99.5 */
	PP_BOOL, /* yes, no | true, false */
	PP_LIST, /* strings: "a,b" | array */
	PP_NS, /* nanoseconds: the two largest units, "1h30m" | integer nanoseconds */
	_PP_N_TYPES,
};

enum pp_align {
	PP_ALIGN_TYPE, /* numbers right, all else left */
	PP_ALIGN_LEFT,
	PP_ALIGN_RIGHT,
};

/* A column without a head is left out of the text, one without a key out of the JSON. */
struct pp_col {
	const char *key;
	const char *head; /* ASCII, at most 63 bytes; printed in upper case */
	enum pp_type type;
	enum pp_align align;
};

enum pp_tag {
	PP_ABSENT, /* "-" | null; what a zeroed cell is */
	PP_TAG_STR,
	PP_TAG_NUM,
	PP_TAG_BOOL,
	PP_TAG_LIST,
};

/* Borrows its strings. The tag must fit the type of the column. */
struct pp_cell {
	enum pp_tag tag;
	union {
		const char *str;
		uint64_t num;
		bool flag;
		const char *const *list; /* ends with NULL */
	};
};

/* NULL is an absent cell. */
static inline struct pp_cell pp_cell_str(const char *s)
{
	return (struct pp_cell){ s ? PP_TAG_STR : PP_ABSENT, { .str = s } };
}

static inline struct pp_cell pp_cell_num(uint64_t n)
{
	return (struct pp_cell){ PP_TAG_NUM, { .num = n } };
}

static inline struct pp_cell pp_cell_bool(bool b)
{
	return (struct pp_cell){ PP_TAG_BOOL, { .flag = b } };
}

/* NULL is an absent cell; a list of none is "-" in text and [] in JSON. */
static inline struct pp_cell pp_cell_list(const char *const *list)
{
	return (struct pp_cell){ list ? PP_TAG_LIST : PP_ABSENT, { .list = list } };
}

static inline struct pp_cell pp_cell_absent(void)
{
	return (struct pp_cell){};
}

/*
 * Prints nrows rows of ncols cells, row after row in cells. JSON is one object: the members of
 * extra (borrowed, may be NULL, not in the text), then json_key, an array of one object per row.
 * Text that is not printable ASCII is escaped as \xNN, and so is a JSON string that is not UTF-8.
 * JSON integers stop at 2^63 - 1. Returns 0, -ENOMEM, or -EIO when f could not be written.
 */
int pp_out_table(FILE *f, enum pp_format fmt, const char *json_key, const struct pp_col *cols,
		 size_t ncols, const struct pp_cell *cells, size_t nrows, json_t *extra);
