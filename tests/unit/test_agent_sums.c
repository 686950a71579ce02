// SPDX-License-Identifier: Apache-2.0
// The status of an object as the sum of what nodes say: each word of it, and when it is kept back.
#define _GNU_SOURCE
#include <time.h>

#include "agent/sums.h"
#include "base/base.h"
#include "tap.h"

#define GRACE 100

static void put_node(struct pp_sums *s, const char *text)
{
	json_t *o = json_loads(text, 0, NULL);

	if (!o || pp_sums_put_node(s, o))
		abort();
	json_decref(o);
}

static void put_object(struct pp_sums *s, enum pp_kind kind, const char *text, uint64_t now)
{
	json_t *o = json_loads(text, 0, NULL);

	if (!o || pp_sums_put_object(s, kind, o, now))
		abort();
	json_decref(o);
}

#define NODE(name, ready, objects)                                                                 \
	"{\"metadata\":{\"name\":\"" name "\"},\"status\":{\"ready\":" ready                       \
	",\"message\":\"no BPF\",\"objects\":[" objects "]}}"
#define WEB(generation, pods, enforced, more)                                                      \
	"{\"kind\":\"BandwidthPolicy\",\"namespace\":\"a\",\"name\":\"web\","                      \
	"\"generation\":" generation ",\"pods\":" pods ",\"enforced\":" enforced more "}"
#define PROBLEM(reason, text) ",\"reason\":\"" reason "\",\"problem\":\"" text "\""
#define POLICY(uid, generation, status)                                                            \
	"{\"metadata\":{\"namespace\":\"a\",\"name\":\"web\",\"uid\":\"" uid                       \
	"\",\"generation\":" generation "},\"status\":{" status "}}"

/* What is due, as READY REASON pods/nodes: MESSAGE; "" if nothing is. */
static void is_due(struct pp_sums *s, uint64_t now, const char *want, const char *name)
{
	_cleanup_free_ char *got = NULL;
	struct pp_sums_object *o;

	if (pp_sums_count(s, now))
		abort();
	o = pp_sums_due(s);
	if (asprintf(&got, o ? "%s %s %d/%d: %s" : "", o ? o->want.ready : "",
		     o ? o->want.reason : "", o ? (int)o->want.pods : 0, o ? (int)o->want.nodes : 0,
		     o ? o->want.message : "") < 0)
		abort();
	is_str(got, want, "%s", name);
}

static void words(void)
{
	struct pp_sums s = { .grace_ns = GRACE };

	put_object(&s, PP_POLICY, POLICY("u", "2", ""), 0);
	is_due(&s, 1, "", "a new object is nobody's for a while");
	is_u64(s.look_at, GRACE, "and is looked at when that ends");
	is_due(&s, GRACE, "False NoAgent 0/0: no node has an agent that applies limits",
	       "no agent");
	put_node(&s, NODE("n2", "true", ""));
	is_due(&s, GRACE, "True NoPods 0/0: it applies to nothing on any node", "no pods");
	put_node(&s, NODE("n2", "true", WEB("2", "3", "3", "")));
	is_due(&s, GRACE, "True InForce 3/1: in force wherever it applies", "one node");
	put_node(&s, NODE("n3", "true", WEB("2", "4", "4", "")));
	is_due(&s, GRACE, "True InForce 7/2: in force wherever it applies", "two nodes");
	put_node(&s, NODE("n3", "true", WEB("2", "4", "1", "")));
	is_due(&s, GRACE, "False NotEnforced 7/2: node n3: in force for 1 of 4 pods", "not all");
	put_node(&s,
		 NODE("n1", "true", WEB("2", "1", "1", PROBLEM("NoEffect", "an annotation wins"))));
	is_due(&s, GRACE, "False NoEffect 8/3: node n1: an annotation wins; and 1 more",
	       "the first by name is quoted");
	put_node(&s, NODE("n1", "true", WEB("2", "1", "1", PROBLEM("so what", "x"))));
	is_due(&s, GRACE, "False NotEnforced 8/3: node n1: x; and 1 more",
	       "a reason that conditions do not take");
	put_node(&s, NODE("n1", "false", WEB("2", "1", "1", "")));
	is_due(&s, GRACE, "False NotEnforced 8/3: node n1: no BPF; and 1 more",
	       "a node that is not ready");
	pp_sums_remove_node(&s, "n1");
	pp_sums_remove_node(&s, "n3");
	is_due(&s, GRACE, "True InForce 3/1: in force wherever it applies", "nodes that are gone");
	put_node(&s, NODE("n2", "true", WEB("2", "0", "0", PROBLEM("Invalid", "spec.per: is x"))));
	is_due(&s, GRACE, "False Invalid 0/1: node n2: spec.per: is x", "invalid");
	put_node(&s, NODE("n2", "true", "{\"kind\":\"Other\"},7,{}"));
	is_due(&s, GRACE, "True NoPods 0/0: it applies to nothing on any node",
	       "nonsense says nothing");
	pp_sums_close(&s);
}

