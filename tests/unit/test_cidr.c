// SPDX-License-Identifier: Apache-2.0
// Prefixes of addresses: what is valid and what becomes of it, every message, round trips.

#include <arpa/inet.h>

#include "base/base.h"
#include "base/cidr.h"
#include "tap.h"

#define VALID "valid are 10.244.0.0/16, fd00:10::/56, 10.1.2.3"
#define LENGTH_4 "its length must be 0 to 32"
#define LENGTH_6 "its length must be 0 to 128"
#define BITS                                                                                       \
	"it has bits set behind its length; valid is the first address of the prefix, or an "      \
	"address alone"

static uint64_t seed = 88172645463325252ULL;

/* xorshift64, so that every run sees the same numbers. */
static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

static const struct {
	const char *text;
	unsigned int len;
	const char *addr; /* in IPv6's words */
	const char *back; /* as it is formatted; NULL: as it was written */
} good[] = {
	{ "10.244.0.0/16", 112, "::ffff:10.244.0.0", NULL },
	{ "10.1.2.3", 128, "::ffff:10.1.2.3", "10.1.2.3/32" },
	{ "10.1.2.3/32", 128, "::ffff:10.1.2.3", NULL },
	{ "0.0.0.0/0", 96, "::ffff:0.0.0.0", NULL },
	{ "0.0.0.0", 128, "::ffff:0.0.0.0", "0.0.0.0/32" },
	{ "128.0.0.0/1", 97, "::ffff:128.0.0.0", NULL },
	{ "255.255.255.255", 128, "::ffff:255.255.255.255", "255.255.255.255/32" },
	{ "255.255.255.254/31", 127, "::ffff:255.255.255.254", NULL },
	{ "10.0.0.0/08", 104, "::ffff:10.0.0.0", "10.0.0.0/8" },
	{ "fd00:10::/56", 56, "fd00:10::", NULL },
	{ "FD00:10:0:0::/56", 56, "fd00:10::", "fd00:10::/56" },
	{ "fd77::5", 128, "fd77::5", "fd77::5/128" },
	{ "::/0", 0, "::", NULL },
	{ "::", 128, "::", "::/128" },
	{ "::1", 128, "::1", "::1/128" },
	{ "8000::/1", 1, "8000::", NULL },
	{ "fffe::/15", 15, "fffe::", NULL },
	{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127", 127,
	  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", NULL },
	/* IPv4 in IPv6's words is IPv4 */
	{ "::ffff:10.0.0.0/104", 104, "::ffff:10.0.0.0", "10.0.0.0/8" },
	{ "::ffff:0:0/96", 96, "::ffff:0:0", "0.0.0.0/0" },
	{ "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", 128,
	  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128" },
};

static void test_good(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		char buf[PP_CIDR_TEXT];
		struct pp_cidr c = { 0 };
		struct pp_err e = {};
		uint8_t addr[16];

		is_u64(pp_cidr_parse(good[i].text, &c, &e), 0, "%s: valid", good[i].text);
		is_u64(c.len, good[i].len, "%s: length", good[i].text);
		ok(inet_pton(AF_INET6, good[i].addr, addr) == 1 &&
			   memcmp(addr, c.addr, sizeof(addr)) == 0,
		   "%s: address", good[i].text);
		is_str(pp_cidr_format(buf, &c), good[i].back ? good[i].back : good[i].text,
		       "%s: formatted", good[i].text);
		ok(pp_cidr_format(buf, &c) == buf, "%s: returns its buffer", good[i].text);
	}
}

static const struct {
	const char *text;
	const char *shown; /* in the message; NULL: as it was written */
	const char *why;
} bad[] = {
	{ "", NULL, VALID },
	{ "/", NULL, VALID },
	{ "/8", NULL, VALID },
	{ "10", NULL, VALID },
	{ "10.0.0", NULL, VALID },
	{ "10.0.0/24", NULL, VALID },
	{ "10.0.0.0.0", NULL, VALID },
	{ "10.0.0.256", NULL, VALID },
	{ "010.0.0.1", NULL, VALID },
	{ "0x0a.0.0.1", NULL, VALID },
	{ " 10.0.0.1", NULL, VALID },
	{ "10.0.0.1 ", NULL, VALID },
	{ "10.0.0.1,10.0.0.2", NULL, VALID },
	{ "localhost", NULL, VALID },
	{ "fd00::1%eth0", NULL, VALID },
	{ "[fd00::1]", NULL, VALID },
	{ "fd00:::1", NULL, VALID },
	{ "fd00::1::2", NULL, VALID },
	{ "fd00:10:0:0:0:0:0:0:0", NULL, VALID },
	{ ":", NULL, VALID },
	{ "g::", NULL, VALID },
	{ "10.0.0.1\n", "10.0.0.1\\x0a", VALID },
	{ "\"\x1b[0m", "\\x22\\x1b[0m", VALID },
	{ "0000:0000:0000:0000:0000:0000:255.255.255.2550", NULL, VALID },
	{ "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
	  "0000000000000000000000000000000000000000000000000000000000000000000000000000...",
	  VALID },
	{ "10.0.0.0/", NULL, LENGTH_4 },
	{ "10.0.0.0/33", NULL, LENGTH_4 },
	{ "10.0.0.0/-1", NULL, LENGTH_4 },
	{ "10.0.0.0/+8", NULL, LENGTH_4 },
	{ "10.0.0.0/ 8", NULL, LENGTH_4 },
	{ "10.0.0.0/8 ", NULL, LENGTH_4 },
	{ "10.0.0.0/8/8", NULL, LENGTH_4 },
	{ "10.0.0.0/0008", NULL, LENGTH_4 },
	{ "10.0.0.0/255.0.0.0", NULL, LENGTH_4 },
	{ "10.0.0.0/4294967304", NULL, LENGTH_4 },
	{ "fd00::/", NULL, LENGTH_6 },
	{ "fd00::/129", NULL, LENGTH_6 },
	{ "fd00::/1e1", NULL, LENGTH_6 },
	{ "10.0.0.1/8", NULL, BITS },
	{ "10.1.2.3/31", NULL, BITS },
	{ "10.0.0.0/0", NULL, BITS },
	{ "128.0.0.0/0", NULL, BITS },
	{ "fd00::1/127", NULL, BITS },
	{ "fd00::/1", NULL, BITS },
	{ "::1/0", NULL, BITS },
	{ "::ffff:10.0.0.0/8", NULL, BITS },
	{ "::ffff:0:0/95", NULL, BITS },
};

static void test_bad(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *shown = bad[i].shown ? bad[i].shown : bad[i].text;
		struct pp_cidr c, was;
		struct pp_err e = {};
		char want[256];

		memset(&c, 0x5a, sizeof(c));
		was = c;
		snprintf(want, sizeof(want), "address prefix \"%s\": %s", shown, bad[i].why);
		is_u64(-pp_cidr_parse(bad[i].text, &c, &e), EINVAL, "bad case %zu: code", i);
		is_str(e.msg, want, "bad case %zu: message", i);
		ok(memcmp(&c, &was, sizeof(c)) == 0, "bad case %zu: result untouched", i);
		is_u64(-pp_cidr_parse(bad[i].text, &c, NULL), EINVAL,
		       "bad case %zu without a place for the message", i);
	}
}

