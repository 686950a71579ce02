// SPDX-License-Identifier: Apache-2.0
// Objects of many sources: what is in force, what stays, what is said. Built with sanitizers.
#include <time.h>

#include "base/base.h"
#include "policy/sources.h"
#include "tap.h"

#define HEAD "apiVersion: podpace.io/v1alpha1\n"
#define CLASS(name, ceil)                                                                          \
	HEAD "kind: BandwidthClass\nmetadata: {name: " name "}\nspec: {egress: {ceil: " ceil "}}\n"
#define POLICY(ns, name, ceil)                                                                     \
	HEAD "kind: BandwidthPolicy\nmetadata: {namespace: " ns ", name: " name                    \
	     "}\nspec: {podSelector: {}, egress: {ceil: " ceil "}}\n"
#define SEP "---\n"

static struct pp_sources *sources;
static char said[20000];

static void say(const char *line, void *arg)
{
	(void)arg;
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s|", line);
}

static void begin(void)
{
	pp_sources_free(sources);
	sources = NULL;
	if (pp_sources_new(&sources))
		abort();
}

static int put(const char *source, const char *text)
{
	said[0] = '\0';
	return pp_sources_put(sources, source, text, strlen(text), say, NULL);
}

/* "gold 10 a/web 20": names, and ceils of egress in Mbit/s, in order. */
static const char *in_force(void)
{
	static char text[2000];
	size_t n;
	const struct pp_object *const *o = pp_sources_objects(sources, &n);

	text[0] = '\0';
	for (size_t i = 0; i < n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s%s%s %u",
			 i ? " " : "", o[i]->namespace ? o[i]->namespace : "",
			 o[i]->namespace ? "/" : "", o[i]->name,
			 (unsigned int)(o[i]->share[PP_WAY_EGRESS].ceil * 8 / 1000000));
	return text;
}

static void add_problem(const struct pp_problem *p, void *arg)
{
	char *text = arg;

	snprintf(text + strlen(text), 8000 - strlen(text), "%s %s%s%s%s: %s|", p->source,
		 p->namespace ? p->namespace : "", p->namespace ? "/" : "", p->name ? p->name : "-",
		 p->has_last_good ? " last good" : "", p->text);
}

static const char *problems(void)
{
	static char text[8000];

	text[0] = '\0';
	pp_sources_problems(sources, add_problem, text);
	return text;
}

#define NOT_YAML "a.yaml:2: not YAML: did not find expected ',' or '}'"

static void test_one_source(void)
{
	begin();
	is_str(in_force(), "", "nothing is in force at first");
	ok(!put("a.yaml", POLICY("b", "web", "20M") SEP POLICY("a", "web", "30M")
				  SEP CLASS("silver", "5M") SEP CLASS("gold", "10M")),
	   "a text is put");
	is_str(said, "", "of which there is nothing to say");
	is_str(in_force(), "gold 10 silver 5 a/web 30 b/web 20", "sorted by kind, namespace, name");
	put("a.yaml", CLASS("gold", "11M"));
	is_str(in_force(), "gold 11", "another text changes what it has, and the rest goes");
	put("a.yaml", "{apiVersion: podpace.io/v1alpha1");
	is_str(said, NOT_YAML "|", "text that cannot be parsed is said");
	is_str(in_force(), "gold 11", "and leaves all as it was");
	is_str(problems(), "a.yaml - last good: " NOT_YAML "|", "it is a problem of the source");
	put("a.yaml", "{apiVersion: podpace.io/v1alpha1");
	is_str(said, "", "that is said once");
	put("a.yaml", "");
	is_str(in_force(), "", "an empty text has no objects");
	is_str(problems(), "", "and no problem");
	put("new.yaml", "{");
	ok(strncmp(problems(), "new.yaml -: ", 12) == 0, "a source that never was good: %s",
	   problems());
	pp_sources_remove(sources, "new.yaml");
	pp_sources_remove(sources, "unknown.yaml");
	is_str(problems(), "", "problems go with their source");
}

