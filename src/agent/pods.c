// SPDX-License-Identifier: Apache-2.0
// A node has some hundred pods: they are searched one by one.
#include <arpa/inet.h>

#include "agent/pods.h"
#include "base/base.h"
#include "base/qty.h"
#include "policy/identity.h"
#include "policy/plan.h"

const char *const pp_pod_annotation[PP_N_DIR] = {
	[PP_EGRESS] = "kubernetes.io/egress-bandwidth",
	[PP_INGRESS] = "kubernetes.io/ingress-bandwidth",
};

const char *pp_pod_state_name(enum pp_pod_state state)
{
	static const char *const names[PP_N_POD_STATE] = { "none", "waiting", "in_force", "failed",
							   "invalid" };

	return names[state];
}

void pp_pod_set_state(struct pp_pod_limit *l, enum pp_pod_state state, const char *why)
{
	if (l->state == state && strcmp(l->why, why) == 0)
		return;
	l->state = state;
	l->reported = false;
	snprintf(l->why, sizeof(l->why), "%s", why);
}

static void pod_free(struct pp_pod *pod)
{
	for (int dir = 0; dir < PP_N_DIR; dir++) {
		free(pod->limit[dir].text);
		free(pod->limit[dir].invalid);
		free(pod->limit[dir].valid);
		free(pod->limit[dir].own_text);
		free(pod->limit[dir].own_invalid);
	}
	free(pod->ns);
	free(pod->name);
	free(pod->uid);
	free(pod->hash);
	free(pod->class);
	free(pod->addresses);
	pp_labels_free(pod->labels, pod->n_labels);
	free(pod);
}

void pp_pods_free(struct pp_pods *p)
{
	for (size_t i = 0; i < p->n; i++)
		pod_free(p->pods[i]);
	free(p->pods);
	*p = (struct pp_pods){};
}

struct pp_pod *pp_pods_find(const struct pp_pods *p, const char *uid)
{
	for (size_t i = 0; i < p->n; i++) {
		struct pp_pod *pod = p->pods[i];

		if (strcmp(pod->uid, uid) == 0 || (pod->hash && strcmp(pod->hash, uid) == 0))
			return pod;
	}
	return NULL;
}

static void remove_at(struct pp_pods *p, size_t i)
{
	pod_free(p->pods[i]);
	p->pods[i] = p->pods[--p->n];
}

void pp_pods_remove(struct pp_pods *p, const char *ns, const char *name, const char *uid)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->pods[i]->uid, uid) == 0 && strcmp(p->pods[i]->ns, ns) == 0 &&
		    strcmp(p->pods[i]->name, name) == 0) {
			remove_at(p, i);
			return;
		}
}

static struct pp_pod *add(struct pp_pods *p, const char *ns, const char *name, const char *uid)
{
	struct pp_pod *pod;

	if (p->n == p->room) {
		size_t room = p->room ? 2 * p->room : 64;
		struct pp_pod **more = reallocarray(p->pods, room, sizeof(struct pp_pod *));

		if (!more)
			return NULL;
		p->pods = more;
		p->room = room;
	}
	pod = calloc(1, sizeof(*pod));
	if (!pod)
		return NULL;
	pod->ns = strdup(ns);
	pod->name = strdup(name);
	pod->uid = strdup(uid);
	if (!pod->ns || !pod->name || !pod->uid) {
		pod_free(pod);
		return NULL;
	}
	pod->identity = pp_identity_of(uid);
	p->pods[p->n++] = pod;
	return pod;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/*
 * The annotation is as it was, or another now. One that is not valid leaves the limit before it as
 * it is.
 */
static void ask(struct pp_pod_limit *l, const char *annotation, const char *text, uint64_t now)
{
	struct pp_err e = { "" };
	uint64_t rate;

	if (same_text(text, l->text))
		return;
	free(l->text);
	free(l->invalid);
	l->text = l->invalid = NULL;
	l->asked = now;
	if (text && pp_rate_parse(text, &rate, &e)) {
		pp_err_wrap(&e, -EINVAL, "%s", annotation);
		l->invalid = strdup(e.msg);
	} else {
		free(l->valid);
		l->valid = text ? strdup(text) : NULL;
	}
	l->text = text ? strdup(text) : NULL;
}

static void ask_own(struct pp_pod_limit *l, const char *annotation, const char *text, uint64_t now)
{
	struct pp_err e = { "" };

	if (same_text(text, l->own_text))
		return;
	free(l->own_text);
	free(l->own_invalid);
	l->own_text = text ? strdup(text) : NULL;
	l->own_invalid = NULL;
	l->asked = now;
	if (!text) {
		l->own = (struct pp_timed){};
	} else if (pp_timed_parse(text, &l->own, &e)) {
		pp_err_wrap(&e, -EINVAL, "%s", annotation);
		l->own_invalid = strdup(e.msg);
	}
}

uint64_t pp_pod_limit_own(const struct pp_pod_limit *l, int64_t now)
{
	return l->own.until && l->own.until <= now ? 0 : l->own.rate;
}

/* --- labels and addresses */

void pp_labels_free(struct pp_label *l, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free((char *)l[i].key);
		free((char *)l[i].value);
	}
	free(l);
}

