// SPDX-License-Identifier: Apache-2.0
// All that an agent wants in the kernel, made true at once. In this order: whom rules are for,
// pipes, members of those of many, slots, other members; then what is left over goes. So a slot
// never leads to a pipe that is not ready, and a pipe goes when nothing leads to it.
#include <bpf/bpf.h>

#include "base/base.h"
#include "base/table.h"
#include "kernel/ledger.h"
#include "kernel/limits.h"
#include "kernel/matches.h"
#include "kernel/members.h"
#include "kernel/pairs.h"
#include "kernel/parties.h"
#include "kernel/slots.h"
#include "kernel/sockets.h"
#include "kernel/wants.h"

/* more changed cgroups than this: one pass over all sockets is less than as many over theirs */
#define MANY 16

struct known {
	uint64_t key;
	uint32_t pipe;
	bool wanted;
};

struct apply {
	struct pp_datapath *d;
	struct pp_wants *w;
	struct known *known; /* an agent's pipes, by key */
	size_t n_known;
	struct pp_socket_count sockets;
};

/* Names are no secret: the same key is wanted of each agent. */
static uint64_t key_of(const struct pp_want *w)
{
	uint64_t secret[2] = { 0x706f647061636500ULL + (uint64_t)w->dir * 2 + w->uplink,
			       w->cgroup_id };
	uint64_t key = pp_table_hash(secret, w->name, strlen(w->name));

	return key ? key : 1;
}

static int by_key(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key;
}

static bool is_agents(const struct pp_pipe *p)
{
	return p->rate && p->key && p->owner == PP_OWNER_AGENT && !p->own;
}

static int find_known(struct apply *a)
{
	uint32_t end = pp_pipes_end(a->d);

	a->known = calloc(end + 1, sizeof(*a->known));
	if (!a->known)
		return -ENOMEM;
	for (uint32_t k = 1; k < end; k++)
		if (is_agents(&a->d->pipes[k]))
			a->known[a->n_known++] = (struct known){ a->d->pipes[k].key, k, false };
	qsort(a->known, a->n_known, sizeof(*a->known), by_key);
	return 0;
}

/* --- whom rules are for */

static void want_matches(struct apply *a)
{
	struct pp_wants *w = a->w;
	_cleanup_free_ uint32_t *index = calloc(w->n_matches + 1, sizeof(*index));
	int r = index ? 0 : -ENOMEM;

	for (size_t i = 0; i < w->n_matches; i++) {
		struct pp_want_match *m = &w->matches[i];

		if (pp_match_get(a->d, &m->m, m->text, &m->index))
			m->index = 0;
		if (index)
			index[i] = m->index;
	}
	w->why_parties[0] = '\0';
	if (!r && w->parties)
		r = pp_parties_set(a->d, w->parties, index, w->n_matches, w->thorough);
	/* of what did not fit all, some may have changed */
	if (r)
		pp_paths_changed(a->d);
	if (r < 0)
		snprintf(w->why_parties, sizeof(w->why_parties), "%s",
			 r == -ENOSPC ? "more addresses and identities of peers than fit"
				      : strerror(-r));
}

/* --- pipes */

static enum pp_pipe_kind kind_of(const struct pp_want *w)
{
	if (w->match == PP_NOTHING)
		return w->kind;
	return w->pairs ? PP_KIND_PAIRS : PP_KIND_RULE;
}

/* Its rule may be towards others now, which its slot says too; or each of them may have its own. */
static void set_match(struct apply *a, struct pp_pipe *p, const struct pp_want *w)
{
	bool changed = p->kind != kind_of(w);

	p->of = w->match == PP_NOTHING ? 0 : a->w->matches[w->match].index;
	__atomic_store_n(&p->kind, kind_of(w), __ATOMIC_SEQ_CST);
	if (changed)
		pp_paths_changed(a->d);
}

