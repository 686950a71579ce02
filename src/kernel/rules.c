// SPDX-License-Identifier: Apache-2.0
// Limits towards some, set by hand.
#include <bpf/bpf.h>

#include "base/base.h"
#include "kernel/rules.h"
#include "kernel/slots.h"

/* So many may be for one peer: a path has room for them behind what is nested. */
#define MAX_FOR_ONE (PP_MAX_PATH - PP_MAX_NESTED)

/* The place of this match among a slot's rules, or of the first that is free; -1: there is none. */
static int place_of(const struct pp_slot *s, enum pp_dir dir, uint32_t match)
{
	for (int i = 0; i < PP_SLOT_RULES; i++)
		if (!s->rule[dir][i].pipe || s->rule[dir][i].match == match)
			return i;
	return -1;
}

static bool may_meet(const struct pp_match *a, const struct pp_match *b)
{
	if (a->kind != PP_MATCH_BLOCKS || b->kind != PP_MATCH_BLOCKS)
		return true;
	for (uint32_t i = 0; i < a->n_blocks; i++)
		for (uint32_t k = 0; k < b->n_blocks; k++) {
			const struct pp_block *x = &a->block[i], *y = &b->block[k];
			bool same = true;

			for (int w = 0; w < 2; w++)
				same &= ((x->addr[w] ^ y->addr[w]) & x->mask[w] & y->mask[w]) == 0;
			if (same && !x->except && !y->except)
				return true;
		}
	return false;
}

/* How many of a slot's rules may be for a peer of this match. */
static int count_meeting(const struct pp_datapath *d, const struct pp_slot *s, enum pp_dir dir,
			 const struct pp_match *m)
{
	struct pp_match other;
	int n = 0;

	for (int i = 0; i < PP_SLOT_RULES && s->rule[dir][i].pipe; i++)
		if (bpf_map_lookup_elem(d->matches_fd, &s->rule[dir][i].match, &other) == 0)
			n += may_meet(m, &other);
	return n;
}

static int create(struct pp_datapath *d, const char *path, uint64_t id, struct pp_slot *s,
		  int place, const struct pp_limit_ask *ask, uint32_t match, struct pp_err *e)
{
	uint32_t k = pp_pipe_find_free(d);
	int r;

	if (!k)
		return pp_err_set(e, -ENOSPC, "cgroup %s: all %d limits of this host are in use",
				  path, PP_MAX_PIPES - 1);
	pp_pipe_configure(&d->pipes[k], id, ask);
	d->pipes[k].kind = PP_KIND_RULE;
	d->pipes[k].of = match;
	s->rule[ask->dir][place] = (struct pp_slot_rule){ k, match };
	r = pp_slot_write(d, id, s);
	if (!r)
		return 0;
	__atomic_store_n(&d->pipes[k].rate, 0, __ATOMIC_SEQ_CST);
	return pp_err_set(e, r, "cgroup %s: %s", path,
			  r == -E2BIG ? "the map of limited cgroups is full (4096)" : strerror(-r));
}

static int check_room(const struct pp_datapath *d, const char *path, const struct pp_slot *s,
		      enum pp_dir dir, int place, const struct pp_match *m, struct pp_err *e)
{
	if (place < 0)
		return pp_err_set(e, -E2BIG, "cgroup %s: valid are at most %d peers in a direction",
				  path, PP_SLOT_RULES);
	if (!s->rule[dir][place].pipe && count_meeting(d, s, dir, m) >= MAX_FOR_ONE)
		return pp_err_set(e, -E2BIG,
				  "cgroup %s: more than %d of its limits would be for the same peer",
				  path, MAX_FOR_ONE);
	return 0;
}

int pp_rule_set(struct pp_datapath *d, const char *path, const struct pp_limit_ask *ask,
		const struct pp_match *m, const char *text, struct pp_socket_count *ret_sockets,
		struct pp_err *e)
{
	struct pp_slot slot = {};
	uint32_t match;
	uint64_t id;
	int r = pp_limit_target(d, path, &id, e), place;

	if (r)
		return r;
	pp_limits_collect(d);
	pp_matches_collect(d, false);
	r = pp_match_get(d, m, text, &match);
	if (r)
		return pp_err_set(e, r, "cgroup %s: %s", path,
				  r == -ENOSPC ? "all 1023 peers of this host are in use"
					       : strerror(-r));
	bpf_map_lookup_elem(d->slots_fd, &id, &slot);
	place = place_of(&slot, ask->dir, match);
	r = check_room(d, path, &slot, ask->dir, place, m, e);
	if (r)
		return r;
	if (slot.rule[ask->dir][place].pipe)
		pp_pipe_configure(&d->pipes[slot.rule[ask->dir][place].pipe], id, ask);
	else
		r = create(d, path, id, &slot, place, ask, match, e);
	return r ? r : pp_sockets_sync(d, path, ret_sockets, e);
}

int pp_rule_remove(struct pp_datapath *d, const char *path, enum pp_dir dir, const char *text,
		   struct pp_socket_count *ret_sockets, struct pp_err *e)
{
	_cleanup_close_ int fd = -1;
	struct pp_slot slot = {};
	uint32_t match = pp_match_find(d, text);
	uint64_t id;
	int r = pp_cgroup_open(&d->cgroupfs, path, &fd, &id, e), place = -1;

	if (r)
		return r;
	if (match && bpf_map_lookup_elem(d->slots_fd, &id, &slot) == 0)
		place = place_of(&slot, dir, match);
	if (place < 0 || !slot.rule[dir][place].pipe)
		return pp_err_set(e, -ENOENT, "cgroup %s has no %s limit %s %s", path,
				  dir == PP_INGRESS ? "ingress" : "egress",
				  dir == PP_INGRESS ? "from" : "to", text);
	pp_pipe_remove(d, slot.rule[dir][place].pipe);
	pp_matches_collect(d, false);
	return pp_sockets_sync(d, path, ret_sockets, e);
}
