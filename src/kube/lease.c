// SPDX-License-Identifier: Apache-2.0
// Whether a Lease has expired is judged by how long ago it was seen to change, on the clock of this
// process; the times that stand in it are for people. Writes carry the version that was read: of
// two that take it at once the API server lets one.
#define _GNU_SOURCE
#include "base/base.h"
#include "kube/backoff.h"
#include "kube/call.h"
#include "kube/lease.h"
#include "kube/time.h"

#define NS_PER_S 1000000000ull
#define RELEASE_NS (2 * NS_PER_S)

const struct pp_lease_times pp_lease_times_default = {
	.duration_ns = 15 * NS_PER_S,
	.renew_ns = 5 * NS_PER_S,
	.deadline_ns = 10 * NS_PER_S,
	.retry_ns = NS_PER_S,
};

enum step {
	LOOK,
	MAKE, /* there is none */
	TAKE, /* or renew */
	RELEASE,
};

struct pp_lease {
	struct pp_kube *kube;
	char *namespace, *name, *identity, *collection, *path;
	struct pp_lease_times times;
	void (*changed)(bool leads, void *arg);
	void (*done)(void *arg);
	void *arg, *done_arg;

	struct pp_call *call;
	enum step step;             /* of the call */
	struct pp_source *timer;    /* for the next call, when there is none */
	struct pp_source *deadline; /* while it leads */
	json_t *object;             /* as last seen, or NULL */
	uint64_t observed;          /* pp_loop_now() when that was another before */
	uint64_t sent;              /* when the call began */
	bool doubt;                 /* what the server's cache has may be old */
	bool leads;
	char why[240];
};

static void ask(struct pp_lease *l, enum step step);

static const char *holder_of(const json_t *object)
{
	const json_t *spec = json_object_get(object, "spec");

	return json_string_value(json_object_get(spec, "holderIdentity")) ?: "";
}

static void lead(struct pp_lease *l, bool leads)
{
	if (!leads)
		pp_source_disarm(l->deadline);
	if (l->leads == leads)
		return;
	l->leads = leads;
	l->changed(leads, l->arg);
}

static void on_deadline(void *arg)
{
	lead(arg, false);
}

/* --- what is written */

static json_t *new_object(const struct pp_lease *l)
{
	if (l->object)
		return json_deep_copy(l->object);
	return json_pack("{s:s, s:s, s:{s:s, s:s}, s:{}}", "apiVersion", "coordination.k8s.io/v1",
			 "kind", "Lease", "metadata", "name", l->name, "namespace", l->namespace,
			 "spec");
}

static char *make_body(const struct pp_lease *l, enum step step)
{
	const char *holder = step == RELEASE ? "" : l->identity;
	json_t *o = new_object(l), *spec = json_object_get(o, "spec");
	json_int_t changes = json_integer_value(json_object_get(spec, "leaseTransitions"));
	json_int_t s = step == RELEASE ? 1 : (json_int_t)(l->times.duration_ns / NS_PER_S);
	char now[32], *text;

	pp_time_now_micro(now);
	/* set on it what is missing, or json_dumps() of NULL fails below */
	if (o && !json_is_object(spec))
		json_object_set_new(o, "spec", spec = json_object());
	if (l->object && strcmp(holder_of(l->object), holder) != 0 && step != RELEASE)
		changes++;
	if (!json_string_value(json_object_get(spec, "acquireTime")) ||
	    strcmp(holder_of(o), holder) != 0)
		json_object_set_new(spec, "acquireTime", json_string(now));
	json_object_set_new(spec, "holderIdentity", json_string(holder));
	json_object_set_new(spec, "leaseDurationSeconds", json_integer(s > 0 ? s : 1));
	json_object_set_new(spec, "renewTime", json_string(now));
	json_object_set_new(spec, "leaseTransitions", json_integer(changes));
	text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	return text;
}

/* --- what is read */

/* Keeps what the API server has; of managedFields nothing is wanted, and they are not sent back. */
static void observe(struct pp_lease *l, json_t *object)
{
	json_object_del(json_object_get(object, "metadata"), "managedFields");
	if (!l->object ||
	    !json_equal(json_object_get(l->object, "spec"), json_object_get(object, "spec")))
		l->observed = pp_loop_now();
	json_decref(l->object);
	l->object = json_incref(object);
}

static uint64_t expires_in(const struct pp_lease *l)
{
	const json_t *spec = json_object_get(l->object, "spec");
	json_int_t s = json_integer_value(json_object_get(spec, "leaseDurationSeconds"));
	uint64_t ns = s > 0 && s <= 3600 ? (uint64_t)s * NS_PER_S : l->times.duration_ns;
	uint64_t age = pp_loop_now() - l->observed;

	return age < ns ? ns - age : 0;
}

static void retry(struct pp_lease *l)
{
	pp_source_arm(l->timer, l->times.retry_ns + pp_backoff_random(l->times.retry_ns));
}

static void looked(struct pp_lease *l, const struct pp_kube_answer *a)
{
	const char *holder;
	uint64_t left;

	if (!a->error && a->status == 404) {
		json_decref(TAKE_PTR(l->object));
		ask(l, MAKE);
		return;
	}
	if (a->error || a->status != 200 || !json_is_object(a->body)) {
		retry(l);
		return;
	}
	l->doubt = false;
	observe(l, a->body);
	holder = holder_of(l->object);
	if (!*holder || strcmp(holder, l->identity) == 0) {
		ask(l, TAKE);
		return;
	}
	lead(l, false);
	left = expires_in(l);
	if (left)
		pp_source_arm(l->timer, left + pp_backoff_random(l->times.duration_ns / 3));
	else
		ask(l, TAKE);
}