static void begin_pipe(struct apply *a, uint32_t k, const struct pp_want *w)
{
	struct pp_limit_ask ask = { .dir = w->dir, .rate = w->rate, .owner = PP_OWNER_AGENT };
	struct pp_pipe *p = &a->d->pipes[k];

	pp_pipe_configure(p, w->cgroup_id, &ask);
	p->uplink = w->uplink;
	p->observe = w->observe;
	p->key = w->key;
	set_match(a, p, w);
	pp_name_set(a->d, w->key, w->name);
}

static void want_pipe(struct apply *a, struct pp_want *w)
{
	struct known key = { .key = w->key = key_of(w) }, *at;
	struct pp_pipe *p;

	at = a->n_known ? bsearch(&key, a->known, a->n_known, sizeof(key), by_key) : NULL;
	w->fresh = true;
	if (!at) {
		w->pipe = pp_pipe_find_free(a->d);
		if (w->pipe)
			begin_pipe(a, w->pipe, w);
		return;
	}
	at->wanted = true;
	w->pipe = at->pipe;
	p = &a->d->pipes[w->pipe];
	w->fresh = p->rate != w->rate || p->observe != w->observe || p->kind != kind_of(w);
	/* what is not known may be what has set it */
	if (!a->w->complete && w->rate > p->rate)
		return;
	p->observe = w->observe;
	set_match(a, p, w);
	__atomic_store_n(&p->rate, w->rate, __ATOMIC_SEQ_CST);
}

static void want_pipes(struct apply *a)
{
	struct pp_wants *all = a->w;

	for (size_t i = 0; i < all->n; i++) {
		struct pp_want *w = &all->w[i];

		w->pipe = 0;
		if (!w->barred)
			want_pipe(a, w);
		if (w->pipe)
			pp_ledger_open(a->d, w->pipe,
				       w->ledger == PP_NOTHING ? 0 : all->w[w->ledger].key);
	}
}

/* Its place in the tree. Of cgroups' pipes only with their slots: those have what is their own. */
static void want_member(struct apply *a, struct pp_want *w, bool slots)
{
	struct pp_pipe *p = &a->d->pipes[w->pipe];
	uint32_t parent = w->parent == PP_NOTHING ? 0 : a->w->w[w->parent].pipe;

	if (!w->pipe || (!slots && parent && a->d->pipes[parent].cgroup_id))
		return;
	if (p->parent == parent &&
	    (!parent || (p->weight == w->weight && p->guarantee == w->guarantee)))
		return;
	w->fresh = true;
	if (!parent && !a->w->complete)
		return;
	if (!parent)
		pp_member_leave(a->d, w->pipe);
	else
		pp_member_set(a->d, w->pipe, parent, w->weight, w->guarantee);
}

/* --- slots */

/* What stands in a pipe's place that nobody but a person may take away. */
static bool by_hand(const struct apply *a, uint32_t k)
{
	return k && a->d->pipes[k].rate && a->d->pipes[k].owner != PP_OWNER_AGENT;
}

static void look_at_slot(struct apply *a, struct pp_want_slot *s)
{
	_cleanup_close_ int fd = -1;
	char why[160] = "";
	uint64_t id;
	int r = 1;

	s->was = (struct pp_slot){};
	bpf_map_lookup_elem(a->d->slots_fd, &s->cgroup_id, &s->was);
	if (a->w->thorough && !pp_cgroup_open(&a->d->cgroupfs, s->path, &fd, &id, NULL))
		r = pp_datapath_runs(a->d, fd, why, sizeof(why));
	for (int dir = 0; dir < PP_N_DIR; dir++) {
		s->why[dir][0] = '\0';
		if (s->pipe[dir] != PP_NOTHING)
			a->w->w[s->pipe[dir]].barred = by_hand(a, s->was.pipe[dir]);
		if (by_hand(a, s->was.pipe[dir]) && s->pipe[dir] != PP_NOTHING)
			snprintf(
				s->why[dir], sizeof(s->why[dir]),
				"a limit that was set by hand on the pod's cgroup stands in its place; "
				"'podpace unlimit' makes room");
		else if (r <= 0)
			snprintf(s->why[dir], sizeof(s->why[dir]), "%s",
				 why[0] ? why : strerror(-r));
	}
}

