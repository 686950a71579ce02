// SPDX-License-Identifier: Apache-2.0
// Prefixes as people write them, alone and in lists.
#include "base/base.h"
#include "base/cidr.h"
#include "tap.h"

static void test_one(void)
{
	static const struct {
		const char *text, *want; /* NULL: refused */
	} cases[] = {
		{ "10.244.0.0/16", "10.244.0.0/16" },
		{ "10.1.2.3", "10.1.2.3/32" },
		{ "0.0.0.0/0", "0.0.0.0/0" },
		{ "fd00:10::/56", "fd00:10::/56" },
		{ "FD00::1", "fd00::1/128" },
		{ "::/0", "::/0" },
		{ "::ffff:10.0.0.0/104", "10.0.0.0/8" },
		{ "10.1.2.3/8", NULL },
		{ "10.0.0.0/33", NULL },
		{ "fd00::/129", NULL },
		{ "10.0.0.0/", NULL },
		{ "10.0.0.0/-1", NULL },
		{ "10.0.0.0/8 ", NULL },
		{ "10.0.0/8", NULL },
		{ "n1", NULL },
		{ "", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[PP_CIDR_TEXT];
		struct pp_err e = { "" };
		struct pp_cidr c;
		int r = pp_cidr_parse(cases[i].text, &c, &e);

		if (cases[i].want)
			is_str(r ? e.msg : pp_cidr_format(text, &c), cases[i].want, "\"%s\"",
			       cases[i].text);
		else
			ok(r == -EINVAL && e.msg[0], "\"%s\" is refused: %s", cases[i].text, e.msg);
	}
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

int main(void)
{
	test_one();
	test_lists();
	return done_testing();
}
