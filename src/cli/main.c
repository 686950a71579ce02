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
	  "TARGET [--egress RATE] [--ingress RATE] [--weight N] [--guarantee RATE] [--for DURATION]",
	  "efguw", 1, pp_cmd_limit },
	{ "unlimit", "TARGET [--direction egress|ingress]", "t", 1, pp_cmd_unlimit },
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

static const struct option options[] = {
	{ "root", required_argument, NULL, 'r' },
	{ "output", required_argument, NULL, 'o' },
	{ "egress", required_argument, NULL, 'e' },
	{ "ingress", required_argument, NULL, 'g' },
	{ "for", required_argument, NULL, 'f' },
	{ "guarantee", required_argument, NULL, 'u' },
	{ "weight", required_argument, NULL, 'w' },
	{ "direction", required_argument, NULL, 't' },
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
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static void usage(FILE *f)
{
	fprintf(f, "usage: podpace [--root CGROUP] COMMAND ...\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(cmds); i++)
		fprintf(f, "  podpace %s %s\n", cmds[i].name, cmds[i].usage);
	fprintf(f,
		"\nTARGET is the path of a cgroup below the cgroup2 mount, RATE bits/s as a Kubernetes quantity\n"
		"(50M, 1.5G, 800k). Without a command: status. See podpace(8).\n");
}

static const struct pp_cmd *find_cmd(const char *name, struct pp_err *e)
{
	char shown[64], valid[256];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(cmds); i++) {
		if (strcmp(name, cmds[i].name) == 0)
			return &cmds[i];
		n += snprintf(valid + n, sizeof(valid) - n, "%s%s", i ? ", " : "", cmds[i].name);
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

static int parse_option(int opt, const char *value, struct pp_args *args, struct pp_err *e)
{
	uint64_t n = 0;
	int r;

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
	case 'a':
		args->add = value;
		return 0;
	case 'x':
		args->remove = value;
		return 0;
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
	case 'c':
		args->config = value;
		return 0;
	case 'm':
		args->node = value;
		return 0;
	case 'k':
		args->kubeconfig = value;
		return 0;
	case 'l':
		args->listen = value;
		return 0;
	case 'd':
		args->daemonset = value;
		return 0;
	case 'p':
		args->peers = value;
		return 0;
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
		return pp_err_set(e, -EDOM, "%s: %s; valid is: podpace %s %s", cmd->name,
				  n > most                 ? "too many words"
				  : cmd->words == PP_FILES ? "the FILE is missing"
							   : "the TARGET is missing",
				  cmd->name, cmd->usage);
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
	int opt, r;

	while ((opt = getopt_long(argc, argv, ":o:i:n:h", options, NULL)) != -1) {
		if (opt == '?' || opt == ':') {
			pp_err_escape(shown, sizeof(shown), argv[optind - 1],
				      strlen(argv[optind - 1]));
			return pp_err_set(e, -EDOM,
					  opt == ':' ? "option \"%s\" needs a value"
						     : "unknown option \"%s\"; see podpace --help",
					  shown);
		}
		if (opt == 'h') {
			usage(stdout);
			exit(0);
		}
		r = parse_option(opt, optarg, args, e);
		if (r)
			return r;
		if (opt != 'r')
			given |= 1u << (opt - 'a');
	}
	*cmd = optind < argc ? find_cmd(argv[optind++], e) : find_cmd("status", e);
	if (!*cmd)
		return -EDOM;
	for (opt = 'a'; opt <= 'z'; opt++)
		if ((given & 1u << (opt - 'a')) && !strchr((*cmd)->options, opt))
			return pp_err_set(
				e, -EDOM, "%s: does not take --%s; valid is: podpace %s %s",
				(*cmd)->name, option_name(opt), (*cmd)->name, (*cmd)->usage);
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
	fprintf(stderr, "podpace: %s\n", e.msg[0] ? e.msg : strerror(-r));
	return r == -EDOM ? PP_EXIT_USAGE : 1;
}