static void generations(void)
{
	struct pp_sums s = { .grace_ns = GRACE };

	put_node(&s, NODE("n1", "true", WEB("1", "3", "3", "")));
	put_node(&s, NODE("n2", "true", WEB("1", "4", "4", "")));
	put_object(&s, PP_POLICY, POLICY("u", "1", ""), 0);
	is_due(&s, 0, "True InForce 7/2: in force wherever it applies",
	       "all nodes have it: at once");
	put_object(&s, PP_POLICY, POLICY("u", "2", ""), 1000);
	is_due(&s, 1000, "", "a new generation: what was due is not any more");
	put_node(&s, NODE("n2", "true", WEB("2", "5", "4", "")));
	is_due(&s, 1050, "", "as long as one node lacks it");
	is_u64(s.look_at, 1000 + GRACE, "until when");
	is_due(&s, 1100, "False NotEnforced 8/2: node n2: in force for 4 of 5 pods",
	       "then what is bad");
	put_node(&s, NODE("n2", "true", WEB("2", "5", "5", "")));
	is_due(&s, 1100, "Unknown Pending 8/2: node n1 has not taken up generation 2 yet",
	       "then what is late");
	put_node(&s, NODE("n1", "true", WEB("2", "3", "3", "")));
	is_due(&s, 1100, "True InForce 8/2: in force wherever it applies", "then all is well");
	put_object(&s, PP_POLICY, POLICY("u2", "2", ""), 2000);
	put_node(&s, NODE("n1", "true", ""));
	put_node(&s, NODE("n2", "true", ""));
	is_due(&s, 2000, "", "another object of its name");
	pp_sums_remove_object(&s, PP_POLICY, "a", "web");
	is_due(&s, 3000, "", "gone");
	is_u64(s.objects.n, 0, "and forgotten");
	is_u64(s.texts.n, 0, "and no text is left");
	pp_sums_close(&s);
}

#define READY(status, reason, message)                                                             \
	"\"observedGeneration\":1,\"pods\":3,\"nodes\":1,\"conditions\":[{\"type\":\"Other\"},"    \
	"{\"type\":\"Ready\",\"status\":\"" status "\",\"reason\":\"" reason                       \
	"\",\"message\":\"" message "\",\"lastTransitionTime\":\"2020-01-01T00:00:00Z\"}]"

static void writes(void)
{
	struct pp_sums s = { .grace_ns = GRACE };
	struct pp_sums_object *o;
	char *patch;

	put_node(&s, NODE("n1", "true", WEB("1", "3", "3", "")));
	put_object(&s, PP_POLICY,
		   POLICY("u", "1", READY("True", "InForce", "in force wherever it applies")), 0);
	is_due(&s, 0, "", "a status that is right");
	put_node(&s, NODE("n1", "true", WEB("1", "4", "4", "")));
	is_due(&s, 0, "True InForce 4/1: in force wherever it applies", "a number that is not");
	o = pp_sums_due(&s);
	patch = pp_sums_patch(o, "now");
	is_str(patch,
	       "{\"status\":{\"observedGeneration\":1,\"pods\":4,\"nodes\":1,\"conditions\":["
	       "{\"type\":\"Ready\",\"status\":\"True\",\"reason\":\"InForce\",\"message\":"
	       "\"in force wherever it applies\",\"lastTransitionTime\":\"2020-01-01T00:00:00Z\","
	       "\"observedGeneration\":1}]}}",
	       "the time of transition stays");
	free(patch);
	o->tried = true;
	is_due(&s, 0, "", "what was tried is not tried again");
	put_object(&s, PP_POLICY, POLICY("u", "1", READY("False", "Other", "")), 0);
	is_due(&s, 0, "True InForce 4/1: in force wherever it applies",
	       "unless somebody undoes it");
	patch = pp_sums_patch(pp_sums_due(&s), "now");
	ok(patch && strstr(patch, "\"lastTransitionTime\":\"now\""), "the transition is now");
	free(patch);
	pp_sums_close(&s);
}

