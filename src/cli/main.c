// SPDX-License-Identifier: Apache-2.0
// podpace, the command: finds the command in a table, parses the options it knows, runs it, prints
// its one error.
#define _GNU_SOURCE
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>

#include "base/base.h"
#include "base/qty.h"
#include "cli/cmd.h"
#include "cli/sample.h"

static const struct pp_cmd cmds[] = {
	{ "limit",
	  "TARGET [--egress RATE [--to PEER]] [--ingress RATE [--from PEER]] [--weight N] [--guarantee RATE] [--for DURATION] [--listen ADDRESS:PORT]",
	  "befglquw", 1, pp_cmd_limit },
	{ "unlimit", "TARGET [--direction egress|ingress] [--to PEER] [--from PEER]", "bqt", 1,
	  pp_cmd_unlimit },
	{ "status", "[-o text|json]", "o", 0, pp_cmd_status },
	{ "top", "[--interval DURATION] [--count N] [-o text|json]", "oin", 0, pp_cmd_top },
	{ "peers", "[--add PREFIX,...] [--remove PREFIX,...] [-o text|json]", "aox", 0,
	  pp_cmd_peers },
	{ "agent",
	  "[--config DIR] [--node NAME] [--kubeconfig FILE] [--listen ADDRESS:PORT] [--daemonset NAMESPACE/NAME] [--peers PREFIX,...]",
	  "cdklmp", 0, pp_cmd_agent },
	{ "apply", "FILE...", "", PP_FILES, pp_cmd_apply },
	{ "check", "FILE...", "", PP_FILES, pp_cmd_check },
	{ "plan", "FILE... [--node NAME] [-o text|json]", "mo", PP_FILES, pp_cmd_plan },
	{ "explain", "TARGET|pod/NAMESPACE/NAME [--listen ADDRESS:PORT] [-o text|json]", "lo", PP_WORD,
	  pp_cmd_explain },
	{ "unload", "", "", 0, pp_cmd_unload },
	{ "version", "[-o text|json]", "o", 0, pp_cmd_version },
};

/* As kubectl-podpace: of pods, by their names. */
static const struct pp_cmd kubectl_cmds[] = {
	{ "limit",
	  "POD [--egress RATE] [--ingress RATE] [--for DURATION] [-n NAMESPACE]",
	  "efgksy", PP_WORD, pp_kubectl_limit },
	{ "unlimit", "POD [--direction egress|ingress] [-n NAMESPACE]", "ksty", PP_WORD,
	  pp_kubectl_unlimit },
	{ "status", "[-n NAMESPACE] [-o text|json]", "kosy", 0, pp_kubectl_status },
	{ "top", "[-n NAMESPACE] [--interval DURATION] [--count N] [-o text|json]", "iknosy", 0,
	  pp_kubectl_top },
	{ "explain", "POD [-n NAMESPACE] [-o text|json]", "kosy", PP_WORD, pp_kubectl_explain },
	{ "version", "[-o text|json]", "o", 0, pp_cmd_version },
};

/* What this process was called as. */
static const struct {
	const char *name, *flags;
	const struct pp_cmd *cmds;
	size_t n;
	const char *words; /* of usage */
} tools[] = {
	{ "podpace", "[--root CGROUP] ", cmds, ARRAY_SIZE(cmds),
	  "TARGET is the path of a cgroup below the cgroup2 mount, RATE bits/s as a Kubernetes quantity\n"
	  "(50M, 1.5G, 800k), PEER a prefix (10.0.0.0/8), an address, internet or\n"
	  "pod/NAMESPACE/NAME." },
	{ "kubectl podpace", "[--kubeconfig FILE] [--context NAME] ", kubectl_cmds,
	  ARRAY_SIZE(kubectl_cmds),
	  "POD is NAME, NAMESPACE/NAME or pod/NAMESPACE/NAME, RATE bits/s as a Kubernetes quantity\n"
	  "(50M, 1.5G, 800k)." },
};
static size_t tool;

