// SPDX-License-Identifier: Apache-2.0
// Agents are found by their label and asked by the API server's proxy of pods (pods/proxy): who may
// do that RBAC says, and nothing else needs to reach the nodes.
#include "base/base.h"
#include "base/loop.h"
#include "cli/remote.h"
#include "kube/config.h"

#define LABEL "app.kubernetes.io%2Fname%3Dpodpace"
#define PORT 9467
#define AT_A_TIME 32

/* --- one request */

struct waiting {
	struct pp_remote *r;
	int error, status;
	json_t *body;
	char why[300];
};

/* What an agent says is wrong is in its own words. */
static void note(const struct pp_kube_answer *a, char *why, size_t size)
{
	const char *text = json_string_value(json_object_get(a->body, "error"));

	snprintf(why, size, "%s", text && text[0] ? text : a->why[0] ? a->why : "no JSON came");
}

static void on_answer(const struct pp_kube_answer *a, void *arg)
{
	struct waiting *w = arg;

	w->error = a->error;
	w->status = a->status;
	if (!a->error && a->status / 100 == 2)
		w->body = json_incref(a->body);
	note(a, w->why, sizeof(w->why));
	pp_loop_stop(w->r->loop);
}

int pp_remote_request(struct pp_remote *r, const char *method, const char *path, const char *body,
		      json_t **ret, struct pp_err *e)
{
	struct waiting w = { .r = r };
	int error = pp_kube_request(r->kube, method, path,
				    body ? "application/merge-patch+json" : NULL, body, on_answer,
				    &w);

	if (!error)
		error = pp_loop_run(r->loop);
	if (error)
		return error;
	if (w.body) {
		*ret = w.body;
		return 0;
	}
	return pp_err_set(e, w.status == 404 ? -ENOENT : -EIO, "%s", w.why);
}

/* --- the API server */

static int home_config(char *path, size_t size, struct pp_err *e)
{
	const char *home = getenv("HOME");

	if (!home || !home[0])
		return pp_err_set(e, -ENOENT,
				  "no kubeconfig: valid are --kubeconfig FILE, $KUBECONFIG, and "
				  "~/.kube/config");
	snprintf(path, size, "%s/.kube/config", home);
	return 0;
}

int pp_remote_open(const struct pp_args *args, struct pp_remote *ret, struct pp_err *e)
{
	const char *file = args->kubeconfig ?: getenv("KUBECONFIG");
	struct pp_kube_config config = {};
	char path[4096];
	int r = 0;

	*ret = (struct pp_remote){};
	if (!file || !file[0]) {
		r = home_config(path, sizeof(path), e);
		file = path;
	}
	if (!r)
		r = pp_kube_config_load(file, args->context, &config, e);
	if (!r)
		r = pp_loop_new(&ret->loop);
	if (!r)
		r = pp_kube_new(ret->loop, &config, "kubectl-podpace/" PP_VERSION, &ret->kube, e);
	if (!r && !(ret->namespace = strdup(config.namespace ?: "default")))
		r = -ENOMEM;
	pp_kube_config_close(&config);
	return r;
}

static void agents_free(struct pp_remote *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->agents[i].namespace);
		free(r->agents[i].name);
		free(r->agents[i].node);
		json_decref(r->agents[i].answer);
	}
	free(r->agents);
	r->agents = NULL;
	r->n = 0;
}

void pp_remote_close(struct pp_remote *r)
{
	agents_free(r);
	free(r->namespace);
	pp_kube_free(r->kube);
	pp_loop_free(r->loop);
	*r = (struct pp_remote){};
}

/* --- agents */

static const char *text_at(const json_t *o, const char *a, const char *b)
{
	return json_string_value(json_object_get(json_object_get(o, a), b));
}

/* Where it listens: the port called metrics, as deploy/base has it. */
static int port_of(const json_t *pod)
{
	const json_t *containers = json_object_get(json_object_get(pod, "spec"), "containers"), *c,
		     *p;
	size_t i, k;

	json_array_foreach(containers, i, c)
		json_array_foreach(json_object_get(c, "ports"), k, p) {
			const char *name = json_string_value(json_object_get(p, "name"));
			json_int_t port =
				json_integer_value(json_object_get(p, "containerPort"));

			if (name && strcmp(name, "metrics") == 0 && port > 0 && port < 65536)
				return (int)port;
		}
	return PORT;
}

