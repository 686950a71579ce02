// SPDX-License-Identifier: Apache-2.0
// The kernel is the database: each time what is in force is read from it, never remembered.
#include "agent/apply.h"
#include "base/base.h"
#include "kernel/identities.h"
#include "kernel/prefixes.h"

/* What an annotation asks of a cgroup. rate 0: it is not valid, what is there stays. */
struct wish {
	const char *path; /* the tree's */
	struct pp_pod_limit *limit;
	enum pp_dir dir;
	bool met;
};

struct wishes {
	struct wish *w;
	size_t n;
	struct pp_identity *identities; /* of all pods that have a cgroup, limited or not */
	size_t n_identities;
};

/* Limits of the agent to be removed; owns the paths. */
struct stale {
	char **path;
	enum pp_dir *dir;
	size_t n;
};

static void wishes_free(struct wishes *all)
{
	free(all->w);
	free(all->identities);
}

static void stale_free(struct stale *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->path[i]);
	free(s->path);
	free(s->dir);
}

static int by_path(const void *a, const void *b)
{
	const struct wish *x = a, *y = b;
	int r = strcmp(x->path, y->path);

	return r ? r : (int)x->dir - (int)y->dir;
}

/* What the pods ask for and who they are, joined with their cgroups. */
static int collect(const struct pp_pods *pods, const struct pp_tree *tree, struct wishes *all)
{
	size_t n;
	const struct pp_tree_pod *cgroups = pp_tree_pods(tree, &n);

	all->w = calloc(n * PP_N_DIR + 1, sizeof(*all->w));
	all->identities = calloc(n + 1, sizeof(*all->identities));
	if (!all->w || !all->identities)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct pp_pod *pod = pp_pods_find(pods, cgroups[i].uid);

		if (pod && pod->identity)
			all->identities[all->n_identities++] =
				(struct pp_identity){ cgroups[i].id, pod->identity };
		for (int dir = 0; pod && dir < PP_N_DIR; dir++)
			if (pod->limit[dir].text)
				all->w[all->n++] = (struct wish){ cgroups[i].path, &pod->limit[dir],
								  dir, false };
	}
	qsort(all->w, all->n, sizeof(*all->w), by_path);
	return 0;
}

/* What an annotation has come to. */
static void settle(struct pp_pod_limit *l, enum pp_pod_state state, const char *why)
{
	l->settled = true;
	if (l->invalid)
		pp_pod_set_state(l, PP_POD_INVALID, l->invalid);
	else
		pp_pod_set_state(l, state, why);
}

/*
 * No cgroup was found for it: it does not run yet, or has just ended; but when it stays so, its
 * limits are not in force.
 */
static void settle_missing(struct pp_pod *pod)
{
	uint64_t now = pp_now();
	bool late;

	if (!pod->running)
		pod->missing = 0;
	else if (!pod->missing)
		pod->missing = now;
	late = pod->missing && now - pod->missing > PP_APPLY_MISSING_NS;
	for (int dir = 0; dir < PP_N_DIR; dir++)
		if (pod->limit[dir].text && late)
			settle(&pod->limit[dir], PP_POD_FAILED,
			       "the pod runs, but its cgroup was not found");
		else if (pod->limit[dir].text)
			settle(&pod->limit[dir], PP_POD_WAITING, "");
}

/* Those that ask for something and were not come to: they have no cgroup. */
static void settle_rest(const struct pp_pods *pods)
{
	for (size_t i = 0; i < pods->n; i++) {
		struct pp_pod *pod = pods->pods[i];
		bool asks = false, settled = false;

		for (int dir = 0; dir < PP_N_DIR; dir++) {
			asks |= pod->limit[dir].text != NULL;
			settled |= pod->limit[dir].settled;
		}
		if (asks && !settled)
			settle_missing(pod);
		else
			pod->missing = 0;
	}
}

struct compare {
	const struct pp_datapath *d;
	struct wishes *wishes;
	struct stale *stale;
	bool thorough;
};

