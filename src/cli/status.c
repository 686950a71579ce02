// SPDX-License-Identifier: Apache-2.0
// podpace status: every limit, what runs through it now, and whether it is in force, read from the
// pinned maps alone.
#include <time.h>

#include "base/base.h"
#include "cli/cmd.h"
#include "cli/sample.h"

/* How long a rate is measured. */
#define SAMPLE_NS 200000000L

static const struct pp_col cols[] = {
	{ "target", "target", PP_STR, PP_ALIGN_TYPE },
	{ "name", NULL, PP_STR, PP_ALIGN_TYPE },
	{ "direction", "dir", PP_STR, PP_ALIGN_TYPE },
	{ "peer", "to or from", PP_STR, PP_ALIGN_TYPE },
	{ "limit", "limit", PP_RATE, PP_ALIGN_TYPE },
	{ "weight", "weight", PP_COUNT, PP_ALIGN_TYPE },
	{ "guarantee", "guarantee", PP_RATE, PP_ALIGN_TYPE },
	{ "capacity", "capacity", PP_RATE_LIVE, PP_ALIGN_TYPE },
	{ "rate", "rate", PP_RATE_LIVE, PP_ALIGN_TYPE },
	{ "flows", "flows", PP_COUNT, PP_ALIGN_TYPE },
	{ "fair_rate", "fair", PP_RATE_LIVE, PP_ALIGN_TYPE },
	{ "bytes", NULL, PP_COUNT, PP_ALIGN_TYPE },
	{ "packets", NULL, PP_COUNT, PP_ALIGN_TYPE },
	{ "refused", "refused", PP_COUNT, PP_ALIGN_TYPE },
	{ "refused_share", NULL, PP_COUNT, PP_ALIGN_TYPE },
	{ "refused_queue", NULL, PP_COUNT, PP_ALIGN_TYPE },
	{ "refused_opening", NULL, PP_COUNT, PP_ALIGN_TYPE },
	{ "refused_hard", NULL, PP_COUNT, PP_ALIGN_TYPE },
	{ "delayed", NULL, PP_COUNT, PP_ALIGN_TYPE },
	{ "marked", NULL, PP_COUNT, PP_ALIGN_TYPE },
	{ "unheard", NULL, PP_COUNT, PP_ALIGN_TYPE },
	{ "missed", NULL, PP_NS, PP_ALIGN_TYPE },
	{ "observe", NULL, PP_BOOL, PP_ALIGN_TYPE },
	{ "uplink", NULL, PP_BOOL, PP_ALIGN_TYPE },
	{ "set_by", NULL, PP_STR, PP_ALIGN_TYPE },
	{ "ends_in", "ends in", PP_NS, PP_ALIGN_TYPE },
	{ "in_force", "in force", PP_BOOL, PP_ALIGN_TYPE },
	{ "note", "note", PP_STR, PP_ALIGN_TYPE },
};

/* Where nothing has a share, what is said of shares is left out of the text; likewise peers. */
#define OF_PEERS 3
#define FIRST_OF_SHARES 5
#define N_OF_SHARES 3

struct report {
	const struct pp_samples *samples;
	struct pp_cell *cells;
	size_t n;
	bool all_in_force;
	bool shares, peers;
};

static void add_row(struct report *rep, const struct pp_sample *s)
{
	struct pp_cell *c = rep->cells + rep->n++ * ARRAY_SIZE(cols);
	size_t i = 0;

	c[i++] = pp_cell_str(s->target);
	c[i++] = s->limit.name ? pp_cell_str(s->limit.name) : pp_cell_absent();
	c[i++] = pp_cell_str(pp_dir_name(s->limit.dir));
	c[i++] = s->limit.peer ? pp_cell_str(s->limit.peer) : pp_cell_absent();
	c[i++] = s->now.rate < PP_NO_CEIL ? pp_cell_num(s->now.rate) : pp_cell_absent();
	c[i++] = s->now.parent ? pp_cell_num(s->now.weight) : pp_cell_absent();
	c[i++] = s->now.guarantee ? pp_cell_num(s->now.guarantee) : pp_cell_absent();
	c[i++] = pp_cell_num(s->capacity);
	c[i++] = pp_cell_num(s->rate);
	c[i++] = s->shared ? pp_cell_absent() : pp_cell_num(s->flows);
	c[i++] = s->shared ? pp_cell_absent() : pp_cell_num(s->fair);
	c[i++] = pp_cell_num(s->now.bytes);
	c[i++] = pp_cell_num(s->now.packets);
	c[i++] = pp_cell_num(s->refused);
	for (int why = 0; why < PP_N_REFUSAL; why++)
		c[i++] = pp_cell_num(s->now.refused[why]);
	c[i++] = pp_cell_num(s->now.delayed);
	c[i++] = pp_cell_num(s->now.marked);
	c[i++] = pp_cell_num(s->now.unheard);
	c[i++] = s->now.guarantee ? pp_cell_num(s->now.missed_ns) : pp_cell_absent();
	c[i++] = pp_cell_bool(s->now.observe);
	c[i++] = pp_cell_bool(s->now.uplink);
	c[i++] = pp_cell_str(s->now.owner == PP_OWNER_AGENT ? "agent" : "command");
	c[i++] = s->ends_in ? pp_cell_num(s->ends_in) : pp_cell_absent();
	c[i++] = pp_cell_bool(s->in_force);
	c[i++] = s->note[0] ? pp_cell_str(s->note) : pp_cell_absent();
	rep->all_in_force &= s->in_force;
	rep->shares |= s->now.parent > 0;
	rep->peers |= s->limit.peer != NULL;
}

