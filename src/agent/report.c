// SPDX-License-Identifier: Apache-2.0
// Nobody else writes the status, so it is replaced whole, by a merge patch that asks for no
// version. What is there is read once after a start: an agent that says what the one before it said
// writes nothing.
#define _GNU_SOURCE
#include "agent/report.h"
#include "base/base.h"
#include "base/log.h"
#include "kube/backoff.h"
#include "kube/call.h"
#include "kube/time.h"

#define NS_PER_S 1000000000ull
#define CALL_NS (30 * NS_PER_S)
#define PROBLEM_MAX 160 /* 2000 of them with their names fit in an object */
#define WHY_MAX 240

const struct pp_report_times pp_report_times_default = {
	.every_ns = 10 * NS_PER_S,
	.spread_ns = 4 * NS_PER_S,
	.retry_ns = NS_PER_S,
	.slow_ns = 60 * NS_PER_S,
	.refresh_ns = 600 * NS_PER_S,
};

enum step {
	READ,
	OWNER, /* there is none yet: who is the node? */
	CREATE,
	WRITE,
};

struct pp_report {
	struct pp_kube *kube;
	char *node, *version, *path, *status_path, *owner_path;
	struct pp_report_times times;
	struct pp_backoff backoff;
	struct pp_call *call;
	enum step step;          /* of the call */
	struct pp_source *timer; /* for the next, when there is none */
	bool waits; /* the timer is for a write, or after a failure: not to be put off */
	json_t *want, *have, *sent; /* statuses without observedTime; have NULL: not known */
	char observed[32];          /* observedTime of have, or of sent */
	uint64_t written;           /* pp_loop_now() of the last write, 0: none */
	uint64_t refresh;           /* pp_loop_now() when it is to be read again */
	bool made;                  /* it was not there, and is being made */
	bool told;
	char why[WHY_MAX];
};

static void ask(struct pp_report *r, enum step step);

/* --- what is said */

/* Cut where a character begins: JSON is UTF-8. */
static json_t *cut(const char *text, size_t max)
{
	size_t len = strlen(text);

	if (len > max)
		for (len = max; len && ((unsigned char)text[len] & 0xc0) == 0x80; len--)
			;
	return json_stringn(text, len) ?: json_string("(no UTF-8)");
}

static json_t *make_entry(const struct pp_report_object *o)
{
	json_t *e = json_pack("{s:s, s:s, s:I, s:I, s:I}", "kind", pp_kind_name(o->kind), "name",
			      o->name, "generation", (json_int_t)o->generation, "pods",
			      (json_int_t)o->pods, "enforced", (json_int_t)o->enforced);

	if (o->peers)
		json_object_set_new(e, "peers", json_integer((json_int_t)o->peers));
	if (o->namespace)
		json_object_set_new(e, "namespace", json_string(o->namespace));
	if (!o->problem)
		return e;
	json_object_set_new(e, "reason", json_string(o->reason ?: "NotEnforced"));
	json_object_set_new(e, "problem", cut(o->problem, PROBLEM_MAX));
	return e;
}

static json_t *make_list(const struct pp_report_object *objects, size_t n, bool *ret_truncated)
{
	json_t *list = json_array();

	*ret_truncated = false;
	for (int healthy = 0; healthy < 2; healthy++)
		for (size_t i = 0; i < n; i++) {
			const struct pp_report_object *o = &objects[i];

			if ((o->problem == NULL) != healthy || (healthy && !o->pods && !o->applies))
				continue;
			if (json_array_size(list) == PP_REPORT_MAX)
				*ret_truncated = true;
			else if (json_array_append_new(list, make_entry(o)))
				return json_decref(list), NULL;
		}
	return list;
}

static json_t *make_status(const struct pp_report *r, const struct pp_report_object *objects,
			   size_t n, bool ready, const char *why)
{
	bool truncated;
	json_t *list = make_list(objects, n, &truncated);

	return list ? json_pack("{s:s, s:b, s:o, s:b, s:o}", "version", r->version, "ready", ready,
				"message", cut(ready || !why ? "" : why, WHY_MAX), "truncated",
				truncated, "objects", list)
		    : NULL;
}

/* --- when */

