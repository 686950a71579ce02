// SPDX-License-Identifier: Apache-2.0
// kubectl podpace: what podpace says and does on a node, for the pods of a cluster. It asks the
// agents through the API server, and limits a pod by an annotation that its agent obeys.
#define _GNU_SOURCE
#include <time.h>

#include "base/base.h"
#include "cli/remote.h"
#include "cli/sample.h"
#include "policy/timed.h"

#define WAIT_NS (10 * 1000000000ull)
#define POLL_NS 100000000l

static uint64_t number(const json_t *o, const char *key)
{
	json_int_t v = json_integer_value(json_object_get(o, key));

	return v > 0 ? (uint64_t)v : 0;
}

static struct pp_cell count(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return v ? pp_cell_num((uint64_t)json_integer_value(v)) : pp_cell_absent();
}

static bool is_wanted(const struct pp_args *args, const json_t *limit)
{
	const char *ns = pp_said(limit, "namespace");

	return !args->namespace || (ns && strcmp(ns, args->namespace) == 0);
}

/* --- status, top */

static const struct pp_col cols[] = {
	{ "node", "node", PP_STR, PP_ALIGN_TYPE },
	{ "limit", "limit", PP_STR, PP_ALIGN_TYPE },
	{ "namespace", NULL, PP_STR, PP_ALIGN_TYPE },
	{ "pod", NULL, PP_STR, PP_ALIGN_TYPE },
	{ "direction", "dir", PP_STR, PP_ALIGN_TYPE },
	{ "uplink", NULL, PP_BOOL, PP_ALIGN_TYPE },
	{ "observe", NULL, PP_BOOL, PP_ALIGN_TYPE },
	{ "ceil", "ceil", PP_RATE, PP_ALIGN_TYPE },
	{ "ceil_from", "from", PP_STR, PP_ALIGN_TYPE },
	{ "weight", "weight", PP_COUNT, PP_ALIGN_TYPE },
	{ "guarantee", "guarantee", PP_RATE, PP_ALIGN_TYPE },
	{ "capacity", "now", PP_RATE_LIVE, PP_ALIGN_TYPE },
	{ "rate", "rate", PP_RATE_LIVE, PP_ALIGN_TYPE },
	{ "flows", "flows", PP_COUNT, PP_ALIGN_TYPE },
	{ "refused", "refused", PP_COUNT, PP_ALIGN_TYPE },
	{ "limited", "limited", PP_PERCENT, PP_ALIGN_TYPE },
	{ "in_force", "in force", PP_BOOL, PP_ALIGN_TYPE },
	{ "note", "note", PP_STR, PP_ALIGN_TYPE },
};

#define COL_FROM 8
#define COL_LIMITED 15

/* One picture of all agents, and the one before it, of top: agents by their place. */
struct picture {
	const struct pp_args *args;
	struct pp_remote *r;
	json_t **before; /* r->n; NULL of status */
	struct pp_cell *cells;
	size_t n;
	bool all_in_force;
};

/* The same limit in what the agent said before; plans change between pictures. */
static const json_t *was(const json_t *before, const json_t *limit, size_t at)
{
	const json_t *list = json_object_get(before, "limits"), *o = json_array_get(list, at);

	return o && json_equal(json_object_get(o, "limit"), json_object_get(limit, "limit")) &&
			       json_equal(json_object_get(o, "direction"),
					  json_object_get(limit, "direction")) &&
			       json_equal(json_object_get(o, "uplink"),
					  json_object_get(limit, "uplink"))
		       ? o
		       : NULL;
}

/* Tenths of a percent of the time between two pictures in which it bound. */
static struct pp_cell limited(const json_t *now, const json_t *before, const json_t *limit,
			      size_t at)
{
	const json_t *o = before ? was(before, limit, at) : NULL;
	double dt = (double)(number(now, "at_ns") - number(before, "at_ns")) / 1e9, bound;

	if (!o || dt <= 0)
		return pp_cell_absent();
	bound = json_real_value(json_object_get(limit, "limited_seconds")) -
		json_real_value(json_object_get(o, "limited_seconds"));
	return pp_cell_num(bound <= 0 ? 0 : bound >= dt ? 1000 : (uint64_t)(bound * 1000 / dt));
}

/* Between two pictures; of one, what its last epoch had. */
static struct pp_cell rate_now(const json_t *now, const json_t *before, const json_t *limit,
			       size_t at)
{
	const json_t *o = before ? was(before, limit, at) : NULL;
	uint64_t ns = number(now, "at_ns") - number(before, "at_ns");

	if (!o || !ns || number(limit, "bytes") < number(o, "bytes"))
		return pp_said_rate(limit, "rate");
	return pp_cell_num((uint64_t)((double)(number(limit, "bytes") - number(o, "bytes")) * 1e9 /
				      (double)ns));
}

