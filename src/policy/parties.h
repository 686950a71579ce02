// SPDX-License-Identifier: Apache-2.0
// Who matches the rules of a plan: pods of the cluster and blocks of addresses, each in the group
// of all that match the same. Pure: the same input gives the same parties.
#pragma once

#include "policy/plan.h"

/* A pod of the cluster, as a peer of rules. One that has ended is none. */
struct pp_party_pod {
	const char *namespace;
	const struct pp_label *labels;
	size_t n_labels;
	uint64_t identity;		/* pp_identity_of() its uid; 0: none */
	const uint8_t (*addresses)[16]; /* n_addresses, IPv4 mapped */
	size_t n_addresses; /* 0 of one in its node's network: it is known by identity alone */
	const char *name;   /* for people */
};

/* An address, or a pod's identity. */
struct pp_party {
	/* an address, IPv4 mapped; or 8 bytes 0xff, then the identity as it stands in memory */
	uint8_t key[16];
	uint64_t identity; /* of the pod that has it; 0: it has none */
	uint32_t group;
};

struct pp_party_block {
	struct pp_cidr c;
	uint32_t group;
};

struct pp_parties {
	size_t n_words; /* of a group: (n_matches + 63) / 64 of the plan */
	size_t n_groups;
	uint64_t *bits; /* n_groups * n_words: bit i is pp_plan.matches[i]; group 0 has none */
	/*
	 * Sorted by key, each once. A pod's address has the bits of what selects the pod, and of
	 * the blocks that the address is in; its identity those of all of its addresses. A pod
	 * without any bit is not in it. Of two pods with one address the later has it.
	 */
	struct pp_party *parties;
	size_t n_parties;
	/*
	 * Sorted by address and length, each once: the longest that has an address in it says which
	 * blocks of matches do, for addresses that are no party's.
	 */
	struct pp_party_block *blocks;
	size_t n_blocks;
	size_t *n_matched; /* of each match: pods that it selects, and blocks; of "all" 0 */
	uint32_t *of_pod;  /* of each pod of the input: the group of its identity */
};

/*
 * Matches that are of all need no bits, and have none. A namespace that is not among namespaces has
 * no labels. 0 or -ENOMEM.
 */
int pp_parties_compile(const struct pp_plan *p, const struct pp_namespace *namespaces,
		       size_t n_namespaces, const struct pp_party_pod *pods, size_t n_pods,
		       struct pp_parties **ret);
void pp_parties_free(struct pp_parties *p);

/* Does a group have the bit of a match? */
static inline bool pp_parties_has(const struct pp_parties *p, uint32_t group, size_t match)
{
	return p->bits[group * p->n_words + match / 64] >> match % 64 & 1;
}

/* Pods that the API has to be asked for. */
struct pp_party_query {
	const char *namespace; /* NULL: of all */
	char *labels; /* as pp_selector_format() has them, not escaped for a URL; "": any */
};

/*
 * What finds all pods that some match selects, and as few others as are worth it; sorted. 0 or
 * -ENOMEM.
 */
int pp_parties_queries(const struct pp_plan *p, const struct pp_namespace *namespaces,
		       size_t n_namespaces, struct pp_party_query **ret, size_t *ret_n);
void pp_parties_queries_free(struct pp_party_query *q, size_t n);
