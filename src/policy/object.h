// SPDX-License-Identifier: Apache-2.0
// The objects of podpace.io/v1alpha1, as docs/policy.md says: read from values, checked, kept.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cidr.h"
#include "base/err.h"
#include "policy/selector.h"
#include "policy/value.h"

enum pp_kind { PP_CLASS, PP_POLICY, PP_CLUSTER_POLICY, PP_N_KINDS };

enum pp_way { PP_WAY_EGRESS, PP_WAY_INGRESS, PP_N_WAYS };

/*
 * What each pod, or all of them together, or each namespace, has of a limit; on each node. Of rules
 * alone: each pod with each of its peers.
 */
enum pp_per {
	PP_PER_NONE,
	PP_PER_POD,
	PP_PER_POLICY,
	PP_PER_NAMESPACE,
	PP_PER_NODE,
	PP_PER_PAIR
};

/* Rates are bytes/s; 0 stands for what is not said. */
struct pp_share_spec {
	uint64_t ceil, guarantee;
	uint32_t weight;
	unsigned int line; /* 0: none of these is said of this direction */
};

#define PP_MAX_RULES 16	  /* of an object and direction */
#define PP_MAX_PEERS 20	  /* of a rule */
#define PP_MAX_EXCEPTS 50 /* of a block */
#define PP_MAX_PORTS 16	  /* of a rule */

/* Pods by namespace and labels, or a block of addresses. */
struct pp_peer_spec {
	struct pp_peer_spec *next;
	struct pp_selector namespaces; /* absent: pods are those of the policy's own */
	struct pp_selector pods;       /* absent: all of the namespaces */
	bool is_block;
	struct pp_cidr block;
	size_t n_except;
	struct pp_cidr *except; /* strictly within the block */
};

/* Destination ports of packets. */
struct pp_port_spec {
	uint8_t protocol;     /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP */
	uint16_t first, last; /* 1 and 65535 for all */
};

/* A limit of what goes to (egress) or comes from (ingress) some peers. */
struct pp_rule_spec {
	struct pp_rule_spec *next; /* in the order of the text */
	const char *name;          /* a DNS label, each once in a direction */
	unsigned int line;
	struct pp_peer_spec *peers; /* NULL: everything */
	size_t n_ports;             /* 0: all protocols and ports */
	struct pp_port_spec ports[PP_MAX_PORTS];
	uint64_t ceil; /* bytes/s */
	enum pp_per per;
};

struct pp_object {
	enum pp_kind kind;
	const char *name, *namespace; /* namespace of a PP_POLICY only */
	const char *file;
	unsigned int line;
	int64_t generation; /* metadata.generation, which the API counts; 0: it is not said */
	struct pp_object *next;
	bool valid; /* nothing was wrong with it */
	bool observe; /* its limits are measured against, and not enforced */
	enum pp_per per;
	struct pp_share_spec share[PP_N_WAYS];
	struct pp_rule_spec *rules[PP_N_WAYS]; /* beside the shares; NULL: none */
	const char *class;              /* that a policy gives; NULL: it has shares of its own */
	bool is_default;                /* of a class */
	struct pp_selector namespaces;  /* that may use a class, or that are a tenant */
	struct pp_selector pods;        /* that a policy is for; a tenant's, of `namespaces` */
	struct pp_selector nodes;       /* whose uplinks are limited */
	const struct pp_value *cgroups; /* a list of paths; NULL: it is not for cgroups */
};

/* Called for each thing that is wrong; the line is complete. */
typedef void (*pp_fault_fn)(const char *line, void *arg);

/* Every object of some files. Values and files outlive it. */
struct pp_objects {
	struct pp_object *first, **last;
	struct pp_requirement *requirements; /* all, to be freed */
	size_t n, invalid;
};

#define PP_OBJECTS_INIT(o) ((struct pp_objects){ .last = &(o).first })

/*
 * Adds the objects of a file, also those with faults, which are said to fn in the order of the
 * file. Items of a List are objects; pods, namespaces and nodes are left to others. An object that
 * stands in another file too is a fault of the later one. 0, or -ENOMEM.
 */
int pp_objects_add(struct pp_objects *o, const struct pp_values *v, pp_fault_fn fn, void *arg);
void pp_objects_free(struct pp_objects *o);

const char *pp_kind_name(enum pp_kind kind);
