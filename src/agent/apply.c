// SPDX-License-Identifier: Apache-2.0
// The kernel is the database: each time what is in force is read from it, never remembered.
#include "agent/apply.h"
#include "base/base.h"
#include "kernel/locals.h"
#include "kernel/prefixes.h"
#include "kernel/wants.h"

_Static_assert((int)PP_WAY_EGRESS == (int)PP_EGRESS && (int)PP_WAY_INGRESS == (int)PP_INGRESS,
	       "ways are directions");
_Static_assert(PP_PLAN_CAPS == PP_MAX_CAPS, "a plan has as many caps as a slot");
_Static_assert(PP_PLAN_PATH == PP_MAX_NESTED, "and ways as long as a path");
_Static_assert(PP_PLAN_RULES == PP_SLOT_RULES, "and as many rules");
_Static_assert(PP_MAX_PORTS == PP_MAX_MATCH_PORTS, "of as many ports");

/* A plan on its way into wants. */
struct work {
	const struct pp_wanted *w;
	struct pp_want *wants;
	size_t n;
	struct pp_want_slot *slots; /* as w->places, and one for the root */
	size_t n_slots;
	struct pp_want_match *matches; /* as the plan's */
	size_t *of_pipe;              /* the want of each pipe of the plan, or PP_NOTHING */
	size_t (*of_class)[PP_N_DIR]; /* of each object's ledger */
	size_t *of_subject;           /* the place of each subject of the plan */
	size_t rest[PP_N_DIR];
	char (*names)[PP_MAX_NAME]; /* of ledgers */
	size_t n_names;
};

static void work_free(struct work *k)
{
	free(k->wants);
	free(k->slots);
	free(k->matches);
	free(k->of_pipe);
	free(k->of_class);
	free(k->of_subject);
	free(k->names);
}

static int work_new(struct work *k, const struct pp_wanted *w)
{
	const struct pp_plan *plan = w->plan;

	k->w = w;
	/* ledgers of classes, and two pipes of the root */
	k->wants = calloc(plan->n_pipes + (plan->n_objects + 1) * PP_N_DIR, sizeof(*k->wants));
	k->slots = calloc(w->n_places + 1, sizeof(*k->slots));
	k->matches = calloc(plan->n_matches + 1, sizeof(*k->matches));
	k->of_pipe = calloc(plan->n_pipes + 1, sizeof(*k->of_pipe));
	k->of_class = calloc(plan->n_objects + 1, sizeof(*k->of_class));
	k->of_subject = calloc(plan->n_subjects + 1, sizeof(*k->of_subject));
	k->names = calloc(plan->n_objects + 1, sizeof(*k->names));
	return k->wants && k->slots && k->matches && k->of_pipe && k->of_class &&
			       k->of_subject && k->names
		       ? 0
		       : -ENOMEM;
}

static size_t add(struct work *k, const struct pp_want *want)
{
	k->wants[k->n] = *want;
	return k->n++;
}

static void add_match(struct work *k, size_t i)
{
	const struct pp_plan_match *match = k->w->plan->matches[i];
	struct pp_want_match *want = &k->matches[i];

	want->text = match->text;
	want->m.kind = match->all ? PP_MATCH_ALL : PP_MATCH_GROUPS;
	want->m.n_ports = (uint32_t)match->n_ports;
	for (size_t p = 0; p < match->n_ports; p++)
		want->m.port[p] = (struct pp_ports){ .protocol = match->ports[p].protocol,
						     .first = match->ports[p].first,
						     .last = match->ports[p].last };
}

/* A class has no pipe: what its pods did adds up in a ledger. */
static void add_ledgers(struct work *k)
{
	for (size_t i = 0; i < k->w->plan->n_objects; i++) {
		const struct pp_plan_object *o = &k->w->plan->objects[i];
		char *name = k->names[k->n_names];

		k->of_class[i][PP_EGRESS] = k->of_class[i][PP_INGRESS] = PP_NOTHING;
		if (o->kind != PP_CLASS)
			continue;
		snprintf(name, PP_MAX_NAME, "class %s", o->name);
		k->n_names++;
		for (int dir = 0; dir < PP_N_DIR; dir++)
			k->of_class[i][dir] = add(k, &(struct pp_want){ .name = name,
									.dir = dir,
									.kind = PP_KIND_LEDGER,
									.observe = true,
									.rate = PP_NO_CEIL,
									.parent = PP_NOTHING,
									.ledger = PP_NOTHING,
									.match = PP_NOTHING });
	}
}

