// SPDX-License-Identifier: Apache-2.0
// Pods of this node are known anyway, and sooner than by a watch of pods anywhere.
#include "agent/rules.h"
#include "base/base.h"

static int list_namespaces(const struct pp_agent *a, struct pp_namespace **ret, size_t *ret_n)
{
	*ret = NULL;
	*ret_n = 0;
	return a->objects ? pp_labeled_list(pp_objects_watch_namespaces(a->objects), ret, ret_n)
			  : 0;
}

int pp_agent_follow(struct pp_agent *a)
{
	_cleanup_free_ struct pp_namespace *namespaces = NULL;
	_cleanup_free_ struct pp_others_query *wanted = NULL;
	struct pp_party_query *q;
	size_t n_namespaces, n;
	int r;

	if (!a->others)
		return 0;
	r = list_namespaces(a, &namespaces, &n_namespaces);
	if (!r)
		r = pp_parties_queries(a->plan, namespaces, n_namespaces, &q, &n);
	if (r)
		return r;
	wanted = calloc(n + 1, sizeof(*wanted));
	for (size_t i = 0; wanted && i < n; i++)
		wanted[i] = (struct pp_others_query){ q[i].namespace, q[i].labels };
	r = wanted ? pp_others_want(a->others, wanted, n) : -ENOMEM;
	pp_parties_queries_free(q, n);
	return r;
}

static int by_identity(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Sorted; those of pods that have ended too: they are no others. */
static uint64_t *own_identities(const struct pp_agent *a)
{
	uint64_t *ids = calloc(a->pods.n + 1, sizeof(*ids));

	for (size_t i = 0; ids && i < a->pods.n; i++)
		ids[i] = a->pods.pods[i]->identity;
	if (ids)
		qsort(ids, a->pods.n, sizeof(*ids), by_identity);
	return ids;
}

static size_t add_others(const struct pp_agent *a, const struct pp_other *const *others, size_t n,
			 const uint64_t *own, struct pp_party_pod *pods)
{
	size_t added = 0;

	for (size_t i = 0; i < n; i++) {
		const struct pp_other *o = others[i];

		if (bsearch(&o->identity, own, a->pods.n, sizeof(*own), by_identity))
			continue;
		pods[added++] =
			(struct pp_party_pod){ .namespace = o->namespace,
					       .name = o->name,
					       .labels = o->labels,
					       .n_labels = o->n_labels,
					       .identity = o->identity,
					       .addresses = (const uint8_t(*)[16])o->addresses,
					       .n_addresses = o->n_addresses };
	}
	return added;
}

static size_t add_own(const struct pp_agent *a, struct pp_party_pod *pods)
{
	size_t added = 0;

	for (size_t i = 0; i < a->pods.n; i++) {
		const struct pp_pod *pod = a->pods.pods[i];

		if (pod->over)
			continue;
		pods[added++] = (struct pp_party_pod){
			.namespace = pod->ns,
			.name = pod->name,
			.labels = pod->labels,
			.n_labels = pod->n_labels,
			.identity = pod->identity,
			.addresses = (const uint8_t(*)[16])pod->addresses,
			/* its address is its node's, and of each pod in that network */
			.n_addresses = pod->in_node_network ? 0 : pod->n_addresses,
		};
	}
	return added;
}

int pp_agent_match(struct pp_agent *a)
{
	_cleanup_free_ struct pp_namespace *namespaces = NULL;
	_cleanup_free_ const struct pp_other **others = NULL;
	_cleanup_free_ struct pp_party_pod *pods = NULL;
	_cleanup_free_ uint64_t *own = own_identities(a);
	struct pp_parties *parties;
	size_t n_namespaces, n_others = 0, n = 0;
	int r = own ? list_namespaces(a, &namespaces, &n_namespaces) : -ENOMEM;

	if (!r && a->others)
		r = pp_others_list(a->others, &others, &n_others);
	if (!r) {
		pods = calloc(n_others + a->pods.n + 1, sizeof(*pods));
		r = pods ? 0 : -ENOMEM;
	}
	if (r)
		return r;
	/* of two pods with one address the later counts: what runs here is known better */
	n = add_others(a, others, n_others, own, pods);
	n += add_own(a, pods + n);
	r = pp_parties_compile(a->plan, namespaces, n_namespaces, pods, n, &parties);
	if (r)
		return r;
	pp_parties_free(a->parties);
	a->parties = parties;
	return 0;
}

bool pp_agent_matched(const struct pp_agent *a)
{
	return !a->others || pp_others_known(a->others);
}

const char *pp_agent_match_why(const struct pp_agent *a)
{
	struct pp_others_stats o = { .why = "" };

	if (a->unmet.parties[0])
		return a->unmet.parties;
	if (a->others)
		pp_others_stats(a->others, &o);
	return o.why;
}

size_t pp_agent_count_peers(const struct pp_agent *a, const struct pp_plan_match *m)
{
	return m && !m->all && a->parties && m->index < a->plan->n_matches
		       ? a->parties->n_matched[m->index]
		       : 0;
}

/* --- too many for one peer */

static size_t depth_of(const struct pp_plan_pipe *p)
{
	size_t n = 0;

	for (; p; p = p->parent)
		n++;
	return n;
}

static size_t room_for_rules(const struct pp_plan_subject *s, int way)
{
	size_t n = depth_of(s->leaf[way]) + depth_of(s->uplink[way]);

	for (int i = 0; i < PP_PLAN_CAPS; i++)
		n += s->cap[way][i] != NULL;
	return n < PP_MAX_PATH ? PP_MAX_PATH - n : 0;
}

size_t pp_agent_crowd(const struct pp_agent *a, const struct pp_plan_subject *s, int way,
		      size_t *ret_room)
{
	const struct pp_parties *p = a->parties;
	size_t most = 0;

	*ret_room = room_for_rules(s, way);
	if (!p || s->n_rules[way] <= *ret_room)
		return 0;
	for (uint32_t g = 0; g < p->n_groups; g++) {
		size_t n = 0;

		for (size_t i = 0; i < s->n_rules[way]; i++) {
			const struct pp_plan_match *m = s->rule[way][i].match;

			n += m->all || pp_parties_has(p, g, m->index);
		}
		most = n > most ? n : most;
	}
	return most > *ret_room ? most : 0;
}
