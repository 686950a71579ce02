// SPDX-License-Identifier: Apache-2.0
// Pods as the API has them: what an annotation that comes, changes, breaks and goes leads to.
#include "agent/labeled.h"
#include "agent/pods.h"
#include "base/base.h"
#include "tap.h"

/* egress, ingress: the annotations, NULL for none. */
static struct pp_pod *put_both(struct pp_pods *p, const char *name, const char *uid,
			       const char *egress, const char *ingress, uint64_t now)
{
	json_t *o = json_pack("{s:{s:s, s:s, s:s, s:{s:s*, s:s*}}, s:{s:s}}", "metadata",
			      "namespace", "shop", "name", name, "uid", uid, "annotations",
			      "kubernetes.io/egress-bandwidth", egress,
			      "kubernetes.io/ingress-bandwidth", ingress, "status", "phase",
			      "Running");
	struct pp_pod *pod = pp_pods_put(p, o, now);

	json_decref(o);
	return pod;
}

static struct pp_pod *put(struct pp_pods *p, const char *name, const char *uid, const char *egress,
			  uint64_t now)
{
	return put_both(p, name, uid, egress, NULL, now);
}

static void test_annotation(void)
{
	struct pp_pods p = {};
	struct pp_pod *pod = put(&p, "a", "u1", NULL, 1);
	struct pp_pod_limit *l = &pod->limit[PP_EGRESS];

	ok(p.n == 1 && !l->text && !l->valid, "a pod without an annotation asks for nothing");
	ok(put(&p, "a", "u1", "100M", 2) == pod && p.n == 1, "the same pod again");
	is_str(l->valid, "100M", "what it asks for");
	is_u64(l->asked, 2, "since when it is asked for");
	pp_pod_set_state(l, PP_POD_IN_FORCE, "");
	l->reported = true;
	put(&p, "a", "u1", "100M", 3);
	ok(l->asked == 2 && l->state == PP_POD_IN_FORCE && l->reported,
	   "no change changes nothing");
	put(&p, "a", "u1", "1,5G", 4);
	ok(strcmp(l->valid, "100M") == 0 && l->invalid && strstr(l->invalid, "1,5G") &&
		   strstr(l->invalid, "kubernetes.io/egress-bandwidth"),
	   "one that is not valid is told, and what it said before stays: %s", l->invalid);
	put(&p, "a", "u1", "50M", 5);
	ok(!l->invalid && strcmp(l->valid, "50M") == 0, "a valid one again");
	put(&p, "a", "u1", NULL, 6);
	ok(!l->text && !l->valid, "and none");
	put(&p, "b", "u2", "999", 7);
	ok(p.n == 2 && p.pods[1]->limit[PP_EGRESS].invalid && !p.pods[1]->limit[PP_EGRESS].valid,
	   "a new pod with one that is out of range asks for nothing");
	pp_pods_free(&p);
}

/* Each direction comes, breaks and goes alone. */
static void test_directions(void)
{
	struct pp_pods p = {};
	struct pp_pod *pod = put_both(&p, "a", "u1", "100M", NULL, 1);
	struct pp_pod_limit *out = &pod->limit[PP_EGRESS], *in = &pod->limit[PP_INGRESS];

	ok(strcmp(out->valid, "100M") == 0 && !in->text, "egress alone");
	put_both(&p, "a", "u1", "100M", "40M", 2);
	ok(strcmp(in->valid, "40M") == 0 && in->asked == 2 && out->asked == 1, "ingress beside it");
	put_both(&p, "a", "u1", "100M", "fast", 3);
	ok(in->invalid && strstr(in->invalid, "kubernetes.io/ingress-bandwidth") &&
		   strcmp(in->valid, "40M") == 0 && !out->invalid,
	   "one of them is not valid: %s", in->invalid);
	put_both(&p, "a", "u1", NULL, "20M", 4);
	ok(!out->text && !out->valid && strcmp(in->valid, "20M") == 0, "egress goes, ingress stays");
	put_both(&p, "a", "u1", "10M", NULL, 5);
	ok(!in->text && strcmp(out->valid, "10M") == 0, "and the other way round");
	pp_pods_free(&p);
}

