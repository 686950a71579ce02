// SPDX-License-Identifier: Apache-2.0
// Watches collections of an API server and prints what is told, a line each, until killed.
//
//   follow KUBECONFIG PATH[,PATH...] [QUERY] [SECONDS]
//
// QUERY is for each path; after SECONDS it ends and prints the counts. No KUBECONFIG: in a pod.
#include <inttypes.h>
#include <time.h>

#include "base/base.h"
#include "kube/watch.h"

static double seconds(void)
{
	static uint64_t begin;

	begin = begin ?: pp_loop_now();
	return (pp_loop_now() - begin) / 1e9;
}

static void on_put(json_t *object, void *arg)
{
	json_t *meta = json_object_get(object, "metadata");

	(void)arg;
	printf("%.3f put %s/%s %s\n", seconds(),
	       json_string_value(json_object_get(meta, "namespace")) ?: "",
	       json_string_value(json_object_get(meta, "name")),
	       json_string_value(json_object_get(meta, "uid")));
}

static void on_gone(const char *ns, const char *name, const char *uid, void *arg)
{
	(void)arg;
	printf("%.3f gone %s/%s %s\n", seconds(), ns, name, uid);
}

static void on_synced(void *arg)
{
	(void)arg;
	printf("%.3f synced\n", seconds());
}

static void on_failed(const char *why, void *arg)
{
	(void)arg;
	printf("%.3f failed %s\n", seconds(), why);
}

static void on_time(void *arg)
{
	pp_loop_stop(arg);
}

static void print_stats(const struct pp_watch *w)
{
	struct pp_watch_stats stats;

	pp_watch_stats(w, &stats);
	printf("%.3f end: %" PRIu64 " events, %" PRIu64 " lists, %" PRIu64 " restarts, %s\n",
	       seconds(), stats.events, stats.lists, stats.restarts,
	       stats.connected ? "connected" : "not connected");
}

/* The paths lose their commas. */
static int follow(struct pp_loop *l, struct pp_kube *k, char *paths, const char *query)
{
	static const struct pp_watch_ops ops = {
		.put = on_put,
		.gone = on_gone,
		.synced = on_synced,
		.failed = on_failed,
	};
	struct pp_watch *w[16] = {};
	char *state = NULL;
	size_t n = 0;
	int r = 0;

	for (char *path = strtok_r(paths, ",", &state); path && n < ARRAY_SIZE(w) && !r;
	     path = strtok_r(NULL, ",", &state))
		r = pp_watch_new(k, path, query, &ops, NULL, &w[n++]);
	if (!r)
		r = pp_loop_run(l);
	for (size_t i = 0; i < n; i++) {
		if (!r)
			print_stats(w[i]);
		pp_watch_free(w[i]);
	}
	return r;
}

int main(int argc, char **argv)
{
	_cleanup_(pp_kube_config_close) struct pp_kube_config config = {};
	_cleanup_(pp_loop_freep) struct pp_loop *l = NULL;
	_cleanup_(pp_source_freep) struct pp_source *end = NULL;
	struct pp_err e = { "" };
	struct pp_kube *k = NULL;
	int r;

	if (argc < 3)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	seconds();
	r = pp_kube_config_load(argv[1][0] ? argv[1] : NULL, NULL, &config, &e);
	if (!r)
		r = pp_loop_new(&l);
	if (!r)
		r = pp_source_timer(l, on_time, l, &end);
	if (!r)
		r = pp_kube_new(l, &config, "podpace-follow/0", &k, &e);
	if (!r) {
		if (argc > 4)
			pp_source_arm(end, strtoull(argv[4], NULL, 10) * 1000000000);
		r = follow(l, k, argv[2], argc > 3 ? argv[3] : NULL);
		pp_kube_free(k);
	}
	if (r)
		fprintf(stderr, "follow: %s\n", e.msg[0] ? e.msg : strerror(-r));
	return r != 0;
}
