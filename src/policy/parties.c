// SPDX-License-Identifier: Apache-2.0
// Pods as parties: namespace by namespace, so that selectors of namespaces are asked once for each.
#include "base/base.h"
#include "policy/parties_build.h"

/* A peer that is pods. */
struct asker {
	const struct pp_plan_peer *peer;
	size_t match;
};

/* An entry to be: of two with one key the later pod's counts, also if it has no bit. */
struct entry {
	struct pp_party party;
	const struct pp_party_pod *pod;
	bool kept;
};

struct build {
	const struct pp_plan *plan;
	const struct pp_namespace **namespaces; /* n_namespaces, sorted by name */
	size_t n_namespaces;
	const struct pp_party_pod *pods;
	size_t n_pods;
	const struct pp_party_pod **order; /* the pods by namespace */
	struct asker *askers; /* n_askers; n_fixed of them are of one namespace, sorted by it */
	size_t n_askers, n_fixed;
	struct asker *asking; /* n_asking: of the namespace that is reached, where labels count */
	size_t n_asking;
	uint64_t *base, *bits; /* of all pods of the namespace; of one pod */
	struct entry *entries;
	size_t n_entries;
	struct pp_party_groups groups;
	struct pp_party_blocks blocks;
	struct pp_parties *out;
};

static void build_free(struct build *b)
{
	free(b->namespaces);
	free(b->order);
	free(b->askers);
	free(b->asking);
	free(b->base);
	free(b->bits);
	free(b->entries);
	pp_party_groups_free(&b->groups);
	pp_party_blocks_free(&b->blocks);
	pp_parties_free(b->out);
}

/* --- order */

static int compare_namespaces(const void *a, const void *b)
{
	const struct pp_namespace *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

/* Those of one namespace come first. */
static int compare_askers(const void *a, const void *b)
{
	const struct asker *x = a, *y = b;

	if (!x->peer->namespace || !y->peer->namespace)
		return !x->peer->namespace - !y->peer->namespace;
	return strcmp(x->peer->namespace, y->peer->namespace);
}

static int compare_pods(const void *a, const void *b)
{
	const struct pp_party_pod *const *x = a, *const *y = b;

	int r = strcmp((*x)->namespace, (*y)->namespace);

	return r ? r : (*x > *y) - (*x < *y);
}

static size_t count_askers(const struct pp_plan *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_matches; i++)
		n += p->matches[i]->n_peers;
	return n;
}

static size_t count_entries(const struct build *b)
{
	size_t n = b->n_pods;

	for (size_t i = 0; i < b->n_pods; i++)
		n += b->pods[i].n_addresses;
	return n;
}

static int allocate(struct build *b, const struct pp_namespace *namespaces)
{
	size_t n = count_askers(b->plan), n_words = (b->plan->n_matches + 63) / 64;

	b->namespaces = calloc(b->n_namespaces + 1, sizeof(*b->namespaces));
	b->order = calloc(b->n_pods + 1, sizeof(*b->order));
	b->askers = calloc(n + 1, sizeof(*b->askers));
	b->asking = calloc(n + 1, sizeof(*b->asking));
	b->base = calloc(n_words + 1, sizeof(*b->base));
	b->bits = calloc(n_words + 1, sizeof(*b->bits));
	b->entries = calloc(count_entries(b) + 1, sizeof(*b->entries));
	b->out = calloc(1, sizeof(*b->out));
	if (!b->namespaces || !b->order || !b->askers || !b->asking || !b->base || !b->bits ||
	    !b->entries || !b->out || pp_party_groups_init(&b->groups, n_words))
		return -ENOMEM;
	b->out->n_words = n_words;
	b->out->n_matched = calloc(b->plan->n_matches + 1, sizeof(*b->out->n_matched));
	b->out->of_pod = calloc(b->n_pods + 1, sizeof(*b->out->of_pod));
	if (!b->out->n_matched || !b->out->of_pod)
		return -ENOMEM;
	for (size_t i = 0; i < b->n_namespaces; i++)
		b->namespaces[i] = &namespaces[i];
	for (size_t i = 0; i < b->n_pods; i++)
		b->order[i] = &b->pods[i];
	return 0;
}

static void sort(struct build *b)
{
	for (size_t i = 0; i < b->plan->n_matches; i++)
		for (size_t k = 0; k < b->plan->matches[i]->n_peers; k++) {
			const struct pp_plan_peer *p = &b->plan->matches[i]->peers[k];

			if (p->is_block)
				continue;
			b->askers[b->n_askers++] = (struct asker){ p, i };
			b->n_fixed += p->namespace != NULL;
		}
	qsort(b->askers, b->n_askers, sizeof(*b->askers), compare_askers);
	qsort(b->namespaces, b->n_namespaces, sizeof(*b->namespaces), compare_namespaces);
	qsort(b->order, b->n_pods, sizeof(*b->order), compare_pods);
}

/* --- namespaces */

/* Its pods are asked, unless all of them have the bit. */
static void ask(struct build *b, const struct asker *a)
{
	if (a->peer->pods.first)
		b->asking[b->n_asking++] = *a;
	else
		b->base[a->match / 64] |= 1ULL << a->match % 64;
}