#define PEERS(n) ",\"peers\":" n

/* Each node sees the whole cluster: the largest number is the newest, or as good as that. */
static void peers(void)
{
	struct pp_sums s = { .grace_ns = GRACE };
	struct pp_sums_object *o;
	char *patch;

	put_object(&s, PP_POLICY, POLICY("u", "1", ""), 0);
	put_node(&s, NODE("n1", "true", WEB("1", "3", "3", PEERS("40"))));
	put_node(&s, NODE("n2", "true", WEB("1", "1", "1", PEERS("42"))));
	put_node(&s, NODE("n3", "true", WEB("1", "1", "1", "")));
	is_due(&s, 0, "True InForce 5/3: in force wherever it applies", "one with peers");
	o = pp_sums_due(&s);
	is_u64(o->want.peers, 42, "the largest number of them");
	patch = pp_sums_patch(o, "now");
	ok(patch && strstr(patch, "\"peers\":42"), "is written");
	free(patch);
	put_object(&s, PP_POLICY,
		   POLICY("u", "1",
			  "\"peers\":42," READY("True", "InForce", "in force wherever it applies")),
		   0);
	put_node(&s, NODE("n1", "true", WEB("1", "1", "1", PEERS("42"))));
	put_node(&s, NODE("n2", "true", ""));
	put_node(&s, NODE("n3", "true", WEB("1", "2", "2", PEERS("41"))));
	pp_sums_count(&s, 0);
	is_u64(o->want.pods, 3, "other nodes, the same peers");
	put_node(&s, NODE("n3", "true", ""));
	put_node(&s, NODE("n1", "true", WEB("1", "3", "3", PEERS("42"))));
	is_due(&s, 0, "", "right as it is");
	put_node(&s, NODE("n1", "true", WEB("1", "3", "3", PEERS("43"))));
	is_due(&s, 0, "True InForce 3/1: in force wherever it applies", "another number alone");
	put_node(&s, NODE("n1", "true", WEB("1", "3", "3", "")));
	is_due(&s, 0, "True InForce 3/1: in force wherever it applies", "none any more");
	patch = pp_sums_patch(pp_sums_due(&s), "now");
	ok(patch && strstr(patch, "\"peers\":null"), "it is taken away");
	free(patch);
	pp_sums_close(&s);
}

/* 2000 objects; 5000 nodes that have 50 of them each. */
static void many(void)
{
	struct pp_sums s = { .grace_ns = GRACE };
	struct timespec a, b;
	uint64_t us;

	for (int i = 0; i < 2000; i++) {
		char name[16];
		json_t *o;

		snprintf(name, sizeof(name), "o-%d", i);
		o = json_pack("{s:{s:s, s:s, s:i}}", "metadata", "name", name, "uid", "u",
			      "generation", 1);
		pp_sums_put_object(&s, PP_CLASS, o, 0);
		json_decref(o);
	}
	for (int i = 0; i < 5000; i++) {
		json_t *list = json_array(), *o;
		char name[16];

		for (int e = 0; e < 50; e++) {
			snprintf(name, sizeof(name), "o-%d", (i * 50 + e * 7) % 2000);
			json_array_append_new(list,
					      json_pack("{s:s, s:s, s:i, s:i, s:i}", "kind",
							"BandwidthClass", "name", name,
							"generation", 1, "pods", 2, "enforced", 2));
		}
		snprintf(name, sizeof(name), "n-%d", i);
		o = json_pack("{s:{s:s}, s:{s:b, s:o}}", "metadata", "name", name, "status",
			      "ready", 1, "objects", list);
		pp_sums_put_node(&s, o);
		json_decref(o);
	}
	clock_gettime(CLOCK_MONOTONIC, &a);
	is_u64((uint64_t)pp_sums_count(&s, GRACE), 0, "5000 nodes with 50 of 2000 objects each");
	clock_gettime(CLOCK_MONOTONIC, &b);
	us = (uint64_t)(b.tv_sec - a.tv_sec) * 1000000 + (uint64_t)(b.tv_nsec - a.tv_nsec) / 1000;
	/* with sanitizers, and others at work: ten times of what it takes */
	ok(us < 200000, "are counted in %" PRIu64 " us", us);
	is_u64(pp_sums_due(&s)->want.pods, 250, "each has its share");
	pp_sums_close(&s);
}

int main(void)
{
	words();
	generations();
	writes();
	peers();
	many();
	return done_testing();
}