static void add_limit(struct picture *p, const struct pp_remote_agent *a, const json_t *before,
		      const json_t *o, size_t at)
{
	struct pp_cell *c = p->cells + p->n++ * ARRAY_SIZE(cols);
	bool in_force = json_is_true(json_object_get(o, "in_force"));

	*c++ = pp_cell_str(a->node);
	*c++ = pp_cell_str(pp_said(o, "limit"));
	*c++ = pp_cell_str(pp_said(o, "namespace"));
	*c++ = pp_cell_str(pp_said(o, "pod"));
	*c++ = pp_cell_str(pp_said(o, "direction"));
	*c++ = pp_cell_bool(json_is_true(json_object_get(o, "uplink")));
	*c++ = pp_cell_bool(json_is_true(json_object_get(o, "observe")));
	*c++ = pp_said_rate(o, "ceil");
	*c++ = pp_cell_str(pp_said(o, "ceil_from"));
	*c++ = count(o, "weight");
	*c++ = pp_said_rate(o, "guarantee");
	*c++ = pp_said_rate(o, "capacity");
	*c++ = rate_now(a->answer, before, o, at);
	*c++ = count(o, "flows");
	*c++ = count(o, "refused");
	*c++ = limited(a->answer, before, o, at);
	*c++ = pp_cell_bool(in_force);
	*c++ = pp_cell_str(pp_said(o, "why"));
	p->all_in_force &= in_force;
}

/* A node where not all is known to hold: no agent answers, or it cannot apply limits. */
static void add_doubt(struct picture *p, const struct pp_remote_agent *a, const char *why)
{
	struct pp_cell *c = p->cells + p->n++ * ARRAY_SIZE(cols);

	for (size_t i = 0; i < ARRAY_SIZE(cols); i++)
		c[i] = pp_cell_absent();
	c[0] = pp_cell_str(a->node);
	c[ARRAY_SIZE(cols) - 1] = pp_cell_str(why);
	p->all_in_force = false;
}

static void add_agent(struct picture *p, size_t i)
{
	const struct pp_remote_agent *a = &p->r->agents[i];
	const json_t *limits = json_object_get(a->answer, "limits"), *one;
	size_t k;

	const char *error = a->answer ? pp_said(a->answer, "error") : a->why;

	if (error && error[0])
		add_doubt(p, a, error);
	json_array_foreach(limits, k, one)
		if (is_wanted(p->args, one))
			add_limit(p, a, p->before ? p->before[i] : NULL, one, k);
}

static int show(struct picture *p)
{
	_cleanup_free_ struct pp_cell *cells = NULL;
	struct pp_col shown[ARRAY_SIZE(cols)];
	size_t rows = p->r->n; /* one of doubt for each */

	for (size_t i = 0; i < p->r->n; i++)
		rows += json_array_size(json_object_get(p->r->agents[i].answer, "limits"));
	p->cells = cells = calloc(rows + 1, sizeof(*cells) * ARRAY_SIZE(cols));
	if (!cells)
		return -ENOMEM;
	p->all_in_force = true;
	for (size_t i = 0; i < p->r->n; i++)
		add_agent(p, i);
	memcpy(shown, cols, sizeof(cols));
	shown[p->before ? COL_FROM : COL_LIMITED].head = NULL;
	if (p->args->format == PP_TEXT && !p->n) {
		printf("%zu agents: nothing is limited%s%s\n", p->r->n,
		       p->args->namespace ? " in namespace " : "", p->args->namespace ?: "");
		return 0;
	}
	return pp_out_table(stdout, p->args->format, "limits", shown, ARRAY_SIZE(cols), cells,
			    p->n, NULL);
}

int pp_kubectl_status(const struct pp_args *args, struct pp_err *e)
{
	_cleanup_(pp_remote_close) struct pp_remote remote = {};
	struct picture p = { .args = args, .r = &remote };
	int r = pp_remote_open(args, &remote, e);

	if (!r)
		r = pp_remote_find(&remote, e);
	if (!r)
		r = pp_remote_ask_all(&remote, "/limits");
	if (!r)
		r = show(&p);
	if (!r && !p.all_in_force)
		r = pp_err_set(e, -EIO, "not every limit is known to be in force: see NOTE");
	return r;
}

