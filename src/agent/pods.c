// SPDX-License-Identifier: Apache-2.0
// A node has some hundred pods: they are searched one by one.
#include <ctype.h>

#include "agent/pods.h"
#include "base/base.h"
#include "base/qty.h"

const char *const pp_pod_annotation[PP_N_DIR] = {
	[PP_EGRESS] = "kubernetes.io/egress-bandwidth",
	[PP_INGRESS] = "kubernetes.io/ingress-bandwidth",
};

const char *pp_pod_state_name(enum pp_pod_state state)
{
	static const char *const names[PP_N_POD_STATE] = {
		"none", "waiting", "in_force", "failed", "invalid"
	};

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
	}
	free(pod->ns);
	free(pod->name);
	free(pod->uid);
	free(pod->hash);
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

static uint64_t identity_of(const char *uid)
{
	uint64_t id = 0;

	for (int digits = 0; digits < 16; uid++) {
		if (*uid == '-')
			continue;
		if (!isxdigit((unsigned char)*uid))
			return 0;
		id = id << 4 | (*uid <= '9' ? *uid - '0' : (*uid | 0x20) - 'a' + 10);
		digits++;
	}
	return id;
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
	pod->identity = identity_of(uid);
	p->pods[p->n++] = pod;
	return pod;
}

/*
 * The annotation is as it was, or another now. One that is not valid leaves the limit before it as
 * it is.
 */
static void ask(struct pp_pod_limit *l, const char *annotation, const char *text, uint64_t now)
{
	struct pp_err e = { "" };
	uint64_t rate;

	if (text && l->text && strcmp(text, l->text) == 0)
		return;
	free(l->text);
	free(l->invalid);
	l->text = l->invalid = NULL;
	l->asked = now;
	if (!text) {
		l->rate = 0;
		pp_pod_set_state(l, PP_POD_FREE, "");
		return;
	}
	l->text = strdup(text);
	if (pp_rate_parse(text, &rate, &e)) {
		pp_err_wrap(&e, -EINVAL, "%s", annotation);
		l->invalid = strdup(e.msg);
	} else {
		l->rate = rate;
	}
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
	/* of a pod that is being deleted the cgroup goes first */
	pod->running = strcmp(phase, "Running") == 0 && !json_object_get(meta, "deletionTimestamp");
	if (hash && !pod->hash)
		pod->hash = strdup(hash);
	for (int dir = 0; dir < PP_N_DIR; dir++)
		ask(&pod->limit[dir], pp_pod_annotation[dir],
		    over ? NULL : text_at(meta, "annotations", pp_pod_annotation[dir]), now);
	return pod;
}
