// SPDX-License-Identifier: Apache-2.0
// A watch for each query. One that is no more wanted may leave its pods behind for a while: a rule
// that comes to name others keeps those it had until it can have all it names.
#define _GNU_SOURCE
#include "agent/others.h"
#include "base/base.h"
#include "base/log.h"
#include "kube/query.h"
#include "kube/watch.h"

#define GATHER_NS 20000000ull
#define REST 5 /* times as long as the last change took; of 100 000 pods some change all the time */

struct followed {
	struct followed *next;
	struct pp_others *all;
	char *namespace, *labels; /* the query */
	struct pp_watch *watch;	  /* NULL: no more wanted */
	bool wanted;		  /* by the call of want() that is under way */
	bool listed;		  /* it has had its first list */
	struct pp_farpods pods;
	char why[240];	  /* its last failure; "": there is none since */
	uint64_t failed;  /* the watch's events then */
};

struct pp_others {
	struct pp_kube *kube;
	struct followed *first;
	struct pp_texts texts;
	struct pp_source *timer; /* until changed() is called */
	bool gathering;		 /* it is armed */
	uint64_t rested;	 /* pp_loop_now() from which on changed() may be called again */
	void (*changed)(void *arg);
	void *arg;
	struct pp_watch_stats past; /* of watches that are freed: what is counted */
};

/* --- telling */

static void gather(struct pp_others *o)
{
	uint64_t now = pp_loop_now(), at = now + GATHER_NS;

	if (o->gathering)
		return;
	o->gathering = true;
	pp_source_arm(o->timer, (at > o->rested ? at : o->rested) - now);
}

static void on_timer(void *arg)
{
	struct pp_others *o = arg;
	uint64_t begin = pp_loop_now();

	o->gathering = false;
	o->changed(o->arg);
	pp_others_took(o, pp_loop_now() - begin);
}

void pp_others_took(struct pp_others *o, uint64_t ns)
{
	o->rested = pp_loop_now() + REST * ns;
}

bool pp_others_known(const struct pp_others *o)
{
	for (const struct followed *f = o->first; f; f = f->next)
		if (f->watch && !f->listed)
			return false;
	return true;
}

static void followed_free(struct followed *f)
{
	pp_watch_free(f->watch);
	pp_farpods_close(&f->pods);
	free(f->namespace);
	free(f->labels);
	free(f);
}

/* Drops what watches have left behind, once it has been replaced, or was nothing. */
static void tidy(struct pp_others *o)
{
	bool known = pp_others_known(o);

	for (struct followed **at = &o->first, *f; (f = *at);) {
		if (f->watch || (f->listed && !known)) {
			at = &f->next;
			continue;
		}
		*at = f->next;
		followed_free(f);
	}
}

/* --- what a watch tells */

/* Has it failed and brought nothing since? Bookmarks come where there is little else to tell. */
static bool is_failing(const struct followed *f, struct pp_watch_stats *stats)
{
	if (!f->watch)
		return false;
	pp_watch_stats(f->watch, stats);
	return f->why[0] && stats->events == f->failed;
}

static void on_put(json_t *object, void *arg)
{
	struct followed *f = arg;

	f->why[0] = '\0';
	if (pp_farpods_put(&f->pods, object) && f->listed)
		gather(f->all);
}

static void on_gone(const char *ns, const char *name, const char *uid, void *arg)
{
	struct followed *f = arg;

	if (pp_farpods_remove(&f->pods, ns, name, uid) && f->listed)
		gather(f->all);
}

static void on_synced(void *arg)
{
	struct followed *f = arg;

	f->why[0] = '\0';
	if (f->listed)
		return;
	f->listed = true;
	tidy(f->all);
	gather(f->all);
}

/* Told once of a watch, and not again of others for the same reason: the server may be away. */
static void on_failed(const char *why, void *arg)
{
	struct followed *f = arg;
	struct pp_watch_stats stats;
	bool told = is_failing(f, &stats);

	for (const struct followed *i = f->all->first; i && !told; i = i->next)
		told = is_failing(i, &stats) && strncmp(i->why, why, sizeof(i->why) - 1) == 0;
	pp_watch_stats(f->watch, &stats);
	f->failed = stats.events;
	snprintf(f->why, sizeof(f->why), "%s", why);
	if (!told)
		pp_log(PP_LOG_WARN,
		       f->listed ? "the API is not heard; pods that rules name stay as they are" :
				   "pods that rules name are not known",
		       "resource", "pods", "namespace", f->namespace ?: "", "labels", f->labels,
		       "why", why, NULL);
}

/* --- what is wanted */

