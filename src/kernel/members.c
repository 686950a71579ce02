// SPDX-License-Identifier: Apache-2.0
// Limits that share another one: pipes in the tree of tree.h.
#include <bpf/bpf.h>
#include <libgen.h>

#include "base/base.h"
#include "bpf/tree.h"
#include "kernel/limits.h"
#include "kernel/members.h"
#include "kernel/slots.h"

static uint32_t slot_pipe(const struct pp_datapath *d, const char *path, enum pp_dir dir)
{
	_cleanup_close_ int fd = -1;
	struct pp_slot slot;
	uint64_t id;

	if (pp_cgroup_open(&d->cgroupfs, path, &fd, &id, NULL) ||
	    bpf_map_lookup_elem(d->slots_fd, &id, &slot))
		return 0;
	return slot.pipe[dir];
}

uint32_t pp_member_above(const struct pp_datapath *d, uint64_t cgroup_id, enum pp_dir dir)
{
	_cleanup_free_ char *path = NULL;
	uint32_t k = 0;
	char *slash;

	if (pp_cgroup_path(&d->cgroupfs, cgroup_id, &path))
		return 0;
	while (!k && path[1] && (slash = strrchr(path, '/'))) {
		slash[slash == path] = '\0';
		k = slot_pipe(d, path, dir);
	}
	return k;
}

static void set_u32(__u32 *p, uint32_t v)
{
	__atomic_store_n(p, v, __ATOMIC_SEQ_CST);
}

/* Flows or members: what is counted is another thing, and R of another unit. */
static void forget_state(struct pp_pipe *p)
{
	p->nbig = p->born = p->born_prev = p->young_big = p->left = 0;
	p->small_bytes = p->big_guarantees = p->reserved = p->told = 0;
	p->whole = p->least = p->lull = p->lull_now = 0;
	p->n16 = 0;
	p->C = 0;
	__atomic_store_n(&p->R, 0, __ATOMIC_SEQ_CST);
}

static void add_members(struct pp_pipe *p, int more)
{
	__atomic_fetch_add(&p->members, (uint32_t)more, __ATOMIC_SEQ_CST);
}

static uint32_t own_of(const struct pp_datapath *d, uint32_t k)
{
	const struct pp_pipe *p = &d->pipes[k];
	struct pp_slot slot;

	if (bpf_map_lookup_elem(d->slots_fd, &p->cgroup_id, &slot))
		return 0;
	return slot.own[p->dir];
}

static int set_own(struct pp_datapath *d, uint32_t k, uint32_t own)
{
	const struct pp_pipe *p = &d->pipes[k];
	struct pp_slot slot;

	if (bpf_map_lookup_elem(d->slots_fd, &p->cgroup_id, &slot))
		return -ENOENT;
	slot.own[p->dir] = own;
	return pp_slot_write(d, p->cgroup_id, &slot);
}

static void end_sharing(struct pp_datapath *d, uint32_t k)
{
	uint32_t own = own_of(d, k);

	set_u32(&d->pipes[k].members, 0);
	forget_state(&d->pipes[k]);
	if (!own)
		return;
	set_own(d, k, 0);
	d->pipes[own].parent = 0;
	__atomic_store_n(&d->pipes[own].rate, 0, __ATOMIC_SEQ_CST);
}

/* One of its members is gone. Of a cgroup's pipe the last is the cgroup's own. */
static void leave(struct pp_datapath *d, uint32_t parent)
{
	add_members(&d->pipes[parent], -1);
	if (d->pipes[parent].members <= (d->pipes[parent].cgroup_id ? 1 : 0))
		end_sharing(d, parent);
}

