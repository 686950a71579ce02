// SPDX-License-Identifier: Apache-2.0
// podpace peers: the addresses whose hosts run podpace too, with which feedback is exchanged.
#include "base/base.h"
#include "cli/cmd.h"
#include "kernel/prefixes.h"

static const struct pp_col cols[] = {
	{ "prefix", "prefix", PP_STR, PP_ALIGN_TYPE },
	{ "set_by", "set by", PP_STR, PP_ALIGN_TYPE },
};

struct rows {
	struct pp_cell *cells;
	char (*text)[PP_CIDR_TEXT];
	size_t n;
};

static int count_one(const struct pp_cidr *c, enum pp_owner owner, void *arg)
{
	size_t *n = arg;

	(void)c, (void)owner;
	(*n)++;
	return 0;
}

static int add_row(const struct pp_cidr *c, enum pp_owner owner, void *arg)
{
	struct rows *rows = arg;
	struct pp_cell *cell = rows->cells + rows->n * ARRAY_SIZE(cols);

	cell[0] = pp_cell_str(pp_cidr_format(rows->text[rows->n], c));
	cell[1] = pp_cell_str(owner == PP_OWNER_AGENT ? "agent" : "command");
	rows->n++;
	return 0;
}

static int list(const struct pp_args *args, struct pp_datapath *d, struct pp_err *e)
{
	_cleanup_free_ struct pp_cell *cells = NULL;
	_cleanup_free_ void *text = NULL;
	struct rows rows = { 0 };
	size_t n = 0;
	int r = pp_prefix_each(d, count_one, &n, e);

	if (r)
		return r;
	cells = calloc(n + 1, sizeof(*cells) * ARRAY_SIZE(cols));
	text = calloc(n + 1, PP_CIDR_TEXT);
	if (!cells || !text)
		return -ENOMEM;
	rows.cells = cells;
	rows.text = text;
	r = pp_prefix_each(d, add_row, &rows, e);
	if (r)
		return r;
	if (args->format == PP_TEXT && !n) {
		printf("no peers: a limit on what a cgroup receives holds its senders by window alone\n");
		return 0;
	}
	return pp_out_table(stdout, args->format, "peers", cols, ARRAY_SIZE(cols), cells, n, NULL);
}

/* What is to be done with each of the prefixes. */
typedef int change_fn(struct pp_datapath *d, const struct pp_cidr *c, struct pp_err *e);

static int nothing(struct pp_datapath *d, const struct pp_cidr *c, struct pp_err *e)
{
	(void)d, (void)c, (void)e;
	return 0;
}

static int find(struct pp_datapath *d, const struct pp_cidr *c, struct pp_err *e)
{
	return pp_prefix_find(d, c, e);
}

static int add(struct pp_datapath *d, const struct pp_cidr *c, struct pp_err *e)
{
	return pp_prefix_add(d, c, PP_OWNER_COMMAND, e);
}

/* Prefixes with commas between; no words: none. */
static int each(struct pp_datapath *d, const char *words, change_fn *fn, struct pp_err *e)
{
	_cleanup_free_ char *copy = words ? strdup(words) : NULL;
	char *rest = copy, *word;
	int r = !words || copy ? 0 : -ENOMEM;

	while (!r && (word = strsep(&rest, ","))) {
		struct pp_cidr c;

		r = pp_cidr_parse(word, &c, e);
		if (!r)
			r = fn(d, &c, e);
	}
	return r;
}

/* All of them, or none: what is not there to be removed is found before the first is changed. */
static int change(struct pp_datapath *d, const struct pp_args *args, struct pp_err *e)
{
	int r = each(d, args->remove, find, e);

	if (!r)
		r = each(d, args->remove, pp_prefix_remove, e);
	if (!r)
		r = each(d, args->add, add, e);
	return r ? r : pp_prefixes_sync(d, e);
}

int pp_cmd_peers(const struct pp_args *args, struct pp_err *e)
{
	_cleanup_(pp_datapath_close) struct pp_datapath d = PP_DATAPATH_INIT;
	int r = each(NULL, args->add, nothing, e);

	if (!r)
		r = each(NULL, args->remove, nothing, e);
	if (r)
		return r;
	r = pp_datapath_open(args->root,
			     args->add      ? PP_LOAD
			     : args->remove ? PP_REPAIR
					    : PP_ADOPT,
			     &d, e);
	if (r)
		return r;
	return args->add || args->remove ? change(&d, args, e) : list(args, &d, e);
}
