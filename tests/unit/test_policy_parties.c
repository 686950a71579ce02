// SPDX-License-Identifier: Apache-2.0
// Who matches rules: what addresses and identities are in the result, what the API is asked for.
// Whom peers select is in tests/golden/plan/rules-peers.yaml. Built with sanitizers.
#include <arpa/inet.h>

#include "base/base.h"
#include "policy/identity.h"
#include "policy/parties.h"
#include "tap.h"

static const struct pp_label red[] = { { "team", "red" } }, db[] = { { "app", "db" } };

static const struct pp_namespace namespaces[] = { { "b", red, 1 }, { "a", NULL, 0 }, { "c", red, 1 } };

/* A policy of namespace a, and its plan. */
struct ruled {
	struct pp_objects objects;
	struct pp_values *values;
	struct pp_plan *plan;
};

static void say(const char *line, void *arg)
{
	(void)arg;
	printf("# %s\n", line);
}

/* rules: as they stand in a list. */
static void plan_rules(struct ruled *r, const char *rules)
{
	static const struct pp_subject pod = { .namespace = "a", .name = "s", .uid = "" };
	struct pp_plan_input in = { .n_objects = 1,
				    .subjects = &pod,
				    .n_subjects = 1,
				    .namespaces = namespaces,
				    .n_namespaces = ARRAY_SIZE(namespaces) };
	size_t room = strlen(rules) + 200;
	_cleanup_free_ char *text = calloc(1, room);
	struct pp_err e = { "" };

	snprintf(text, room,
		 "{apiVersion: podpace.io/v1alpha1, kind: BandwidthPolicy, metadata: {name: p, "
		 "namespace: a}, spec: {podSelector: {}, egress: {rules: [%s]}}}",
		 rules);
	*r = (struct ruled){ .objects = PP_OBJECTS_INIT(r->objects) };
	if (pp_values_parse("test", text, strlen(text), &r->values, &e) ||
	    pp_objects_add(&r->objects, r->values, say, NULL) || r->objects.invalid)
		exit(1);
	in.objects = (const struct pp_object *const *)&r->objects.first;
	if (pp_plan_compile(&in, &r->plan))
		exit(1);
}

static void ruled_free(struct ruled *r)
{
	pp_plan_free(r->plan);
	pp_objects_free(&r->objects);
	pp_values_free(r->values);
}

/* An address as a key. */
struct key {
	uint8_t key[16];
};

static struct key address(const char *text)
{
	struct key k = { { [10] = 0xff, [11] = 0xff } };

	if (inet_pton(AF_INET, text, k.key + 12) != 1 && inet_pton(AF_INET6, text, k.key) != 1)
		exit(1);
	return k;
}

static struct key identity(uint64_t id)
{
	struct key k;

	memset(k.key, 0xff, 8);
	memcpy(k.key + 8, &id, 8);
	return k;
}

static const struct pp_party *find(const struct pp_parties *p, struct key k)
{
	for (size_t i = 0; i < p->n_parties; i++)
		if (memcmp(p->parties[i].key, k.key, 16) == 0)
			return &p->parties[i];
	return NULL;
}

static uint64_t bits(const struct pp_parties *p, const struct pp_party *party)
{
	return party ? p->bits[party->group * p->n_words] : 0;
}

static uint64_t block_bits(const struct pp_parties *p, const char *cidr)
{
	struct pp_err e = { "" };
	struct pp_cidr c;

	for (size_t i = 0; i < p->n_blocks && pp_cidr_parse(cidr, &c, &e) == 0; i++)
		if (p->blocks[i].c.len == c.len && memcmp(p->blocks[i].c.addr, c.addr, 16) == 0)
			return p->bits[p->blocks[i].group * p->n_words];
	return UINT64_MAX;
}

static struct pp_parties *compile(const struct ruled *r, const struct pp_party_pod *pods, size_t n)
{
	struct pp_parties *p = NULL;

	if (pp_parties_compile(r->plan, namespaces, ARRAY_SIZE(namespaces), pods, n, &p))
		exit(1);
	return p;
}

