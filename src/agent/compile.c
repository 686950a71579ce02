// SPDX-License-Identifier: Apache-2.0
// All that the agent knows, made into a plan; and what became of it.
#include <ifaddrs.h>
#include <netinet/in.h>

#include "agent/compile.h"
#include "agent/limits.h"
#include "base/base.h"
#include "kernel/locals.h"

/* --- cgroups that objects name */

int pp_agent_name_groups(struct pp_agent *a)
{
	size_t n, n_paths = 0, room = 1;
	const struct pp_object *const *objects = pp_sources_objects(a->said, &n);
	_cleanup_free_ const char **paths = NULL;

	for (size_t i = 0; i < n; i++)
		for (const struct pp_value *v = objects[i]->cgroups ? objects[i]->cgroups->first
								    : NULL;
		     v; v = v->next)
			room++;
	paths = calloc(room, sizeof(*paths));
	if (!paths)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		for (const struct pp_value *v = objects[i]->cgroups ? objects[i]->cgroups->first
								    : NULL;
		     v; v = v->next)
			paths[n_paths++] = v->text;
	return pp_groups_set(a->groups, paths, n_paths);
}

/* --- the input */

struct gathered {
	struct pp_subject *subjects;
	size_t n;
	struct pp_place *places;
	size_t n_places;
	struct pp_namespace *namespaces, *nodes;
	size_t n_namespaces, n_nodes;
};

static void gathered_free(struct gathered *g)
{
	free(g->subjects);
	free(g->places);
	free(g->namespaces);
	free(g->nodes);
}

static void add_pods(const struct pp_agent *a, struct gathered *g)
{
	int64_t now = pp_agent_time();

	for (size_t i = 0; i < a->pods.n; i++) {
		const struct pp_pod *pod = a->pods.pods[i];

		if (pod->over)
			continue;
		g->subjects[g->n++] = (struct pp_subject){
			.namespace = pod->ns,
			.name = pod->name,
			.uid = pod->uid,
			.labels = pod->labels,
			.n_labels = pod->n_labels,
			.class = pod->class,
			.annotation = { pod->limit[PP_EGRESS].valid, pod->limit[PP_INGRESS].valid },
			.limit = { pp_pod_limit_own(&pod->limit[PP_EGRESS], now),
				   pp_pod_limit_own(&pod->limit[PP_INGRESS], now) },
		};
	}
}

/* A pod by the uid, or the config hash, that its cgroup has. */
struct by_uid {
	const char *uid;
	struct pp_pod *pod;
};

static int compare_uid(const void *a, const void *b)
{
	return strcmp(((const struct by_uid *)a)->uid, ((const struct by_uid *)b)->uid);
}

static int add_pod_places(const struct pp_agent *a, struct gathered *g)
{
	size_t n_cgroups, n = 0;
	const struct pp_tree_pod *cgroups = pp_tree_pods(a->tree, &n_cgroups);
	_cleanup_free_ struct by_uid *index = calloc(2 * a->pods.n + 1, sizeof(*index));

	if (!index)
		return -ENOMEM;
	for (size_t i = 0; i < a->pods.n; i++) {
		struct pp_pod *pod = a->pods.pods[i];

		index[n++] = (struct by_uid){ pod->uid, pod };
		if (pod->hash)
			index[n++] = (struct by_uid){ pod->hash, pod };
	}
	qsort(index, n, sizeof(*index), compare_uid);
	for (size_t i = 0; i < n_cgroups; i++) {
		struct by_uid key = { .uid = cgroups[i].uid }, *at;

		/* a kubelet that is nested in another's pod may have the pod twice */
		if (i && strcmp(cgroups[i].uid, cgroups[i - 1].uid) == 0)
			continue;
		at = n ? bsearch(&key, index, n, sizeof(*index), compare_uid) : NULL;
		if (!at)
			continue;
		g->places[g->n_places++] = (struct pp_place){ .path = cgroups[i].path,
							      .id = cgroups[i].id,
							      .identity = at->pod->identity,
							      .who = at->pod };
	}
	return 0;
}

static bool is_pods(const struct gathered *g, uint64_t id)
{
	for (size_t i = 0; i < g->n_places; i++)
		if (g->places[i].id == id)
			return true;
	return false;
}

