// SPDX-License-Identifier: Apache-2.0
// What the API says beside this node's pods. Of a namespace and of the node only labels and
// addresses are kept: a node's status, written every five minutes, changes nothing here.
#include "agent/objects.h"
#include "agent/pods.h"
#include "base/base.h"
#include "base/log.h"

struct source {
	struct pp_objects_watch *all;
	enum pp_objects_source which;
	struct pp_watch *watch;
	char why[240];
};

struct pp_objects_watch {
	struct source sources[PP_N_OBJECTS_SOURCE];
	struct pp_sources *store;
	struct pp_labeled namespaces, node;
	struct pp_local *addresses;
	size_t n_addresses;
	void (*changed)(void *arg);
	void *arg;
};

static const struct {
	const char *resource, *kind, *path;
} table[PP_N_OBJECTS_SOURCE] = {
	[PP_SOURCE_CLASSES] = { "bandwidthclasses", "BandwidthClass",
				"/apis/podpace.io/v1alpha1/bandwidthclasses" },
	[PP_SOURCE_POLICIES] = { "bandwidthpolicies", "BandwidthPolicy",
				 "/apis/podpace.io/v1alpha1/bandwidthpolicies" },
	[PP_SOURCE_CLUSTER_POLICIES] = { "clusterbandwidthpolicies", "ClusterBandwidthPolicy",
					 "/apis/podpace.io/v1alpha1/clusterbandwidthpolicies" },
	[PP_SOURCE_NAMESPACES] = { "namespaces", NULL, "/api/v1/namespaces" },
	[PP_SOURCE_NODE] = { "node", NULL, "/api/v1/nodes" },
};

/* --- what a watch tells */

static void say_fault(const char *line, void *arg)
{
	(void)arg;
	pp_log(PP_LOG_WARN, "an object is not valid; what it said before stays", "why", line, NULL);
}

/* What it is called in messages, and in the store. */
static void source_name(char name[static 600], const char *kind, const char *ns, const char *object)
{
	snprintf(name, 600, "%s %.80s%s%.300s", kind, ns, ns[0] ? "/" : "", object);
}

/* Of a list's items the API does not say the kind. */
static char *text_of(const char *kind, const json_t *object)
{
	const json_t *meta = json_object_get(object, "metadata");
	json_t *o = json_pack(
		"{s:s, s:s, s:{s:O?, s:O?, s:O?}, s:O?}", "apiVersion", "podpace.io/v1alpha1",
		"kind", kind, "metadata", "name", json_object_get(meta, "name"), "namespace",
		json_object_get(meta, "namespace"), "generation",
		json_object_get(meta, "generation"), "spec", json_object_get(object, "spec"));
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	json_decref(o);
	return text;
}

static bool put_object(struct source *s, const json_t *object)
{
	const json_t *meta = json_object_get(object, "metadata");
	const char *ns = json_string_value(json_object_get(meta, "namespace")) ?: "";
	const char *name = json_string_value(json_object_get(meta, "name"));
	_cleanup_free_ char *text = text_of(table[s->which].kind, object);
	char source[600];

	if (!text || !name)
		return false;
	source_name(source, table[s->which].kind, ns, name);
	pp_sources_put(s->all->store, source, text, strlen(text), say_fault, NULL);
	return true;
}

static bool put_node(struct pp_objects_watch *w, const json_t *object)
{
	json_t *list = json_object_get(json_object_get(object, "status"), "addresses"), *one;
	struct pp_local *l = calloc(json_array_size(list) + 1, sizeof(*l));
	bool changed = pp_labeled_put(&w->node, object);
	size_t i, n = 0;

	json_array_foreach(list, i, one) n +=
		l && pp_local_parse(json_string_value(json_object_get(one, "address")), &l[n]);
	changed |= n != w->n_addresses || (n && memcmp(l, w->addresses, n * sizeof(*l)) != 0);
	free(w->addresses);
	w->addresses = l;
	w->n_addresses = n;
	return changed;
}

static void on_put(json_t *object, void *arg)
{
	struct source *s = arg;
	bool changed;

	s->why[0] = '\0';
	if (s->which == PP_SOURCE_NAMESPACES)
		changed = pp_labeled_put(&s->all->namespaces, object);
	else if (s->which == PP_SOURCE_NODE)
		changed = put_node(s->all, object);
	else
		changed = put_object(s, object);
	if (changed)
		s->all->changed(s->all->arg);
}