/* Any prefix at all is read from what it is formatted to. */
static void test_round_trips(void)
{
	int wrong = 0, n = 100000;

	for (int i = 0; i < n; i++) {
		struct pp_cidr c = { .len = rnd() % 129 }, back = { 0 };
		char buf[PP_CIDR_TEXT];

		for (int bit = 0; bit < c.len; bit++)
			if (rnd() & 1)
				c.addr[bit / 8] |= 0x80 >> bit % 8;
		if (i % 2 && c.len >= 96)
			memcpy(c.addr, (uint8_t[12]){ [10] = 0xff, [11] = 0xff }, 12);
		if (pp_cidr_parse(pp_cidr_format(buf, &c), &back, NULL) || back.len != c.len ||
		    memcmp(back.addr, c.addr, sizeof(c.addr)) != 0) {
			printf("# %s\n", buf);
			wrong++;
		}
	}
	is_u64(wrong, 0, "%d prefixes of all lengths: formatted and read again", n);
}

static void test_lists(void)
{
	struct pp_cidr *c = NULL;
	struct pp_err e = { "" };
	char text[PP_CIDR_TEXT];
	size_t n = 0;

	ok(!pp_cidrs_parse("10.2.0.0/16,fd00::1,10.1.0.0/16,10.1.0.0/24,10.2.0.0/16", &c, &n, &e) &&
		   n == 5,
	   "a list");
	is_str(pp_cidr_format(text, &c[1]), "fd00::1/128", "in its order");
	n = pp_cidrs_sort(c, n);
	is_u64(n, 4, "sorted, each is there once");
	is_str(pp_cidr_format(text, &c[0]), "10.1.0.0/16", "the shorter first");
	is_str(pp_cidr_format(text, &c[1]), "10.1.0.0/24", "then the longer");
	is_str(pp_cidr_format(text, &c[3]), "fd00::1/128", "IPv4 before IPv6");
	free(TAKE_PTR(c));
	is_u64(pp_cidrs_sort(NULL, 0), 0, "none");
	ok(pp_cidrs_parse("10.0.0.0/8,", &c, &n, &e) == -EINVAL && !c, "an empty word: %s", e.msg);
	ok(pp_cidrs_parse("", &c, &n, &e) == -EINVAL && !c, "an empty list: %s", e.msg);
}

static bool contains(const char *outer, const char *inner)
{
	struct pp_cidr a, b;

	return !pp_cidr_parse(outer, &a, NULL) && !pp_cidr_parse(inner, &b, NULL) &&
	       pp_cidr_contains(&a, &b);
}

static void test_contains(void)
{
	ok(contains("10.0.0.0/8", "10.1.0.0/16") && contains("10.0.0.0/8", "10.0.0.0/8"),
	   "a part of it, and itself, are within");
	ok(!contains("10.1.0.0/16", "10.0.0.0/8") && !contains("10.0.0.0/8", "11.0.0.0/16"),
	   "what is larger, or elsewhere, is not");
	ok(contains("10.0.0.0/9", "10.127.255.255") && !contains("10.0.0.0/9", "10.128.0.0"),
	   "its last address is, the next is not");
	ok(contains("0.0.0.0/0", "255.255.255.255") && contains("::/0", "2001:db8::/32"),
	   "each family has all of its own");
	ok(!contains("::/0", "10.0.0.0/8") && !contains("::/0", "0.0.0.0/0") &&
		   !contains("0.0.0.0/0", "::/0") && !contains("0.0.0.0/0", "fd00::1"),
	   "and none of the other");
	ok(contains("fd00::1", "fd00::1") && !contains("fd00::1", "fd00::2"), "an address");
}

int main(void)
{
	test_good();
	test_bad();
	test_round_trips();
	test_lists();
	test_contains();
	return done_testing();
}