static void test_last_good(void)
{
	const char *fault;

	begin();
	put("a.yaml", CLASS("gold", "10M") SEP CLASS("silver", "5M"));
	put("a.yaml", CLASS("gold", "x") SEP CLASS("silver", "6M") SEP CLASS("bronze", "x"));
	is_str(in_force(), "gold 10 silver 6",
	       "an object with a fault keeps its last good version");
	fault = pp_sources_problem(sources, "a.yaml", PP_CLASS, NULL, "gold");
	ok(fault && strstr(fault, "a.yaml:4: BandwidthClass gold: spec.egress.ceil: "),
	   "its fault is kept: %s", fault);
	ok(strstr(said, "gold") && strstr(said, "bronze") && !strstr(said, "silver"), "and said");
	ok(strstr(problems(), "a.yaml gold last good: ") && strstr(problems(), "a.yaml bronze: "),
	   "which of them have a last good version is known");
	ok(!pp_sources_problem(sources, "a.yaml", PP_CLASS, NULL, "silver") &&
		   !pp_sources_problem(sources, "a.yaml", PP_POLICY, "a", "gold") &&
		   !pp_sources_problem(sources, "b.yaml", PP_CLASS, NULL, "gold"),
	   "others have no fault");
	put("a.yaml", CLASS("gold", "x") SEP CLASS("silver", "7M") SEP CLASS("bronze", "x"));
	is_str(said, "", "what stays the same is said once");
	put("a.yaml", CLASS("gold", "y") SEP CLASS("silver", "7M") SEP CLASS("bronze", "x"));
	ok(strstr(said, "\"y\"") && !strstr(said, "bronze"), "another fault is said: %s", said);
	put("a.yaml", "{");
	ok(strstr(problems(), "a.yaml - last good") && strstr(problems(), "a.yaml gold last good"),
	   "text that cannot be parsed says nothing about the objects");
	put("a.yaml", CLASS("gold", "12M") SEP CLASS("bronze", "1M"));
	is_str(in_force(), "bronze 1 gold 12", "good again");
	is_str(problems(), "", "without a problem");
	put("a.yaml", CLASS("gold", "x"));
	put("a.yaml", "");
	is_str(in_force(), "", "what is no longer there goes, its last good version too");
	put("a.yaml", CLASS("gold", "x"));
	is_str(in_force(), "", "and does not come back");
}

static void test_strays(void)
{
	begin();
	put("a.yaml", CLASS("gold", "10M") SEP CLASS("silver", "5M"));
	put("a.yaml",
	    HEAD "kind: BandwithClass\nmetadata: {name: gold}\n" SEP CLASS("bronze", "1M"));
	is_str(in_force(), "bronze 1 gold 10 silver 5",
	       "what an object is called that says no known kind is not known: nothing goes");
	ok(strstr(problems(), "a.yaml - last good: a.yaml:1: kind BandwithClass: valid are"),
	   "it is a problem of the source: %s", problems());
	put("a.yaml",
	    HEAD "kind: BandwidthClass\nmetadata: {name: Gold}\nspec: {egress: {ceil: 1M}}\n");
	is_str(in_force(), "bronze 1 gold 10 silver 5", "nor with a name that is none");
	put("a.yaml", CLASS("gold", "11M"));
	is_str(in_force(), "gold 11", "when all say what they are, what is not there goes");
	is_str(problems(), "", "without a problem");
	put("b.yaml", "[1, 2]");
	ok(strstr(problems(), "b.yaml -: b.yaml:1: no object"), "a list is no object");
	put("b.yaml", SEP SEP "null\n" SEP);
	is_str(problems(), "", "nothing is no object either, and no fault");
}

