// SPDX-License-Identifier: Apache-2.0
// podpace top: rates, flows and how long each limit bound, refreshed.
#include <time.h>

#include "base/base.h"
#include "cli/cmd.h"
#include "cli/sample.h"

static const struct pp_col cols[] = {
	{ "target", "target", PP_STR, PP_ALIGN_TYPE },
	{ "direction", "dir", PP_STR, PP_ALIGN_TYPE },
	{ "peer", "to or from", PP_STR, PP_ALIGN_TYPE },
	{ "limit", "limit", PP_RATE, PP_ALIGN_TYPE },
	{ "rate", "rate", PP_RATE_LIVE, PP_ALIGN_TYPE },
	{ "used", "used", PP_PERCENT, PP_ALIGN_TYPE },
	{ "limited", "limited", PP_PERCENT, PP_ALIGN_TYPE },
	{ "flows", "flows", PP_COUNT, PP_ALIGN_TYPE },
	{ "fair_rate", "fair", PP_RATE_LIVE, PP_ALIGN_TYPE },
	{ "refused", "refused", PP_COUNT, PP_ALIGN_TYPE },
	{ "in_force", "in force", PP_BOOL, PP_ALIGN_TYPE },
};

#define OF_PEERS 2

static int print(const struct pp_samples *samples, enum pp_format format)
{
	_cleanup_free_ struct pp_cell *cells =
		calloc(samples->n + 1, sizeof(*cells) * ARRAY_SIZE(cols));
	struct pp_col shown[ARRAY_SIZE(cols)];
	struct pp_cell *c = cells;
	bool peers = false;

	if (!cells)
		return -ENOMEM;
	for (size_t i = 0; i < samples->n; i++) {
		const struct pp_sample *s = &samples->s[i];

		peers |= s->limit.peer != NULL;
		*c++ = pp_cell_str(s->target);
		*c++ = pp_cell_str(pp_dir_name(s->limit.dir));
		*c++ = pp_cell_str(s->limit.peer);
		*c++ = s->now.rate < PP_NO_CEIL ? pp_cell_num(s->now.rate) : pp_cell_absent();
		*c++ = pp_cell_num(s->rate);
		*c++ = pp_cell_num(s->rate * 1000 / s->capacity);
		*c++ = pp_cell_num(s->limited);
		*c++ = s->shared ? pp_cell_absent() : pp_cell_num(s->flows);
		*c++ = s->shared ? pp_cell_absent() : pp_cell_num(s->fair);
		*c++ = pp_cell_num(s->refused);
		*c++ = pp_cell_bool(s->in_force);
	}
	memcpy(shown, cols, sizeof(cols));
	if (!peers)
		shown[OF_PEERS].head = NULL;
	return pp_out_table(stdout, format, "limits", shown, ARRAY_SIZE(cols), cells, samples->n,
			    NULL);
}

/* One reading, one interval, one picture. Limits may come and go between pictures. */
static int picture(const struct pp_args *args, uint64_t interval, bool clear, struct pp_err *e)
{
	_cleanup_(pp_datapath_close) struct pp_datapath d = PP_DATAPATH_INIT;
	_cleanup_(pp_samples_free) struct pp_samples samples = { 0 };
	int r = pp_datapath_open(args->root, PP_ADOPT, &d, e);

	if (!r)
		r = pp_samples_take(&d, &samples, e);
	if (r)
		return r;
	pp_datapath_unlock(&d);
	nanosleep(&(struct timespec){ .tv_sec = interval / 1000000000,
				      .tv_nsec = interval % 1000000000 },
		  NULL);
	pp_samples_again(&d, &samples);
	if (clear)
		fputs("\033[H\033[2J", stdout);
	r = print(&samples, args->format);
	return !r && fflush(stdout) == EOF
		       ? pp_err_set(e, -errno, "standard output: %s", strerror(errno))
		       : r;
}

int pp_cmd_top(const struct pp_args *args, struct pp_err *e)
{
	uint64_t interval = args->interval_ns ? args->interval_ns : 1000000000;
	bool clear = args->format == PP_TEXT && isatty(STDOUT_FILENO);
	int r = 0;

	for (uint64_t i = 0; !r && (!args->count || i < args->count); i++)
		r = picture(args, interval, clear, e);
	return r;
}