/* Matches: 0 is the block, 1 everything, 2 the pods that are db of all namespaces. */
static void keys(void)
{
	const struct key one[] = { address("10.0.0.1"), address("fd00::1") },
			 two[] = { address("10.1.0.1") }, three[] = { address("192.0.2.1") };
	const struct pp_party_pod pods[] = {
		{ "a", db, 1, 11, &one->key, 2, "db" },
		{ "b", NULL, 0, 12, &two->key, 1, "in the except" },
		{ "b", db, 1, 13, NULL, 0, "in its node's network" },
		{ "b", NULL, 0, 14, &three->key, 1, "nothing" },
		{ "b", db, 1, 0, &two->key, 1, "the same address, no uid" },
	};
	struct pp_parties *p;
	struct ruled r;

	plan_rules(&r, "{name: a, ceil: 1M, to: [{namespaceSelector: {}, podSelector: {matchLabels: "
		       "{app: db}}}]}, {name: b, ceil: 1M, to: [{ipBlock: {cidr: 10.0.0.0/8, "
		       "except: [10.1.0.0/16]}}]}, {name: all, ceil: 1M}");
	p = compile(&r, pods, ARRAY_SIZE(pods));
	is_u64(p->n_words, 1, "a word holds three matches");
	is_u64(bits(p, find(p, address("10.0.0.1"))), 1 | 4, "an address in a block, of a pod");
	is_u64(bits(p, find(p, address("fd00::1"))), 4, "another one of it is in none");
	is_u64(bits(p, find(p, identity(11))), 1 | 4, "its identity has both");
	is_u64(find(p, address("10.0.0.1"))->identity, 11, "an address knows its identity");
	is_u64(bits(p, find(p, identity(13))), 4, "one in its node's network has an identity");
	ok(!find(p, identity(14)) && !find(p, address("192.0.2.1")), "who matches nothing is not in");
	ok(!find(p, identity(12)), "nor is one in the except");
	is_u64(bits(p, find(p, address("10.1.0.1"))), 4, "the later of two pods has the address");
	is_u64(find(p, address("10.1.0.1"))->identity, 0, "also if it has no identity");
	is_u64(block_bits(p, "10.0.0.0/8"), 1, "a block");
	is_u64(block_bits(p, "10.1.0.0/16"), 0, "an except");
	is_u64(p->n_blocks, 2, "no other prefix");
	is_u64(p->n_matched[0], 1, "a block counts as one");
	is_u64(p->n_matched[2], 3, "pods are counted");
	is_u64(p->n_matched[1], 0, "of everything nothing is");
	is_u64(p->n_parties, 5, "three addresses, two identities");
	pp_parties_free(p);
	ruled_free(&r);
}

/* An earlier pod matches, the one that has its address now does not. */
static void taken_address(void)
{
	const struct key one[] = { address("10.0.0.1") };
	const struct pp_party_pod pods[] = { { "a", db, 1, 11, &one->key, 1, "old" },
					     { "a", NULL, 0, 12, &one->key, 1, "new" } };
	struct pp_parties *p;
	struct ruled r;

	plan_rules(&r, "{name: a, ceil: 1M, to: [{podSelector: {matchLabels: {app: db}}}]}");
	p = compile(&r, pods, 2);
	ok(!find(p, address("10.0.0.1")), "an address goes with its last pod");
	is_u64(bits(p, find(p, identity(11))), 1, "the other is still known by its identity");
	pp_parties_free(p);
	ruled_free(&r);
}

/* ::/0 is no block of IPv4, though it is around it where IPv4 is mapped. */
static void families(void)
{
	struct pp_parties *p;
	struct ruled r;

	plan_rules(&r, "{name: a, ceil: 1M, to: [{ipBlock: {cidr: '::/0'}}]}, {name: b, ceil: 1M, "
		       "to: [{ipBlock: {cidr: 10.0.0.0/8}}]}, {name: c, ceil: 1M, to: [{ipBlock: "
		       "{cidr: 'fd00::/8', except: ['fd01::/16']}}, {ipBlock: {cidr: 'fd01::/32'}}]}");
	p = compile(&r, NULL, 0);
	is_str(r.plan->matches[1]->text, "::/0", "matches are sorted");
	is_u64(block_bits(p, "::/0"), 2, "::/0");
	is_u64(block_bits(p, "0.0.0.0/0"), 0, "ends where IPv4 begins");
	is_u64(block_bits(p, "10.0.0.0/8"), 1, "a block of IPv4 has nothing of ::/0");
	is_u64(block_bits(p, "fd00::/8"), 2 | 4, "one of IPv6 has");
	is_u64(block_bits(p, "fd01::/16"), 2, "an except");
	is_u64(block_bits(p, "fd01::/32"), 2 | 4, "another block in the except");
	pp_parties_free(p);
	ruled_free(&r);
}

static void many(void)
{
	const struct pp_party_pod pods[] = { { "a", db, 1, 11, NULL, 0, "db" } };
	struct pp_plan_match matches[70], *all[70];
	const struct pp_plan_peer *peer;
	struct pp_plan plan = { .matches = all, .n_matches = 70 };
	struct pp_parties *p = NULL;
	struct ruled r;

	plan_rules(&r, "{name: a, ceil: 1M, to: [{podSelector: {matchLabels: {app: db}}}]}");
	peer = r.plan->matches[0]->peers;
	for (size_t i = 0; i < 70; i++) {
		matches[i] = (struct pp_plan_match){ .index = i, .peers = peer, .n_peers = 1 };
		all[i] = &matches[i];
	}
	ok(!pp_parties_compile(&plan, NULL, 0, pods, 1, &p), "more matches than a word has bits");
	is_u64(p->n_words, 2, "two words");
	is_u64(p->n_groups, 2, "one group beside that of nothing");
	ok(p->bits[2] == UINT64_MAX && p->bits[3] == 63 && !p->bits[0] && !p->bits[1], "all bits");
	ok(pp_parties_has(p, 1, 69) && !pp_parties_has(p, 0, 69), "the last one");
	pp_parties_free(p);
	plan.n_matches = 0;
	ok(!pp_parties_compile(&plan, NULL, 0, pods, 1, &p), "no match");
	ok(p->n_groups == 1 && !p->n_parties && !p->n_blocks && !p->of_pod[0], "has nobody");
	pp_parties_free(p);
	pp_parties_free(NULL);
	ruled_free(&r);
}

