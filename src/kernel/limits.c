// SPDX-License-Identifier: Apache-2.0
// Limits in the kernel: a cgroup's slot and its pipes. Set, change, remove, list.
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <time.h>

#include "base/base.h"
#include "bpf/law.h"
#include "kernel/ledger.h"
#include "kernel/limits.h"
#include "kernel/matches.h"
#include "kernel/members.h"
#include "kernel/slots.h"

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

uint64_t pp_now(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

bool pp_pipe_idle(const struct pp_pipe *p, uint64_t now)
{
	uint64_t ago = now - p->last;

	return ago > PP_NSEC && ago > 8 * pp_law_epoch(p);
}

uint32_t pp_pipes_end(const struct pp_datapath *d)
{
	uint32_t end = d->state->pipes_end;

	return end < PP_MAX_PIPES ? end : PP_MAX_PIPES;
}

static void set_u64(__u64 *p, uint64_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static void pipe_free(struct pp_datapath *d, uint32_t k)
{
	struct pp_pipe *p = &d->pipes[k];
	struct pp_slot slot;
	uint64_t id = p->cgroup_id;

	pp_members_part(d, k);
	pp_member_leave(d, k);
	if (bpf_map_lookup_elem(d->slots_fd, &id, &slot) == 0 && pp_slot_forget(&slot, p->dir, k))
		pp_slot_write(d, id, &slot);
	set_u64(&p->rate, 0);
	pp_ledger_close(d, k);
}

/* One of many cgroups is there until its agent takes it away. */
static bool has_slot(const struct pp_datapath *d, uint32_t k)
{
	const struct pp_pipe *p = &d->pipes[k];
	struct pp_slot slot;

	if (!p->cgroup_id)
		return p->key != 0;
	if (bpf_map_lookup_elem(d->slots_fd, &p->cgroup_id, &slot))
		return false;
	return p->own ? slot.own[p->dir] == k : pp_slot_forget(&slot, p->dir, k);
}

void pp_pipe_remove(struct pp_datapath *d, uint32_t k)
{
	pipe_free(d, k);
}

void pp_limits_collect(struct pp_datapath *d)
{
	uint64_t now = pp_now();

	pp_ledgers_close(d);
	pp_slots_reconcile(d);
	for (uint32_t k = 1; k < pp_pipes_end(d); k++) {
		_cleanup_free_ char *path = NULL;

		if (!d->pipes[k].rate)
			continue;
		if (!has_slot(d, k) || (d->pipes[k].expires && now >= d->pipes[k].expires) ||
		    (d->pipes[k].cgroup_id &&
		     pp_cgroup_path(&d->cgroupfs, d->pipes[k].cgroup_id, &path) == -ESTALE))
			pipe_free(d, k);
	}
	pp_members_reconcile(d);
}

uint32_t pp_pipe_find_free(struct pp_datapath *d)
{
	for (uint32_t k = 1; k < PP_MAX_PIPES; k++)
		if (k >= pp_pipes_end(d) || !d->pipes[k].rate) {
			/* first the end: a pipe behind it would be seen by nobody */
			if (k >= pp_pipes_end(d))
				__atomic_store_n(&d->state->pipes_end, k + 1, __ATOMIC_SEQ_CST);
			pp_ledger_close(d, k);
			return k;
		}
	return 0;
}

void pp_pipe_configure(struct pp_pipe *p, uint64_t id, const struct pp_limit_ask *ask)
{
	uint64_t now = pp_now();

	if (!p->rate) {
		*p = (struct pp_pipe){
			.cgroup_id = id, .dir = ask->dir, .vt = now << 8, .last = now, .qmin = ~0ULL
		};
		p->since = clock_ns(CLOCK_REALTIME);
		p->grace = now + 500000000;
	}
	p->owner = ask->owner;
	/* what was an agent's is a person's now */
	p->key = 0;
	p->observe = 0;
	set_u64(&p->expires, ask->for_ns ? now + ask->for_ns : 0);
	set_u64(&p->rate, ask->rate);
}

void pp_pipe_configure_own(struct pp_datapath *d, uint32_t k, uint32_t of)
{
	const struct pp_pipe *p = &d->pipes[of];
	const struct pp_limit_ask ask = { .dir = p->dir, .rate = PP_NO_CEIL, .owner = p->owner };

	pp_pipe_configure(&d->pipes[k], p->cgroup_id, &ask);
	d->pipes[k].own = 1;
}

static int by_path(const void *a, const void *b)
{
	const struct pp_limit *x = a, *y = b;
	int r = strcmp(x->path ? x->path : "", y->path ? y->path : "");

	if (!r)
		r = strcmp(x->name ? x->name : "", y->name ? y->name : "");
	if (!r)
		r = (int)x->dir - (int)y->dir;
	return r ? r : strcmp(x->peer ? x->peer : "", y->peer ? y->peer : "");
}

/* Every limit there is, sorted by path and direction. */
struct list {
	struct pp_limit *limits;
	size_t n;
};

static void list_free(struct list *all)
{
	for (size_t i = 0; i < all->n; i++) {
		free(all->limits[i].path);
		free(all->limits[i].name);
		free(all->limits[i].peer);
	}
	free(all->limits);
}

static int list_read(const struct pp_datapath *d, struct list *all, struct pp_err *e)
{
	int r;

	all->limits = calloc(pp_pipes_end(d) + 1, sizeof(*all->limits));
	if (!all->limits)
		return -ENOMEM;
	for (uint32_t k = 1; k < pp_pipes_end(d); k++) {
		struct pp_limit *l = &all->limits[all->n];

		if (!d->pipes[k].rate || d->pipes[k].own || d->pipes[k].kind == PP_KIND_LEDGER)
			continue;
		*l = (struct pp_limit){ .pipe = k,
					.cgroup_id = d->pipes[k].cgroup_id,
					.dir = d->pipes[k].dir,
					.uplink = d->pipes[k].uplink };
		if (d->pipes[k].expires && pp_now() >= d->pipes[k].expires)
			continue; /* over, as it was to be */
		l->name = pp_name_of(d, d->pipes[k].key);
		if (d->pipes[k].kind != PP_KIND_LIMIT)
			l->peer = pp_match_name(d, d->pipes[k].of);
		r = l->cgroup_id ? pp_cgroup_path(&d->cgroupfs, l->cgroup_id, &l->path) : 0;
		if (r && r != -ESTALE && r != -ENOENT)
			return pp_err_set(
				e, r,
				"the cgroups of the limits cannot be found by their ids: %s; this needs "
				"CAP_DAC_READ_SEARCH",
				strerror(-r));
		all->n++;
	}
	qsort(all->limits, all->n, sizeof(*all->limits), by_path);
	return 0;
}

/* Limits of this direction on cgroups strictly above `path`. */
static size_t limits_above(const struct list *all, const char *path, enum pp_dir dir)
{
	size_t n = 0;

	for (size_t i = 0; i < all->n; i++) {
		const struct pp_limit *l = &all->limits[i];

		n += l->path && !l->uplink && !l->peer && l->dir == dir &&
		     strcmp(l->path, path) != 0 && pp_cgroup_below(l->path, path);
	}
	return n;
}

/*
 * A flow crosses at most PP_MAX_NESTED pipes, rules apart: count those above the new one, and above
 * each that is below it.
 */
static int check_depth(struct pp_datapath *d, const char *path, enum pp_dir dir, struct pp_err *e)
{
	_cleanup_(list_free) struct list all = { 0 };
	size_t worst = 1;
	int r = list_read(d, &all, e);

	if (r)
		return r;
	worst += limits_above(&all, path, dir);
	for (size_t i = 0; i < all.n; i++)
		if (all.limits[i].path && !all.limits[i].peer && all.limits[i].dir == dir &&
		    pp_cgroup_below(path, all.limits[i].path)) {
			size_t n = limits_above(&all, all.limits[i].path, dir) + 2;

			worst = n > worst ? n : worst;
		}
	if (worst <= PP_MAX_NESTED)
		return 0;
	return pp_err_set(
		e, -E2BIG,
		"cgroup %s: %zu limits would lie on the way of one connection; valid are at most %d",
		path, worst, PP_MAX_NESTED);
}

static int pipe_create(struct pp_datapath *d, const char *path, uint64_t id,
		       const struct pp_limit_ask *ask, struct pp_err *e)
{
	struct pp_slot slot = {};
	uint32_t k;
	int r = check_depth(d, path, ask->dir, e);

	if (r)
		return r;
	k = pp_pipe_find_free(d);
	if (!k)
		return pp_err_set(e, -ENOSPC, "cgroup %s: all %d limits of this host are in use",
				  path, PP_MAX_PIPES - 1);
	bpf_map_lookup_elem(d->slots_fd, &id, &slot);
	slot.pipe[ask->dir] = k;
	pp_pipe_configure(&d->pipes[k], id, ask);
	r = pp_slot_write(d, id, &slot);
	if (r) {
		set_u64(&d->pipes[k].rate, 0);
		return pp_err_set(e, r, "cgroup %s: %s", path,
				  r == -E2BIG ? "the map of limited cgroups is full (4096)"
					      : strerror(-r));
	}
	return 0;
}

int pp_limit_check(struct pp_datapath *d, const char *path, enum pp_dir dir, struct pp_err *e)
{
	_cleanup_close_ int fd = -1;
	struct pp_slot slot = {};
	uint64_t id;
	int r = pp_cgroup_open(&d->cgroupfs, path, &fd, &id, e);

	if (r)
		return r;
	pp_limits_collect(d);
	if (bpf_map_lookup_elem(d->slots_fd, &id, &slot) == 0 && slot.pipe[dir])
		return 0;
	return check_depth(d, path, dir, e);
}

static int depth(const char *path)
{
	int n = 0;

	for (; path[1] && (path = strchr(path, '/')); path++)
		n++;
	return n;
}

/* Its share, or none, of the limit above. */
static int set_share(struct pp_datapath *d, const char *path, uint64_t id,
		     const struct pp_limit_ask *ask, struct pp_err *e)
{
	struct pp_slot slot;
	uint32_t above;
	int r;

	if (bpf_map_lookup_elem(d->slots_fd, &id, &slot) || !slot.pipe[ask->dir])
		return 0; /* its cgroup went */
	if (!ask->weight) {
		pp_member_leave(d, slot.pipe[ask->dir]);
		return 0;
	}
	above = pp_member_above(d, id, ask->dir);
	r = above ? pp_member_set(d, slot.pipe[ask->dir], above, ask->weight, ask->guarantee)
		  : -ENOENT;
	if (r == -ENOSPC)
		return pp_err_set(e, r, "cgroup %s: all %d limits of this host are in use", path,
				  PP_MAX_PIPES - 1);
	return r ? pp_err_set(e, r, "cgroup %s: the limit above it is gone", path) : 0;
}

static const char *dir_name(enum pp_dir dir)
{
	return dir == PP_INGRESS ? "ingress" : "egress";
}

static int check_share(struct pp_datapath *d, const char *path, uint64_t id,
		       const struct pp_limit_ask *ask, struct pp_err *e)
{
	if (!ask->weight)
		return 0;
	if (ask->for_ns)
		return pp_err_set(
			e, -EINVAL,
			"cgroup %s: a share lasts as long as the limit that it is of; valid is --for with that "
			"one",
			path);
	if (pp_member_above(d, id, ask->dir))
		return 0;
	return pp_err_set(
		e, -EINVAL,
		"cgroup %s: a weight or a guarantee is a share of the limit above, and no cgroup above "
		"it has an %s limit; valid is: podpace limit PARENT --%s RATE, and this again",
		path, dir_name(ask->dir), dir_name(ask->dir));
}

int pp_limit_target(const struct pp_datapath *d, const char *path, uint64_t *ret_id,
		    struct pp_err *e)
{
	_cleanup_close_ int fd = -1;
	char why[160];
	int r = pp_cgroup_open(&d->cgroupfs, path, &fd, ret_id, e);

	if (r)
		return r;
	if (depth(path) >= PP_MAX_DEPTH)
		return pp_err_set(e, -EINVAL,
				  "cgroup %s: %d levels below the root; valid are at most %d", path,
				  depth(path), PP_MAX_DEPTH - 1);
	if (!pp_cgroup_below(d->root, path))
		return pp_err_set(e, -EINVAL,
				  "cgroup %s: not at or below %s, where podpace is attached", path,
				  d->root);
	r = pp_datapath_runs(d, fd, why, sizeof(why));
	if (r > 0)
		return 0;
	return pp_err_set(e, r ? r : -EIO,
			  "cgroup %s: %s; 'podpace unload' and set the limits again", path, why);
}

int pp_limit_set(struct pp_datapath *d, const char *path, const struct pp_limit_ask *ask,
		 struct pp_socket_count *ret_sockets, struct pp_err *e)
{
	struct pp_slot slot = {};
	uint64_t id;
	int r = pp_limit_target(d, path, &id, e);

	if (r)
		return r;
	pp_limits_collect(d);
	r = check_share(d, path, id, ask, e);
	if (r)
		return r;
	if (bpf_map_lookup_elem(d->slots_fd, &id, &slot) == 0 && slot.pipe[ask->dir])
		pp_pipe_configure(&d->pipes[slot.pipe[ask->dir]], id, ask);
	else
		r = pipe_create(d, path, id, ask, e);
	if (!r)
		r = set_share(d, path, id, ask, e);
	return r < 0 ? r : pp_sockets_sync(d, path, ret_sockets, e);
}

/* Those of one direction, also of rules. Whether there was any. */
static bool remove_all_of(struct pp_datapath *d, const struct pp_slot *s, int dir)
{
	if (s->pipe[dir])
		pipe_free(d, s->pipe[dir]);
	for (int i = 0; i < PP_SLOT_RULES && s->rule[dir][i].pipe; i++)
		pipe_free(d, s->rule[dir][i].pipe);
	return s->pipe[dir] || s->rule[dir][0].pipe;
}

int pp_limit_remove(struct pp_datapath *d, const char *path, unsigned int dirs,
		    struct pp_socket_count *ret_sockets, struct pp_err *e)
{
	bool any = false;
	_cleanup_close_ int fd = -1;
	struct pp_slot slot;
	uint64_t id;
	int r;

	r = pp_cgroup_open(&d->cgroupfs, path, &fd, &id, e);
	if (r)
		return r;
	if (bpf_map_lookup_elem(d->slots_fd, &id, &slot))
		slot = (struct pp_slot){};
	for (int dir = 0; dir < PP_N_DIR; dir++)
		if (dirs & 1u << dir)
			any |= remove_all_of(d, &slot, dir);
	if (!any)
		return pp_err_set(e, -ENOENT, "cgroup %s has no %slimit", path,
				  dirs == 1u << PP_INGRESS  ? "ingress "
				  : dirs == 1u << PP_EGRESS ? "egress "
							    : "");
	return pp_sockets_sync(d, path, ret_sockets, e);
}

int pp_limit_remove_all(struct pp_datapath *d, struct pp_socket_count *ret_sockets,
			struct pp_err *e)
{
	for (uint32_t k = 1; k < pp_pipes_end(d); k++)
		if (d->pipes[k].rate)
			pipe_free(d, k);
	/*
	 * sockets were paced below the root only; those of processes that moved out are where this
	 * process looks too
	 */
	return pp_sockets_sync(d, d->root, ret_sockets, e);
}

int pp_limit_each(const struct pp_datapath *d, int (*fn)(const struct pp_limit *l, void *arg),
		  void *arg, struct pp_err *e)
{
	_cleanup_(list_free) struct list all = { 0 };
	int r = list_read(d, &all, e);

	for (size_t i = 0; i < all.n && !r; i++)
		r = fn(&all.limits[i], arg);
	return r;
}

/* Pipe 0, which stands for none, limits nothing. */
static bool limits_now(const struct pp_pipe *p)
{
	return p->rate && (!p->expires || pp_now() < p->expires);
}

/* Whose pipe it is, it says itself; the programs have to run where they are attached. */
static int group_in_force(const struct pp_datapath *d, char *why, size_t size)
{
	_cleanup_close_ int fd = -1;
	uint64_t id;
	int r = pp_cgroup_open(&d->cgroupfs, d->root, &fd, &id, NULL);

	return r ? r : pp_datapath_runs(d, fd, why, size);
}

int pp_limit_in_force(const struct pp_datapath *d, const struct pp_limit *l, char *why, size_t size)
{
	const struct pp_pipe *p = &d->pipes[l->pipe];
	_cleanup_close_ int fd = -1;
	struct pp_slot slot;
	uint64_t id;
	int r;

	why[0] = '\0';
	if (!l->cgroup_id)
		return group_in_force(d, why, size);
	if (!l->path || pp_cgroup_open(&d->cgroupfs, l->path, &fd, &id, NULL)) {
		snprintf(why, size, "the cgroup is gone");
		return 0;
	}
	if (bpf_map_lookup_elem(d->slots_fd, &id, &slot) ||
	    !pp_slot_forget(&slot, l->dir, l->pipe)) {
		snprintf(why, size, "its slot is missing: set it again");
		return 0;
	}
	if (p->rate == PP_NO_CEIL && !limits_now(&d->pipes[p->parent])) {
		snprintf(why, size,
			 "the limit above, of which it had a share, is gone: set both again");
		return 0;
	}
	r = pp_datapath_runs(d, fd, why, size);
	if (r == 1 && p->fixed)
		snprintf(why, size, "%u older connections at a fixed share", p->fixed);
	return r;
}
