// SPDX-License-Identifier: Apache-2.0
// The addresses of a cluster as its objects have them: what its pods, services and nodes send from
// and are reached by. Pure.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cidr.h"
#include "base/table.h"

enum pp_peer_source {
	PP_PEER_NODES,	  /* v1 Node: spec.podCIDRs, and the InternalIPs of status.addresses */
	PP_PEER_SERVICES, /* networking.k8s.io/v1 ServiceCIDR: spec.cidrs */
	PP_N_PEER_SOURCE,
};

/* Zeroed is empty. Of an object nothing is kept but its name and its prefixes. */
struct pp_peers {
	struct pp_table table;
};

/*
 * Takes over an object of the API, new or changed. What is no prefix, as pp_cidr_parse() has it, is
 * left out. 1 if its prefixes have changed, 0 if not or if it has no name; -ENOMEM: those before it
 * stay.
 */
int pp_peers_put(struct pp_peers *p, enum pp_peer_source source, const json_t *object);

/* Forgets an object. Whether it had prefixes. */
bool pp_peers_remove(struct pp_peers *p, enum pp_peer_source source, const char *name);

/*
 * All prefixes, with `more` of n_more, sorted, each once. 0, or -ENOMEM; *ret is the caller's, NULL
 * if there is none.
 */
int pp_peers_list(const struct pp_peers *p, const struct pp_cidr *more, size_t n_more,
		  struct pp_cidr **ret, size_t *ret_n);

void pp_peers_free(struct pp_peers *p);