/* Classes are sorted by name, before all others. */
static int by_class(const void *name, const void *object)
{
	const struct pp_plan_object *o = object;

	return o->kind == PP_CLASS ? strcmp(name, o->name) : -1;
}

static size_t ledger_of(const struct work *k, const struct pp_plan_pipe *p)
{
	const struct pp_plan *plan = k->w->plan;
	const char *class = plan->subjects[p->subject].class;
	const struct pp_plan_object *o;

	if (!class || p->uplink || p->observe || p->match)
		return PP_NOTHING;
	o = bsearch(class, plan->objects, plan->n_objects, sizeof(*o), by_class);
	return o ? k->of_class[o - plan->objects][p->way] : PP_NOTHING;
}

static void add_pipe(struct work *k, size_t i)
{
	const struct pp_plan_pipe *p = k->w->plan->pipes[i];
	struct pp_want want = { .name = p->name,
				.dir = (enum pp_dir)p->way,
				.uplink = p->uplink,
				.observe = p->observe,
				.rate = p->ceil ? p->ceil : PP_NO_CEIL,
				.guarantee = p->guarantee,
				.weight = p->weight ? p->weight : PP_WEIGHT_DEFAULT,
				.parent = p->parent ? k->of_pipe[p->parent->index] : PP_NOTHING,
				.ledger = PP_NOTHING,
				.match = p->match ? p->match->index : PP_NOTHING,
				.pairs = p->pairs };

	k->of_pipe[i] = PP_NOTHING;
	if (p->subject != SIZE_MAX) {
		size_t place = k->of_subject[p->subject];

		if (place == PP_NOTHING)
			return; /* its cgroup is not there yet, or no more */
		want.cgroup_id = k->w->places[place].id;
		want.ledger = ledger_of(k, p);
	}
	k->of_pipe[i] = add(k, &want);
}

/* What no subject's own pipe takes of the uplink: the node itself, and pods nobody knows yet. */
static void add_rest(struct work *k, uint64_t root_id)
{
	for (int dir = 0; dir < PP_N_DIR; dir++) {
		k->rest[dir] = PP_NOTHING;
		for (size_t i = 0; i < k->w->plan->n_pipes; i++) {
			const struct pp_plan_pipe *p = k->w->plan->pipes[i];

			if (!p->uplink || p->parent || p->subject != SIZE_MAX || (int)p->way != dir)
				continue;
			k->rest[dir] = add(k, &(struct pp_want){ .name = "rest of the node",
								 .dir = dir,
								 .uplink = true,
								 .rate = PP_NO_CEIL,
								 .weight = PP_WEIGHT_DEFAULT,
								 .parent = k->of_pipe[i],
								 .cgroup_id = root_id,
								 .ledger = PP_NOTHING,
								 .match = PP_NOTHING });
			break;
		}
	}
}

static size_t want_of(const struct work *k, const struct pp_plan_pipe *p)
{
	return p ? k->of_pipe[p->index] : PP_NOTHING;
}

static void add_slot(struct work *k, size_t i)
{
	const struct pp_place *place = &k->w->places[i];
	const struct pp_plan_subject *s = place->subject;
	struct pp_want_slot *slot = &k->slots[k->n_slots++];

	*slot = (struct pp_want_slot){ .path = place->path,
				       .cgroup_id = place->id,
				       .identity = place->identity };
	for (int dir = 0; dir < PP_N_DIR; dir++) {
		slot->pipe[dir] = want_of(k, s ? s->leaf[dir] : NULL);
		slot->uplink[dir] = want_of(k, s ? s->uplink[dir] : NULL);
		for (int c = 0; c < PP_MAX_CAPS; c++)
			slot->cap[dir][c] = want_of(k, s ? s->cap[dir][c] : NULL);
		for (size_t r = 0; r < PP_SLOT_RULES; r++)
			slot->rule[dir][r] =
				want_of(k, s && r < s->n_rules[dir] ? s->rule[dir][r].pipe : NULL);
	}
}