static int keep_stale(struct stale *s, const char *path, enum pp_dir dir)
{
	char **more = reallocarray(s->path, s->n + 1, sizeof(char *));
	enum pp_dir *dirs;

	if (!more)
		return -ENOMEM;
	s->path = more;
	dirs = reallocarray(s->dir, s->n + 1, sizeof(*dirs));
	if (!dirs)
		return -ENOMEM;
	s->dir = dirs;
	s->dir[s->n] = dir;
	s->path[s->n] = strdup(path);
	return s->path[s->n++] ? 0 : -ENOMEM;
}

/* One limit that is in the kernel: wished for, or stale, or somebody else's. */
static int compare_one(const struct pp_limit *l, void *arg)
{
	struct compare *c = arg;
	const struct pp_pipe *p = &c->d->pipes[l->pipe];
	struct wish key = { .path = l->path, .dir = l->dir }, *w;
	char why[160];

	if (!l->path)
		return 0;
	w = bsearch(&key, c->wishes->w, c->wishes->n, sizeof(key), by_path);
	if (!w)
		return p->owner == PP_OWNER_AGENT ? keep_stale(c->stale, l->path, l->dir) : 0;
	if (p->owner != PP_OWNER_AGENT) {
		w->met = true;
		settle(w->limit, PP_POD_FAILED,
		       "a limit that was set by hand on the pod's cgroup stands in its place; "
		       "'podpace unlimit' makes room");
		return 0;
	}
	if (w->limit->rate && p->rate != w->limit->rate)
		return 0;
	if (w->limit->rate && c->thorough && pp_limit_in_force(c->d, l, why, sizeof(why)) != 1)
		return 0;
	w->met = true;
	w->limit->pipe = l->pipe;
	settle(w->limit, PP_POD_IN_FORCE, "");
	return 0;
}

static void grant(struct pp_datapath *d, struct wish *w)
{
	struct pp_socket_count sockets = {};
	struct pp_err e = { "" };
	struct pp_limit_ask ask;
	int r;

	if (!w->limit->rate) {
		settle(w->limit, PP_POD_INVALID, "");
		return;
	}
	ask = (struct pp_limit_ask){ .dir = w->dir,
				     .rate = w->limit->rate,
				     .owner = PP_OWNER_AGENT };
	r = pp_limit_set(d, w->path, &ask, &sockets, &e);
	if (!r) {
		w->limit->granted = pp_now();
		settle(w->limit, PP_POD_IN_FORCE, "");
	} else if (r == -ENOENT) { /* the pod is ending */
		settle(w->limit, PP_POD_WAITING, "");
	} else {
		settle(w->limit, PP_POD_FAILED, e.msg[0] ? e.msg : strerror(-r));
	}
}

/* Where each limit that was just set is. */
static int note_pipe(const struct pp_limit *l, void *arg)
{
	struct wishes *all = arg;
	struct wish key = { .path = l->path, .dir = l->dir }, *w;

	if (!l->path)
		return 0;
	w = bsearch(&key, all->w, all->n, sizeof(key), by_path);
	if (w && w->limit->state == PP_POD_IN_FORCE)
		w->limit->pipe = l->pipe;
	return 0;
}

static void begin(const struct pp_pods *pods)
{
	for (size_t i = 0; i < pods->n; i++)
		for (int dir = 0; dir < PP_N_DIR; dir++) {
			pods->pods[i]->limit[dir].pipe = 0;
			pods->pods[i]->limit[dir].settled = false;
		}
}

/*
 * A datapath that was loaded anew has none, and what others did is found by a thorough apply: else
 * thousands need not be read each time.
 */
static void apply_peers(struct pp_datapath *d, const struct pp_wanted *w, struct pp_unmet *unmet)
{
	struct pp_err e = { "" };
	int r = 0;

	if (!w->peers_changed && !w->thorough && d->state->nprefixes >= w->n_peers)
		return;
	unmet->peers[0] = '\0';
	r = pp_prefixes_set(d, w->peers, w->n_peers, PP_OWNER_AGENT, w->peers_complete, &e);
	if (r > 0)
		r = pp_prefixes_sync(d, &e);
	if (r < 0)
		snprintf(unmet->peers, sizeof(unmet->peers), "%s", e.msg[0] ? e.msg : strerror(-r));
}