static uint32_t pipe_of(struct apply *a, struct pp_want_slot *s, int dir, size_t want)
{
	uint32_t k = want == PP_NOTHING ? 0 : a->w->w[want].pipe;

	if (want != PP_NOTHING && !k && !s->why[dir][0])
		snprintf(s->why[dir], sizeof(s->why[dir]), "all %d limits of this host are in use",
			 PP_MAX_PIPES - 1);
	return k;
}

/* Those that were set by hand, and then the wanted ones. */
static void want_rules(struct apply *a, struct pp_want_slot *s, int dir, struct pp_slot *is)
{
	int n = 0;

	for (int i = 0; i < PP_SLOT_RULES && s->was.rule[dir][i].pipe; i++)
		if (by_hand(a, s->was.rule[dir][i].pipe))
			is->rule[dir][n++] = s->was.rule[dir][i];
	for (int i = 0; i < PP_SLOT_RULES && s->rule[dir][i] != PP_NOTHING; i++) {
		const struct pp_want *w = &a->w->w[s->rule[dir][i]];
		uint32_t k = pipe_of(a, s, dir, s->rule[dir][i]);
		uint32_t match = a->w->matches[w->match].index;

		if (k && match && n < PP_SLOT_RULES)
			is->rule[dir][n++] = (struct pp_slot_rule){ k, match };
		else if (k && !s->why[dir][0])
			snprintf(s->why[dir], sizeof(s->why[dir]),
				 match ? "more than %d limits of the pod's are towards some"
				       : "more than %d different peers and ports of limits",
				 match ? PP_SLOT_RULES : PP_MAX_MATCHES - 1);
	}
}

static void want_slot(struct apply *a, struct pp_want_slot *s)
{
	struct pp_slot now = s->was, is = now;
	int r;

	for (int dir = 0; dir < PP_N_DIR; dir++) {
		int n = 0;

		if (!by_hand(a, now.pipe[dir]))
			is.pipe[dir] = pipe_of(a, s, dir, s->pipe[dir]);
		is.uplink[dir] = pipe_of(a, s, dir, s->uplink[dir]);
		memset(is.cap[dir], 0, sizeof(is.cap[dir]));
		for (int i = 0; i < PP_MAX_CAPS; i++) {
			uint32_t k = pipe_of(a, s, dir, s->cap[dir][i]);

			if (k)
				is.cap[dir][n++] = k;
		}
		memset(is.rule[dir], 0, sizeof(is.rule[dir]));
		want_rules(a, s, dir, &is);
		if (!is.pipe[dir])
			is.own[dir] = 0;
	}
	is.identity = s->identity;
	s->fresh = memcmp(&is, &now, sizeof(is)) != 0;
	if (!s->fresh)
		return;
	r = pp_slot_write(a->d, s->cgroup_id, &is);
	s->no_room = r == -E2BIG;
	for (int dir = 0; r && dir < PP_N_DIR; dir++)
		if (is.pipe[dir] || is.uplink[dir] || is.cap[dir][0] || is.rule[dir][0].pipe)
			snprintf(s->why[dir], sizeof(s->why[dir]), "%s",
				 r == -E2BIG ? "the map of limited cgroups is full (4096)"
					     : strerror(-r));
}

/* --- what is left over */