/* What happened to the datapath as a whole; NULL without memory. */
static json_t *events(const struct pp_datapath *d)
{
	return json_pack("{s:s, s:b, s:{s:I, s:I, s:I, s:I, s:I}}", "root", d->root, "loaded", 1,
			 "events", "no_storage", (json_int_t)d->state->event[PP_EVENT_NO_STORAGE],
			 "path_full", (json_int_t)d->state->event[PP_EVENT_PATH_FULL], "no_pace",
			 (json_int_t)d->state->event[PP_EVENT_NO_PACE], "slot_freed",
			 (json_int_t)d->state->event[PP_EVENT_SLOT_FREED], "pairs_full",
			 (json_int_t)d->state->event[PP_EVENT_PAIRS_FULL]);
}

static void warn(const struct pp_datapath *d)
{
	static const char *const texts[PP_N_EVENT] = {
		[PP_EVENT_NO_STORAGE] =
			"packets of sockets that there was no memory to keep a record of: held by queue alone",
		[PP_EVENT_PATH_FULL] =
			"times a connection had more limits than fit on its way (8, and 4 towards its peer): the last did not bind",
		[PP_EVENT_PAIRS_FULL] =
			"times a pair found no room for a limit of its own (4096 on this host): it shares one with others",
		[PP_EVENT_NO_PACE] =
			"times the kernel refused to pace a connection: it was policed",
	};

	for (int i = 0; i < PP_N_EVENT; i++)
		if (texts[i] && d->state->event[i])
			printf("note: %llu %s\n", (unsigned long long)d->state->event[i], texts[i]);
}

static int not_loaded(const struct pp_args *args)
{
	json_t *extra;
	int r;

	if (args->format == PP_TEXT) {
		printf("podpace is not loaded at cgroup %s: nothing is limited\n", args->root);
		return 0;
	}
	extra = json_pack("{s:s, s:b, s:{}}", "root", args->root, "loaded", 0, "events");
	r = extra ? pp_out_table(stdout, PP_JSON, "limits", cols, ARRAY_SIZE(cols), NULL, 0, extra)
		  : -ENOMEM;
	json_decref(extra);
	return r;
}

static int print(const struct report *rep, enum pp_format format, json_t *extra)
{
	struct pp_col shown[ARRAY_SIZE(cols)];

	memcpy(shown, cols, sizeof(cols));
	for (int i = 0; i < N_OF_SHARES && !rep->shares; i++)
		shown[FIRST_OF_SHARES + i].head = NULL;
	if (!rep->peers)
		shown[OF_PEERS].head = NULL;
	return pp_out_table(stdout, format, "limits", shown, ARRAY_SIZE(cols), rep->cells, rep->n,
			    extra);
}

int pp_cmd_status(const struct pp_args *args, struct pp_err *e)
{
	_cleanup_(pp_datapath_close) struct pp_datapath d = PP_DATAPATH_INIT;
	_cleanup_(pp_samples_free) struct pp_samples samples = { 0 };
	struct report rep = { .samples = &samples, .all_in_force = true };
	_cleanup_free_ struct pp_cell *cells = NULL;
	json_t *extra;
	int r = pp_datapath_open(args->root, PP_ADOPT, &d, e);

	if (r == -ENOENT)
		return not_loaded(args);
	if (!r)
		r = pp_samples_take(&d, &samples, e);
	if (r)
		return r;
	pp_datapath_unlock(&d);
	nanosleep(&(struct timespec){ .tv_nsec = SAMPLE_NS }, NULL);
	pp_samples_again(&d, &samples);
	rep.cells = cells = calloc(samples.n + 1, sizeof(*cells) * ARRAY_SIZE(cols));
	extra = events(&d);
	if (!cells || !extra)
		return -ENOMEM;
	for (size_t i = 0; i < samples.n; i++)
		add_row(&rep, &samples.s[i]);
	if (args->format == PP_TEXT && !samples.n)
		printf("podpace is loaded at cgroup %s: no limit is set\n", d.root);
	else
		r = print(&rep, args->format, extra);
	if (args->format == PP_TEXT)
		warn(&d);
	json_decref(extra);
	if (!r && !rep.all_in_force)
		r = pp_err_set(e, -EIO, "not every limit is in force: see NOTE");
	return r;
}
