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

/* Prefixes with commas between: all of them are valid before the first is changed. */
static int change(struct pp_datapath *d, const char *words, bool add, bool dry, struct pp_err *e)
{
	_cleanup_free_ char *copy = strdup(words);
	char *rest = copy, *word;
	int r = copy ? 0 : -ENOMEM;

	while (!r && (word = strsep(&rest, ","))) {
		struct pp_cidr c;

		r = pp_cidr_parse(word, &c, e);
		if (r || dry)
			continue;
		r = add ? pp_prefix_add(d, &c, PP_OWNER_COMMAND, e) : pp_prefix_remove(d, &c, e);
	}
	return r;
}

static int check(const struct pp_args *args, struct pp_err *e)
{
	int r = 0;

	if (args->add)
		r = change(NULL, args->add, true, true, e);
	if (!r && args->remove)
		r = change(NULL, args->remove, false, true, e);
	return r;
}

int pp_cmd_peers(const struct pp_args *args, struct pp_err *e)
{
	_cleanup_(pp_datapath_close) struct pp_datapath d = PP_DATAPATH_INIT;
	int r = check(args, e);

	if (r)
		return r;
	r = pp_datapath_open(args->root,
			     args->add	    ? PP_LOAD
			     : args->remove ? PP_REPAIR
					    : PP_ADOPT,
			     &d, e);
	if (r)
		return r;
	if (args->add)
		r = change(&d, args->add, true, false, e);
	if (!r && args->remove)
		r = change(&d, args->remove, false, false, e);
	if (!r && (args->add || args->remove))
		return pp_prefixes_sync(&d, e);
	return r ? r : list(args, &d, e);
}
