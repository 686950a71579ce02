// SPDX-License-Identifier: Apache-2.0
// podpace unload: take every limit away, free every connection, remove the programs and their pins.
#include "base/base.h"
#include "cli/cmd.h"

int pp_cmd_unload(const struct pp_args *args, struct pp_err *e)
{
	_cleanup_(pp_datapath_close) struct pp_datapath d = PP_DATAPATH_INIT;
	struct pp_socket_count sockets = { 0 };
	int r = pp_datapath_open(args->root, PP_REPAIR, &d, e);

	if (r)
		return r;
	r = pp_limit_remove_all(&d, &sockets, e);
	return r ? r : pp_datapath_remove(&d, e);
}
