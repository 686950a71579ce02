// SPDX-License-Identifier: Apache-2.0
// The daemon of a node: pods and objects in, limits out. One thread, one loop.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/apply.h"
#include "agent/cluster.h"
#include "agent/confdir.h"
#include "agent/groups.h"
#include "agent/http.h"
#include "agent/notify.h"
#include "agent/leader.h"
#include "agent/objects.h"
#include "agent/others.h"
#include "agent/pods.h"
#include "agent/report.h"
#include "kube/watch.h"
#include "policy/parties.h"

struct pp_agent_options {
	const char *root;	/* cgroup that the datapath is attached to */
	const char *config;	/* a folder of objects, of a host without Kubernetes; or NULL */
	const char *node;	/* name of this node in the API, or of the host */
	const char *kubeconfig; /* NULL: the pod's service account */
	const char *listen;	/* of the web pages: ADDRESS:PORT */
	const char *daemonset;	/* NAMESPACE/NAME: when it is deleted, so are the limits; or NULL */
	const struct pp_cidr *peers; /* n_peers, beside those of the cluster */
	size_t n_peers;
};

/* A pod may run so long without a cgroup before its limits are said not to be in force, ns. */
#define PP_AGENT_MISSING_NS 10000000000ull

/* Upper bounds of the histogram of how long a limit took, ms. */
extern const unsigned int pp_agent_buckets_ms[];
#define PP_AGENT_N_BUCKETS 8

/* What the directions are called in metrics and in the log. */
extern const char *const pp_agent_dirs[PP_N_DIR];

struct pp_agent {
	struct pp_agent_options o;
	struct pp_loop *loop;
	struct pp_cgroupfs cgroupfs;
	struct pp_sources *said;	/* of objects */
	struct pp_groups *groups;
	struct pp_confdir *confdir;	/* with a folder; without one these five: */
	struct pp_tree *tree;
	struct pp_kube *kube;
	struct pp_watch *watch;		/* of pods */
	struct pp_objects_watch *objects;
	struct pp_cluster *cluster;
	struct pp_others *others;	/* pods anywhere that rules name */
	struct pp_report *report;
	struct pp_leader *leader;
	struct pp_http *http;
	struct pp_notify *notify;	/* NULL: nobody wants to know */
	struct pp_source *apply_timer, *expiry_timer, *signals, *end_timer;
	int signal_fd;
	struct pp_pods pods;
	struct pp_plan *plan;		/* NULL: not all is known yet */
	struct pp_parties *parties;	/* who matches the plan's rules; NULL: likewise */
	struct pp_place *places;	/* n_places; subjects are the plan's */
	size_t n_places;
	struct pp_applied in_kernel;	/* of the plan */
	struct pp_datapath d;	/* as of the last pp_apply(), unlocked */
	bool loaded;		/* d is open */
	bool due;		/* pp_apply() comes at once */
	bool peers_due;		/* they have changed since the last pp_apply() */
	bool plan_due;		/* what it is made of has changed */
	bool parties_due;	/* and what these are made of */
	bool matched;		/* all pods that rules name were known once */
	uint64_t began;		/* pp_now() */
	bool half_known;	/* objects had faults already when it began */
	bool names_due;		/* and perhaps the cgroups that objects name */
	bool rests;		/* nothing has changed for a sweep: its memory is trimmed */
	bool ending;		/* a signal has come */
	char apply_error[240];	/* of the last pp_apply(); "" if it went well */
	struct pp_unmet unmet;	/* by the last pp_apply() */
	char watch_error[240];	/* since when the API is not heard; "" if it is */
	uint64_t tree_changed;	/* pp_now() */
	uint64_t objects_changed;
	uint64_t applied;	/* times */
	uint64_t compile_ns, apply_ns; /* what the last of each took */
	int64_t expires; /* when the first limit for a time is over, s since 1970; or 0 */
	uint64_t took[PP_AGENT_N_BUCKETS + 1], took_count, took_sum_ns;
};

/* Runs until SIGTERM or SIGINT. 0, or -errno with a message when it could not begin. */
int pp_agent_run(const struct pp_agent_options *o, struct pp_err *e);

/* --- src/agent/pages.c: what it says of itself */

extern const struct pp_page pp_agent_pages[];

/* --- src/agent/events.c */

/* An event on a pod: a warning, with a reason in CamelCase. */
void pp_agent_warn(struct pp_agent *a, const struct pp_pod *pod, const char *reason,
		   const char *note);

/* Tells the users of a pod, with an event, what became of a limit that is not in force. */
void pp_agent_report(struct pp_agent *a, const struct pp_pod *pod, enum pp_dir dir);

/* --- src/agent/status.c */

/* What became of each object on this node. 0 or -ENOMEM. */
int pp_agent_status(struct pp_agent *a);

/* What of a pod's own has no effect is told in an event, once. */
void pp_agent_remark(struct pp_agent *a);

/* --- src/agent/end.c */

/* Signals end the loop from now on, after what is to be done then. 0 or -errno. */
int pp_agent_open_end(struct pp_agent *a);