static int by_cgroup(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Slots of cgroups that are not wanted lead to no pipe of many any more, and are nobody's pod. */
static void clear_slot(struct apply *a, uint64_t id)
{
	struct pp_slot now, is;

	if (bpf_map_lookup_elem(a->d->slots_fd, &id, &now))
		return;
	is = now;
	is.identity = 0;
	for (int dir = 0; dir < PP_N_DIR; dir++) {
		for (int i = PP_MAX_CAPS - 1; i >= 0; i--)
			if (!a->d->pipes[is.cap[dir][i] % PP_MAX_PIPES].cgroup_id)
				is.cap[dir][i] = 0;
		for (int i = PP_SLOT_RULES - 1; i >= 0; i--) {
			uint32_t k = is.rule[dir][i].pipe;

			if (k && !a->d->pipes[k % PP_MAX_PIPES].cgroup_id)
				pp_slot_forget(&is, dir, k);
		}
	}
	if (memcmp(&is, &now, sizeof(is)) != 0)
		pp_slot_write(a->d, id, &is);
}

static int clear_slots(struct apply *a)
{
	size_t n = a->w->n_slots;
	_cleanup_free_ uint64_t *ids = calloc(n + 1, sizeof(*ids));
	uint64_t id = 0, next;
	bool more = bpf_map_get_next_key(a->d->slots_fd, NULL, &next) == 0;

	if (!ids)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		ids[i] = a->w->slots[i].cgroup_id;
	qsort(ids, n, sizeof(*ids), by_cgroup);
	for (size_t seen = 0; more && seen < 2 * PP_MAX_SLOTS; seen++) {
		id = next;
		more = bpf_map_get_next_key(a->d->slots_fd, &id, &next) == 0;
		if (!n || !bsearch(&id, ids, n, sizeof(*ids), by_cgroup))
			clear_slot(a, id);
	}
	return 0;
}

static void remove_rest(struct apply *a)
{
	bool any = false;

	for (size_t i = 0; i < a->n_known; i++) {
		uint32_t k = a->known[i].pipe;

		if (a->known[i].wanted || !is_agents(&a->d->pipes[k]))
			continue;
		pp_pipe_remove(a->d, k);
		any = true;
	}
	if (any)
		pp_names_sweep(a->d);
}

/* Connections that are there: of the cgroups that have changed, or of all. */
static int sync_sockets(struct apply *a, size_t gone, struct pp_err *e)
{
	size_t n = gone;
	bool fixed = false;
	int r = 0;

	for (size_t i = 0; i < a->w->n_slots; i++)
		n += a->w->slots[i].fresh;
	for (size_t i = 0; i < a->w->n; i++)
		fixed |= a->w->w[i].fresh && a->d->pipes[a->w->w[i].pipe].fixed;
	if (n > MANY || gone || fixed)
		return pp_sockets_sync(a->d, a->d->root, &a->sockets, e);
	for (size_t i = 0; i < a->w->n_slots && !r; i++)
		if (a->w->slots[i].fresh)
			r = pp_sockets_sync(a->d, a->w->slots[i].path, &a->sockets, e);
	return r == -ENOENT ? 0 : r;
}

static size_t count_rest(const struct apply *a)
{
	size_t n = 0;

	for (size_t i = 0; i < a->n_known; i++) {
		const struct pp_pipe *p = &a->d->pipes[a->known[i].pipe];

		/* of a cgroup that is gone there are no sockets, or few; a ledger never had any */
		n += !a->known[i].wanted && p->rate && p->kind != PP_KIND_LEDGER;
	}
	return n;
}

int pp_wants_apply(struct pp_datapath *d, struct pp_wants *w, struct pp_err *e)
{
	struct apply a = { .d = d, .w = w };
	size_t gone = 0;
	int r;

	if (w->thorough)
		pp_limits_collect(d);
	r = find_known(&a);
	if (r)
		return r;
	for (size_t i = 0; i < w->n_slots; i++)
		look_at_slot(&a, &w->slots[i]);
	want_matches(&a);
	want_pipes(&a);
	/* what was a pair of another rule with this index is so no more */
	w->more = pp_pairs_sweep(d);
	for (size_t i = 0; i < w->n; i++)
		want_member(&a, &w->w[i], false);
	for (size_t i = 0; i < w->n_slots; i++)
		want_slot(&a, &w->slots[i]);
	for (size_t i = 0; i < w->n; i++)
		want_member(&a, &w->w[i], true);
	if (w->complete) {
		gone = count_rest(&a);
		if (gone || w->thorough)
			r = clear_slots(&a);
		if (!r)
			remove_rest(&a);
		/* pairs of the rules among them */
		if (!r && gone)
			w->more |= pp_pairs_sweep(d);
		if (!r)
			pp_matches_collect(d, w->parties && !w->why_parties[0]);
	}
	if (!r)
		r = sync_sockets(&a, gone, e);
	free(a.known);
	return r;
}
