// SPDX-License-Identifier: Apache-2.0
// The hash table against what must be in it; SipHash against its paper; base64; whole files.
#define _GNU_SOURCE
#include "base/base.h"
#include "base/base64.h"
#include "base/file.h"
#include "base/table.h"
#include "tap.h"

#define N 20000

struct thing {
	struct pp_table_item item;
	char key[16];
	bool in;
};

/* Appendix A of the paper: the key 00 01 .. 0f, the message 00 01 .. 0e. */
static void test_hash(void)
{
	const uint64_t secret[2] = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };
	unsigned char message[15];

	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = i;
	is_u64(pp_table_hash(secret, message, sizeof(message)), 0xa129ca6149be45e5,
	       "the test vector of the paper");
}

static unsigned int count_wrong(const struct pp_table *t, struct thing *things)
{
	unsigned int wrong = 0, seen = 0, in = 0;

	for (size_t i = 0; i < N; i++) {
		wrong += pp_table_find(t, things[i].key) != (things[i].in ? &things[i].item : NULL);
		in += things[i].in;
	}
	for (struct pp_table_item *p = pp_table_next(t, NULL); p; p = pp_table_next(t, p))
		seen += ((struct thing *)p)->in;
	return wrong + (seen != in) + (t->n != in);
}

static void test_table(void)
{
	struct thing *things = calloc(N, sizeof(*things));
	struct pp_table t = {};

	ok(!pp_table_find(&t, "") && !pp_table_next(&t, NULL), "an empty table");
	for (size_t i = 0; i < N; i++) {
		snprintf(things[i].key, sizeof(things[i].key), "k%zu", i);
		things[i].item.key = things[i].key;
		things[i].in = pp_table_add(&t, &things[i].item) == 0;
	}
	is_u64(count_wrong(&t, things), 0, "%d added", N);
	for (size_t i = 0; i < N; i += 3) {
		pp_table_remove(&t, &things[i].item);
		things[i].in = false;
	}
	is_u64(count_wrong(&t, things), 0, "a third removed");
	for (struct pp_table_item *p = pp_table_next(&t, NULL), *next; p; p = next) {
		next = pp_table_next(&t, p);
		pp_table_remove(&t, p);
		((struct thing *)p)->in = false;
	}
	is_u64(count_wrong(&t, things), 0, "all removed while walking");
	pp_table_close(&t);
	free(things);
}

static void test_base64(void)
{
	static const struct {
		const char *text, *bytes; /* NULL: refused */
	} cases[] = {
		{ "", "" },	    { "Zg==", "f" },	  { "Zm8=", "fo" },
		{ "Zm9v", "foo" },  { "Zm9vYg==", "foob" }, { "Zm9vYmE=", "fooba" },
		{ "Zm9vYmFy", "foobar" }, { " Zm\n9v\tYmFy\r\n", "foobar" }, { "+/+/", "\xfb\xff\xbf" },
		{ "Zg", NULL },	    { "Zg=", NULL },	  { "Zg===", NULL },
		{ "Z", NULL },	    { "Zm9v=", NULL },	  { "Zm=v", NULL },
		{ "Zg==Zg==", NULL }, { "====", NULL },	  { "Zm9*", NULL },
		{ "Zh==", NULL },   { "Zm9=", NULL },	  { "-_-_", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *out = NULL;
		size_t len = 0;
		int r = pp_base64_decode(cases[i].text, &out, &len);

		if (cases[i].bytes)
			ok(!r && len == strlen(cases[i].bytes) && !strcmp(out, cases[i].bytes),
			   "base64 \"%zu\" is read", i);
		else
			ok(r == -EINVAL && !out, "base64 %zu is refused", i);
	}
}

static void test_file(void)
{
	char path[] = "/tmp/podpace-test-XXXXXX", *text = NULL;
	int fd = mkstemp(path);
	size_t len = 0;

	if (fd < 0 || ftruncate(fd, 10000) || pwrite(fd, "x", 1, 9999) != 1)
		abort();
	is_u64(-pp_file_read(path, 10000, &text, &len), 0, "a file of just the size");
	ok(len == 10000 && text[9999] == 'x' && !text[10000], "is whole, and has a NUL behind it");
	free(text);
	text = NULL;
	is_u64(-pp_file_read(path, 9999, &text, &len), EFBIG, "a file that is too big");
	is_u64(-pp_file_read("/tmp", 9, &text, &len), EISDIR, "a directory");
	if (ftruncate(fd, 0) || pp_file_read(path, 9, &text, &len))
		abort();
	ok(len == 0 && text && !text[0], "an empty file");
	free(text);
	close(fd);
	unlink(path);
	is_u64(-pp_file_read(path, 9, &text, &len), ENOENT, "no file");
}

int main(void)
{
	test_hash();
	test_table();
	test_base64();
	test_file();
	return done_testing();
}
