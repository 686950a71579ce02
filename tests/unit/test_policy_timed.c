// SPDX-License-Identifier: Apache-2.0
// Limits for a time, as annotations have them. Built with sanitizers.
#include "base/base.h"
#include "policy/timed.h"
#include "tap.h"

static void reads(const char *text, uint64_t rate, int64_t until)
{
	struct pp_timed t = {}, again = {};
	struct pp_err e = { "" };
	char buf[64];

	ok(!pp_timed_parse(text, &t, &e) && t.rate == rate && t.until == until, "%s %s", text, e.msg);
	ok(!pp_timed_parse(pp_timed_format(buf, &t), &again, &e) && again.rate == t.rate &&
		   again.until == t.until,
	   "and is the same when it is written: %s", buf);
}

static void refuses(const char *text, const char *message)
{
	struct pp_timed t = { .rate = 1, .until = 2 };
	struct pp_err e = { "" };

	ok(pp_timed_parse(text, &t, &e) && strstr(e.msg, message), "refused: %s: %s", text, e.msg);
	ok(t.rate == 1 && t.until == 2, "and nothing is changed");
}

int main(void)
{
	reads("50M", 6250000, 0);
	reads("1.5G", 187500000, 0);
	reads("1k until 2026-11-27T14:00:00Z", 125, 1795788000);
	reads("50M until 2028-02-29T23:59:59Z", 6250000, 1835481599);
	refuses("", "valid");
	refuses("50Mb", "50Mb");
	refuses("50M until", "50M until");
	refuses("50M until ", "is no time");
	refuses("50M until tomorrow", "\"tomorrow\" is no time");
	refuses("50M until 2026-11-27", "valid is RATE, or RATE until a time in UTC");
	refuses("50M until 2026-11-27T14:00:00", "is no time");
	refuses("50M until 2026-11-27T14:00:00+01:00", "is no time");
	refuses("50M until 2026-11-27T14:00:00Zz", "is no time");
	refuses("50M until 2027-02-29T00:00:00Z", "is no time");
	refuses("50M until 2026-13-01T00:00:00Z", "is no time");
	refuses("50M until 1969-01-01T00:00:00Z", "is no time");
	refuses("50M until  2026-11-27T14:00:00Z", "is no time");
	refuses("until 2026-11-27T14:00:00Z", "valid");
	return done_testing();
}