static bool is_of(const struct followed *f, const struct pp_others_query *q)
{
	return strcmp(f->labels, q->labels) == 0 &&
	       (f->namespace && q->namespace ? strcmp(f->namespace, q->namespace) == 0 :
					       !f->namespace == !q->namespace);
}

/* Whose memory is followed_free()'s, also on failure. */
static int open_watch(struct followed *f, const struct pp_others_query *q)
{
	static const struct pp_watch_ops ops = { on_put, on_gone, on_synced, on_failed };
	_cleanup_free_ char *labels = pp_query_escape(q->labels), *path = NULL, *query = NULL;
	_cleanup_free_ char *ns = pp_query_escape(q->namespace ?: "");

	f->labels = strdup(q->labels);
	f->namespace = q->namespace ? strdup(q->namespace) : NULL;
	if (!labels || !ns || !f->labels || (q->namespace && !f->namespace))
		return -ENOMEM;
	if (asprintf(&path, "/api/v1/%s%s%spods", q->namespace ? "namespaces/" : "", ns,
		     q->namespace ? "/" : "") < 0 ||
	    asprintf(&query, "labelSelector=%s", labels) < 0)
		return -ENOMEM;
	return pp_watch_new(f->all->kube, path, q->labels[0] ? query : NULL, &ops, f, &f->watch);
}

static int follow(struct pp_others *o, const struct pp_others_query *q)
{
	struct followed *f;
	int r;

	for (f = o->first; f; f = f->next) {
		if (!f->watch || !is_of(f, q))
			continue;
		f->wanted = true;
		return 0;
	}
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->all = o;
	f->pods.texts = &o->texts;
	f->wanted = true;
	r = open_watch(f, q);
	if (r) {
		followed_free(f);
		return r;
	}
	f->next = o->first;
	o->first = f;
	return 0;
}

static void leave(struct followed *f)
{
	struct pp_watch_stats stats, *past = &f->all->past;

	pp_watch_stats(f->watch, &stats);
	past->events += stats.events;
	past->lists += stats.lists;
	past->restarts += stats.restarts;
	pp_watch_free(TAKE_PTR(f->watch));
}

int pp_others_want(struct pp_others *o, const struct pp_others_query *q, size_t n)
{
	struct followed *had = o->first;
	int r = 0;

	for (struct followed *f = o->first; f; f = f->next)
		f->wanted = false;
	for (size_t i = 0; !r && i < n; i++)
		r = follow(o, &q[i]);
	/* new ones come before those that there were */
	for (struct followed *f = o->first; r && f != had; f = o->first) {
		o->first = f->next;
		followed_free(f);
	}
	if (r)
		return r;
	for (struct followed *f = o->first; f; f = f->next)
		if (f->watch && !f->wanted)
			leave(f);
	tidy(o);
	return 0;
}

int pp_others_list(const struct pp_others *o, const struct pp_other ***ret, size_t *ret_n)
{
	_cleanup_free_ const struct pp_farpods **sets = NULL;
	size_t n = 0;

	for (const struct followed *f = o->first; f; f = f->next)
		n += f->listed;
	sets = calloc(n + 1, sizeof(*sets));
	if (!sets)
		return -ENOMEM;
	n = 0;
	for (const struct followed *f = o->first; f; f = f->next)
		if (f->listed)
			sets[n++] = &f->pods;
	return pp_farpods_merge(sets, n, ret, ret_n);
}

void pp_others_stats(const struct pp_others *o, struct pp_others_stats *ret)
{
	*ret = (struct pp_others_stats){
		.events = o->past.events,
		.lists = o->past.lists,
		.restarts = o->past.restarts,
		.synced = pp_others_known(o),
		.why = "",
	};
	for (const struct followed *f = o->first; f; f = f->next) {
		struct pp_watch_stats stats;
		bool failing = is_failing(f, &stats);

		ret->pods += f->pods.table.n;
		if (!f->watch)
			continue;
		ret->watches++;
		ret->events += stats.events;
		ret->lists += stats.lists;
		ret->restarts += stats.restarts;
		if (failing && !stats.connected)
			ret->why = f->why;
	}
}

/* --- wiring */

int pp_others_new(struct pp_kube *k, struct pp_loop *l, void (*changed)(void *arg), void *arg,
		  struct pp_others **ret)
{
	struct pp_others *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return -ENOMEM;
	o->kube = k;
	o->changed = changed;
	o->arg = arg;
	r = pp_source_timer(l, on_timer, o, &o->timer);
	if (r) {
		free(o);
		return r;
	}
	*ret = o;
	return 0;
}

void pp_others_free(struct pp_others *o)
{
	if (!o)
		return;
	for (struct followed *f = o->first, *next; f; f = next) {
		next = f->next;
		followed_free(f);
	}
	pp_source_free(o->timer);
	pp_texts_close(&o->texts);
	free(o);
}