static void test_twice(void)
{
	begin();
	put("a.yaml", CLASS("gold", "10M") SEP CLASS("gold", "20M"));
	is_str(in_force(), "gold 10", "what stands twice in a text: the first has it");
	is_str(said, "a.yaml:6: BandwidthClass gold: stands in a.yaml:1 before|", "it is said");
	put("a.yaml", CLASS("gold", "x") SEP CLASS("gold", "20M"));
	is_str(in_force(), "gold 10", "the second does not stand in for a faulty first");
	begin();
	put("b.yaml", CLASS("gold", "20M"));
	put("c.yaml", CLASS("gold", "30M"));
	is_str(in_force(), "gold 20", "in two sources: the first by name has it");
	is_str(said, "c.yaml:1: BandwidthClass gold: stands in b.yaml:1 before|", "it is said");
	put("a.yaml", CLASS("silver", "1M") SEP CLASS("gold", "x"));
	is_str(in_force(), "gold 20 silver 1", "one that was never good takes nothing");
	put("a.yaml", CLASS("silver", "1M") SEP CLASS("gold", "10M"));
	is_str(in_force(), "gold 10 silver 1", "one that comes before takes it");
	ok(strstr(said, "b.yaml:1: BandwidthClass gold: stands in a.yaml:6 before|") &&
		   strstr(said, "c.yaml:1: BandwidthClass gold: stands in a.yaml:6 before|"),
	   "it is said of the others: %s", said);
	put("c.yaml", CLASS("gold", "31M"));
	is_str(said, "", "once");
	is_str(problems(),
	       "b.yaml gold: b.yaml:1: BandwidthClass gold: stands in a.yaml:6 before|"
	       "c.yaml gold: c.yaml:1: BandwidthClass gold: stands in a.yaml:6 before|",
	       "it is a problem of those that do not have it");
	put("a.yaml", CLASS("gold", "x"));
	is_str(in_force(), "gold 10", "the last good version of the first stays the first");
	pp_sources_remove(sources, "a.yaml");
	is_str(in_force(), "gold 20", "when the first goes the next has it");
	put("b.yaml", CLASS("silver", "1M"));
	is_str(in_force(), "gold 31 silver 1", "also when its text has it no longer");
	is_str(problems(), "", "then there is no fault");
	pp_sources_remove(sources, "c.yaml");
	pp_sources_remove(sources, "b.yaml");
	is_str(in_force(), "", "all are gone");
}

/* As the API of Kubernetes has it: most of metadata says nothing to us. */
static const char api[] =
	"{\"apiVersion\":\"podpace.io/v1alpha1\",\"kind\":\"BandwidthPolicy\",\"metadata\":{"
	"\"annotations\":{\"kubectl.kubernetes.io/last-applied-configuration\":"
	"\"{\\\"apiVersion\\\":\\\"podpace.io/v1alpha1\\\",\\\"spec\\\":{}}\\n\"},"
	"\"creationTimestamp\":\"2026-01-02T03:04:05Z\",\"finalizers\":[\"a/b\"],\"generation\":7,"
	"\"labels\":{\"team\":\"a\",\"1\":\"2\"},\"managedFields\":[{\"apiVersion\":"
	"\"podpace.io/v1alpha1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:metadata\":{"
	"\"f:annotations\":{\".\":{},\"f:kubectl.kubernetes.io/last-applied-configuration\":{}}},"
	"\"f:spec\":{\".\":{},\"k:{\\\"type\\\":\\\"Ready\\\"}\":{},\"v:\\\"a/b\\\"\":{}}},"
	"\"manager\":\"kubectl\",\"operation\":\"Update\",\"subresource\":\"status\"}],"
	"\"name\":\"web\",\"namespace\":\"a\",\"ownerReferences\":[{\"name\":\"x\",\"uid\":\"1\"}],"
	"\"resourceVersion\":\"123\",\"selfLink\":null,"
	"\"uid\":\"0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9\"},"
	"\"spec\":{\"podSelector\":{},\"egress\":{\"ceil\":\"20M\"}},"
	"\"status\":{\"conditions\":[{\"type\":\"Ready\",\"observedGeneration\":6}]}}";