/* The root, unless it is a place itself. */
static void add_root(struct work *k, const struct pp_datapath *d)
{
	struct pp_want_slot *slot = &k->slots[k->n_slots];

	for (size_t i = 0; i < k->n_slots; i++)
		if (k->slots[i].cgroup_id == d->root_id)
			return;
	*slot = (struct pp_want_slot){ .path = d->root, .cgroup_id = d->root_id };
	for (int dir = 0; dir < PP_N_DIR; dir++) {
		slot->pipe[dir] = PP_NOTHING;
		slot->uplink[dir] = k->rest[dir];
		for (int c = 0; c < PP_MAX_CAPS; c++)
			slot->cap[dir][c] = PP_NOTHING;
		slot->rule[dir][0] = PP_NOTHING;
	}
	k->n_slots++;
}

static int plan_to_wants(struct work *k, const struct pp_wanted *w, const struct pp_datapath *d)
{
	int r = work_new(k, w);

	if (r)
		return r;
	for (size_t i = 0; i < w->plan->n_subjects; i++)
		k->of_subject[i] = PP_NOTHING;
	for (size_t i = 0; i < w->n_places; i++)
		if (w->places[i].subject)
			k->of_subject[w->places[i].subject - w->plan->subjects] = i;
	for (size_t i = 0; i < w->plan->n_matches; i++)
		add_match(k, i);
	add_ledgers(k);
	for (size_t i = 0; i < w->plan->n_pipes; i++)
		add_pipe(k, i);
	for (size_t i = 0; i < w->n_places; i++)
		add_slot(k, i);
	add_rest(k, d->root_id);
	add_root(k, d);
	return 0;
}

/* --- what has become of it */

static uint32_t pipe_at(const struct work *k, size_t want)
{
	return want == PP_NOTHING ? 0 : k->wants[want].pipe;
}

static bool is_fresh(const struct work *k, size_t want)
{
	return want != PP_NOTHING && k->wants[want].fresh;
}

static void tell_places(const struct work *k, struct pp_unmet *unmet)
{
	unmet->identities = 0;
	for (size_t i = 0; i < k->w->n_places; i++) {
		struct pp_place *place = &k->w->places[i];
		const struct pp_want_slot *s = &k->slots[i];

		unmet->identities += s->no_room;
		for (int dir = 0; dir < PP_N_DIR; dir++) {
			place->pipe[dir] = pipe_at(k, s->pipe[dir]);
			place->uplink[dir] = pipe_at(k, s->uplink[dir]);
			place->fresh[dir] = is_fresh(k, s->pipe[dir]) ||
					    is_fresh(k, s->uplink[dir]) ||
					    is_fresh(k, s->cap[dir][0]) ||
					    is_fresh(k, s->rule[dir][0]);
			snprintf(place->why[dir], sizeof(place->why[dir]), "%s", s->why[dir]);
		}
	}
}

static int tell_applied(const struct work *k, struct pp_applied *ret)
{
	const struct pp_plan *plan = k->w->plan;
	struct pp_applied new = {
		.pipe = calloc(plan->n_pipes + 1, sizeof(*new.pipe)),
		.ledger = calloc(plan->n_objects + 1, sizeof(*new.ledger)),
	};

	if (!new.pipe || !new.ledger) {
		pp_applied_free(&new);
		return -ENOMEM;
	}
	for (size_t i = 0; i < plan->n_pipes; i++)
		new.pipe[i] = pipe_at(k, k->of_pipe[i]);
	for (int dir = 0; dir < PP_N_DIR; dir++) {
		for (size_t i = 0; i < plan->n_objects; i++)
			new.ledger[i][dir] = pipe_at(k, k->of_class[i][dir]);
		new.rest[dir] = pipe_at(k, k->rest[dir]);
	}
	pp_applied_free(ret);
	*ret = new;
	return 0;
}

