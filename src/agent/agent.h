// SPDX-License-Identifier: Apache-2.0
// The daemon of a node: pods in, limits out. One thread, one loop.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/apply.h"
#include "agent/cluster.h"
#include "agent/http.h"
#include "kube/watch.h"

struct pp_agent_options {
	const char *root;	/* cgroup that the datapath is attached to */
	const char *node;	/* name of this node in the API */
	const char *kubeconfig; /* NULL: the pod's service account */
	const char *listen;	/* of the web pages: ADDRESS:PORT */
	const char *daemonset;	/* NAMESPACE/NAME: when it is deleted, so are the limits; or NULL */
	const struct pp_cidr *peers; /* n_peers, beside those of the cluster */
	size_t n_peers;
};

/* Upper bounds of the histogram of how long a limit took, ms. */
extern const unsigned int pp_agent_buckets_ms[];
#define PP_AGENT_N_BUCKETS 8

/* What the directions are called in metrics and in the log. */
extern const char *const pp_agent_dirs[PP_N_DIR];

struct pp_agent {
	struct pp_agent_options o;
	struct pp_loop *loop;
	struct pp_cgroupfs cgroupfs;
	struct pp_tree *tree;
	struct pp_kube *kube;
	struct pp_watch *watch;
	struct pp_cluster *cluster;
	struct pp_http *http;
	struct pp_source *apply_timer, *signals, *end_timer;
	int signal_fd;
	struct pp_pods pods;
	struct pp_datapath d;	/* as of the last pp_apply(), unlocked */
	bool loaded;		/* d is open */
	bool due;		/* pp_apply() comes at once */
	bool peers_due;		/* they have changed since the last pp_apply() */
	bool rests;		/* nothing has changed for a sweep: its memory is trimmed */
	bool ending;		/* a signal has come */
	char apply_error[240];	/* of the last pp_apply(); "" if it went well */
	struct pp_unmet unmet;	/* by the last pp_apply() */
	char watch_error[240];	/* since when the API is not heard; "" if it is */
	uint64_t tree_changed;	/* pp_now() */
	uint64_t applied;	/* times */
	uint64_t took[PP_AGENT_N_BUCKETS + 1], took_count, took_sum_ns;
};

/* Runs until SIGTERM or SIGINT. 0, or -errno with a message when it could not begin. */
int pp_agent_run(const struct pp_agent_options *o, struct pp_err *e);

/* --- src/agent/pages.c: what it says of itself */

extern const struct pp_page pp_agent_pages[];

/* --- src/agent/events.c */

/* Tells the users of a pod, with an event, what became of a limit that is not in force. */
void pp_agent_report(struct pp_agent *a, const struct pp_pod *pod, enum pp_dir dir);
