// SPDX-License-Identifier: Apache-2.0
// Paths of cgroups as people write them: their one form, what is refused, which lies below which.
#include "base/base.h"
#include "kernel/cgroup.h"
#include "tap.h"

static void good(const char *in, const char *want)
{
	_cleanup_free_ char *out = NULL;
	struct pp_err e = { "" };
	int r = pp_cgroup_normalize(in, &out, &e);

	ok(r == 0, "\"%s\" is a path", in);
	is_str(out ? out : "(none)", want, "normalized");
}

static void bad(const char *in, const char *want)
{
	char *out = NULL;
	struct pp_err e = { "" };

	ok(pp_cgroup_normalize(in, &out, &e) == -EINVAL && !out, "\"%s\" is refused", in);
	ok(strstr(e.msg, want) != NULL, "and says \"%s\": %s", want, e.msg);
}

int main(void)
{
	_cleanup_free_ char *longest = malloc(5000);

	good("/", "/");
	good("//", "/");
	good("/a", "/a");
	good("/a/", "/a");
	good("//a///b//", "/a/b");
	good("/system.slice/a b.service", "/system.slice/a b.service");
	good("/...", "/...");
	good("/a/..b/.c", "/a/..b/.c");

	bad("", "beginning with a slash");
	bad("a", "beginning with a slash");
	bad("./a", "beginning with a slash");
	bad("/a/../b", "\"..\"");
	bad("/..", "\"..\"");
	bad("/a/./b", "\".\"");
	bad("/.", "\".\"");
	memset(longest, 'a', 4999);
	longest[0] = '/';
	longest[4999] = '\0';
	bad(longest, "longer than 4095 bytes");

	ok(pp_cgroup_below("/", "/"), "/ is at /");
	ok(pp_cgroup_below("/", "/a"), "/a is below /");
	ok(pp_cgroup_below("/a", "/a"), "/a is at /a");
	ok(pp_cgroup_below("/a", "/a/b"), "/a/b is below /a");
	ok(!pp_cgroup_below("/a", "/ab"), "/ab is not below /a");
	ok(!pp_cgroup_below("/a/b", "/a"), "/a is not below /a/b");
	return done_testing();
}