void pp_applied_free(struct pp_applied *a)
{
	free(a->pipe);
	free(a->ledger);
	*a = (struct pp_applied){};
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

static void apply_locals(struct pp_datapath *d, const struct pp_wanted *w, struct pp_unmet *unmet)
{
	int r = pp_locals_set(d, w->locals, w->n_locals);

	unmet->locals[0] = '\0';
	if (r == -E2BIG)
		snprintf(unmet->locals, sizeof(unmet->locals),
			 "more than %d addresses and pods on this node", PP_MAX_LOCALS);
	else if (r)
		snprintf(unmet->locals, sizeof(unmet->locals), "%s", strerror(-r));
}

int pp_apply(const char *root, const struct pp_wanted *w, struct pp_datapath *d,
	     struct pp_applied *ret, struct pp_unmet *unmet, struct pp_err *e)
{
	_cleanup_(pp_datapath_close) struct pp_datapath new = PP_DATAPATH_INIT;
	_cleanup_(work_free) struct work k = {};
	struct pp_wants wants;
	int r = pp_datapath_open(root, PP_LOAD, &new, e);

	if (!r)
		r = plan_to_wants(&k, w, &new);
	if (r)
		return r;
	apply_peers(&new, w, unmet);
	apply_locals(&new, w, unmet);
	wants = (struct pp_wants){ .w = k.wants,
				   .n = k.n,
				   .slots = k.slots,
				   .n_slots = k.n_slots,
				   .matches = k.matches,
				   .n_matches = w->plan->n_matches,
				   .parties = w->parties,
				   .complete = w->complete,
				   .thorough = w->thorough };
	r = pp_wants_apply(&new, &wants, e);
	if (!r)
		r = tell_applied(&k, ret);
	if (r)
		return r;
	ret->more = wants.more;
	snprintf(unmet->parties, sizeof(unmet->parties), "%s", wants.why_parties);
	tell_places(&k, unmet);
	pp_datapath_unlock(&new);
	pp_datapath_close(d);
	*d = new;
	new = PP_DATAPATH_INIT;
	return 0;
}

/* --- the end */

/* Counts what is not the agent's. */
struct others {
	const struct pp_datapath *d;
	size_t n;
};

static int count_limit(const struct pp_limit *l, void *arg)
{
	struct others *o = arg;

	o->n += o->d->pipes[l->pipe].owner != PP_OWNER_AGENT;
	return 0;
}

static int count_prefix(const struct pp_cidr *c, enum pp_owner owner, void *arg)
{
	struct others *o = arg;

	(void)c;
	o->n += owner != PP_OWNER_AGENT;
	return 0;
}

/* What is left is others'. */
static int forget_all(struct pp_datapath *d, struct pp_err *e)
{
	const struct pp_parties nobody = {};
	struct pp_wants none = { .complete = true, .thorough = true, .parties = &nobody };
	int r = pp_prefixes_set(d, NULL, 0, PP_OWNER_AGENT, true, e);

	if (r >= 0)
		r = pp_locals_set(d, NULL, 0);
	return r < 0 ? r : pp_wants_apply(d, &none, e);
}

int pp_apply_none(const char *root, struct pp_err *e)
{
	_cleanup_(pp_datapath_close) struct pp_datapath d = PP_DATAPATH_INIT;
	struct others others = { .d = &d };
	struct pp_socket_count sockets;
	int r = pp_datapath_open(root, PP_REPAIR, &d, e);

	if (r == -ENOENT)
		return 0;
	if (!r)
		r = pp_limit_each(&d, count_limit, &others, e);
	if (!r)
		r = pp_prefix_each(&d, count_prefix, &others, e);
	if (r)
		return r;
	if (others.n)
		return forget_all(&d, e);
	r = pp_limit_remove_all(&d, &sockets, e);
	return r ? r : pp_datapath_remove(&d, e);
}