static void save_generation(const struct pp_problem *p, void *arg)
{
	*(int64_t *)arg = p->generation;
}

static void test_api(void)
{
	const struct pp_object *const *o;
	int64_t generation = 0;
	size_t n;

	begin();
	ok(!put("BandwidthPolicy a/web", api), "an object of the API");
	is_str(said, "", "has no faults");
	is_str(in_force(), "a/web 20", "and is in force");
	o = pp_sources_objects(sources, &n);
	ok(n == 1 && o[0]->generation == 7, "its generation is known");
	put("BandwidthPolicy a/web", HEAD
	    "kind: BandwidthPolicy\nmetadata: {name: web, namespace: a, generation: 8}\nspec: {}\n");
	o = pp_sources_objects(sources, &n);
	ok(n == 1 && o[0]->generation == 7, "that of the last good version stays");
	pp_sources_problems(sources, save_generation, &generation);
	is_u64((uint64_t)generation, 8, "and the problem has the one of the fault");
	put("b.yaml", HEAD "kind: BandwidthPolicy\nmetadata: {name: b, generation: x}\n"
			   "spec: {podSelector: {}, egress: {ceil: 1M}}\n");
	o = pp_sources_objects(sources, &n);
	ok(n == 2 && o[1]->generation == 0, "a file need not have one, nor a good one");
	begin();
	put("a\tb\xff.yaml", "{");
	ok(strncmp(said, "a\\x09b\\xff.yaml:", 15) == 0, "names of sources are shown safely: %s",
	   said);
}

static void test_bounds(void)
{
	static char text[200000];
	size_t n = 0, lines = 0;

	begin();
	n += snprintf(text, sizeof(text),
		      HEAD "kind: ClusterBandwidthPolicy\nmetadata: {name: a}\nspec:\n  per: Node\n"
			   "  egress: {ceil: 1M}\n  subject:\n    cgroups:\n");
	for (int i = 0; i < 5000; i++)
		n += snprintf(text + n, sizeof(text) - n, "    - wrong%d\n", i);
	ok(!put("a.yaml", text), "an object with 5000 faults");
	for (const char *p = said; *p; p++)
		lines += *p == '|';
	is_u64(lines, 17, "is said in 17 lines");
	ok(strstr(said, "a.yaml: 4984 more faults|"), "the last has how many more there are");
}

static double ms_since(const struct timespec *from)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (now.tv_sec - from->tv_sec) * 1e3 + (now.tv_nsec - from->tv_nsec) / 1e6;
}

static void test_many(void)
{
	struct timespec from;
	char name[64], text[600];
	size_t n;
	double ms;

	begin();
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < 2000; i++) {
			snprintf(name, sizeof(name), "BandwidthPolicy a/p%d", i * 7 % 2000);
			snprintf(text, sizeof(text),
				 HEAD "kind: BandwidthPolicy\nmetadata: {namespace: a, name: p%d}\n"
				      "spec: {podSelector: {}, egress: {ceil: %dM}}\n",
				 i * 7 % 2000, 1 + i);
			put(name, text);
			pp_sources_objects(sources, &n);
		}
	ms = ms_since(&from) / 4000;
	is_u64(n, 2000, "2000 objects of 2000 sources");
	ok(ms < 1, "a put, with all that are in force after it, takes %.3f ms", ms);
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "BandwidthPolicy a/p%d", i);
		pp_sources_remove(sources, name);
	}
	pp_sources_objects(sources, &n);
	is_u64(n, 0, "all removed");
}

int main(void)
{
	test_one_source();
	test_last_good();
	test_strays();
	test_twice();
	test_api();
	test_bounds();
	test_many();
	pp_sources_free(sources);
	return done_testing();
}