static void pause_for(uint64_t ns)
{
	nanosleep(&(struct timespec){ .tv_sec = (time_t)(ns / 1000000000),
				      .tv_nsec = (long)(ns % 1000000000) },
		  NULL);
}

/* Two questions and what came between. */
static int top_once(const struct pp_args *args, struct pp_remote *r, bool clear)
{
	struct picture p = { .args = args, .r = r };
	_cleanup_free_ json_t **before = calloc(r->n + 1, sizeof(json_t *));
	int error = before ? pp_remote_ask_all(r, "/limits") : -ENOMEM;

	for (size_t i = 0; !error && i < r->n; i++)
		before[i] = json_incref(r->agents[i].answer);
	if (!error) {
		pause_for(args->interval_ns ?: 1000000000);
		error = pp_remote_ask_all(r, "/limits");
	}
	p.before = before;
	if (!error && clear)
		fputs("\033[H\033[2J", stdout);
	if (!error)
		error = show(&p);
	for (size_t i = 0; before && i < r->n; i++)
		json_decref(before[i]);
	return !error && fflush(stdout) == EOF ? -EIO : error;
}

int pp_kubectl_top(const struct pp_args *args, struct pp_err *e)
{
	_cleanup_(pp_remote_close) struct pp_remote remote = {};
	bool clear = args->format == PP_TEXT && isatty(STDOUT_FILENO);
	int r = pp_remote_open(args, &remote, e);

	for (uint64_t i = 0; !r && (!args->count || i < args->count); i++) {
		r = pp_remote_find(&remote, e);
		if (!r)
			r = top_once(args, &remote, clear);
	}
	return r;
}

/* --- one pod */

struct pod {
	char namespace[256], name[256];
	char *node; /* NULL: it is on none yet */
	char path[600];
};

static void pod_free(struct pod *pod)
{
	free(pod->node);
}

static bool is_name(const char *s)
{
	return s[0] && strlen(s) <= 253 &&
	       !s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-.")];
}

/* NAME, NAMESPACE/NAME or pod/NAMESPACE/NAME; pod/NAME as kubectl has it. */
static int read_name(const struct pp_args *args, const struct pp_remote *r, struct pod *pod,
		     struct pp_err *e)
{
	const char *word = args->files[0], *slash;
	char shown[64];

	pp_err_escape(shown, sizeof(shown), word, strlen(word));
	if (strncmp(word, "pod/", 4) == 0)
		word += 4;
	slash = strchr(word, '/');
	snprintf(pod->namespace, sizeof(pod->namespace), "%.*s",
		 slash ? (int)(slash - word) : 253,
		 slash ? word : args->namespace ?: r->namespace);
	snprintf(pod->name, sizeof(pod->name), "%s", slash ? slash + 1 : word);
	if (!is_name(pod->namespace) || !is_name(pod->name))
		return pp_err_set(e, -EINVAL,
				  "pod \"%s\": valid are NAME, NAMESPACE/NAME and pod/NAMESPACE/NAME",
				  shown);
	snprintf(pod->path, sizeof(pod->path), "/api/v1/namespaces/%s/pods/%s", pod->namespace,
		 pod->name);
	return 0;
}

static int open_pod(const struct pp_args *args, struct pp_remote *r, struct pod *pod,
		    struct pp_err *e)
{
	json_t *object = NULL;
	const char *node;
	int error = pp_remote_open(args, r, e);

	if (!error)
		error = read_name(args, r, pod, e);
	if (!error)
		error = pp_remote_request(r, "GET", pod->path, NULL, &object, e);
	node = pp_said(json_object_get(object, "spec"), "nodeName");
	pod->node = node ? strdup(node) : NULL;
	json_decref(object);
	return error;
}

static int ask_explain(struct pp_remote *r, const struct pod *pod, json_t **ret, struct pp_err *e)
{
	char page[600];

	if (!pod->node)
		return pp_err_set(e, -ENOENT, "pod %s/%s is on no node yet", pod->namespace,
				  pod->name);
	snprintf(page, sizeof(page), "/explain/pod/%s/%s", pod->namespace, pod->name);
	return pp_remote_ask(r, pod->node, page, ret, e);
}

int pp_kubectl_explain(const struct pp_args *args, struct pp_err *e)
{
	_cleanup_(pp_remote_close) struct pp_remote remote = {};
	_cleanup_(pod_free) struct pod pod = {};
	json_t *o = NULL;
	int r = open_pod(args, &remote, &pod, e);

	if (!r)
		r = pp_remote_find(&remote, e);
	if (!r)
		r = ask_explain(&remote, &pod, &o, e);
	if (!r && args->format == PP_JSON)
		r = json_dumpf(o, stdout, JSON_INDENT(2)) || putchar('\n') == EOF ? -EIO : 0;
	else if (!r)
		r = pp_explain_print(o);
	json_decref(o);
	return r;
}

