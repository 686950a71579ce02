// SPDX-License-Identifier: Apache-2.0
// The output table, byte for byte, as text and as JSON.

#include <jansson.h>

#include "base/base.h"
#include "base/out.h"
#include "tap.h"

static const char *const PEERS[] = { "10.0.0.0/8", "db", NULL };
static const char *const NONE[] = { NULL };

static const struct pp_col COLS[] = {
	{ "name", "name", PP_STR, PP_ALIGN_TYPE },
	{ "ceil", "ceil", PP_RATE, PP_ALIGN_TYPE },
	{ "now", "now", PP_RATE_LIVE, PP_ALIGN_TYPE },
	{ "packets", "packets", PP_COUNT, PP_ALIGN_LEFT },
	{ "used", "used", PP_PERCENT, PP_ALIGN_TYPE },
	{ "held", "held", PP_BOOL, PP_ALIGN_RIGHT },
	{ "cgroup", NULL, PP_COUNT, PP_ALIGN_TYPE },
	{ "delay_ns", "delay", PP_NS, PP_ALIGN_TYPE },
	{ NULL, "hint", PP_STR, PP_ALIGN_TYPE },
	{ "peers", "peers", PP_LIST, PP_ALIGN_TYPE },
};

#define NROWS 2

/* Prints into memory; the caller frees. */
static char *print(enum pp_format fmt, const struct pp_col *cols, size_t ncols,
		   const struct pp_cell *cells, size_t nrows, json_t *extra)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	is_u64(pp_out_table(f, fmt, "limits", cols, ncols, cells, nrows, extra), 0, "printed");
	fclose(f);
	return text;
}

static void fill(struct pp_cell cells[NROWS][ARRAY_SIZE(COLS)])
{
	const struct pp_cell first[] = {
		pp_cell_str("/lab/a"), pp_cell_num(6250000), pp_cell_num(6225625),
		pp_cell_num(12),       pp_cell_num(996),     pp_cell_bool(true),
		pp_cell_num(77),       pp_cell_num(1204567), pp_cell_str("x"),
		pp_cell_list(PEERS),
	};

	memset(cells, 0, NROWS * sizeof(cells[0]));
	memcpy(cells[0], first, sizeof(first));
	cells[1][0] = pp_cell_str("/system.slice/nginx");
	cells[1][5] = pp_cell_bool(false);
	cells[1][9] = pp_cell_list(NONE);
}

static void test_text(void)
{
	struct pp_cell cells[NROWS][ARRAY_SIZE(COLS)];
	_cleanup_free_ char *text = NULL;

	fill(cells);
	text = print(PP_TEXT, COLS, ARRAY_SIZE(COLS), cells[0], NROWS, NULL);
	is_str(text,
	       "NAME                 CEIL     NOW  PACKETS   USED  HELD     DELAY  HINT  PEERS\n"
	       "/lab/a                50M  49.81M  12       99.6%   yes  1ms204us  x     "
	       "10.0.0.0/8,db\n"
	       "/system.slice/nginx     -       -  -            -    no         -  -     -\n",
	       "text: all types, absent cells");
}

static void test_json(void)
{
	json_auto_t *extra = json_pack("{s:s, s:i}", "node", "n1", "abi", 1);
	struct pp_cell cells[NROWS][ARRAY_SIZE(COLS)];
	_cleanup_free_ char *text = NULL;

	fill(cells);
	text = print(PP_JSON, COLS, ARRAY_SIZE(COLS), cells[0], NROWS, extra);
	is_str(text,
	       "{\n"
	       "  \"node\": \"n1\",\n"
	       "  \"abi\": 1,\n"
	       "  \"limits\": [\n"
	       "    {\n"
	       "      \"name\": \"/lab/a\",\n"
	       "      \"ceil\": 50000000,\n"
	       "      \"now\": 49805000,\n"
	       "      \"packets\": 12,\n"
	       "      \"used\": 99.6,\n"
	       "      \"held\": true,\n"
	       "      \"cgroup\": 77,\n"
	       "      \"delay_ns\": 1204567,\n"
	       "      \"peers\": [\n"
	       "        \"10.0.0.0/8\",\n"
	       "        \"db\"\n"
	       "      ]\n"
	       "    },\n"
	       "    {\n"
	       "      \"name\": \"/system.slice/nginx\",\n"
	       "      \"ceil\": null,\n"
	       "      \"now\": null,\n"
	       "      \"packets\": null,\n"
	       "      \"used\": null,\n"
	       "      \"held\": false,\n"
	       "      \"cgroup\": null,\n"
	       "      \"delay_ns\": null,\n"
	       "      \"peers\": []\n"
	       "    }\n"
	       "  ]\n"
	       "}\n",
	       "JSON: all types, absent cells, members beside the table");
	is_u64(json_object_size(extra), 2, "extra is left as it was");
}

static void test_empty(void)
{
	_cleanup_free_ char *text = print(PP_TEXT, COLS, 2, NULL, 0, NULL);
	_cleanup_free_ char *json = print(PP_JSON, COLS, 2, NULL, 0, NULL);

	is_str(text, "NAME  CEIL\n", "text without rows is the heads");
	is_str(json, "{\n  \"limits\": []\n}\n", "JSON without rows is an empty array");
}