/* What is a pod's cgroup is a pod. */
static void add_groups(const struct pp_agent *a, struct gathered *g)
{
	size_t n, pods;
	const struct pp_group *groups = pp_groups_list(a->groups, &n);

	pods = g->n_places;
	for (size_t i = 0; i < n; i++) {
		if (!groups[i].id || (pods && is_pods(g, groups[i].id)))
			continue;
		g->subjects[g->n++] = (struct pp_subject){ .name = groups[i].path, .uid = "" };
		g->places[g->n_places++] =
			(struct pp_place){ .path = groups[i].path, .id = groups[i].id };
	}
}

static int gather(const struct pp_agent *a, struct gathered *g)
{
	size_t n_groups, n_cgroups = 0;
	int r = 0;

	pp_groups_list(a->groups, &n_groups);
	if (a->tree)
		pp_tree_pods(a->tree, &n_cgroups);
	g->subjects = calloc(a->pods.n + n_groups + 1, sizeof(*g->subjects));
	g->places = calloc(n_cgroups + n_groups + 1, sizeof(*g->places));
	if (!g->subjects || !g->places)
		return -ENOMEM;
	add_pods(a, g);
	if (a->tree)
		r = add_pod_places(a, g);
	add_groups(a, g);
	if (!r && a->objects)
		r = pp_labeled_list(pp_objects_watch_namespaces(a->objects), &g->namespaces,
				    &g->n_namespaces);
	if (!r && a->objects)
		r = pp_labeled_list(pp_objects_watch_node(a->objects), &g->nodes, &g->n_nodes);
	return r;
}

int pp_agent_compile(struct pp_agent *a)
{
	_cleanup_(gathered_free) struct gathered g = {};
	struct pp_label host = { "kubernetes.io/hostname", a->o.node };
	struct pp_plan_input in = { .node_labels = &host, .n_node_labels = a->o.node != NULL };
	struct pp_plan *plan;
	int r = gather(a, &g);

	if (r)
		return r;
	in.objects = pp_sources_objects(a->said, &in.n_objects);
	in.subjects = g.subjects;
	in.n_subjects = g.n;
	in.namespaces = g.namespaces;
	in.n_namespaces = g.n_namespaces;
	if (g.n_nodes) {
		in.node_labels = g.nodes[0].labels;
		in.n_node_labels = g.nodes[0].n_labels;
	}
	r = pp_plan_compile(&in, &plan);
	if (r)
		return r;
	for (size_t i = 0; i < g.n_places; i++) {
		const struct pp_pod *pod = g.places[i].who;

		g.places[i].subject = pod ? pp_plan_find(plan, pod->ns, pod->name, pod->uid)
					  : pp_plan_find(plan, NULL, g.places[i].path, "");
	}
	pp_plan_free(a->plan);
	free(a->places);
	a->plan = plan;
	a->places = TAKE_PTR(g.places);
	a->n_places = g.n_places;
	return 0;
}

/* --- this node's addresses */

static bool of_interface(const struct ifaddrs *i, struct pp_local *ret)
{
	*ret = (struct pp_local){ .addr = { [10] = 255, [11] = 255 } };
	if (!i->ifa_addr)
		return false;
	if (i->ifa_addr->sa_family == AF_INET)
		memcpy(ret->addr + 12, &((struct sockaddr_in *)i->ifa_addr)->sin_addr, 4);
	else if (i->ifa_addr->sa_family == AF_INET6)
		memcpy(ret->addr, &((struct sockaddr_in6 *)i->ifa_addr)->sin6_addr, 16);
	else
		return false;
	return true;
}

/* Those of the node, and of bridges and tunnels on it. */
static size_t count_interfaces(const struct ifaddrs *all, struct pp_local *ret)
{
	struct pp_local one;
	size_t n = 0;

	for (const struct ifaddrs *i = all; i; i = i->ifa_next)
		if (of_interface(i, ret ? &ret[n] : &one))
			n++;
	return n;
}

