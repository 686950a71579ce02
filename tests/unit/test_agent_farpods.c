// SPDX-License-Identifier: Apache-2.0
// What is kept of pods elsewhere, which changes of an object matter, and several sets as one.
#include "agent/farpods.h"
#include "base/base.h"
#include "tap.h"

static bool put(struct pp_farpods *f, const char *text)
{
	json_t *o = json_loads(text, 0, NULL);
	bool changed = pp_farpods_put(f, o);

	json_decref(o);
	return changed;
}

#define POD(name, uid, rv, labels, spec, status)                                                   \
	"{\"metadata\":{\"namespace\":\"a\",\"name\":\"" name "\",\"uid\":\"" uid                  \
	"\",\"resourceVersion\":\"" rv "\",\"labels\":{" labels "}},\"spec\":{" spec               \
	"},\"status\":{" status "}}"
#define UID "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
#define IP(ip) "\"podIPs\":[{\"ip\":\"" ip "\"}]"

/* "ns/name uid labels addresses|" of each. */
static void is_merged(const struct pp_farpods *const *sets, size_t n, const char *want,
		      const char *name)
{
	const struct pp_other **list = NULL;
	char *text = NULL;
	size_t size, m = 0;
	FILE *f = open_memstream(&text, &size);

	ok(pp_farpods_merge(sets, n, &list, &m) == 0, "%s: merged", name);
	for (size_t i = 0; i < m; i++) {
		fprintf(f, "%s/%s %s", list[i]->namespace, list[i]->name, list[i]->uid);
		for (size_t j = 0; j < list[i]->n_labels; j++)
			fprintf(f, " %s=%s", list[i]->labels[j].key, list[i]->labels[j].value);
		for (size_t j = 0; j < list[i]->n_addresses; j++)
			fprintf(f, " %d.%d", list[i]->addresses[j][0], list[i]->addresses[j][15]);
		fprintf(f, "|");
	}
	fclose(f);
	is_str(text, want, "%s", name);
	free(text);
	free(list);
}

static void is_set(const struct pp_farpods *f, const char *want, const char *name)
{
	is_merged(&f, 1, want, name);
}

static void test_put(void)
{
	struct pp_texts texts = {};
	struct pp_farpods f = { .texts = &texts };
	const struct pp_other **list;
	size_t n;

	ok(put(&f, POD("p", UID, "5", "\"b\":\"2\",\"a\":\"1\"", "", IP("10.0.0.7"))), "new");
	is_set(&f, "a/p " UID " a=1 b=2 0.7|", "labels are sorted");
	ok(pp_farpods_merge(&(const struct pp_farpods *){ &f }, 1, &list, &n) == 0 && n == 1 &&
		   list[0]->identity == 0x0a1b2c3d4e5f6071,
	   "its identity");
	free(list);
	ok(!put(&f, POD("p", UID, "6", "\"a\":\"1\",\"b\":\"2\"", "\"nodeName\":\"n\"",
			IP("10.0.0.7") ",\"phase\":\"Running\"")),
	   "another version that says nothing new");
	ok(put(&f, POD("p", UID, "7", "\"a\":\"1\",\"b\":\"3\"", "", IP("10.0.0.7"))),
	   "another label");
	ok(put(&f, POD("p", UID, "8", "\"a\":\"1\",\"b\":\"3\"", "",
		       "\"podIPs\":[{\"ip\":\"10.0.0.7\"},{\"ip\":\"fd00::9\"}]")),
	   "another address");
	is_set(&f, "a/p " UID " a=1 b=3 0.7 253.9|", "of both families");
	ok(put(&f, POD("p", UID, "9", "\"a\":\"1\"", "\"hostNetwork\":true", IP("10.0.0.7"))),
	   "in the network of its node");
	is_set(&f, "a/p " UID " a=1|", "has no address");
	ok(put(&f, POD("p", "u2", "10", "\"a\":\"1\"", "\"hostNetwork\":true", "")), "another uid");
	ok(put(&f, POD("p", "u2", "11", "\"a\":\"1\"", "", IP("10.0.0.8") ",\"phase\":\"Failed\"")),
	   "over");
	is_set(&f, "", "is left out");
	ok(!put(&f, POD("p", "u2", "12", "\"a\":\"2\"", "", "\"phase\":\"Succeeded\"")) &&
		   !put(&f, "{\"metadata\":{\"name\":\"q\"}}") && !put(&f, "[]"),
	   "what is no pod");
	ok(!pp_farpods_remove(&f, "a", "p", UID) && pp_farpods_remove(&f, "a", "p", "u2") &&
		   !pp_farpods_remove(&f, "a", "p", "u2"),
	   "gone is only the one that is meant");
	is_u64(texts.table.n, 0, "all texts are given back");
	put(&f, POD("p", UID, "5", "\"a\":\"a\",\"b\":\"a\"", "", ""));
	is_u64(texts.table.n, 2, "a text is kept once");
	pp_farpods_close(&f);
	is_u64(texts.table.n, 0, "and given back with all");
	pp_texts_close(&texts);
}

static void test_merge(void)
{
	struct pp_texts texts = {};
	struct pp_farpods a = { .texts = &texts }, b = a, none = a;
	const struct pp_farpods *sets[] = { &none, &a, &b, &none };

	is_merged(sets, 0, "", "no sets");
	put(&a, POD("p", "u", "9", "\"x\":\"old\"", "", ""));
	put(&b, POD("p", "u", "10", "\"x\":\"new\"", "", ""));
	is_merged(sets, 4, "a/p u x=new|", "the newer, which is the last");
	put(&a, POD("p", "u", "100", "\"x\":\"newest\"", "", ""));
	is_merged(sets, 4, "a/p u x=newest|", "the newer, which is the first");
	put(&b, POD("p", "u", "101", "\"x\":\"newest\"", "", "\"phase\":\"Failed\""));
	is_merged(sets, 4, "", "the newer has ended");
	put(&b, POD("p", "u2", "102", "", "", ""));
	is_merged(sets, 4, "a/p u2|", "the newer has another's name");
	pp_farpods_remove(&b, "a", "p", "u2");
	is_merged(sets, 4, "a/p u x=newest|", "one is gone");
	pp_farpods_close(&a);
	pp_farpods_close(&b);
	pp_texts_close(&texts);
}

/* Each tenth pod is in both. */
static void test_many(void)
{
	struct pp_texts texts = {};
	struct pp_farpods a = { .texts = &texts }, b = { .texts = &texts };
	const struct pp_other **list;
	size_t n, newer = 0;

	for (int i = 0; i < 1100; i++) {
		char text[300];

		snprintf(text, sizeof(text), POD("p%d", "u%d", "%d", "\"n\":\"%d\"", "", ""),
			 i < 1000 ? i : (i - 1000) * 10, i, i, i);
		put(i < 1000 ? &a : &b, text);
	}
	ok(pp_farpods_merge((const struct pp_farpods *[]){ &a, &b }, 2, &list, &n) == 0, "many");
	is_u64(n, 1000, "each once");
	for (size_t i = 0; i < n; i++)
		newer += strtoul(list[i]->uid + 1, NULL, 10) >= 1000;
	is_u64(newer, 100, "and the newer of two");
	free(list);
	pp_farpods_close(&a);
	pp_farpods_close(&b);
	pp_texts_close(&texts);
}

int main(void)
{
	test_put();
	test_merge();
	test_many();
	return done_testing();
}
