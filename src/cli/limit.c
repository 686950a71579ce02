// SPDX-License-Identifier: Apache-2.0
// podpace limit: set or change a limit of a cgroup, loading the datapath if it is not there.
#include "base/base.h"
#include "base/qty.h"
#include "cli/cmd.h"

static int set(const struct pp_args *args, struct pp_datapath *d, enum pp_dir dir, struct pp_err *e)
{
	struct pp_socket_count sockets = { 0 };
	char rate[32];
	int r = pp_limit_set(d, args->target, dir, args->rate[dir], args->for_ns, PP_OWNER_COMMAND,
			     &sockets, e);

	if (r || !sockets.failed)
		return r;
	return pp_err_set(
		e, -EIO,
		"cgroup %s: limited to %s, but %llu of its connections cannot be paced and will be "
		"slow: the kernel refused to set their rate",
		args->target, pp_rate_format(rate, args->rate[dir]),
		(unsigned long long)sockets.failed);
}

int pp_cmd_limit(const struct pp_args *args, struct pp_err *e)
{
	_cleanup_(pp_datapath_close) struct pp_datapath d = PP_DATAPATH_INIT;
	int r;

	if (!args->rate_set[PP_EGRESS] && !args->rate_set[PP_INGRESS])
		return pp_err_set(
			e, -EDOM,
			"limit: what to limit is missing; valid are --egress RATE, --ingress RATE "
			"(--egress 50M)");
	r = pp_datapath_open(args->root, PP_LOAD, &d, e);
	/* both or none */
	for (int dir = 0; !r && dir < PP_N_DIR; dir++)
		if (args->rate_set[dir])
			r = pp_limit_check(&d, args->target, dir, e);
	for (int dir = 0; !r && dir < PP_N_DIR; dir++)
		if (args->rate_set[dir])
			r = set(args, &d, dir, e);
	return r;
}
