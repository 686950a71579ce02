// SPDX-License-Identifier: Apache-2.0
// What the nodes say of podpace's objects, summed up: the status that each object ought to have.
// No I/O, no clock.
//
// For each node its entries are kept, 48 bytes each; texts of problems, which many nodes share, are
// kept once. A change is noted; pp_sums_count() goes over all entries, of all nodes: a quarter of a
// million (5000 nodes with 50 each) take some ms, at most once a second, and cannot drift.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/table.h"
#include "policy/object.h"

struct pp_sums_entry;
struct pp_sums_node;

/* Of the condition Ready, with what else podpace says of an object. Texts are owned. */
struct pp_sums_status {
	int64_t generation; /* observedGeneration */
	uint64_t pods, nodes;
	uint64_t peers; /* that its rules match; 0: none, and not in the object */
	char ready[8], reason[48];
	char *message;
};

struct pp_sums_object {
	struct pp_table_item item;
	char *key; /* KIND/[NAMESPACE]/NAME */
	enum pp_kind kind;
	char *namespace, *name; /* namespace "" for what is in none */
	char uid[40];
	int64_t generation;
	uint64_t since; /* when this generation was first seen */
	bool exists;    /* in the API; or nodes speak of it alone */
	bool held;      /* until its nodes have taken it up */
	bool tried;     /* `want` was written, and nothing is new since */
	size_t entries; /* that point here */
	struct pp_sums_status want, have;
	char transition[32]; /* lastTransitionTime of have */

	/* of the last count */
	uint64_t pods, peers;
	size_t nodes, bad, late;
	const struct pp_sums_node *bad_node, *late_node; /* first by name */
	const struct pp_sums_entry *bad_entry;
};

/* Zeroed, but for grace_ns, is empty. */
struct pp_sums {
	uint64_t grace_ns; /* for nodes to take up a new generation */
	struct pp_table objects, nodes, texts;
	size_t ready;     /* nodes */
	uint64_t look_at; /* when to count again, though nothing changes; 0: never */
};

/* A BandwidthNode, new or changed; one that is not understood says nothing. 0 or -ENOMEM. */
int pp_sums_put_node(struct pp_sums *s, const json_t *object);
void pp_sums_remove_node(struct pp_sums *s, const char *name);

/* An object with the status that it has. 0 or -ENOMEM. */
int pp_sums_put_object(struct pp_sums *s, enum pp_kind kind, const json_t *object, uint64_t now_ns);
void pp_sums_remove_object(struct pp_sums *s, enum pp_kind kind, const char *namespace,
			   const char *name);

/*
 * Says in each object's `want` what its status ought to be. A generation that not all of its nodes
 * have taken up, or none, keeps its status for grace_ns. 0 or -ENOMEM.
 */
int pp_sums_count(struct pp_sums *s, uint64_t now_ns);

/* One whose status ought to be another and has not been tried; or NULL. O(objects). */
struct pp_sums_object *pp_sums_due(const struct pp_sums *s);

struct pp_sums_object *pp_sums_find(const struct pp_sums *s, const char *key);

/*
 * A merge patch that gives it the status that it ought to have. now: "2026-11-24T09:30:00Z". NULL:
 * out of memory.
 */
char *pp_sums_patch(const struct pp_sums_object *o, const char *now);

void pp_sums_close(struct pp_sums *s);