static int apply_limits(struct pp_datapath *d, const struct pp_wanted *w, struct wishes *wishes,
			struct pp_err *e)
{
	_cleanup_(stale_free) struct stale stale = {};
	struct compare c = { d, wishes, &stale, w->thorough };
	struct pp_socket_count sockets;
	bool granted = false;
	int r = pp_limit_each(d, compare_one, &c, e);

	/* one that cannot be removed is stale the next time too */
	for (size_t i = 0; !r && w->complete && i < stale.n; i++)
		pp_limit_remove(d, stale.path[i], 1u << stale.dir[i], &sockets, NULL);
	for (size_t i = 0; !r && i < wishes->n; i++) {
		if (wishes->w[i].met)
			continue;
		grant(d, &wishes->w[i]);
		granted = true;
	}
	if (!r && granted)
		r = pp_limit_each(d, note_pipe, wishes, e);
	return r;
}

int pp_apply(const char *root, const struct pp_wanted *w, struct pp_datapath *d,
	     struct pp_unmet *ret, struct pp_err *e)
{
	_cleanup_(pp_datapath_close) struct pp_datapath new = PP_DATAPATH_INIT;
	_cleanup_(wishes_free) struct wishes wishes = {};
	int r = pp_datapath_open(root, PP_LOAD, &new, e);

	if (!r)
		r = collect(w->pods, w->tree, &wishes);
	if (r)
		return r;
	begin(w->pods);
	apply_peers(&new, w, ret);
	r = apply_limits(&new, w, &wishes, e);
	if (r)
		return r;
	r = pp_identities_set(&new, wishes.identities, wishes.n_identities, w->complete);
	ret->identities = r > 0 ? r : 0;
	if (r < 0)
		return pp_err_set(e, r, "identities of pods: %s", strerror(-r));
	settle_rest(w->pods);
	pp_datapath_unlock(&new);
	pp_datapath_close(d);
	*d = new;
	new = PP_DATAPATH_INIT;
	return 0;
}

/* Stale is what is the agent's; counts what is not. */
struct all_mine {
	const struct pp_datapath *d;
	struct stale stale;
	size_t others;
};

static int keep_mine(const struct pp_limit *l, void *arg)
{
	struct all_mine *all = arg;

	if (all->d->pipes[l->pipe].owner == PP_OWNER_AGENT)
		return l->path ? keep_stale(&all->stale, l->path, l->dir) : 0;
	all->others++;
	return 0;
}

static int count_others(const struct pp_cidr *c, enum pp_owner owner, void *arg)
{
	struct all_mine *all = arg;

	(void)c;
	all->others += owner != PP_OWNER_AGENT;
	return 0;
}

static int forget_pods(struct pp_datapath *d, struct pp_err *e)
{
	int r = pp_identities_set(d, NULL, 0, true);

	if (!r)
		r = pp_prefixes_set(d, NULL, 0, PP_OWNER_AGENT, true, e);
	return r < 0 ? r : 0;
}

int pp_apply_none(const char *root, struct pp_err *e)
{
	_cleanup_(pp_datapath_close) struct pp_datapath d = PP_DATAPATH_INIT;
	struct all_mine all = { .d = &d };
	struct pp_socket_count sockets;
	int r = pp_datapath_open(root, PP_REPAIR, &d, e);

	if (r == -ENOENT)
		return 0;
	if (!r)
		r = pp_limit_each(&d, keep_mine, &all, e);
	if (!r)
		r = pp_prefix_each(&d, count_others, &all, e);
	if (!r && all.others)
		r = forget_pods(&d, e);
	for (size_t i = 0; !r && i < all.stale.n; i++) {
		r = pp_limit_remove(&d, all.stale.path[i], 1u << all.stale.dir[i], &sockets, e);
		if (r == -ENOENT)
			r = 0; /* its cgroup went meanwhile */
	}
	if (!r && !all.others)
		r = pp_limit_remove_all(&d, &sockets, e);
	if (!r && !all.others)
		r = pp_datapath_remove(&d, e);
	stale_free(&all.stale);
	return r;
}
