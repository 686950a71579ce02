// SPDX-License-Identifier: Apache-2.0
// What this node says of podpace's objects: the status of its BandwidthNode, which has the node's
// name and, by its owner, the node's life.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kube/client.h"
#include "policy/object.h"

#define PP_API_PATH "/apis/podpace.io/v1alpha1"

/* Entries of one report; deploy/base/crds.yaml has the same. */
#define PP_REPORT_MAX 2000

/* What became of an object on this node. */
struct pp_report_object {
	enum pp_kind kind;
	const char *namespace, *name; /* namespace NULL: it is in none */
	int64_t generation;           /* that this is about */
	size_t pods, enforced; /* that it applies to; of these, where all of it is in force */
	const char *problem;   /* one line; NULL: none */
	/*
	 * What kind of problem, a word in CamelCase: Invalid, ChoiceNotAllowed, NoEffect,
	 * PeersUnknown. NULL is NotEnforced
	 */
	const char *reason;
	bool applies; /* also without pods: to the node's uplink, or to cgroups */
	size_t peers; /* that its rules match, in the cluster; 0 for what has none */
};

struct pp_report_times {
	uint64_t every_ns;   /* between two writes, at least */
	uint64_t spread_ns;  /* and up to so much more: what concerns all nodes changes at once */
	uint64_t retry_ns;   /* after a failure, doubled up to slow_ns */
	uint64_t slow_ns;    /* when it is not allowed, or the API has no BandwidthNodes */
	uint64_t refresh_ns; /* is it still there? and up to as much more */
};

extern const struct pp_report_times pp_report_times_default;

struct pp_report;

/*
 * node: its name. version: of the agent. times: NULL for the default. What fails is logged once,
 * and tried again. 0 or -errno.
 */
int pp_report_new(struct pp_kube *k, const char *node, const char *version,
		  const struct pp_report_times *times, struct pp_report **ret);

/* To be freed before the client. The report stays as it was last written. */
void pp_report_free(struct pp_report *r);

/*
 * What is to be written, in place of what was; copied. At once the first time, and later only if it
 * is another. Objects that neither apply here nor have a problem are left out; of more than
 * PP_REPORT_MAX those with problems come first. ready: limits are applied; why (NULL or one line)
 * they are not. 0, or -ENOMEM and nothing has changed.
 */
int pp_report_set(struct pp_report *r, const struct pp_report_object *objects, size_t n, bool ready,
		  const char *why);

/* Why the last write failed; "" if it did not. */
const char *pp_report_why(const struct pp_report *r);
