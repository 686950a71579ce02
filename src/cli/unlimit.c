// SPDX-License-Identifier: Apache-2.0
// podpace unlimit: take a cgroup's limits away and free its connections.
#include "base/base.h"
#include "cli/cmd.h"
#include "cli/peer.h"
#include "kernel/rules.h"

static int remove_rule(const struct pp_args *args, struct pp_datapath *d, enum pp_dir dir,
		       struct pp_err *e)
{
	struct pp_socket_count sockets = { 0 };
	char text[PP_PEER_TEXT];
	int r = pp_peer_name(args->peer[dir], text, e);

	return r ? r : pp_rule_remove(d, args->target, dir, text, &sockets, e);
}

int pp_cmd_unlimit(const struct pp_args *args, struct pp_err *e)
{
	_cleanup_(pp_datapath_close) struct pp_datapath d = PP_DATAPATH_INIT;
	struct pp_socket_count sockets = { 0 };
	bool peers = args->peer[PP_EGRESS] || args->peer[PP_INGRESS];
	int r;

	if (peers && args->dirs != PP_ALL_DIRS)
		return pp_err_set(e, -EDOM,
				  "unlimit: --to is egress, --from is ingress: --direction says nothing more");
	r = pp_datapath_open(args->root, PP_REPAIR, &d, e);
	for (int dir = 0; dir < PP_N_DIR && !r; dir++)
		if (args->peer[dir])
			r = remove_rule(args, &d, dir, e);
	return r || peers ? r : pp_limit_remove(&d, args->target, args->dirs, &sockets, e);
}