/* --- queries */

static void asks(const char *rules, const char *want)
{
	char got[3000] = "";
	struct pp_party_query *q = NULL;
	struct ruled r;
	size_t n = 0;

	plan_rules(&r, rules);
	ok(!pp_parties_queries(r.plan, namespaces, ARRAY_SIZE(namespaces), &q, &n), "asks");
	for (size_t i = 0; i < n; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s: %s", i ? "; " : "",
			 q[i].namespace ?: "all", q[i].labels);
	is_str(got, want, "%.60s", rules);
	pp_parties_queries_free(q, n);
	ruled_free(&r);
}

static void queries(void)
{
	char rules[8000] = "", *end = rules;

	asks("{name: a, ceil: 1M}", "");
	asks("{name: a, ceil: 1M, to: [{ipBlock: {cidr: 10.0.0.0/8}}]}", "");
	asks("{name: a, ceil: 1M, to: [{podSelector: {matchLabels: {app: db}}}, {podSelector: "
	     "{matchExpressions: [{key: x, operator: DoesNotExist}, {key: app, operator: In, values: "
	     "[b, a]}]}}]}",
	     "a: !x,app in (a,b); a: app=db");
	asks("{name: a, ceil: 1M, to: [{podSelector: {}}, {podSelector: {matchLabels: {app: db}}}]}",
	     "a: ");
	asks("{name: a, ceil: 1M, to: [{namespaceSelector: {matchLabels: {team: red}}}]}",
	     "b: ; c: ");
	asks("{name: a, ceil: 1M, to: [{namespaceSelector: {matchLabels: {team: blue}}}]}", "");
	asks("{name: a, ceil: 1M, to: [{namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}, "
	     "{podSelector: {matchLabels: {app: db}}}, {podSelector: {matchLabels: {app: web}}}]}",
	     "all: app=db; a: app=web");
	for (int i = 0; i < 2; i++) {
		end += snprintf(end, 100, "%s{name: r-%d, ceil: 1M, to: [", i ? ", " : "", i);
		for (int k = 0; k < 16; k++)
			end += snprintf(end, 100, "%s{podSelector: {matchLabels: {app: a-%d}}}",
					k ? ", " : "", 100 + 16 * i + k);
		end += snprintf(end, 100, "]}");
	}
	asks(rules,
	     "a: app=a-100; a: app=a-101; a: app=a-102; a: app=a-103; a: app=a-104; a: app=a-105; "
	     "a: app=a-106; a: app=a-107; a: app=a-108; a: app=a-109; a: app=a-110; a: app=a-111; "
	     "a: app=a-112; a: app=a-113; a: app=a-114; a: app=a-115; a: app=a-116; a: app=a-117; "
	     "a: app=a-118; a: app=a-119; a: app=a-120; a: app=a-121; a: app=a-122; a: app=a-123; "
	     "a: app=a-124; a: app=a-125; a: app=a-126; a: app=a-127; a: app=a-128; a: app=a-129; "
	     "a: app=a-130; a: app=a-131");
	snprintf(end, 100, ", {name: b, ceil: 1M, to: [{podSelector: {matchLabels: {app: b}}}]}");
	asks(rules, "all: ");
}

/* Of more than eight namespaces all are asked. */
static void many_namespaces(void)
{
	struct pp_namespace more[10] = { 0 };
	struct pp_party_query *q = NULL;
	struct ruled r;
	size_t n = 0;

	for (size_t i = 0; i < 10; i++)
		more[i] = (struct pp_namespace){ "abcdefghij" + i, red, 1 };
	plan_rules(&r, "{name: a, ceil: 1M, to: [{namespaceSelector: {matchLabels: {team: red}}, "
		       "podSelector: {matchLabels: {app: db}}}]}");
	ok(!pp_parties_queries(r.plan, more, 8, &q, &n), "of eight namespaces");
	is_u64(n, 8, "each is asked");
	pp_parties_queries_free(q, n);
	ok(!pp_parties_queries(r.plan, more, 9, &q, &n), "of nine");
	ok(n == 1 && !q[0].namespace && strcmp(q[0].labels, "app=db") == 0, "all are");
	pp_parties_queries_free(q, n);
	ruled_free(&r);
}

static void identities(void)
{
	ok(pp_identity_of("01234567-89ab-cDEF-0123-456789abcdef") == 0x0123456789abcdef,
	   "an identity is the first half of a uid");
	ok(pp_identity_of("0123456789abcdef") == 0x0123456789abcdef, "dashes do not matter");
	ok(!pp_identity_of("") && !pp_identity_of("0123456789abcde") &&
		   !pp_identity_of("0123456789abcdeg"),
	   "what is no uid has none");
}

int main(void)
{
	keys();
	taken_address();
	families();
	many();
	queries();
	many_namespaces();
	identities();
	return done_testing();
}
