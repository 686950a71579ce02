// SPDX-License-Identifier: Apache-2.0
// What the API has to be asked for, so that all pods that rules select are known.
#include "base/base.h"
#include "policy/parties.h"

enum {
	MOST = 32,  /* queries; more are one for all pods */
	APART = 8, /* namespaces that are asked one by one */
};

struct list {
	struct pp_party_query *q;
	size_t n, room;
};

void pp_parties_queries_free(struct pp_party_query *q, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free((char *)q[i].namespace);
		free(q[i].labels);
	}
	free(q);
}

static void list_free(struct list *l)
{
	pp_parties_queries_free(l->q, l->n);
}

static int add(struct list *l, const char *namespace, const char *labels)
{
	struct pp_party_query q = { NULL, NULL };

	if (l->n == l->room) {
		size_t room = l->room ? 2 * l->room : 16;
		struct pp_party_query *more = reallocarray(l->q, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		l->q = more;
		l->room = room;
	}
	q.labels = strdup(labels);
	q.namespace = namespace ? strdup(namespace) : NULL;
	l->q[l->n++] = q;
	return !q.labels || (namespace && !q.namespace) ? -ENOMEM : 0;
}

static int add_peer(struct list *l, const struct pp_plan_peer *p,
		    const struct pp_namespace *namespaces, size_t n_namespaces)
{
	_cleanup_free_ char *labels = pp_selector_format(&p->pods);
	const char *found[APART];
	size_t n = 0;
	int r = 0;

	if (!labels)
		return -ENOMEM;
	if (p->namespace || !p->namespaces.first)
		return add(l, p->namespace, labels);
	for (size_t i = 0; i < n_namespaces; i++) {
		const struct pp_namespace *ns = &namespaces[i];

		if (!pp_selector_matches(&p->namespaces, ns->labels, ns->n_labels))
			continue;
		if (n == APART)
			return add(l, NULL, labels);
		found[n++] = ns->name;
	}
	for (size_t i = 0; i < n && !r; i++)
		r = add(l, found[i], labels);
	return r;
}

/* Those that ask for more come first: all namespaces, then all labels. */
static int compare(const void *a, const void *b)
{
	const struct pp_party_query *x = a, *y = b;
	int r;

	if (!x->namespace || !y->namespace)
		r = (x->namespace != NULL) - (y->namespace != NULL);
	else
		r = strcmp(x->namespace, y->namespace);
	return r ? r : strcmp(x->labels, y->labels);
}

static bool has_all_of(const struct pp_party_query *x, const struct pp_party_query *y)
{
	return (!x->namespace || (y->namespace && strcmp(x->namespace, y->namespace) == 0)) &&
	       (!x->labels[0] || strcmp(x->labels, y->labels) == 0);
}

/*
 * Sorts them, and drops those that another one has, as far as that is plain, until it is known that
 * there are too many.
 */
static void reduce(struct list *l)
{
	size_t kept = 0;

	if (l->n)
		qsort(l->q, l->n, sizeof(*l->q), compare);
	for (size_t i = 0; i < l->n; i++) {
		bool had = false;

		for (size_t k = 0; k < kept && kept <= MOST && !had; k++)
			had = has_all_of(&l->q[k], &l->q[i]);
		if (had) {
			free((char *)l->q[i].namespace);
			free(l->q[i].labels);
		} else {
			l->q[kept++] = l->q[i];
		}
	}
	l->n = kept;
}

int pp_parties_queries(const struct pp_plan *p, const struct pp_namespace *namespaces,
		       size_t n_namespaces, struct pp_party_query **ret, size_t *ret_n)
{
	_cleanup_(list_free) struct list l = { 0 };
	int r = 0;

	for (size_t i = 0; i < p->n_matches && !r; i++)
		for (size_t k = 0; k < p->matches[i]->n_peers && !r; k++)
			if (!p->matches[i]->peers[k].is_block)
				r = add_peer(&l, &p->matches[i]->peers[k], namespaces,
					     n_namespaces);
	if (r)
		return r;
	reduce(&l);
	if (l.n > MOST) {
		list_free(&l);
		l = (struct list){ 0 };
		r = add(&l, NULL, "");
		if (r)
			return r;
	}
	*ret_n = l.n;
	*ret = TAKE_PTR(l.q);
	l.n = 0;
	return 0;
}