/* --- limit, unlimit: annotations */

/*
 * Does the agent know the annotation as it is now, and is what limits the pod in this direction in
 * force? Then it holds, or a lower limit does.
 */
static bool holds(const json_t *o, const json_t *annotations, enum pp_dir dir)
{
	const json_t *wanted = json_object_get(annotations, pp_timed_key[dir]), *limits, *one;
	const json_t *is = json_object_get(json_object_get(o, "annotations"), pp_timed_key[dir]);
	bool found = false, in_force = true;
	size_t i;

	if (!wanted)
		return true;
	if (json_is_null(wanted))
		return !is;
	if (!is || !json_equal(is, wanted))
		return false;
	limits = json_object_get(o, "limits");
	json_array_foreach(limits, i, one)
		if (strcmp(pp_said(one, "direction") ?: "", pp_dir_name(dir)) == 0) {
			found = true;
			in_force &= json_is_true(json_object_get(one, "in_force"));
		}
	return found && in_force;
}

/* Until the pod's agent says so: an annotation is a wish. */
static int wait_for(struct pp_remote *r, const struct pod *pod, const json_t *annotations,
		    struct pp_err *e)
{
	uint64_t end = pp_loop_now() + WAIT_NS;
	int error = pp_remote_find(r, e);
	bool done = false;

	while (!error && !done && pp_loop_now() < end) {
		json_t *o = NULL;

		error = ask_explain(r, pod, &o, e);
		done = !error && holds(o, annotations, PP_EGRESS) &&
		       holds(o, annotations, PP_INGRESS);
		json_decref(o);
		/* an agent that has not heard of the pod yet */
		if (error == -ENOENT && pod->node)
			error = 0;
		if (!error && !done)
			pause_for(POLL_NS);
	}
	if (error)
		return pp_err_wrap(e, error,
				   "pod %s/%s: the annotation is set, and whether it is in force is "
				   "not known",
				   pod->namespace, pod->name);
	if (!done)
		return pp_err_set(e, -ETIMEDOUT,
				  "pod %s/%s: the annotation is set, and not in force after 10 s; "
				  "'kubectl podpace explain' may say why",
				  pod->namespace, pod->name);
	return 0;
}

/* Sets annotations, or takes them away where they are null, and waits. */
static int annotate(const struct pp_args *args, json_t *annotations, struct pp_err *e)
{
	_cleanup_(pp_remote_close) struct pp_remote remote = {};
	_cleanup_(pod_free) struct pod pod = {};
	_cleanup_free_ char *body = NULL;
	json_t *patch, *object = NULL;
	int r = open_pod(args, &remote, &pod, e);

	if (r)
		return r;
	patch = json_pack("{s:{s:O}}", "metadata", "annotations", annotations);
	body = patch ? json_dumps(patch, 0) : NULL;
	json_decref(patch);
	r = body ? pp_remote_request(&remote, "PATCH", pod.path, body, &object, e) : -ENOMEM;
	json_decref(object);
	return r ? r : wait_for(&remote, &pod, annotations, e);
}

int pp_kubectl_limit(const struct pp_args *args, struct pp_err *e)
{
	json_t *annotations;
	int r;

	if (!args->rate_set[PP_EGRESS] && !args->rate_set[PP_INGRESS])
		return pp_err_set(e, -EDOM,
				  "limit: what to limit is missing; valid are --egress RATE and "
				  "--ingress RATE (--egress 50M)");
	annotations = json_object();
	for (int dir = 0; dir < PP_N_DIR; dir++) {
		struct pp_timed t = { .rate = args->rate[dir] };
		char value[64];

		if (!args->rate_set[dir])
			continue;
		if (args->for_ns)
			t.until = time(NULL) + (int64_t)((args->for_ns + 999999999) / 1000000000);
		json_object_set_new(annotations, pp_timed_key[dir],
				    json_string(pp_timed_format(value, &t)));
	}
	r = annotate(args, annotations, e);
	json_decref(annotations);
	return r;
}

int pp_kubectl_unlimit(const struct pp_args *args, struct pp_err *e)
{
	json_t *annotations = json_object();
	int r;

	for (int dir = 0; dir < PP_N_DIR; dir++)
		if (args->dirs & 1u << dir)
			json_object_set_new(annotations, pp_timed_key[dir], json_null());
	r = annotate(args, annotations, e);
	json_decref(annotations);
	return r;
}