static struct pp_pod_limit *put_own(struct pp_pods *p, const char *text, uint64_t now)
{
	json_t *o = json_pack("{s:{s:s, s:s, s:s, s:{s:s*}}}", "metadata", "namespace", "shop", "name",
			      "a", "uid", "u1", "annotations", "podpace.io/egress-limit", text);
	struct pp_pod *pod = pp_pods_put(p, o, now);

	json_decref(o);
	return &pod->limit[PP_EGRESS];
}

/* podpace's own annotation, for a time. */
static void test_own(void)
{
	struct pp_pods p = {};
	struct pp_pod_limit *l = put_own(&p, "20M", 1);

	is_u64(pp_pod_limit_own(l, 1000), 2500000, "20M, for good");
	l = put_own(&p, "30M until 2026-11-27T14:00:00Z", 2);
	is_u64(pp_pod_limit_own(l, 1795787999), 3750000, "30M, until then");
	is_u64(pp_pod_limit_own(l, 1795788000), 0, "and no longer");
	is_u64(l->asked, 2, "since when it is asked for");
	put_own(&p, "30M until 2026-11-27T14:00:00Z", 3);
	is_u64(l->asked, 2, "the same again is no news");
	put_own(&p, "30M until noon", 4);
	ok(l->own_invalid && strstr(l->own_invalid, "podpace.io/egress-limit") &&
		   pp_pod_limit_own(l, 1795787999) == 3750000,
	   "one that is not valid leaves the one before: %s", l->own_invalid);
	put_own(&p, NULL, 5);
	ok(!l->own_invalid && !pp_pod_limit_own(l, 1), "it goes");
	pp_pods_free(&p);
}

static void test_identity(void)
{
	struct pp_pods p = {};
	json_t *o;

	put(&p, "a", "u1", "1M", 1);
	put(&p, "a", "u2", "2M", 2);
	ok(p.n == 2, "a pod made anew under its name is another");
	pp_pods_remove(&p, "shop", "a", "u1");
	ok(p.n == 1 && pp_pods_find(&p, "u2") && !pp_pods_find(&p, "u1"),
	   "and the end of the first is not its end");
	pp_pods_remove(&p, "shop", "a", "u3");
	pp_pods_remove(&p, "other", "a", "u2");
	ok(p.n == 1, "what is not there is not removed");
	o = json_pack("{s:{s:s, s:s, s:s, s:{s:s}}}", "metadata", "namespace", "kube-system", "name",
		      "static-n1", "uid", "u9", "annotations", "kubernetes.io/config.hash",
		      "0123456789abcdef0123456789abcdef");
	ok(pp_pods_put(&p, o, 3) &&
		   pp_pods_find(&p, "0123456789abcdef0123456789abcdef") == pp_pods_find(&p, "u9"),
	   "a static pod is found by its hash too");
	json_decref(o);
	for (int i = 0; i < 300; i++) {
		char uid[24];

		snprintf(uid, sizeof(uid), "many-%d", i);
		put(&p, uid, uid, "1M", 4);
	}
	ok(p.n == 302 && pp_pods_find(&p, "many-299"), "many pods");
	pp_pods_free(&p);
}

static void test_identity_number(void)
{
	static const struct {
		const char *uid;
		uint64_t want;
	} cases[] = {
		{ "01234567-89ab-cdef-fedc-ba9876543210", 0x0123456789abcdef },
		{ "FFFFFFFF-89AB-CDEF-0000-000000000000", 0xffffffff89abcdef },
		{ "0123456789abcdef0123456789abcdef", 0x0123456789abcdef },
		{ "0123456-", 0 },
		{ "node-n1.example.org", 0 },
		{ "0123456789abcde", 0 },
		{ "", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pp_pods p = {};

		is_u64(put(&p, "a", cases[i].uid, NULL, 1)->identity, cases[i].want,
		       "identity of \"%s\"", cases[i].uid);
		pp_pods_free(&p);
	}
}

/* Objects that no API server sends. */
static void test_malformed(void)
{
	static const char *const texts[] = {
		"{}",
		"[]",
		"{\"metadata\": 3}",
		"{\"metadata\": {\"name\": \"a\", \"namespace\": \"b\"}}",
		"{\"metadata\": {\"name\": 1, \"namespace\": \"b\", \"uid\": \"c\"}}",
	};
	struct pp_pods p = {};
	json_t *o;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		o = json_loads(texts[i], 0, NULL);
		ok(o && !pp_pods_put(&p, o, 1) && p.n == 0, "no pod: %s", texts[i]);
		json_decref(o);
	}
	o = json_loads("{\"metadata\": {\"name\": \"a\", \"namespace\": \"b\", \"uid\": \"c\","
		       " \"annotations\": {\"kubernetes.io/egress-bandwidth\": 5}}, \"status\": 7}",
		       0, NULL);
	ok(pp_pods_put(&p, o, 1) && !p.pods[0]->limit[PP_EGRESS].text,
	   "an annotation that is no string is none");
	json_decref(o);
	pp_pods_free(&p);
}