/* The first of those that are of a namespace, or where it would be. */
static size_t find_fixed(const struct build *b, const char *namespace)
{
	size_t low = 0, high = b->n_fixed;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(b->askers[middle].peer->namespace, namespace) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void enter(struct build *b, const char *name)
{
	struct pp_namespace named = { .name = name };
	const struct pp_namespace *at = &named, **ns = NULL;

	if (b->n_namespaces)
		ns = bsearch(&at, b->namespaces, b->n_namespaces, sizeof(*b->namespaces),
			     compare_namespaces);
	if (ns)
		at = *ns;
	b->n_asking = 0;
	memset(b->base, 0, b->groups.n_words * sizeof(*b->base));
	for (size_t i = find_fixed(b, name);
	     i < b->n_fixed && strcmp(b->askers[i].peer->namespace, name) == 0; i++)
		ask(b, &b->askers[i]);
	for (size_t i = b->n_fixed; i < b->n_askers; i++)
		if (pp_selector_matches(&b->askers[i].peer->namespaces, at->labels, at->n_labels))
			ask(b, &b->askers[i]);
}

/* --- pods */

static void select_pod(struct build *b, const struct pp_party_pod *pod)
{
	memcpy(b->bits, b->base, b->groups.n_words * sizeof(*b->bits));
	for (size_t i = 0; i < b->n_asking; i++) {
		size_t match = b->asking[i].match;

		if (!(b->bits[match / 64] >> match % 64 & 1) &&
		    pp_selector_matches(&b->asking[i].peer->pods, pod->labels, pod->n_labels))
			b->bits[match / 64] |= 1ULL << match % 64;
	}
	for (size_t i = 0; i < b->groups.n_words; i++)
		for (uint64_t left = b->bits[i]; left; left &= left - 1)
			b->out->n_matched[64 * i + (size_t)__builtin_ctzll(left)]++;
}

/* Its addresses, then its identity, which has what any of them has. */
static int add_pod(struct build *b, const struct pp_party_pod *pod)
{
	uint32_t selected = pp_party_groups_find(&b->groups, b->bits), all = selected;
	size_t first = b->n_entries;

	for (size_t k = 0; k < pod->n_addresses; k++) {
		struct entry *e = &b->entries[b->n_entries++];
		uint32_t in = pp_party_blocks_find(&b->blocks, pod->addresses[k]);
		uint32_t group = pp_party_groups_join(&b->groups, selected, in);

		memcpy(e->party.key, pod->addresses[k], sizeof(e->party.key));
		e->party.group = group;
		all = pp_party_groups_join(&b->groups, all, group);
	}
	if (all == PP_NO_GROUP)
		return -ENOMEM;
	if (pod->identity) {
		struct entry *e = &b->entries[b->n_entries++];

		memset(e->party.key, 0xff, 8);
		memcpy(e->party.key + 8, &pod->identity, 8);
		e->party.group = all;
	}
	for (; first < b->n_entries; first++) {
		b->entries[first].party.identity = pod->identity;
		b->entries[first].pod = pod;
		b->entries[first].kept = all;
	}
	b->out->of_pod[pod - b->pods] = all;
	return 0;
}

static int add_pods(struct build *b)
{
	const char *namespace = NULL;

	for (size_t i = 0; i < b->n_pods; i++) {
		const struct pp_party_pod *pod = b->order[i];

		if (!namespace || strcmp(namespace, pod->namespace) != 0)
			enter(b, pod->namespace);
		namespace = pod->namespace;
		select_pod(b, pod);
		if (add_pod(b, pod))
			return -ENOMEM;
	}
	return 0;
}

/* --- the result */

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int r = memcmp(x->party.key, y->party.key, sizeof(x->party.key));

	return r ? r : (x->pod > y->pod) - (x->pod < y->pod);
}

static int take(struct build *b)
{
	struct pp_parties *out = b->out;

	qsort(b->entries, b->n_entries, sizeof(*b->entries), compare_entries);
	out->parties = calloc(b->n_entries + 1, sizeof(*out->parties));
	if (!out->parties)
		return -ENOMEM;
	for (size_t i = 0; i < b->n_entries; i++) {
		const struct entry *e = &b->entries[i];

		if (e->kept && (i + 1 == b->n_entries ||
				memcmp(e[0].party.key, e[1].party.key, sizeof(e->party.key)) != 0))
			out->parties[out->n_parties++] = e->party;
	}
	out->bits = TAKE_PTR(b->groups.bits);
	out->n_groups = b->groups.n;
	out->blocks = TAKE_PTR(b->blocks.blocks);
	out->n_blocks = b->blocks.n;
	return 0;
}

int pp_parties_compile(const struct pp_plan *p, const struct pp_namespace *namespaces,
		       size_t n_namespaces, const struct pp_party_pod *pods, size_t n_pods,
		       struct pp_parties **ret)
{
	_cleanup_(build_free) struct build b = {
		.plan = p, .n_namespaces = n_namespaces, .pods = pods, .n_pods = n_pods
	};

	if (allocate(&b, namespaces))
		return -ENOMEM;
	sort(&b);
	if (pp_party_blocks_compile(p, &b.groups, b.out->n_matched, &b.blocks) || add_pods(&b) ||
	    take(&b))
		return -ENOMEM;
	*ret = TAKE_PTR(b.out);
	return 0;
}

void pp_parties_free(struct pp_parties *p)
{
	if (!p)
		return;
	free(p->bits);
	free(p->parties);
	free(p->blocks);
	free(p->n_matched);
	free(p->of_pod);
	free(p);
}
