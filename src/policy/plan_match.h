// SPDX-License-Identifier: Apache-2.0
// Peers and ports of rules, as a plan has them.
#pragma once

#include "policy/object.h"

/* Pods, or a block of addresses. */
struct pp_plan_peer {
	const char *namespace;         /* whose pods; NULL: by namespaces */
	struct pp_selector namespaces; /* present if namespace is NULL and it is no block */
	struct pp_selector pods;       /* present unless it is a block */
	bool is_block;
	struct pp_cidr block;
	const struct pp_cidr *except; /* n_except, sorted; none is within another one */
	size_t n_except;
};

/* Rules that say the same, in whatever order, share one. */
struct pp_plan_match {
	size_t index;     /* in pp_plan.matches */
	const char *text; /* "pods app=db of a, 10.0.0.0/8 except 10.1.0.0/16, port TCP 5432" */
	const char *to;   /* text for people: cut where it is long */
	bool all;         /* any peer, also what is no pod: there are no peers */
	const struct pp_plan_peer *peers; /* n_peers, any of them, each once */
	size_t n_peers;
	const struct pp_port_spec *ports; /* n_ports, sorted, apart from each other; 0: all */
	size_t n_ports;
};
