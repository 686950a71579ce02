// SPDX-License-Identifier: Apache-2.0
// The pods of this node as the API has them, what limits they have, and what has become of it.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/tree.h"
#include "bpf/abi.h"
#include "policy/object.h"
#include "policy/timed.h"

enum pp_pod_state {
	PP_POD_FREE,	 /* nothing limits it */
	PP_POD_WAITING,	 /* its cgroup is not there yet */
	PP_POD_IN_FORCE, /* limited as it is to be */
	PP_POD_FAILED,	 /* the limit is not in force: `why` */
	PP_POD_INVALID,	 /* what it asks for is not valid: `why` */
	PP_N_POD_STATE,
};

/* What a pod has in one direction. */
struct pp_pod_limit {
	char *text;    /* the annotation as written; NULL: none */
	char *invalid; /* what is wrong with it; NULL: nothing */
	char *valid;   /* the last annotation that was valid; NULL: there was none */
	/* the same of podpace's own annotation (policy/timed.h) */
	char *own_text, *own_invalid;
	struct pp_timed own;
	bool wanted;   /* something limits it: by the last plan */
	uint64_t asked; /* when that last changed, pp_now() */
	enum pp_pod_state state;
	uint32_t pipe, uplink; /* its own, where it is in force; 0: none */
	char why[240];
	uint64_t granted; /* when the last apply has set it, pp_now(); 0: it was so */
	bool reported; /* an event has told of this state */
};

struct pp_pod {
	char *ns, *name, *uid;
	/*
	 * pp_identity_of() the uid, the API's also of a static pod: that is how others find the
	 * pod.
	 */
	uint64_t identity;
	char *hash; /* of a static pod's mirror: what its cgroup is called by; or NULL */
	bool running; /* it should have a cgroup */
	bool over;    /* it has ended: it needs no limit */
	bool placed;  /* its cgroup was found */
	bool in_node_network; /* it has no address of its own */
	char remark[200]; /* what of its own has no effect, as it was told */
	uint64_t missing; /* since when it has none, pp_now(); 0: it has one, or need not */
	struct pp_label *labels; /* n_labels, sorted by key */
	size_t n_labels;
	char *class;		/* its annotation; or NULL */
	struct pp_local *addresses; /* n_addresses */
	size_t n_addresses;
	struct pp_pod_limit limit[PP_N_DIR];
};

struct pp_pods {
	struct pp_pod **pods; /* in no order; each stays where it is while it lives */
	size_t n, room;
};

/* The annotation of each direction. */
extern const char *const pp_pod_annotation[PP_N_DIR];

/*
 * Takes over an object of the API, new or changed. What has not changed keeps its state. Returns
 * the pod; NULL without memory, or if it is no pod.
 */
struct pp_pod *pp_pods_put(struct pp_pods *p, const json_t *object, uint64_t now);

/* Takes over the labels of an object's metadata, and returns how many; *ret is to be freed. */
size_t pp_labels_read(const json_t *metadata, struct pp_label **ret);
bool pp_labels_equal(const struct pp_label *a, size_t n, const struct pp_label *b, size_t m);
void pp_labels_free(struct pp_label *l, size_t n);

/* An address as the datapath knows it. Whether it is one. */
bool pp_local_parse(const char *text, struct pp_local *ret);

/* Forgets the pod, unless another with its name has taken its place. */
void pp_pods_remove(struct pp_pods *p, const char *ns, const char *name, const char *uid);

/* The pod that a cgroup belongs to: by its uid, or its config hash; or NULL. */
struct pp_pod *pp_pods_find(const struct pp_pods *p, const char *uid);

void pp_pods_free(struct pp_pods *p);

/* Changes the state; a new one, or a new reason, is still to be reported. why: "" for none. */
void pp_pod_set_state(struct pp_pod_limit *l, enum pp_pod_state state, const char *why);

/* What its own annotation limits it to at this time, seconds since 1970; 0: nothing. */
uint64_t pp_pod_limit_own(const struct pp_pod_limit *l, int64_t now);

const char *pp_pod_state_name(enum pp_pod_state state);