static void join(struct pp_datapath *d, uint32_t k, uint32_t parent, uint32_t weight,
		 uint64_t guarantee)
{
	struct pp_pipe *p = &d->pipes[k];
	uint32_t was = p->parent;

	set_u32(&p->weight, weight);
	__atomic_store_n(&p->guarantee, guarantee, __ATOMIC_SEQ_CST);
	if (was == parent)
		return;
	/* weights count there from now on, where flows did */
	if (!d->pipes[parent].members && !d->pipes[parent].cgroup_id)
		forget_state(&d->pipes[parent]);
	p->cap = 0;
	p->up_joined = p->up_big = p->up_weight = 0;
	p->up_used = 0;
	add_members(&d->pipes[parent], 1);
	/* from one to the other: there is no moment without */
	set_u32(&p->parent, parent);
	if (was)
		leave(d, was);
	pp_paths_changed(d);
}

/*
 * A pipe is to be shared: first what its cgroup sends itself finds its way through a pipe of its
 * own, then members count.
 */
static int begin_sharing(struct pp_datapath *d, uint32_t k)
{
	uint32_t own = pp_pipe_find_free(d);
	int r;

	if (!own)
		return -ENOSPC;
	pp_pipe_configure_own(d, own, k);
	r = set_own(d, k, own);
	if (r) {
		__atomic_store_n(&d->pipes[own].rate, 0, __ATOMIC_SEQ_CST);
		return r;
	}
	forget_state(&d->pipes[k]);
	join(d, own, k, PP_WEIGHT_DEFAULT, 0);
	return 0;
}

int pp_member_set(struct pp_datapath *d, uint32_t k, uint32_t parent, uint32_t weight,
		  uint64_t guarantee)
{
	int r = 0;

	if (d->pipes[parent].cgroup_id && !own_of(d, parent))
		r = begin_sharing(d, parent);
	if (!r)
		join(d, k, parent, weight, guarantee);
	return r;
}

void pp_member_leave(struct pp_datapath *d, uint32_t k)
{
	uint32_t parent = d->pipes[k].parent;

	if (!parent)
		return;
	set_u32(&d->pipes[k].parent, 0);
	d->pipes[k].cap = 0;
	d->pipes[k].weight = 0;
	d->pipes[k].guarantee = 0;
	leave(d, parent);
	pp_paths_changed(d);
}

void pp_members_part(struct pp_datapath *d, uint32_t k)
{
	uint32_t own = d->pipes[k].members ? own_of(d, k) : 0;

	if (!d->pipes[k].members)
		return;
	for (uint32_t i = 1; i < pp_pipes_end(d); i++)
		if (i != own && d->pipes[i].rate && d->pipes[i].parent == k)
			pp_member_leave(d, i);
	if (d->pipes[k].members)
		end_sharing(d, k);
}

/* Of n members of pipe k one is to be its cgroup's own, if there are others. */
static void reconcile_own(struct pp_datapath *d, uint32_t k, uint32_t n)
{
	uint32_t own = own_of(d, k);

	if (own && d->pipes[own].parent == k)
		n--;
	if (n && !own)
		begin_sharing(d, k);
	else if (n && d->pipes[own].parent != k)
		join(d, own, k, PP_WEIGHT_DEFAULT, 0);
	else if (!n && own)
		end_sharing(d, k);
}

void pp_members_reconcile(struct pp_datapath *d)
{
	uint32_t end = pp_pipes_end(d);
	_cleanup_free_ uint32_t *n = calloc(end + 1, sizeof(*n));

	if (!n)
		return;
	for (uint32_t k = 1; k < end; k++) {
		struct pp_pipe *p = &d->pipes[k];

		if (!p->rate || !p->parent)
			continue;
		if (p->parent < end && d->pipes[p->parent].rate)
			n[p->parent]++;
		else
			p->parent = p->cap = p->weight = p->guarantee = 0;
	}
	for (uint32_t k = 1; k < end; k++) {
		struct pp_pipe *p = &d->pipes[k];

		if (!p->rate)
			continue;
		if (p->members != n[k])
			set_u32(&p->members, n[k]);
		if (!p->own && p->cgroup_id)
			reconcile_own(d, k, n[k]);
	}
}
