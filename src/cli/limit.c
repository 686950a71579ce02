// SPDX-License-Identifier: Apache-2.0
// podpace limit: set or change a limit of a cgroup, loading the datapath if it is not there.
#include "base/base.h"
#include "base/qty.h"
#include "cli/cmd.h"

int pp_cmd_limit(const struct pp_args *args, struct pp_err *e)
{
	_cleanup_(pp_datapath_close) struct pp_datapath d = PP_DATAPATH_INIT;
	struct pp_socket_count sockets = { 0 };
	char rate[32];
	int r;

	if (!args->rate_set[PP_EGRESS])
		return pp_err_set(
			e, -EDOM,
			"limit: what to limit is missing; valid is --egress RATE (--egress 50M)");
	r = pp_datapath_open(args->root, PP_LOAD, &d, e);
	if (r)
		return r;
	r = pp_limit_set(&d, args->target, PP_EGRESS, args->rate[PP_EGRESS], args->for_ns,
			 PP_OWNER_COMMAND, &sockets, e);
	if (r)
		return r;
	if (sockets.failed)
		return pp_err_set(
			e, -EIO,
			"cgroup %s: limited to %s, but %llu of its connections cannot be paced and will be "
			"slow: the kernel refused to set their rate",
			args->target, pp_rate_format(rate, args->rate[PP_EGRESS]),
			(unsigned long long)sockets.failed);
	return 0;
}
