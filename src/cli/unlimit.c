// SPDX-License-Identifier: Apache-2.0
// podpace unlimit: take a cgroup's limits away and free its connections.
#include "base/base.h"
#include "cli/cmd.h"

int pp_cmd_unlimit(const struct pp_args *args, struct pp_err *e)
{
	_cleanup_(pp_datapath_close) struct pp_datapath d = PP_DATAPATH_INIT;
	struct pp_socket_count sockets = { 0 };
	int r = pp_datapath_open(args->root, PP_REPAIR, &d, e);

	return r ? r : pp_limit_remove(&d, args->target, args->dirs, &sockets, e);
}