static void wait_for(struct pp_report *r, uint64_t ns)
{
	r->waits = true;
	pp_source_arm(r->timer, ns);
}

static void schedule(struct pp_report *r)
{
	uint64_t now = pp_loop_now(), next = r->written + r->times.every_ns, delay;

	if (r->call || r->waits || !r->want)
		return;
	if (r->have && json_equal(r->have, r->want)) {
		pp_source_arm(r->timer, r->refresh > now ? r->refresh - now : 0);
		return;
	}
	if (!r->written) {
		wait_for(r, 0);
		return;
	}
	delay = pp_backoff_random(r->times.spread_ns);
	wait_for(r, next > now ? next - now + delay : delay);
}

static void on_timer(void *arg)
{
	struct pp_report *r = arg;

	r->waits = false;
	/* with nothing new to say: is it still there? */
	ask(r, r->have && !json_equal(r->have, r->want) ? WRITE : READ);
}

/* After success. */
static void rest(struct pp_report *r)
{
	if (r->told)
		pp_log(PP_LOG_INFO, "the report of this node is written again", NULL);
	r->told = r->made = false;
	r->why[0] = '\0';
	r->refresh = pp_loop_now() + r->times.refresh_ns + pp_backoff_random(r->times.refresh_ns);
	schedule(r);
}

/* slow: it will not be otherwise soon. */
static void fail(struct pp_report *r, const char *why, bool slow)
{
	uint64_t delay = pp_backoff_next(&r->backoff, pp_loop_now());

	snprintf(r->why, sizeof(r->why), "%s", why);
	if (!r->told)
		pp_log(PP_LOG_WARN, "the report of this node is not written: BandwidthNode", "node",
		       r->node, "why", r->why, NULL);
	r->told = true;
	r->made = false;
	if (slow && delay < r->times.slow_ns)
		delay = r->times.slow_ns + pp_backoff_random(r->times.slow_ns);
	wait_for(r, delay);
}

/* --- calls */

static void keep(struct pp_report *r, json_t *status)
{
	json_decref(r->have);
	r->have = status;
}

/* What of it was read is compared with what is to be written, so their members are the same. */
static void take_status(struct pp_report *r, const json_t *object)
{
	json_t *status = json_copy(json_object_get(object, "status"));
	const char *observed = json_string_value(json_object_get(status, "observedTime"));

	snprintf(r->observed, sizeof(r->observed), "%s", observed ?: "");
	json_object_del(status, "observedTime");
	keep(r, status ?: json_object());
}

static void was_read(struct pp_report *r, const struct pp_kube_answer *a)
{
	if (a->status == 404) {
		r->made = true;
		keep(r, NULL);
		ask(r, OWNER);
		return;
	}
	take_status(r, a->body);
	if (!json_equal(r->have, r->want) && !r->written)
		ask(r, WRITE);
	else
		rest(r);
}

static char *make_object(const struct pp_report *r, const char *uid)
{
	json_t *o = json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "podpace.io/v1alpha1", "kind",
			      "BandwidthNode", "metadata", "name", r->node);
	char *text;

	if (uid)
		json_object_set_new(json_object_get(o, "metadata"), "ownerReferences",
				    json_pack("[{s:s, s:s, s:s, s:s}]", "apiVersion", "v1", "kind",
					      "Node", "name", r->node, "uid", uid));
	text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	return text;
}

static char *make_patch(struct pp_report *r)
{
	json_t *status = json_copy(r->want), *o;
	char *text;

	if (!r->observed[0] || !r->have || !json_equal(r->have, r->want))
		pp_time_now(r->observed);
	json_object_set_new(status, "observedTime", json_string(r->observed));
	o = json_pack("{s:o}", "status", status);
	text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	json_decref(r->sent);
	r->sent = json_incref(r->want);
	return text;
}

static void on_answer(const struct pp_kube_answer *a, void *arg);

static void start(struct pp_report *r, enum step step, const char *method, const char *path,
		  const char *type, char *body)
{
	struct pp_call_spec spec = {
		.method = method,
		.path = path,
		.type = type,
		.body = body,
		.timeout_ns = CALL_NS,
		.answered = on_answer,
		.arg = r,
	};

	r->step = step;
	if ((type && !body) || pp_call_new(r->kube, &spec, &r->call))
		fail(r, "out of memory", false);
	free(body);
}

