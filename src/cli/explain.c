// SPDX-License-Identifier: Apache-2.0
// podpace explain: every limit on the way of a pod or a cgroup, which of them binds now, and which
// object each number is from. The agent knows.
#include <jansson.h>

#include "base/base.h"
#include "cli/ask.h"
#include "cli/cmd.h"

const char *pp_said(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

struct pp_cell pp_said_rate(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return json_is_integer(v) && json_integer_value(v) >= 0
		       ? pp_cell_num((uint64_t)json_integer_value(v) / 8)
		       : pp_cell_absent();
}

static struct pp_cell flag(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return v ? pp_cell_bool(json_is_true(v)) : pp_cell_absent();
}

static const struct pp_col cols[] = {
	{ "limit", "limit", PP_STR, PP_ALIGN_TYPE },
	{ "direction", "dir", PP_STR, PP_ALIGN_TYPE },
	{ "peers", "to or from", PP_STR, PP_ALIGN_TYPE },
	{ "counts", "counts", PP_STR, PP_ALIGN_TYPE },
	{ "ceil", "ceil", PP_RATE, PP_ALIGN_TYPE },
	{ "from", "from", PP_STR, PP_ALIGN_TYPE },
	{ "share_of", "share of", PP_STR, PP_ALIGN_TYPE },
	{ "guarantee", "guarantee", PP_RATE, PP_ALIGN_TYPE },
	{ "weight", "weight", PP_COUNT, PP_ALIGN_TYPE },
	{ "weight_from", "from", PP_STR, PP_ALIGN_TYPE },
	{ "capacity", "now", PP_RATE_LIVE, PP_ALIGN_TYPE },
	{ "binds", "binds", PP_BOOL, PP_ALIGN_TYPE },
	{ "since", "since", PP_STR, PP_ALIGN_TYPE },
	{ "in_force", "in force", PP_BOOL, PP_ALIGN_TYPE },
	{ "why", "note", PP_STR, PP_ALIGN_TYPE },
};

#define OF_PEERS 2

/* The table as it is filled. */
struct table {
	struct pp_cell *cells;
	size_t n;
	bool peers;
};

static void add_row(struct table *t, const json_t *o)
{
	struct pp_cell *c = t->cells + t->n++ * ARRAY_SIZE(cols);
	const json_t *weight = json_object_get(o, "weight");

	t->peers |= pp_said(o, "peers") != NULL;
	*c++ = pp_cell_str(pp_said(o, "limit"));
	*c++ = pp_cell_str(pp_said(o, "direction"));
	*c++ = pp_cell_str(pp_said(o, "peers"));
	*c++ = pp_cell_str(json_is_true(json_object_get(o, "uplink")) ? "off the node" : "all");
	*c++ = pp_said_rate(o, "ceil");
	*c++ = pp_cell_str(pp_said(o, "ceil_from"));
	*c++ = pp_cell_str(pp_said(o, "share_of"));
	*c++ = pp_said_rate(o, "guarantee");
	*c++ = weight ? pp_cell_num((uint64_t)json_integer_value(weight)) : pp_cell_absent();
	*c++ = pp_cell_str(pp_said(o, "guarantee_from") ?: pp_said(o, "weight_from"));
	*c++ = pp_said_rate(o, "capacity");
	*c++ = flag(o, "binds");
	*c++ = pp_cell_str(pp_said(o, "since"));
	*c++ = flag(o, "in_force");
	*c++ = pp_cell_str(pp_said(o, "why")
				   ?: json_is_true(json_object_get(o, "observe"))
				      ? "observed only: nothing is held to it"
				      : NULL);
}

/* A pair of the limit above it: just who it is, what it may have, and whether that binds. */
static void add_pair(struct table *t, const json_t *o)
{
	struct pp_cell *c = t->cells + t->n++ * ARRAY_SIZE(cols);

	for (size_t i = 0; i < ARRAY_SIZE(cols); i++) {
		const char *key = cols[i].key;

		c[i] = strcmp(key, "limit") == 0      ? pp_cell_str("  one of its pairs")
		       : strcmp(key, "peers") == 0    ? pp_cell_str(pp_said(o, "peer"))
		       : strcmp(key, "capacity") == 0 ? pp_said_rate(o, "capacity")
		       : strcmp(key, "binds") == 0    ? flag(o, "binds")
						      : pp_cell_absent();
	}
}

static size_t count_rows(const json_t *limits)
{
	size_t i, n = json_array_size(limits);
	json_t *limit;

	json_array_foreach(limits, i, limit) n += json_array_size(json_object_get(limit, "pairs"));
	return n;
}

static int print_limits(const json_t *limits)
{
	size_t rows = count_rows(limits);
	_cleanup_free_ struct pp_cell *cells = calloc(rows + 1, sizeof(*cells) * ARRAY_SIZE(cols));
	struct pp_col shown[ARRAY_SIZE(cols)];
	struct table t = { .cells = cells };

	if (!cells)
		return -ENOMEM;
	for (size_t i = 0; i < json_array_size(limits); i++) {
		const json_t *limit = json_array_get(limits, i);
		const json_t *pairs = json_object_get(limit, "pairs");

		add_row(&t, limit);
		for (size_t k = 0; k < json_array_size(pairs); k++)
			add_pair(&t, json_array_get(pairs, k));
	}
	memcpy(shown, cols, sizeof(cols));
	if (!t.peers)
		shown[OF_PEERS].head = NULL;
	return rows ? pp_out_table(stdout, PP_TEXT, "limits", shown, ARRAY_SIZE(cols), cells, rows,
				   NULL)
		    : 0;
}

int pp_explain_print(const json_t *o)
{
	const json_t *limits = json_object_get(o, "limits"), *notes = json_object_get(o, "notes");
	int r;

	printf("%s", pp_said(o, "target") ?: "");
	if (pp_said(o, "class"))
		printf(", class %s (%s)", pp_said(o, "class"), pp_said(o, "class_from") ?: "");
	printf("%s\n", json_array_size(limits) ? "" : ": nothing limits it");
	r = print_limits(limits);
	for (size_t i = 0; i < json_array_size(notes); i++) {
		const json_t *note = json_array_get(notes, i);

		printf("note: %s%s%s\n", pp_said(note, "object") ?: "",
		       pp_said(note, "object") ? ": " : "", pp_said(note, "text") ?: "");
	}
	return r;
}

int pp_cmd_explain(const struct pp_args *args, struct pp_err *e)
{
	_cleanup_free_ char *path = NULL;
	const char *target = args->files[0];
	bool pod = strncmp(target, "pod/", 4) == 0;
	json_t *o = NULL;
	int r = pod ? 0 : pp_cgroup_normalize(target, &path, e);

	if (!r)
		r = pp_ask_agent(args->listen, pod ? "explain/pod" : "explain/cgroup",
				 pod ? target + 4 : path + 1, &o, e);
	if (!r && args->format == PP_JSON) {
		json_dumpf(o, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (!r) {
		r = pp_explain_print(o);
	}
	json_decref(o);
	return r;
}
