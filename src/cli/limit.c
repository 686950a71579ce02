// SPDX-License-Identifier: Apache-2.0
// podpace limit: set or change a limit of a cgroup, loading the datapath if it is not there.
#include "base/base.h"
#include "base/qty.h"
#include "cli/cmd.h"
#include "cli/peer.h"
#include "kernel/members.h"
#include "kernel/rules.h"

/* A share alone has no ceil; a guarantee alone has the usual weight. */
static struct pp_limit_ask ask_of(const struct pp_args *args, enum pp_dir dir)
{
	struct pp_limit_ask ask = { .dir = dir,
				    .rate = args->rate_set[dir] ? args->rate[dir] : PP_NO_CEIL,
				    .weight = args->weight,
				    .guarantee = args->guarantee,
				    .for_ns = args->for_ns,
				    .owner = PP_OWNER_COMMAND };

	if (ask.guarantee && !ask.weight)
		ask.weight = PP_WEIGHT_DEFAULT;
	return ask;
}

static int set(const struct pp_args *args, struct pp_datapath *d, enum pp_dir dir, struct pp_err *e)
{
	struct pp_socket_count sockets = { 0 };
	struct pp_limit_ask ask = ask_of(args, dir);
	struct pp_match m;
	char peer[PP_PEER_TEXT], rate[32];
	int r;

	if (!args->peer[dir]) {
		r = pp_limit_set(d, args->target, &ask, &sockets, e);
	} else {
		r = pp_peer_read(args, args->peer[dir], &m, peer, e);
		if (!r)
			r = pp_rule_set(d, args->target, &ask, &m, peer, &sockets, e);
	}
	if (r || !sockets.failed)
		return r;
	return pp_err_set(
		e, -EIO,
		"cgroup %s: limited to %s, but %llu of its connections cannot be paced and will be "
		"slow: the kernel refused to set their rate",
		args->target, ask.rate < PP_NO_CEIL ? pp_rate_format(rate, ask.rate) : "its share",
		(unsigned long long)sockets.failed);
}

/*
 * The directions that are meant, a bit each: those with a rate or, where only a share is asked for,
 * those in which there is a limit to share.
 */
static int find_dirs(const struct pp_args *args, const struct pp_datapath *d, unsigned int *ret,
		     struct pp_err *e)
{
	_cleanup_close_ int fd = -1;
	uint64_t id;
	int r;

	*ret = 0;
	for (int dir = 0; dir < PP_N_DIR; dir++)
		*ret |= args->rate_set[dir] ? 1u << dir : 0;
	if (*ret)
		return 0;
	r = pp_cgroup_open(&d->cgroupfs, args->target, &fd, &id, e);
	for (int dir = 0; !r && dir < PP_N_DIR; dir++)
		*ret |= pp_member_above(d, id, dir) ? 1u << dir : 0;
	if (r || *ret)
		return r;
	return pp_err_set(
		e, -EINVAL,
		"cgroup %s: a weight or a guarantee is a share of the limit above, and no cgroup above "
		"it has a limit; valid is: podpace limit PARENT --egress RATE, and this again",
		args->target);
}

/* Towards a peer there is a rate, in the right direction, and no share. */
static int check_peers(const struct pp_args *args, struct pp_err *e)
{
	static const char *const option[PP_N_DIR] = { "--to", "--from" };
	static const char *const rate[PP_N_DIR] = { "--egress", "--ingress" };
	char text[PP_PEER_TEXT];
	int r = 0;

	for (int dir = 0; dir < PP_N_DIR && !r; dir++) {
		if (!args->peer[dir])
			continue;
		if (!args->rate_set[dir])
			return pp_err_set(e, -EDOM,
					  "limit: %s needs %s RATE: what is to go there, or to come from there",
					  option[dir], rate[dir]);
		if (args->weight || args->guarantee)
			return pp_err_set(
				e, -EDOM,
				"limit: with %s there is no share of the limit above; valid is %s RATE alone",
				option[dir], rate[dir]);
		r = pp_peer_name(args->peer[dir], text, e);
	}
	return r;
}

int pp_cmd_limit(const struct pp_args *args, struct pp_err *e)
{
	_cleanup_(pp_datapath_close) struct pp_datapath d = PP_DATAPATH_INIT;
	unsigned int dirs = 0;
	int r;

	if (!args->rate_set[PP_EGRESS] && !args->rate_set[PP_INGRESS] && !args->weight &&
	    !args->guarantee)
		return pp_err_set(
			e, -EDOM,
			"limit: what to limit is missing; valid are --egress RATE, --ingress RATE "
			"(--egress 50M), and a share of the limit above: --weight N, --guarantee RATE");
	r = check_peers(args, e);
	if (!r)
		r = pp_datapath_open(args->root, PP_LOAD, &d, e);
	if (!r)
		r = find_dirs(args, &d, &dirs, e);
	/* both or none */
	for (int dir = 0; !r && dir < PP_N_DIR; dir++)
		if (dirs & 1u << dir && !args->peer[dir])
			r = pp_limit_check(&d, args->target, dir, e);
	for (int dir = 0; !r && dir < PP_N_DIR; dir++)
		if (dirs & 1u << dir)
			r = set(args, &d, dir, e);
	return r;
}