static void on_gone(const char *ns, const char *name, const char *uid, void *arg)
{
	struct source *s = arg;
	char source[600];

	(void)uid;
	if (s->which == PP_SOURCE_NAMESPACES) {
		pp_labeled_remove(&s->all->namespaces, name);
	} else if (s->which != PP_SOURCE_NODE) {
		source_name(source, table[s->which].kind, ns, name);
		pp_sources_remove(s->all->store, source);
	}
	s->all->changed(s->all->arg);
}

static void on_synced(void *arg)
{
	struct source *s = arg;

	s->why[0] = '\0';
	s->all->changed(s->all->arg);
}

static void on_failed(const char *why, void *arg)
{
	struct source *s = arg;
	struct pp_watch_stats stats;
	bool was = s->why[0] != '\0';

	pp_watch_stats(s->watch, &stats);
	snprintf(s->why, sizeof(s->why), "%s", why);
	if (was)
		return;
	if (stats.refused == 404)
		pp_log(PP_LOG_INFO, "the API has no such objects: podpace's CRDs are not installed",
		       "resource", table[s->which].resource, NULL);
	else
		pp_log(PP_LOG_WARN, "the API is not heard; limits stay as they are", "resource",
		       table[s->which].resource, "why", why, NULL);
	/* that there are none is news too */
	s->all->changed(s->all->arg);
}

/* --- wiring */

int pp_objects_watch_new(struct pp_kube *k, const char *node, struct pp_sources *store,
			 void (*changed)(void *arg), void *arg, struct pp_objects_watch **ret)
{
	static const struct pp_watch_ops ops = { on_put, on_gone, on_synced, on_failed };
	struct pp_objects_watch *w = calloc(1, sizeof(*w));
	char query[400];
	int r = 0;

	if (!w)
		return -ENOMEM;
	w->store = store;
	w->changed = changed;
	w->arg = arg;
	snprintf(query, sizeof(query), "fieldSelector=metadata.name%%3D%s", node);
	for (int i = 0; !r && i < PP_N_OBJECTS_SOURCE; i++) {
		w->sources[i].all = w;
		w->sources[i].which = i;
		r = pp_watch_new(k, table[i].path, i == PP_SOURCE_NODE ? query : NULL, &ops,
				 &w->sources[i], &w->sources[i].watch);
	}
	if (r) {
		pp_objects_watch_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

void pp_objects_watch_free(struct pp_objects_watch *w)
{
	if (!w)
		return;
	for (int i = 0; i < PP_N_OBJECTS_SOURCE; i++)
		pp_watch_free(w->sources[i].watch);
	pp_labeled_free(&w->namespaces);
	pp_labeled_free(&w->node);
	free(w->addresses);
	free(w);
}

/*
 * In a large cluster the agent may have no right to see nodes: then this one is known by its name
 * alone.
 */
static bool is_known(const struct source *s, struct pp_watch_stats *stats)
{
	pp_watch_stats(s->watch, stats);
	return stats->synced || stats->refused == 404 ||
	       (s->which == PP_SOURCE_NODE && stats->refused);
}

bool pp_objects_watch_known(const struct pp_objects_watch *w)
{
	struct pp_watch_stats stats;

	for (int i = 0; i < PP_N_OBJECTS_SOURCE; i++)
		if (!is_known(&w->sources[i], &stats))
			return false;
	return true;
}

const char *pp_objects_watch_source(const struct pp_objects_watch *w, enum pp_objects_source source,
				    struct pp_watch_stats *ret, const char **ret_resource)
{
	const struct source *s = &w->sources[source];

	*ret_resource = table[source].resource;
	return is_known(s, ret) && ret->refused == 404 ? "" : s->why;
}

const struct pp_labeled *pp_objects_watch_namespaces(const struct pp_objects_watch *w)
{
	return &w->namespaces;
}

const struct pp_labeled *pp_objects_watch_node(const struct pp_objects_watch *w)
{
	return &w->node;
}

const struct pp_local *pp_objects_watch_addresses(const struct pp_objects_watch *w, size_t *ret_n)
{
	*ret_n = w->n_addresses;
	return w->addresses;
}