/* What objects choose it by, and where it is. */
static void test_described(void)
{
	static const char one[] =
		"{\"metadata\":{\"namespace\":\"x\",\"name\":\"p\",\"uid\":\"u\",\"labels\":{\"b\":\"2\",\"a\":\"1\"},"
		"\"annotations\":{\"podpace.io/class\":\"gold\"}},"
		"\"status\":{\"phase\":\"Running\",\"podIPs\":[{\"ip\":\"10.1.2.3\"},{\"ip\":\"fd00::7\"},{\"ip\":\"?\"}]}}";
	json_t *o = json_loads(one, 0, NULL);
	struct pp_pods p = {};
	struct pp_pod *pod = pp_pods_put(&p, o, 1);

	ok(pod->n_labels == 2 && strcmp(pod->labels[0].key, "a") == 0 &&
		   strcmp(pod->labels[1].value, "2") == 0,
	   "labels, sorted");
	is_str(pod->class, "gold", "the class that it chooses");
	is_u64(pod->n_addresses, 2, "addresses of both families");
	ok(pod->addresses[0].addr[11] == 255 && pod->addresses[0].addr[12] == 10 &&
		   pod->addresses[0].addr[15] == 3 && pod->addresses[1].addr[0] == 0xfd,
	   "as the datapath has them");
	pp_pods_put(&p, o, 2);
	is_u64(pod->limit[PP_EGRESS].asked, 1, "no change");
	json_object_set_new(json_object_get(json_object_get(o, "metadata"), "labels"), "a",
			    json_string("3"));
	pp_pods_put(&p, o, 3);
	is_u64(pod->limit[PP_EGRESS].asked, 3, "another label may mean another limit");
	json_object_set_new(json_object_get(o, "status"), "phase", json_string("Succeeded"));
	pp_pods_put(&p, o, 4);
	ok(pod->over && !pod->class, "it has ended");
	json_decref(o);
	pp_pods_free(&p);
}

static void test_labeled(void)
{
	json_t *o = json_pack("{s:{s:s, s:{s:s}}}", "metadata", "name", "ns", "labels", "tier",
			      "gold");
	struct pp_labeled l = {};
	struct pp_namespace *list;
	size_t n;

	ok(pp_labeled_put(&l, o), "a namespace is news");
	ok(!pp_labeled_put(&l, o), "the same again is none");
	json_object_set_new(json_object_get(json_object_get(o, "metadata"), "labels"), "tier",
			    json_string("silver"));
	ok(pp_labeled_put(&l, o), "another label is");
	ok(pp_labeled_list(&l, &list, &n) == 0 && n == 1 && strcmp(list[0].name, "ns") == 0 &&
		   list[0].n_labels == 1 && strcmp(list[0].labels[0].value, "silver") == 0,
	   "it is listed with its labels");
	free(list);
	ok(pp_labeled_remove(&l, "ns") && !pp_labeled_remove(&l, "ns"), "it goes");
	pp_labeled_free(&l);
	json_decref(o);
}

int main(void)
{
	test_annotation();
	test_directions();
	test_own();
	test_identity();
	test_identity_number();
	test_malformed();
	test_described();
	test_labeled();
	return done_testing();
}