static int add_agent(struct pp_remote *r, const json_t *pod)
{
	struct pp_remote_agent *a = &r->agents[r->n];
	const char *phase = text_at(pod, "status", "phase"),
		   *node = text_at(pod, "spec", "nodeName");

	if (!node || !phase || strcmp(phase, "Running") != 0)
		return 0;
	r->n++;
	*a = (struct pp_remote_agent){ .port = port_of(pod) };
	a->namespace = strdup(text_at(pod, "metadata", "namespace") ?: "");
	a->name = strdup(text_at(pod, "metadata", "name") ?: "");
	a->node = strdup(node);
	return a->namespace && a->name && a->node ? 0 : -ENOMEM;
}

int pp_remote_find(struct pp_remote *r, struct pp_err *e)
{
	const json_t *items, *one;
	json_t *list = NULL;
	size_t i;
	int error;

	agents_free(r);
	error = pp_remote_request(r, "GET", "/api/v1/pods?labelSelector=" LABEL, NULL, &list, e);
	/* one who may not see all namespaces may see theirs, where deploy/base puts them */
	if (error == -EIO)
		error = pp_remote_request(
			r, "GET", "/api/v1/namespaces/podpace-system/pods?labelSelector=" LABEL,
			NULL, &list, e);
	if (error)
		return pp_err_wrap(e, error, "the agents of the cluster cannot be listed");
	items = json_object_get(list, "items");
	r->agents = calloc(json_array_size(items) + 1, sizeof(*r->agents));
	if (!r->agents)
		error = -ENOMEM;
	json_array_foreach(items, i, one)
		if (!error)
			error = add_agent(r, one);
	json_decref(list);
	if (!error && !r->n)
		error = pp_err_set(e, -ENOENT,
				   "no agent of podpace runs in this cluster: no running pod has the label "
				   "app.kubernetes.io/name=podpace");
	return error;
}

static void path_to(const struct pp_remote_agent *a, const char *page, char *path, size_t size)
{
	snprintf(path, size, "/api/v1/namespaces/%s/pods/%s:%d/proxy%s", a->namespace, a->name,
		 a->port, page);
}

int pp_remote_ask(struct pp_remote *r, const char *node, const char *page, json_t **ret,
		  struct pp_err *e)
{
	char path[1200];

	for (size_t i = 0; i < r->n; i++)
		if (strcmp(r->agents[i].node, node) == 0) {
			path_to(&r->agents[i], page, path, sizeof(path));
			return pp_remote_request(r, "GET", path, NULL, ret, e);
		}
	return pp_err_set(e, -EIO, "no agent of podpace runs on node %s", node);
}

/* --- all of them */

struct round;

struct question {
	struct round *round;
	struct pp_remote_agent *agent;
};

struct round {
	struct pp_remote *r;
	const char *page;
	struct question *questions;
	size_t asked, answered;
	int error;
};

static void ask_next(struct round *d);

static void on_page(const struct pp_kube_answer *a, void *arg)
{
	struct question *q = arg;
	struct round *d = q->round;

	if (!a->error && a->status == 200)
		q->agent->answer = json_incref(a->body);
	if (!q->agent->answer)
		note(a, q->agent->why, sizeof(q->agent->why));
	d->answered++;
	ask_next(d);
	if (d->answered == d->r->n || d->error)
		pp_loop_stop(d->r->loop);
}

static void ask_next(struct round *d)
{
	while (d->asked < d->r->n && d->asked - d->answered < AT_A_TIME && !d->error) {
		struct question *q = &d->questions[d->asked];
		char path[1200];

		*q = (struct question){ d, &d->r->agents[d->asked++] };
		path_to(q->agent, d->page, path, sizeof(path));
		d->error = pp_kube_request(d->r->kube, "GET", path, NULL, NULL, on_page, q);
	}
}

int pp_remote_ask_all(struct pp_remote *r, const char *page)
{
	_cleanup_free_ struct question *questions = calloc(r->n + 1, sizeof(*questions));
	struct round d = { .r = r, .page = page, .questions = questions };

	if (!questions)
		return -ENOMEM;
	for (size_t i = 0; i < r->n; i++) {
		json_decref(r->agents[i].answer);
		r->agents[i].answer = NULL;
		r->agents[i].why[0] = '\0';
	}
	ask_next(&d);
	if (!d.error && r->n)
		d.error = pp_loop_run(r->loop);
	return d.error;
}
