// SPDX-License-Identifier: Apache-2.0
// How long a plan takes to compile: 1000 pods of one node, 100 namespaces, 2000 policies, the same
// on every run. The agent compiles all of it after each change.
//
//   compile [ROUNDS]     default 50
//
// Policies: 50 classes; 1800 BandwidthPolicies, 18 a namespace, by app and tier, some with a class,
// some for all together; 150 ClusterBandwidthPolicies, tenants by labels of namespaces, pods by
// labels, and the uplink of the node.
#include <time.h>

#include "base/base.h"
#include "policy/print.h"
#include "policy/world.h"

enum {
	PODS = 1000,
	NAMESPACES = 100,
	CLASSES = 50,
	POLICIES = 1800,
	TENANTS = 50,
	SPACES = 50,
	OTHERS = 50
};

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void begin(FILE *f, const char *kind, const char *prefix, int i, int namespace)
{
	fprintf(f, "---\n{apiVersion: %s, kind: %s, metadata: {name: %s-%d",
		strchr("PN", kind[0]) ? "v1" : "podpace.io/v1alpha1", kind, prefix, i);
	if (namespace >= 0)
		fprintf(f, ", namespace: ns-%d", namespace);
}

static void write_policies(FILE *f)
{
	for (int i = 0; i < POLICIES; i++) {
		int n = i / NAMESPACES;

		begin(f, "BandwidthPolicy", "policy", n, i % NAMESPACES);
		fprintf(f, "}, spec: {podSelector: {matchLabels: {app: app-%d}}, ", n % 12);
		if (n % 3 == 0)
			fprintf(f, "class: class-%d}}\n", n % CLASSES);
		else if (n % 3 == 1)
			fprintf(f, "per: Policy, egress: {ceil: %dM, weight: 50}}}\n", 100 + n);
		else
			fprintf(f, "egress: {ceil: %dM}, ingress: {ceil: 1G, weight: 20}}}\n",
				100 + n);
	}
}

static void write_tenants(FILE *f)
{
	for (int i = 0; i < TENANTS; i++) {
		begin(f, "ClusterBandwidthPolicy", "tenant", i, -1);
		fprintf(f,
			"}, spec: {subject: {namespaces: {matchLabels: {tenant: t-%d}}}, per: Node,"
			" egress: {ceil: 2G, weight: 300, guarantee: 100M}, ingress: {ceil: 2G}}}\n",
			i);
	}
	for (int i = 0; i < SPACES; i++) {
		begin(f, "ClusterBandwidthPolicy", "space", i, -1);
		fprintf(f,
			"}, spec: {subject: {namespaces: {matchExpressions: [{key: tenant, operator: "
			"In, values: [t-%d, t-x]}]}}, per: Namespace, egress: {ceil: 1G}}}\n",
			i);
	}
	for (int i = 1; i < OTHERS; i++) {
		begin(f, "ClusterBandwidthPolicy", "other", i, -1);
		fprintf(f,
			"}, spec: {subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels:"
			" {tier: tier-%d}}}}, per: Pod, ingress: {ceil: 1G, weight: 10}}}\n",
			i);
	}
	begin(f, "ClusterBandwidthPolicy", "uplink", 0, -1);
	fprintf(f, "}, spec: {subject: {nodes: {}}, per: Node, egress: {ceil: 10G}}}\n");
}

static void write_world(FILE *f)
{
	for (int i = 0; i < CLASSES; i++) {
		begin(f, "BandwidthClass", "class", i, -1);
		fprintf(f, "}, spec: {namespaces: {}, egress: {ceil: %dM, guarantee: 5M}}}\n",
			200 + i);
	}
	for (int i = 0; i < NAMESPACES; i++) {
		begin(f, "Namespace", "ns", i, -1);
		fprintf(f, ", labels: {tenant: t-%d, team: team-%d}}}\n", i % TENANTS, i);
	}
	for (int i = 0; i < PODS; i++) {
		begin(f, "Pod", "pod", i, i % NAMESPACES);
		fprintf(f,
			", uid: uid-%d, labels: {pod-template-hash: abc, app: app-%d, tier: tier-%d, "
			"version: v1}}}\n",
			i, i / NAMESPACES % 12, i % OTHERS);
	}
}

static void fail(const char *line, void *arg)
{
	(void)arg;
	fprintf(stderr, "compile: %s\n", line);
	exit(1);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(const struct pp_plan_input *in, size_t rounds)
{
	_cleanup_free_ double *took = calloc(rounds, sizeof(*took));
	struct pp_plan *p = NULL;

	for (size_t i = 0; i < rounds && took; i++) {
		double begin = now_ms();

		pp_plan_free(p);
		if (pp_plan_compile(in, &p))
			fail("out of memory", NULL);
		took[i] = now_ms() - begin;
	}
	if (!took)
		fail("out of memory", NULL);
	qsort(took, rounds, sizeof(*took), compare);
	printf("compile: %zu subjects, %zu objects, %zu pipes, %zu notes: median %.2f ms, "
	       "fastest %.2f ms, slowest %.2f ms of %zu\n",
	       p->n_subjects, p->n_objects, p->n_pipes, p->n_notes, took[rounds / 2], took[0],
	       took[rounds - 1], rounds);
	pp_plan_free(p);
}

int main(int argc, char **argv)
{
	size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 50, len;
	struct pp_objects o = PP_OBJECTS_INIT(o);
	struct pp_world w = PP_WORLD_INIT;
	_cleanup_free_ char *text = NULL;
	struct pp_plan_input in = { 0 };
	struct pp_values *v = NULL;
	struct pp_err e = { "" };
	FILE *f = open_memstream(&text, &len);

	if (!f || rounds < 1 || rounds > 1000000)
		fail("valid is a number of rounds, from 1 to 1000000", NULL);
	write_world(f);
	write_policies(f);
	write_tenants(f);
	fclose(f);
	if (pp_values_parse("bench", text, len, &v, &e) || pp_objects_add(&o, v, fail, NULL) ||
	    pp_world_add(&w, v, fail, NULL) || pp_world_input(&w, &o, NULL, &in, &e))
		fail(e.msg, NULL);
	measure(&in, rounds);
	pp_world_free(&w);
	pp_objects_free(&o);
	pp_values_free(v);
	return 0;
}