static void test_hostile_strings(void)
{
	static const struct pp_col cols[] = {
		{ "a", "a", PP_STR, PP_ALIGN_TYPE },
		{ "b", "b", PP_LIST, PP_ALIGN_TYPE },
	};
	static const char *const list[] = { "x\ty", "\xff", NULL };
	const struct pp_cell cells[] = {
		pp_cell_str("a\n\033[1m"), pp_cell_list(list),
		pp_cell_str("caf\xc3\xa9"), pp_cell_absent(),
		pp_cell_str("\xc3("), pp_cell_list(NULL),
		pp_cell_str(""), pp_cell_str(NULL),
	};
	_cleanup_free_ char *text = print(PP_TEXT, cols, 2, cells, 4, NULL);
	_cleanup_free_ char *json = print(PP_JSON, cols, 2, cells, 4, NULL);
	json_auto_t *root = json_loads(json, 0, NULL);
	json_t *rows = json_object_get(root, "limits");

	is_str(text,
	       "A             B\n"
	       "a\\x0a\\x1b[1m  x\\x09y,\\xff\n"
	       "caf\\xc3\\xa9   -\n"
	       "\\xc3(         -\n"
	       "-             -\n",
	       "text shows bytes instead of sending them to the terminal");
	is_u64(json_array_size(rows), 4, "JSON can be read back");
	is_str(json_string_value(json_object_get(json_array_get(rows, 0), "a")), "a\n\033[1m",
	       "JSON carries control characters");
	is_str(json_string_value(json_object_get(json_array_get(rows, 1), "a")), "caf\xc3\xa9",
	       "JSON carries UTF-8");
	is_str(json_string_value(json_object_get(json_array_get(rows, 2), "a")), "\\xc3(",
	       "JSON escapes what is not UTF-8");
	is_str(json_string_value(json_object_get(json_array_get(rows, 3), "a")), "",
	       "JSON has the empty string");
	is_str(json_string_value(json_array_get(json_object_get(json_array_get(rows, 0), "b"), 1)),
	       "\\xff", "lists too");
}

static void test_large_numbers(void)
{
	static const struct pp_col cols[] = {
		{ "c", "count", PP_COUNT, PP_ALIGN_TYPE },
		{ "r", "rate", PP_RATE, PP_ALIGN_TYPE },
		{ "p", "used", PP_PERCENT, PP_ALIGN_TYPE },
		{ "q", "idle", PP_PERCENT, PP_ALIGN_TYPE },
	};
	const struct pp_cell cells[] = {
		pp_cell_num(UINT64_MAX),
		pp_cell_num(UINT64_MAX / 8),
		pp_cell_num(1000),
		pp_cell_num(0),
	};
	_cleanup_free_ char *text = print(PP_TEXT, cols, 4, cells, 1, NULL);
	_cleanup_free_ char *json = print(PP_JSON, cols, 4, cells, 1, NULL);

	is_str(text,
	       "               COUNT                    RATE    USED  IDLE\n"
	       "18446744073709551615  18446744073709551.608k  100.0%  0.0%\n",
	       "text shows all of a number");
	is_str(json,
	       "{\n  \"limits\": [\n    {\n"
	       "      \"c\": 9223372036854775807,\n"
	       "      \"r\": 9223372036854775807,\n"
	       "      \"p\": 100.0,\n"
	       "      \"q\": 0.0\n"
	       "    }\n  ]\n}\n",
	       "JSON stops at its largest integer");
}

static void test_full_disk(void)
{
	_cleanup_fclose_ FILE *text = fopen("/dev/full", "we");
	_cleanup_fclose_ FILE *json = fopen("/dev/full", "we");

	if (!text || !json) {
		skip("no /dev/full");
		return;
	}
	is_u64(-pp_out_table(text, PP_TEXT, "x", COLS, 2, NULL, 0, NULL), EIO, "text: full disk");
	is_u64(-pp_out_table(json, PP_JSON, "x", COLS, 2, NULL, 0, NULL), EIO, "JSON: full disk");
}

static unsigned int allocations_left;

static void *scarce_malloc(size_t size)
{
	if (!allocations_left)
		return NULL;
	allocations_left--;
	return malloc(size);
}

/* Fails every allocation in turn; the sanitizer sees what leaks. */
static void test_no_memory(void)
{
	struct pp_cell cells[NROWS][ARRAY_SIZE(COLS)];
	_cleanup_fclose_ FILE *f = fopen("/dev/null", "we");
	unsigned int failures = 0, others = 0;
	int r;

	fill(cells);
	json_set_alloc_funcs(scarce_malloc, free);
	do {
		allocations_left = failures;
		r = pp_out_table(f, PP_JSON, "x", COLS, ARRAY_SIZE(COLS), cells[0], NROWS, NULL);
		if (r < 0)
			failures++;
		if (r < 0 && r != -ENOMEM && r != -EIO)
			others++;
	} while (r < 0);
	json_set_alloc_funcs(malloc, free);
	ok(failures > 20, "JSON survives each of %u allocations failing", failures);
	is_u64(others, 0, "and says so");
}

int main(void)
{
	test_text();
	test_json();
	test_empty();
	test_hostile_strings();
	test_large_numbers();
	test_full_disk();
	test_no_memory();
	return done_testing();
}
