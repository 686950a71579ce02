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

struct change {
	struct pp_cidr *c;
	size_t n;
};

static void change_free(struct change *change)
{
	free(change->c);
}

static int read_change(const char *words, struct change *ret, struct pp_err *e)
{
	return words ? pp_cidrs_parse(words, &ret->c, &ret->n, e) : 0;
}

int pp_cmd_peers(const struct pp_args *args, struct pp_err *e)
{
	_cleanup_(pp_datapath_close) struct pp_datapath d = PP_DATAPATH_INIT;
	_cleanup_(change_free) struct change more = {}, less = {};
	int r = read_change(args->add, &more, e);

	/* all of them are valid before the first is changed */
	if (!r)
		r = read_change(args->remove, &less, e);
	if (!r)
		r = pp_datapath_open(args->root,
				     args->add	    ? PP_LOAD
				     : args->remove ? PP_REPAIR
						    : PP_ADOPT,
				     &d, e);
	for (size_t i = 0; !r && i < more.n; i++)
		r = pp_prefix_add(&d, &more.c[i], PP_OWNER_COMMAND, e);
	for (size_t i = 0; !r && i < less.n; i++)
		r = pp_prefix_remove(&d, &less.c[i], e);
	if (!r && (args->add || args->remove))
		return pp_prefixes_sync(&d, e);
	return r ? r : list(args, &d, e);
}