int pp_agent_locals(const struct pp_agent *a, struct pp_local **ret, size_t *ret_n)
{
	const struct pp_local *node = NULL;
	struct ifaddrs *interfaces = NULL;
	size_t n = 0, room, n_node = 0;
	struct pp_local *l;

	if (getifaddrs(&interfaces))
		interfaces = NULL;
	if (a->objects)
		node = pp_objects_watch_addresses(a->objects, &n_node);
	room = count_interfaces(interfaces, NULL) + n_node + 1;
	for (size_t i = 0; i < a->pods.n; i++)
		room += a->pods.pods[i]->n_addresses + 1;
	l = calloc(room, sizeof(*l));
	if (l)
		n = count_interfaces(interfaces, l);
	freeifaddrs(interfaces);
	if (!l)
		return -ENOMEM;
	for (size_t i = 0; i < n_node; i++)
		l[n++] = node[i];
	for (size_t i = 0; i < a->pods.n; i++) {
		const struct pp_pod *pod = a->pods.pods[i];

		for (size_t k = 0; !pod->over && k < pod->n_addresses; k++)
			l[n++] = pod->addresses[k];
		if (!pod->over && pod->identity)
			l[n++] = pp_local_of_pod(pod->identity);
	}
	*ret = l;
	*ret_n = n;
	return 0;
}

/* --- what became of it */

static bool is_limited(const struct pp_plan_subject *s, int dir)
{
	return s && (s->leaf[dir] || s->uplink[dir] || s->cap[dir][0] || s->n_rules[dir]);
}

/* An annotation that is not valid is told, whatever else limits the pod. */
static void settle(struct pp_pod_limit *l, enum pp_pod_state state, const char *why)
{
	if (l->invalid || l->own_invalid)
		pp_pod_set_state(l, PP_POD_INVALID, l->invalid ?: l->own_invalid);
	else
		pp_pod_set_state(l, state, why);
}

/*
 * No cgroup was found for it: it does not run yet, or has just ended; but when it stays so, its
 * limits are not in force.
 */
static void settle_missing(struct pp_pod *pod, uint64_t now)
{
	bool late;

	if (!pod->running)
		pod->missing = 0;
	else if (!pod->missing)
		pod->missing = now;
	late = pod->missing && now - pod->missing > PP_AGENT_MISSING_NS;
	for (int dir = 0; dir < PP_N_DIR; dir++)
		if (pod->limit[dir].wanted && late)
			settle(&pod->limit[dir], PP_POD_FAILED,
			       "the pod runs, but its cgroup was not found");
		else if (pod->limit[dir].wanted)
			settle(&pod->limit[dir], PP_POD_WAITING, "");
}

static void settle_place(const struct pp_place *place, uint64_t now)
{
	struct pp_pod *pod = place->who;

	pod->missing = 0;
	pod->placed = true;
	for (int dir = 0; dir < PP_N_DIR; dir++) {
		struct pp_pod_limit *l = &pod->limit[dir];

		if (!l->wanted)
			continue;
		l->pipe = place->pipe[dir];
		l->uplink = place->uplink[dir];
		l->granted = place->fresh[dir] && !place->why[dir][0] ? now : 0;
		settle(l, place->why[dir][0] ? PP_POD_FAILED : PP_POD_IN_FORCE, place->why[dir]);
	}
}

void pp_agent_settle(struct pp_agent *a)
{
	uint64_t now = pp_now();

	for (size_t i = 0; i < a->pods.n; i++) {
		struct pp_pod *pod = a->pods.pods[i];
		const struct pp_plan_subject *s =
			pp_plan_find(a->plan, pod->ns, pod->name, pod->uid);

		pod->placed = false;
		for (int dir = 0; dir < PP_N_DIR; dir++) {
			struct pp_pod_limit *l = &pod->limit[dir];

			l->wanted = is_limited(s, dir);
			l->pipe = l->uplink = 0;
			l->granted = 0;
			if (!l->wanted)
				settle(l, PP_POD_FREE, "");
		}
	}
	for (size_t i = 0; i < a->n_places; i++)
		if (a->places[i].who)
			settle_place(&a->places[i], now);
	for (size_t i = 0; i < a->pods.n; i++)
		if (!a->pods.pods[i]->placed)
			settle_missing(a->pods.pods[i], now);
}
