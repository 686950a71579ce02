// SPDX-License-Identifier: Apache-2.0
// podpace agent: the daemon of a Kubernetes node, or of a host with a folder of objects.
#include <limits.h>

#include "agent/agent.h"
#include "base/base.h"
#include "cli/cmd.h"

#define LISTEN ":9467"
/* a host without Kubernetes has nobody to show it to unless somebody says so */
#define LISTEN_HOST "127.0.0.1:9467"

/* A name as the API has it (RFC 1123): it becomes part of a query. */
static int check_name(const char *name, struct pp_err *e)
{
	char shown[80];
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-");

	if (n && !name[n] && n <= 253)
		return 0;
	pp_err_escape(shown, sizeof(shown), name, strlen(name));
	return pp_err_set(e, -EINVAL,
			  "node \"%s\": valid is the name of a node, as kubectl get nodes has it "
			  "(--node NAME, or the environment's NODE_NAME)",
			  shown);
}

static int check_daemonset(const char *name, struct pp_err *e)
{
	const char *slash = name ? strchr(name, '/') : NULL;
	char shown[80];

	if (!name || (slash && slash > name && slash[1] && strlen(name) < 400 &&
		      !name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-/")]))
		return 0;
	pp_err_escape(shown, sizeof(shown), name, strlen(name));
	return pp_err_set(e, -EINVAL, "--daemonset \"%s\": valid is NAMESPACE/NAME", shown);
}

int pp_cmd_agent(const struct pp_args *args, struct pp_err *e)
{
	_cleanup_free_ struct pp_cidr *peers = NULL;
	char host[HOST_NAME_MAX + 1] = "";
	struct pp_agent_options o = {
		.root = args->root,
		.node = args->node ?: getenv("NODE_NAME"),
		.kubeconfig = args->kubeconfig,
		.config = args->config,
		.listen = args->listen   ? args->listen
			  : args->config ? LISTEN_HOST
					 : LISTEN,
		.daemonset = args->daemonset,
	};
	int r;

	if (o.config && (args->kubeconfig || args->daemonset))
		return pp_err_set(e, -EINVAL,
				  "--config is for a host without Kubernetes; valid is either that or "
				  "--kubeconfig and --daemonset");
	if (!o.node) {
		gethostname(host, sizeof(host) - 1);
		o.node = host;
	}
	r = check_name(o.node, e);
	if (!r)
		r = check_daemonset(o.daemonset, e);
	if (!r && args->peers)
		r = pp_cidrs_parse(args->peers, &peers, &o.n_peers, e);
	o.peers = peers;
	return r ? r : pp_agent_run(&o, e);
}