static const struct option options[] = {
	{ "root", required_argument, NULL, 'r' },
	{ "output", required_argument, NULL, 'o' },
	{ "egress", required_argument, NULL, 'e' },
	{ "ingress", required_argument, NULL, 'g' },
	{ "for", required_argument, NULL, 'f' },
	{ "guarantee", required_argument, NULL, 'u' },
	{ "weight", required_argument, NULL, 'w' },
	{ "direction", required_argument, NULL, 't' },
	{ "to", required_argument, NULL, 'b' },
	{ "from", required_argument, NULL, 'q' },
	{ "add", required_argument, NULL, 'a' },
	{ "remove", required_argument, NULL, 'x' },
	{ "interval", required_argument, NULL, 'i' },
	{ "count", required_argument, NULL, 'n' },
	{ "config", required_argument, NULL, 'c' },
	{ "node", required_argument, NULL, 'm' },
	{ "kubeconfig", required_argument, NULL, 'k' },
	{ "listen", required_argument, NULL, 'l' },
	{ "daemonset", required_argument, NULL, 'd' },
	{ "peers", required_argument, NULL, 'p' },
	{ "namespace", required_argument, NULL, 's' },
	{ "context", required_argument, NULL, 'y' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static void usage(FILE *f)
{
	const struct pp_cmd *list = tools[tool].cmds;

	fprintf(f, "usage: %s %sCOMMAND ...\n\n", tools[tool].name, tools[tool].flags);
	for (size_t i = 0; i < tools[tool].n; i++)
		fprintf(f, "  %s %s %s\n", tools[tool].name, list[i].name, list[i].usage);
	fprintf(f, "\n%s Without a command: status. See podpace(8).\n", tools[tool].words);
}

static const struct pp_cmd *find_cmd(const char *name, struct pp_err *e)
{
	const struct pp_cmd *list = tools[tool].cmds;
	char shown[64], valid[256];
	size_t n = 0;

	for (size_t i = 0; i < tools[tool].n; i++) {
		if (strcmp(name, list[i].name) == 0)
			return &list[i];
		n += snprintf(valid + n, sizeof(valid) - n, "%s%s", i ? ", " : "", list[i].name);
	}
	pp_err_escape(shown, sizeof(shown), name, strlen(name));
	pp_err_set(e, -EINVAL, "unknown command \"%s\"; valid are %s", shown, valid);
	return NULL;
}

static int parse_count(const char *option, const char *s, uint64_t most, uint64_t *ret,
		       struct pp_err *e)
{
	char shown[64], *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(s, &end, 10);
	if (errno || end == s || *end || s[0] == '-' || v < 1 || v > most) {
		pp_err_escape(shown, sizeof(shown), s, strlen(s));
		return pp_err_set(e, -EINVAL, "%s \"%s\": valid is a number from 1 to %llu", option,
				  shown, (unsigned long long)most);
	}
	*ret = v;
	return 0;
}

static int parse_format(const char *s, enum pp_format *ret, struct pp_err *e)
{
	char shown[64];

	if (strcmp(s, "text") == 0 || strcmp(s, "json") == 0) {
		*ret = s[0] == 't' ? PP_TEXT : PP_JSON;
		return 0;
	}
	pp_err_escape(shown, sizeof(shown), s, strlen(s));
	return pp_err_set(e, -EINVAL, "output format \"%s\"; valid are text and json", shown);
}

static int parse_direction(const char *s, unsigned int *ret, struct pp_err *e)
{
	char shown[64];

	for (int dir = 0; dir < PP_N_DIR; dir++)
		if (strcmp(s, pp_dir_name(dir)) == 0) {
			*ret = 1u << dir;
			return 0;
		}
	pp_err_escape(shown, sizeof(shown), s, strlen(s));
	return pp_err_set(e, -EINVAL, "direction \"%s\"; valid are egress and ingress", shown);
}

/* Where the value of an option goes that is taken as it is. */
static const char **text_option(int opt, struct pp_args *args)
{
	switch (opt) {
	case 'a':
		return &args->add;
	case 'x':
		return &args->remove;
	case 'c':
		return &args->config;
	case 'm':
		return &args->node;
	case 'k':
		return &args->kubeconfig;
	case 'l':
		return &args->listen;
	case 'd':
		return &args->daemonset;
	case 'p':
		return &args->peers;
	case 's':
		return &args->namespace;
	case 'y':
		return &args->context;
	case 'b':
		return &args->peer[PP_EGRESS];
	case 'q':
		return &args->peer[PP_INGRESS];
	}
	return NULL;
}

static int parse_option(int opt, const char *value, struct pp_args *args, struct pp_err *e)
{
	const char **text = text_option(opt, args);
	uint64_t n = 0;
	int r;

	if (text) {
		*text = value;
		return 0;
	}
	switch (opt) {
	case 'r':
		free(args->root);
		args->root = NULL;
		return pp_cgroup_normalize(value, &args->root, e);
	case 'o':
		return parse_format(value, &args->format, e);
	case 'e':
		args->rate_set[PP_EGRESS] = true;
		return pp_rate_parse(value, &args->rate[PP_EGRESS], e);
	case 'g':
		args->rate_set[PP_INGRESS] = true;
		return pp_rate_parse(value, &args->rate[PP_INGRESS], e);
	case 't':
		return parse_direction(value, &args->dirs, e);
	case 'u':
		return pp_rate_parse(value, &args->guarantee, e);
	case 'w':
		r = parse_count("--weight", value, PP_WEIGHT_MAX, &n, e);
		args->weight = n;
		return r;
	case 'f':
		return pp_duration_parse(value, &args->for_ns, e);
	case 'i':
		return pp_duration_parse(value, &args->interval_ns, e);
	case 'n':
		return parse_count("--count", value, 1000000000, &args->count, e);
	}
	return -EINVAL;
}

static const char *option_name(int opt)
{
	for (size_t i = 0; options[i].name; i++)
		if (options[i].val == opt)
			return options[i].name;
	return "?";
}

static int parse_words(const struct pp_cmd *cmd, char **words, int n, struct pp_args *args,
		       struct pp_err *e)
{
	int most = cmd->words == PP_FILES ? INT_MAX : cmd->words ? 1 : 0;
	int least = cmd->words ? 1 : 0;

	if (n < least || n > most)
		return pp_err_set(e, -EDOM, "%s: %s; valid is: %s %s %s", cmd->name,
				  n > most                 ? "too many words"
				  : cmd->words == PP_FILES ? "the FILE is missing"
				  : tool                   ? "the POD is missing"
							   : "the TARGET is missing",
				  tools[tool].name, cmd->name, cmd->usage);
	if (cmd->words == PP_FILES || cmd->words == PP_WORD) {
		args->files = words;
		args->n_files = (size_t)n;
		return 0;
	}
	return cmd->words ? pp_cgroup_normalize(words[0], &args->target, e) : 0;
}

/*
 * -EDOM tells the caller that the command line itself is wrong (exit 2), any other error that a
 * value is (exit 1).
 */
static int parse(int argc, char **argv, const struct pp_cmd **cmd, struct pp_args *args,
		 struct pp_err *e)
{
	unsigned int given = 0;
	char shown[64];
	int opt, r, which = -1;

	while ((opt = getopt_long(argc, argv, ":o:i:n:h", options, &which)) != -1) {
		/* kubectl's -n */
		if (tool && opt == 'n' && which < 0)
			opt = 's';
		which = -1;
		if (opt == '?' || opt == ':') {
			pp_err_escape(shown, sizeof(shown), argv[optind - 1],
				      strlen(argv[optind - 1]));
			return opt == ':' ? pp_err_set(e, -EDOM, "option \"%s\" needs a value", shown)
					  : pp_err_set(e, -EDOM,
						       "unknown option \"%s\"; see %s --help",
						       shown, tools[tool].name);
		}
		if (opt == 'h') {
			usage(stdout);
			exit(0);
		}
		r = parse_option(opt, optarg, args, e);
		if (r)
			return r;
		if (opt != 'r' || tool)
			given |= 1u << (opt - 'a');
	}
	*cmd = optind < argc ? find_cmd(argv[optind++], e) : find_cmd("status", e);
	if (!*cmd)
		return -EDOM;
	for (opt = 'a'; opt <= 'z'; opt++)
		if ((given & 1u << (opt - 'a')) && !strchr((*cmd)->options, opt))
			return pp_err_set(
				e, -EDOM, "%s: does not take --%s; valid is: %s %s %s", (*cmd)->name,
				option_name(opt), tools[tool].name, (*cmd)->name, (*cmd)->usage);
	return parse_words(*cmd, argv + optind, argc - optind, args, e);
}

static void args_free(struct pp_args *args)
{
	free(args->root);
	free(args->target);
}

int main(int argc, char **argv)
{
	_cleanup_(args_free) struct pp_args args = { .format = PP_TEXT, .dirs = PP_ALL_DIRS };
	const struct pp_cmd *cmd = NULL;
	struct pp_err e = { "" };
	int r;

	/* stdin, stdout and stderr exist: a file opened later must not become one of them */
	while ((r = open("/dev/null", O_RDWR)) >= 0 && r <= 2)
		;
	if (r > 2)
		close(r);
	tool = strcmp(basename(argc ? argv[0] : ""), "kubectl-podpace") == 0;
	args.root = strdup("/");
	r = args.root ? parse(argc, argv, &cmd, &args, &e) : -ENOMEM;
	if (!r)
		r = cmd->run(&args, &e);
	if (r == -EIO && !e.msg[0])
		pp_err_set(&e, r, "standard output: it cannot be written to");
	if (!r && fflush(stdout) == EOF)
		r = pp_err_set(&e, -errno, "standard output: %s", strerror(errno));
	if (!r)
		return 0;
	fprintf(stderr, "%s: %s\n", tools[tool].name, e.msg[0] ? e.msg : strerror(-r));
	return r == -EDOM ? PP_EXIT_USAGE : 1;
}