static int by_label(const void *a, const void *b)
{
	return strcmp(((const struct pp_label *)a)->key, ((const struct pp_label *)b)->key);
}

size_t pp_labels_read(const json_t *metadata, struct pp_label **ret)
{
	json_t *labels = json_object_get(metadata, "labels"), *value;
	struct pp_label *l = calloc(json_object_size(labels) + 1, sizeof(*l));
	const char *key;
	size_t n = 0;

	json_object_foreach(labels, key, value)
	{
		if (!l || !json_is_string(value))
			continue;
		l[n] = (struct pp_label){ strdup(key), strdup(json_string_value(value)) };
		n += l[n].key && l[n].value;
	}
	if (n)
		qsort(l, n, sizeof(*l), by_label);
	*ret = l;
	return n;
}

bool pp_labels_equal(const struct pp_label *a, size_t n, const struct pp_label *b, size_t m)
{
	for (size_t i = 0; n == m && i < n; i++)
		if (strcmp(a[i].key, b[i].key) != 0 || strcmp(a[i].value, b[i].value) != 0)
			return false;
	return n == m;
}

/* What objects may choose it by; all of its limits may be others now. */
static void describe(struct pp_pod *pod, const json_t *meta, const char *class, uint64_t now)
{
	struct pp_label *labels;
	size_t n = pp_labels_read(meta, &labels);
	bool same = pp_labels_equal(labels, n, pod->labels, pod->n_labels) &&
		    same_text(class, pod->class);

	pp_labels_free(pod->labels, pod->n_labels);
	pod->labels = labels;
	pod->n_labels = n;
	if (same)
		return;
	free(pod->class);
	pod->class = class ? strdup(class) : NULL;
	for (int dir = 0; dir < PP_N_DIR; dir++)
		pod->limit[dir].asked = now;
}

bool pp_local_parse(const char *text, struct pp_local *ret)
{
	*ret = (struct pp_local){ .addr = { [10] = 255, [11] = 255 } };
	if (!text)
		return false;
	return inet_pton(AF_INET, text, ret->addr + 12) == 1 ||
	       inet_pton(AF_INET6, text, ret->addr) == 1;
}

/* Of a pod in the node's network they are the node's, which counts as well. */
static void read_addresses(struct pp_pod *pod, const json_t *status)
{
	json_t *list = json_object_get(status, "podIPs"), *one;
	struct pp_local *l = calloc(json_array_size(list) + 1, sizeof(*l));
	size_t i, n = 0;

	json_array_foreach(list, i, one) n +=
		l && pp_local_parse(json_string_value(json_object_get(one, "ip")), &l[n]);
	free(pod->addresses);
	pod->addresses = l;
	pod->n_addresses = n;
}

static const char *text_at(const json_t *o, const char *a, const char *b)
{
	return json_string_value(json_object_get(json_object_get(o, a), b));
}

struct pp_pod *pp_pods_put(struct pp_pods *p, const json_t *object, uint64_t now)
{
	const json_t *meta = json_object_get(object, "metadata");
	const char *ns = text_at(object, "metadata", "namespace");
	const char *name = text_at(object, "metadata", "name");
	const char *uid = text_at(object, "metadata", "uid");
	const char *phase = text_at(object, "status", "phase") ?: "";
	bool over = strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0;
	const char *hash = text_at(meta, "annotations", "kubernetes.io/config.hash");
	struct pp_pod *pod;

	if (!ns || !name || !uid)
		return NULL;
	pod = pp_pods_find(p, uid);
	if (!pod)
		pod = add(p, ns, name, uid);
	if (!pod)
		return NULL;
	pod->over = over;
	/* of a pod that is being deleted the cgroup goes first */
	pod->running = strcmp(phase, "Running") == 0 && !json_object_get(meta, "deletionTimestamp");
	if (hash && !pod->hash)
		pod->hash = strdup(hash);
	describe(pod, meta, over ? NULL : text_at(meta, "annotations", PP_CLASS_KEY), now);
	pod->in_node_network =
		json_is_true(json_object_get(json_object_get(object, "spec"), "hostNetwork"));
	read_addresses(pod, json_object_get(object, "status"));
	for (int dir = 0; dir < PP_N_DIR; dir++)
		ask(&pod->limit[dir], pp_pod_annotation[dir],
		    over ? NULL : text_at(meta, "annotations", pp_pod_annotation[dir]), now);
	for (int dir = 0; dir < PP_N_DIR; dir++)
		ask_own(&pod->limit[dir], pp_timed_key[dir],
			over ? NULL : text_at(meta, "annotations", pp_timed_key[dir]), now);
	return pod;
}
