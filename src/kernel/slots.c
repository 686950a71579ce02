// SPDX-License-Identifier: Apache-2.0
// The map of cgroups that the datapath knows.
#include <bpf/bpf.h>

#include "base/base.h"
#include "kernel/slots.h"

void pp_paths_changed(struct pp_datapath *d)
{
	__atomic_fetch_add(&d->state->gen, 1, __ATOMIC_SEQ_CST);
}

static bool has_pipe_in(const struct pp_slot *s, int dir)
{
	return s->pipe[dir] || s->uplink[dir] || s->cap[dir][0] || s->rule[dir][0].pipe;
}

static bool has_pipe(const struct pp_slot *s)
{
	return has_pipe_in(s, PP_EGRESS) || has_pipe_in(s, PP_INGRESS);
}

static bool slot_empty(const struct pp_slot *s)
{
	return !has_pipe(s) && !s->identity;
}

/*
 * A direction has `more` slots with limits or, with -1, one less; and with rules, if the slot has
 * some in one and none in the other.
 */
static void count_limits(struct pp_datapath *d, int dir, const struct pp_slot *with,
			 const struct pp_slot *without, int more)
{
	if (has_pipe_in(with, dir) && !has_pipe_in(without, dir))
		__atomic_fetch_add(&d->state->nlimits[dir], (__u32)more, __ATOMIC_SEQ_CST);
	if (with->rule[dir][0].pipe && !without->rule[dir][0].pipe)
		__atomic_fetch_add(&d->state->nrules[dir], (__u32)more, __ATOMIC_SEQ_CST);
}

static void close_gap(struct pp_slot *s, uint32_t dir, int i)
{
	memmove(&s->rule[dir][i], &s->rule[dir][i + 1],
		(size_t)(PP_SLOT_RULES - 1 - i) * sizeof(s->rule[dir][0]));
	s->rule[dir][PP_SLOT_RULES - 1] = (struct pp_slot_rule){};
}

bool pp_slot_forget(struct pp_slot *s, uint32_t dir, uint32_t k)
{
	bool was = s->pipe[dir] == k || s->uplink[dir] == k;

	if (s->pipe[dir] == k)
		s->pipe[dir] = 0;
	if (s->uplink[dir] == k)
		s->uplink[dir] = 0;
	for (int i = 0; i < PP_MAX_CAPS; i++)
		if (s->cap[dir][i] == k) {
			memmove(&s->cap[dir][i], &s->cap[dir][i + 1],
				(PP_MAX_CAPS - 1 - i) * sizeof(s->cap[dir][0]));
			s->cap[dir][PP_MAX_CAPS - 1] = 0;
			was = true;
		}
	for (int i = PP_SLOT_RULES - 1; i >= 0; i--)
		if (s->rule[dir][i].pipe == k) {
			close_gap(s, dir, i);
			was = true;
		}
	return was;
}

/* Removes one slot that has an identity alone. Whether there was one. */
static bool make_room(struct pp_datapath *d)
{
	struct pp_slot slot;
	uint64_t id, next;
	bool more = bpf_map_get_next_key(d->slots_fd, NULL, &next) == 0;

	while (more) {
		id = next;
		if (bpf_map_lookup_elem(d->slots_fd, &id, &slot) == 0 && !has_pipe(&slot))
			return bpf_map_delete_elem(d->slots_fd, &id) == 0;
		more = bpf_map_get_next_key(d->slots_fd, &id, &next) == 0;
	}
	return false;
}

/* The programs look up ancestors at these levels only: never less than those of the slots. */
static void note_level(struct pp_datapath *d, uint64_t id)
{
	int level = d->state->levels == ~0U ? -1 : pp_cgroup_level(&d->cgroupfs, id);
	uint32_t bit = level < 0 ? ~0U : level < PP_MAX_DEPTH ? 1U << level : 0;

	if ((d->state->levels & bit) != bit)
		__atomic_fetch_or(&d->state->levels, bit, __ATOMIC_SEQ_CST);
}

/* Limits come before identities. */
static int store(struct pp_datapath *d, uint64_t id, const struct pp_slot *s)
{
	int r = bpf_map_update_elem(d->slots_fd, &id, s, BPF_ANY) ? -errno : 0;

	if (r == -E2BIG && has_pipe(s) && make_room(d))
		r = bpf_map_update_elem(d->slots_fd, &id, s, BPF_ANY) ? -errno : 0;
	return r;
}