static void ask(struct pp_report *r, enum step step)
{
	switch (step) {
	case READ:
		start(r, READ, "GET", r->path, NULL, NULL);
		break;
	case OWNER:
		start(r, OWNER, "GET", r->owner_path, NULL, NULL);
		break;
	case CREATE:
		break; /* create() knows the owner */
	case WRITE:
		start(r, WRITE, "PATCH", r->status_path, "application/merge-patch+json",
		      make_patch(r));
	}
}

/* Without an owner, if the node is not to be read or not there, it stays when the node goes. */
static void create(struct pp_report *r, const struct pp_kube_answer *a)
{
	json_t *metadata = json_object_get(a->status == 200 ? a->body : NULL, "metadata");

	start(r, CREATE, "POST", PP_API_PATH "/bandwidthnodes", "application/json",
	      make_object(r, json_string_value(json_object_get(metadata, "uid"))));
}

static void on_answer(const struct pp_kube_answer *a, void *arg)
{
	struct pp_report *r = arg;
	bool gone = a->status == 404, there = r->step == CREATE && a->status == 409;

	r->call = NULL;
	if (a->error || a->status == 429 || a->status / 100 == 5) {
		fail(r, a->why, false);
	} else if (r->step == OWNER) {
		create(r, a);
	} else if (gone && r->step == WRITE && !r->made) {
		/* deleted: with its node, whose name another node may have by now */
		r->made = true;
		keep(r, NULL);
		ask(r, OWNER);
	} else if (a->status / 100 != 2 && !there && !(gone && r->step == READ)) {
		/* what is not a conflict is a matter of rights, or of what is installed */
		fail(r, a->why, a->status != 409);
	} else if (r->step == READ) {
		was_read(r, a);
	} else if (r->step == CREATE) {
		ask(r, WRITE);
	} else {
		r->written = pp_loop_now();
		keep(r, TAKE_PTR(r->sent));
		rest(r);
	}
}

/* --- wiring */

static int prepare(struct pp_report *r, const char *node, const char *version)
{
	r->node = strdup(node);
	r->version = strdup(version);
	if (!r->node || !r->version ||
	    asprintf(&r->path, PP_API_PATH "/bandwidthnodes/%s", node) < 0 ||
	    asprintf(&r->status_path, "%s/status", r->path) < 0 ||
	    asprintf(&r->owner_path, "/api/v1/nodes/%s", node) < 0)
		return -ENOMEM;
	return pp_source_timer(pp_kube_loop(r->kube), on_timer, r, &r->timer);
}

int pp_report_new(struct pp_kube *k, const char *node, const char *version,
		  const struct pp_report_times *times, struct pp_report **ret)
{
	struct pp_report *r = calloc(1, sizeof(*r));
	int error;

	if (!r)
		return -ENOMEM;
	r->kube = k;
	r->times = times ? *times : pp_report_times_default;
	r->backoff = (struct pp_backoff){
		.min_ns = r->times.retry_ns,
		.max_ns = r->times.slow_ns,
		.reset_ns = 2 * r->times.slow_ns,
	};
	error = prepare(r, node, version);
	if (error) {
		pp_report_free(r);
		return error;
	}
	*ret = r;
	return 0;
}

void pp_report_free(struct pp_report *r)
{
	if (!r)
		return;
	pp_call_free(r->call);
	pp_source_free(r->timer);
	json_decref(r->want);
	json_decref(r->have);
	json_decref(r->sent);
	free(r->node);
	free(r->version);
	free(r->path);
	free(r->status_path);
	free(r->owner_path);
	free(r);
}

int pp_report_set(struct pp_report *r, const struct pp_report_object *objects, size_t n, bool ready,
		  const char *why)
{
	json_t *status = make_status(r, objects, n, ready, why);

	if (!status)
		return -ENOMEM;
	json_decref(r->want);
	r->want = status;
	schedule(r);
	return 0;
}

const char *pp_report_why(const struct pp_report *r)
{
	return r->why;
}