static void took(struct pp_lease *l, const struct pp_kube_answer *a)
{
	uint64_t age = pp_loop_now() - l->sent;

	if (!a->error && a->status / 100 == 2 && json_is_object(a->body)) {
		observe(l, a->body);
		/* from when it was sent: others count from when it was written, which was later */
		pp_source_arm(l->deadline,
			      l->times.deadline_ns > age ? l->times.deadline_ns - age : 0);
		pp_source_arm(l->timer, l->times.renew_ns > age ? l->times.renew_ns - age : 0);
		lead(l, true);
		return;
	}
	/* another's write, or our own whose answer was lost; or it is gone: the version is no use
	 */
	l->doubt = true;
	if (!a->error && (a->status == 409 || a->status == 404) && l->leads)
		ask(l, LOOK);
	else
		retry(l);
}

/* --- calls */

static void on_answer(const struct pp_kube_answer *a, void *arg)
{
	struct pp_lease *l = arg;

	l->call = NULL;
	snprintf(l->why, sizeof(l->why), "%s", a->why);
	if (l->step == RELEASE)
		l->done(l->done_arg);
	else if (l->step == LOOK)
		looked(l, a);
	else
		took(l, a);
}

static int start(struct pp_lease *l, enum step step)
{
	static const char *const methods[] = { "GET", "POST", "PUT", "PUT" };
	_cleanup_free_ char *body = step == LOOK ? NULL : make_body(l, step), *path = NULL;
	struct pp_call_spec spec = {
		.method = methods[step],
		.path = step == MAKE ? l->collection : l->path,
		.type = step == LOOK ? NULL : "application/json",
		.body = body,
		.timeout_ns = step == RELEASE ? RELEASE_NS : l->times.renew_ns,
		.answered = on_answer,
		.arg = l,
	};

	if (step != LOOK && !body)
		return -ENOMEM;
	if (step == LOOK && !l->doubt && !l->leads) {
		if (asprintf(&path, "%s?resourceVersion=0", l->path) < 0)
			return -ENOMEM;
		spec.path = path;
	}
	l->step = step;
	l->sent = pp_loop_now();
	return pp_call_new(l->kube, &spec, &l->call);
}

static void ask(struct pp_lease *l, enum step step)
{
	if (start(l, step)) {
		snprintf(l->why, sizeof(l->why), "out of memory");
		retry(l);
	}
}

static void on_timer(void *arg)
{
	struct pp_lease *l = arg;

	if (l->done)
		l->done(l->done_arg);
	else
		ask(l, l->leads && !l->doubt ? TAKE : LOOK);
}

/* --- wiring */

static int prepare(struct pp_lease *l, const char *namespace, const char *name,
		   const char *identity)
{
	struct pp_loop *loop = pp_kube_loop(l->kube);
	int r;

	l->namespace = strdup(namespace);
	l->name = strdup(name);
	l->identity = strdup(identity);
	if (!l->namespace || !l->name || !l->identity ||
	    asprintf(&l->collection, "/apis/coordination.k8s.io/v1/namespaces/%s/leases",
		     namespace) < 0 ||
	    asprintf(&l->path, "%s/%s", l->collection, name) < 0)
		return -ENOMEM;
	r = pp_source_timer(loop, on_timer, l, &l->timer);
	return r ? r : pp_source_timer(loop, on_deadline, l, &l->deadline);
}

int pp_lease_new(struct pp_kube *k, const char *namespace, const char *name, const char *identity,
		 const struct pp_lease_times *times, void (*changed)(bool leads, void *arg),
		 void *arg, struct pp_lease **ret)
{
	struct pp_lease *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->kube = k;
	l->times = times ? *times : pp_lease_times_default;
	l->changed = changed;
	l->arg = arg;
	r = prepare(l, namespace, name, identity);
	if (r) {
		pp_lease_free(l);
		return r;
	}
	/* the agents of a new DaemonSet begin together */
	pp_source_arm(l->timer, pp_backoff_random(l->times.retry_ns));
	*ret = l;
	return 0;
}

void pp_lease_free(struct pp_lease *l)
{
	if (!l)
		return;
	pp_call_free(l->call);
	pp_source_free(l->timer);
	pp_source_free(l->deadline);
	json_decref(l->object);
	free(l->namespace);
	free(l->name);
	free(l->identity);
	free(l->collection);
	free(l->path);
	free(l);
}

void pp_lease_release(struct pp_lease *l, void (*done)(void *arg), void *arg)
{
	bool led = l->leads;

	pp_call_free(TAKE_PTR(l->call));
	pp_source_disarm(l->timer);
	lead(l, false);
	l->done = done;
	l->done_arg = arg;
	if (!led || start(l, RELEASE))
		pp_source_arm(l->timer, 0);
}

bool pp_lease_leads(const struct pp_lease *l)
{
	return l->leads;
}

const char *pp_lease_holder(const struct pp_lease *l)
{
	return holder_of(l->object);
}

const char *pp_lease_why(const struct pp_lease *l)
{
	return l->why;
}
