// SPDX-License-Identifier: Apache-2.0
// How long a plan takes to compile: 1000 pods of one node, 100 namespaces, 2000 policies, the same
// on every run. The agent compiles all of it after each change. And who matches rules: 100 000 pods
// of a cluster, 50 matches of a plan of their own.
//
//   compile [ROUNDS]     default 50; a fifth of them of who matches
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
	OTHERS = 50,
	PEERS = 100000,
	RULES = 50
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

/* By labels in one namespace, in many, in all; blocks with excepts; one of each three has ports. */
static void write_rules(FILE *f)
{
	for (int i = 0; i < RULES; i++) {
		begin(f, "BandwidthPolicy", "rule", i, i % NAMESPACES);
		fprintf(f, "}, spec: {podSelector: {}, egress: {rules: [{name: r, ceil: 50M, ");
		if (i % 3 == 0)
			fprintf(f, "ports: [{port: %d}], ", 1000 + i);
		if (i % 5 == 0)
			fprintf(f,
				"to: [{ipBlock: {cidr: 10.%d.0.0/16, except: [10.%d.1.0/24]}}]",
				i, i);
		else if (i % 5 < 3)
			fprintf(f, "to: [{podSelector: {matchLabels: {app: app-%d}}}]", i % 12);
		else if (i % 5 == 3)
			fprintf(f,
				"to: [{namespaceSelector: {matchLabels: {tenant: t-%d}}, "
				"podSelector: {matchLabels: {tier: tier-%d}}}]",
				i, i);
		else
			fprintf(f,
				"to: [{namespaceSelector: {}, podSelector: {matchExpressions: "
				"[{key: app, operator: In, values: [app-%d, app-%d]}]}}]",
				i % 12, i % 7);
		fprintf(f, "}]}}}\n");
	}
}

static void write_namespaces(FILE *f)
{
	for (int i = 0; i < NAMESPACES; i++) {
		begin(f, "Namespace", "ns", i, -1);
		fprintf(f, ", labels: {tenant: t-%d, team: team-%d}}}\n", i % TENANTS, i);
	}
}

static void write_world(FILE *f)
{
	for (int i = 0; i < CLASSES; i++) {
		begin(f, "BandwidthClass", "class", i, -1);
		fprintf(f, "}, spec: {namespaces: {}, egress: {ceil: %dM, guarantee: 5M}}}\n",
			200 + i);
	}
	write_namespaces(f);
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

/* A pod of the cluster as agents have it. */
struct peer {
	char namespace[16];
	char values[3][16];
	struct pp_label labels[4];
	uint8_t address[1][16];
};

static void make_peers(struct peer *peers, struct pp_party_pod *pods)
{
	static const char *const keys[] = { "app", "tier", "pod-template-hash" };

	for (int i = 0; i < PEERS; i++) {
		struct peer *p = &peers[i];

		snprintf(p->namespace, sizeof(p->namespace), "ns-%d", i % NAMESPACES);
		snprintf(p->values[0], sizeof(p->values[0]), "app-%d", i / NAMESPACES % 12);
		snprintf(p->values[1], sizeof(p->values[1]), "tier-%d", i % OTHERS);
		snprintf(p->values[2], sizeof(p->values[2]), "%d", i);
		for (int k = 0; k < 3; k++)
			p->labels[k] = (struct pp_label){ keys[k], p->values[k] };
		p->labels[3] = (struct pp_label){ "version", "v1" };
		memset(p->address[0] + 10, 0xff, 2);
		p->address[0][12] = 10;
		p->address[0][13] = (uint8_t)(i >> 16);
		p->address[0][14] = (uint8_t)(i >> 8);
		p->address[0][15] = (uint8_t)i;
		pods[i] = (struct pp_party_pod){ .namespace = p->namespace,
						 .labels = p->labels,
						 .n_labels = 4,
						 .identity = (uint64_t)i * 0x9e3779b97f4a7c15 | 1,
						 .addresses = p->address,
						 .n_addresses = 1 };
	}
}

static void measure_parties(const struct pp_plan_input *in, size_t rounds)
{
	_cleanup_free_ struct peer *peers = calloc(PEERS, sizeof(*peers));
	_cleanup_free_ struct pp_party_pod *pods = calloc(PEERS, sizeof(*pods));
	_cleanup_free_ double *took = calloc(rounds, sizeof(*took));
	struct pp_parties *parties = NULL;
	struct pp_plan *p = NULL;

	if (!peers || !pods || !took || pp_plan_compile(in, &p))
		fail("out of memory", NULL);
	make_peers(peers, pods);
	for (size_t i = 0; i < rounds; i++) {
		double begin = now_ms();

		pp_parties_free(parties);
		if (pp_parties_compile(p, in->namespaces, in->n_namespaces, pods, PEERS, &parties))
			fail("out of memory", NULL);
		took[i] = now_ms() - begin;
	}
	qsort(took, rounds, sizeof(*took), compare);
	printf("parties: %d pods, %zu matches, %zu parties, %zu groups: median %.2f ms, "
	       "fastest %.2f ms, slowest %.2f ms of %zu\n",
	       PEERS, p->n_matches, parties->n_parties, parties->n_groups, took[rounds / 2],
	       took[0], took[rounds - 1], rounds);
	pp_parties_free(parties);
	pp_plan_free(p);
}

static void run(void (*write)(FILE *f), void (*measure)(const struct pp_plan_input *, size_t),
		size_t rounds)
{
	struct pp_objects o = PP_OBJECTS_INIT(o);
	struct pp_world w = PP_WORLD_INIT;
	_cleanup_free_ char *text = NULL;
	struct pp_plan_input in = { 0 };
	struct pp_values *v = NULL;
	struct pp_err e = { "" };
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		fail("out of memory", NULL);
	write(f);
	fclose(f);
	if (pp_values_parse("bench", text, len, &v, &e) || pp_objects_add(&o, v, fail, NULL) ||
	    pp_world_add(&w, v, fail, NULL) || pp_world_input(&w, &o, NULL, &in, &e))
		fail(e.msg, NULL);
	measure(&in, rounds);
	pp_world_free(&w);
	pp_objects_free(&o);
	pp_values_free(v);
}

static void write_plan(FILE *f)
{
	write_world(f);
	write_policies(f);
	write_tenants(f);
}

static void write_parties(FILE *f)
{
	write_world(f);
	write_rules(f);
}

int main(int argc, char **argv)
{
	size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 50;

	if (rounds < 1 || rounds > 1000000)
		fail("valid is a number of rounds, from 1 to 1000000", NULL);
	run(write_plan, measure, rounds);
	run(write_parties, measure_parties, rounds / 5 + 1);
	return 0;
}
