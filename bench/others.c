// SPDX-License-Identifier: Apache-2.0
// What pods that rules name take of an agent: memory for each, time for each event and for a list
// of all. The pods are made up, 5 kB long; a watch's names and versions are counted too.
//
//   others [PODS [WATCHES]]    100000, all of them in each of WATCHES (1)
#define _GNU_SOURCE
#include <malloc.h>

#include "agent/farpods.h"
#include "base/base.h"
#include "base/loop.h"
#include "kube/store.h"

#define PER_OWNER 8 /* pods of one ReplicaSet */
#define N_ENV 50    /* which make an event 5 kB long */

struct followed {
	struct pp_store store; /* of the watch */
	struct pp_farpods pods;
};

/* As a Deployment's: five labels, one of which is its ReplicaSet's alone. */
static char *event(size_t i, unsigned int version)
{
	size_t owner = i / PER_OWNER, hash = owner * 2654435761 % 0xffffffff, size;
	char *text = NULL;
	FILE *f = open_memstream(&text, &size);

	fprintf(f, "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{"
		   "\"name\":\"checkout-%04zu-%08zx-%05zx\",\"namespace\":\"team-%zu\","
		   "\"uid\":\"%08zx-9c1d-4f0e-8a55-0242ac120002\",\"resourceVersion\":\"%u\",\"labels\":{"
		   "\"app.kubernetes.io/name\":\"checkout-%zu\",\"app.kubernetes.io/instance\":\"checkout-%zu\","
		   "\"app.kubernetes.io/part-of\":\"shop\",\"tier\":\"backend\",\"pod-template-hash\":\"%08zx\"}},"
		   "\"spec\":{\"containers\":[{\"name\":\"main\",\"env\":[",
		owner % 4000, hash, i & 0xfffff, owner % 500, i, version, owner % 4000,
		owner % 4000, hash);
	for (int j = 0; j < N_ENV; j++)
		fprintf(f, "%s{\"name\":\"A_SETTING_OF_THE_PROGRAM_%02d\",\"value\":\"and what it is set to, in some words\"}",
			j ? "," : "", j);
	fprintf(f, "]}]},\"status\":{\"phase\":\"Running\",\"podIPs\":[{\"ip\":\"10.%zu.%zu.%zu\"}]}}}",
		i >> 16 & 255, i >> 8 & 255, i & 255);
	fclose(f);
	return text;
}

/* Returns the ns that it took, without making the text. */
static uint64_t feed(struct followed *w, size_t i, unsigned int version)
{
	_cleanup_(pp_event_close) struct pp_event e = {};
	_cleanup_free_ char *text = event(i, version);
	uint64_t begin = pp_loop_now();
	enum pp_change change;

	if (pp_event_parse(text, strlen(text), &e, NULL) ||
	    pp_store_put(&w->store, &e.id, NULL, NULL, &change))
		abort();
	pp_farpods_put(&w->pods, e.object);
	return pp_loop_now() - begin;
}

static size_t heap(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static void list(const struct pp_farpods *const *sets, size_t n)
{
	uint64_t begin = pp_loop_now();
	const struct pp_other **all;
	size_t n_all;

	if (pp_farpods_merge(sets, n, &all, &n_all))
		abort();
	printf("a list of all: %zu pods in %.1f ms\n", n_all, (pp_loop_now() - begin) / 1e6);
	free(all);
}

int main(int argc, char **argv)
{
	size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000, before = heap(), after;
	size_t n_watches = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
	struct followed *w = calloc(n_watches, sizeof(*w));
	const struct pp_farpods **sets = calloc(n_watches, sizeof(*sets));
	struct pp_texts texts = {};
	uint64_t ns = 0;
	char *text = event(0, 1);

	printf("events of %zu bytes\n", strlen(text));
	free(text);
	for (size_t i = 0; i < n_watches; i++) {
		w[i].pods.texts = &texts;
		sets[i] = &w[i].pods;
		for (size_t j = 0; j < n; j++)
			ns += feed(&w[i], j, i);
	}
	after = heap() - before;
	printf("first list: %.1f us an event\n", ns / 1e3 / n / n_watches);
	ns = 0;
	for (size_t j = 0; j < n; j++)
		ns += feed(&w[0], j, n_watches);
	printf("a version that says nothing new: %.1f us\n", ns / 1e3 / n);
	list(sets, n_watches);
	before = heap();
	for (size_t i = 0; i < n_watches; i++)
		pp_store_close(&w[i].store);
	printf("%zu bytes for each pod in each watch, of which %zu are the watch's own\n",
	       after / n / n_watches, (before - heap()) / n / n_watches);
	for (size_t i = 0; i < n_watches; i++)
		pp_farpods_close(&w[i].pods);
	pp_texts_close(&texts);
	free(sets);
	free(w);
	return 0;
}
