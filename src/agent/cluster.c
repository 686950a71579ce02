// SPDX-License-Identifier: Apache-2.0
// A node's status is written every five minutes: of 5000 nodes some seventeen objects a second
// arrive here that change nothing, and none of them is kept. What does change prefixes is told
// after a second, together with what came in it.
#include "agent/cluster.h"
#include "base/base.h"
#include "base/log.h"

#define GATHER_NS 1000000000ull

struct source {
	struct pp_cluster *cluster;
	enum pp_peer_source which;
	struct pp_watch *watch;
	bool heard; /* since it was last not */
	char why[240];
};

struct pp_cluster {
	struct source sources[PP_N_PEER_SOURCE];
	struct pp_peers peers;
	const struct pp_cidr *more;
	size_t n_more;
	struct pp_source *timer;
	bool gathering; /* the timer is armed */
	struct pp_cidr *list;
	size_t n;
	bool complete; /* the list has all: what came after it was made is not in it */
	void (*changed)(void *arg);
	void *arg;
};

/* Without its prefixes the rest works on: a limit on what pods receive is then held by window. */
static const struct {
	const char *resource, *path, *missing;
} table[PP_N_PEER_SOURCE] = {
	[PP_PEER_NODES] = { "nodes", "/api/v1/nodes",
			    "addresses of nodes and pods are not known but by --peers" },
	[PP_PEER_SERVICES] = { "servicecidrs", "/apis/networking.k8s.io/v1/servicecidrs",
			       "addresses of services are not known but by --peers" },
};

static void gather(struct pp_cluster *c, uint64_t ns)
{
	if (!c->gathering)
		pp_source_arm(c->timer, ns);
	c->gathering = true;
}

/* What the API does not have is known, too. */
static bool all_known(const struct pp_cluster *c)
{
	for (int i = 0; i < PP_N_PEER_SOURCE; i++) {
		struct pp_watch_stats stats;

		pp_watch_stats(c->sources[i].watch, &stats);
		if (!stats.synced && stats.refused != 404)
			return false;
	}
	return true;
}

static void on_timer(void *arg)
{
	struct pp_cluster *c = arg;
	struct pp_cidr *list;
	size_t n;

	c->gathering = false;
	if (pp_peers_list(&c->peers, c->more, c->n_more, &list, &n)) {
		gather(c, GATHER_NS);
		return;
	}
	free(c->list);
	c->list = list;
	c->n = n;
	c->complete = all_known(c);
	c->changed(c->arg);
}

/* --- what a watch tells */

static void on_put(json_t *object, void *arg)
{
	struct source *s = arg;

	s->heard = true;
	s->why[0] = '\0';
	if (pp_peers_put(&s->cluster->peers, s->which, object) == 1)
		gather(s->cluster, GATHER_NS);
}

static void on_gone(const char *ns, const char *name, const char *uid, void *arg)
{
	struct source *s = arg;

	(void)ns, (void)uid;
	if (pp_peers_remove(&s->cluster->peers, s->which, name))
		gather(s->cluster, GATHER_NS);
}

static void on_synced(void *arg)
{
	struct source *s = arg;

	s->heard = true;
	s->why[0] = '\0';
	gather(s->cluster, GATHER_NS);
}

static void on_failed(const char *why, void *arg)
{
	struct source *s = arg;
	struct pp_watch_stats stats;

	/* the words differ between the ways in which a watch tries: told once */
	if (s->heard || !s->why[0]) {
		pp_watch_stats(s->watch, &stats);
		pp_log(PP_LOG_WARN,
		       stats.synced ? "the API is not heard; peers stay as they are"
				    : table[s->which].missing,
		       "resource", table[s->which].resource, "why", why, NULL);
		gather(s->cluster, GATHER_NS);
	}
	s->heard = false;
	snprintf(s->why, sizeof(s->why), "%s", why);
}

/* --- wiring */

int pp_cluster_new(struct pp_kube *k, struct pp_loop *l, const struct pp_cidr *more, size_t n_more,
		   void (*changed)(void *arg), void *arg, struct pp_cluster **ret)
{
	static const struct pp_watch_ops ops = { on_put, on_gone, on_synced, on_failed };
	struct pp_cluster *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->more = more;
	c->n_more = n_more;
	c->changed = changed;
	c->arg = arg;
	r = pp_source_timer(l, on_timer, c, &c->timer);
	for (int i = 0; !r && i < PP_N_PEER_SOURCE; i++) {
		c->sources[i].cluster = c;
		c->sources[i].which = i;
		r = pp_watch_new(k, table[i].path, NULL, &ops, &c->sources[i],
				 &c->sources[i].watch);
	}
	if (r) {
		pp_cluster_free(c);
		return r;
	}
	gather(c, 0);
	*ret = c;
	return 0;
}

void pp_cluster_free(struct pp_cluster *c)
{
	if (!c)
		return;
	for (int i = 0; i < PP_N_PEER_SOURCE; i++)
		pp_watch_free(c->sources[i].watch);
	pp_source_free(c->timer);
	pp_peers_free(&c->peers);
	free(c->list);
	free(c);
}

bool pp_cluster_peers(const struct pp_cluster *c, const struct pp_cidr **ret, size_t *ret_n)
{
	*ret = c->list;
	*ret_n = c->n;
	return c->complete;
}

void pp_cluster_source(const struct pp_cluster *c, enum pp_peer_source source,
		       struct pp_cluster_source *ret)
{
	const struct source *s = &c->sources[source];

	ret->resource = table[source].resource;
	ret->why = s->heard ? "" : s->why;
	pp_watch_stats(s->watch, &ret->watch);
}