int pp_slot_write(struct pp_datapath *d, uint64_t id, const struct pp_slot *s)
{
	struct pp_slot old = {};
	bool was = bpf_map_lookup_elem(d->slots_fd, &id, &old) == 0;
	int r = 0;

	/*
	 * The programs pass everything while a direction has no limit: nlimits is never less than
	 * their number, wherever the command is killed
	 */
	for (int dir = 0; dir < PP_N_DIR; dir++)
		count_limits(d, dir, s, &old, 1);
	if (!slot_empty(s)) {
		note_level(d, id);
		r = store(d, id, s);
	} else if (was && bpf_map_delete_elem(d->slots_fd, &id))
		r = -ENOENT; /* its cgroup went this moment, and has counted it */
	for (int dir = 0; dir < PP_N_DIR; dir++) {
		if (r)
			count_limits(d, dir, s, &old, -1);
		else
			count_limits(d, dir, &old, s, -1);
	}
	pp_paths_changed(d);
	return slot_empty(s) ? 0 : r;
}

/* Takes a pipe out that is not the cgroup's, nor one of many. Whether it did. */
static bool check_pipe(const struct pp_datapath *d, uint64_t id, __u32 *k)
{
	const struct pp_pipe *p = &d->pipes[*k % PP_MAX_PIPES];

	if (!*k || (p->rate && (p->cgroup_id == id || (!p->cgroup_id && p->key))))
		return false;
	*k = 0;
	return true;
}

/* Slots by what they have. */
struct counts {
	uint32_t limits[PP_N_DIR], rules[PP_N_DIR];
};

/* Takes out of a slot what is no pipe of its cgroup, and counts what is. Whether it took any. */
static bool check(const struct pp_datapath *d, uint64_t id, struct pp_slot *s, struct counts *n)
{
	bool changed = false;

	for (int dir = 0; dir < PP_N_DIR; dir++) {

		if (s->own[dir] && (!s->pipe[dir] || !d->pipes[s->own[dir] % PP_MAX_PIPES].own)) {
			s->own[dir] = 0;
			changed = true;
		}
		changed |= check_pipe(d, id, &s->pipe[dir]);
		changed |= check_pipe(d, id, &s->uplink[dir]);
		for (int i = 0; i < PP_MAX_CAPS; i++)
			changed |= check_pipe(d, id, &s->cap[dir][i]);
		if (!s->cap[dir][0] && s->cap[dir][1]) {
			s->cap[dir][0] = s->cap[dir][1];
			s->cap[dir][1] = 0;
		}
		for (int i = PP_SLOT_RULES - 1; i >= 0; i--)
			if (check_pipe(d, id, &s->rule[dir][i].pipe)) {
				close_gap(s, dir, i);
				changed = true;
			}
		n->limits[dir] += has_pipe_in(s, dir);
		n->rules[dir] += s->rule[dir][0].pipe > 0;
	}
	return changed;
}

void pp_slots_reconcile(struct pp_datapath *d)
{
	uint64_t id = 0, next;
	struct counts n = {};
	bool more = bpf_map_get_next_key(d->slots_fd, NULL, &next) == 0, changed = false;

	while (more) {
		struct pp_slot slot = {};

		id = next;
		more = bpf_map_get_next_key(d->slots_fd, &id, &next) == 0;
		if (bpf_map_lookup_elem(d->slots_fd, &id, &slot))
			continue;
		if (check(d, id, &slot, &n)) {
			bpf_map_update_elem(d->slots_fd, &id, &slot, BPF_EXIST);
			changed = true;
		}
		if (slot_empty(&slot))
			bpf_map_delete_elem(d->slots_fd, &id);
	}
	for (int dir = 0; dir < PP_N_DIR; dir++) {
		changed |= __atomic_exchange_n(&d->state->nlimits[dir], n.limits[dir],
					       __ATOMIC_SEQ_CST) != n.limits[dir];
		changed |= __atomic_exchange_n(&d->state->nrules[dir], n.rules[dir],
					       __ATOMIC_SEQ_CST) != n.rules[dir];
	}
	if (changed)
		pp_paths_changed(d);
	__atomic_store_n(&d->state->counting, 0, __ATOMIC_SEQ_CST);
}
