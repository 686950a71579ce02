// SPDX-License-Identifier: Apache-2.0
// What the files of the command share: the command table's entry, the options that all commands
// know.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/out.h"
#include "kernel/limits.h"

#define PP_EXIT_USAGE 2

/* Values of the options; a command gets those it names in `options`. */
struct pp_args {
	char *root;            /* --root, normalized; "/" by default */
	enum pp_format format; /* -o */
	bool rate_set[PP_N_DIR];
	uint64_t rate[PP_N_DIR];  /* --egress, --ingress, bytes/s */
	uint64_t guarantee;       /* --guarantee, bytes/s; 0: not given */
	uint32_t weight;          /* --weight; 0: not given */
	uint64_t for_ns;          /* --for; 0: for ever */
	uint64_t interval_ns;     /* --interval; 0: the command's default */
	uint64_t count;           /* --count; 0: for ever */
	unsigned int dirs;        /* --direction: bits 1 << enum pp_dir; all if not given */
	const char *add, *remove; /* --add, --remove: prefixes with commas between */
	const char *node;         /* --node; these, and those above, are NULL if not given */
	const char *kubeconfig;   /* --kubeconfig */
	const char *context;      /* --context */
	const char *namespace;    /* --namespace */
	const char *config;       /* --config */
	const char *listen;       /* --listen */
	const char *daemonset;    /* --daemonset */
	const char *peers;        /* --peers: prefixes with commas between */
	const char *peer[PP_N_DIR]; /* --to, --from */
	char *target;             /* normalized cgroup path; NULL if the command takes none */
	char **files;             /* that a command takes in place of a target */
	size_t n_files;
};

struct pp_cmd {
	const char *name;
	const char *usage; /* what follows the name */
	const char *
		options; /* letters of the options it knows besides --root and --help, see main.c */
	int words; /* it takes exactly so many TARGETs, 0 or 1, or one FILE and more, or one word */
	/* 0, or a negative errno with a message */
	int (*run)(const struct pp_args *args, struct pp_err *e);
};

/* pp_cmd.words */
#define PP_FILES 2
#define PP_WORD 3 /* as it is, the one of pp_args.files */

/* --- as kubectl's plugin: the same words for pods of a cluster (kubectl.c) */
int pp_kubectl_status(const struct pp_args *args, struct pp_err *e);
int pp_kubectl_top(const struct pp_args *args, struct pp_err *e);
int pp_kubectl_explain(const struct pp_args *args, struct pp_err *e);
int pp_kubectl_limit(const struct pp_args *args, struct pp_err *e);
int pp_kubectl_unlimit(const struct pp_args *args, struct pp_err *e);

int pp_cmd_check(const struct pp_args *args, struct pp_err *e);
int pp_cmd_plan(const struct pp_args *args, struct pp_err *e);
int pp_cmd_agent(const struct pp_args *args, struct pp_err *e);
int pp_cmd_apply(const struct pp_args *args, struct pp_err *e);
int pp_cmd_explain(const struct pp_args *args, struct pp_err *e);
/* Of what agents say: a text, or NULL; a rate, which is bits/s there, absent if it is none. */
const char *pp_said(const json_t *o, const char *key);
struct pp_cell pp_said_rate(const json_t *o, const char *key);
/* What an agent has explained, as text. */
int pp_explain_print(const json_t *o);
int pp_cmd_limit(const struct pp_args *args, struct pp_err *e);
int pp_cmd_unlimit(const struct pp_args *args, struct pp_err *e);
int pp_cmd_peers(const struct pp_args *args, struct pp_err *e);
int pp_cmd_status(const struct pp_args *args, struct pp_err *e);
int pp_cmd_top(const struct pp_args *args, struct pp_err *e);
int pp_cmd_unload(const struct pp_args *args, struct pp_err *e);
int pp_cmd_version(const struct pp_args *args, struct pp_err *e);
