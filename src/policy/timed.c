// SPDX-License-Identifier: Apache-2.0
// Limits for a time. No clock here: who reads one knows what time it is.
#define _GNU_SOURCE
#include <time.h>

#include "base/base.h"
#include "base/qty.h"
#include "policy/timed.h"

#define UNTIL " until "
#define TIME_LEN 20 /* of "2026-11-27T14:00:00Z" */

const char *const pp_timed_key[PP_N_WAYS] = {
	[PP_WAY_EGRESS] = "podpace.io/egress-limit",
	[PP_WAY_INGRESS] = "podpace.io/ingress-limit",
};

/* A day that is not in the calendar comes back as another. */
static int parse_time(const char *text, int64_t *ret)
{
	struct tm tm = {}, back;
	char again[32];
	time_t t;
	char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);

	if (strlen(text) != TIME_LEN || !end || *end)
		return -EINVAL;
	t = timegm(&tm);
	if (t <= 0 || !gmtime_r(&t, &back) ||
	    strftime(again, sizeof(again), "%Y-%m-%dT%H:%M:%SZ", &back) != TIME_LEN ||
	    strcmp(again, text) != 0)
		return -EINVAL;
	*ret = t;
	return 0;
}

int pp_timed_parse(const char *text, struct pp_timed *ret, struct pp_err *e)
{
	const char *until = strstr(text, UNTIL);
	_cleanup_free_ char *rate = until ? strndup(text, (size_t)(until - text)) : strdup(text);
	struct pp_timed t = {};
	char shown[64];
	int r;

	if (!rate)
		return -ENOMEM;
	r = pp_rate_parse(rate, &t.rate, e);
	if (r)
		return r;
	if (until && parse_time(until + strlen(UNTIL), &t.until)) {
		until += strlen(UNTIL);
		pp_err_escape(shown, sizeof(shown), until, strlen(until));
		return pp_err_set(e, -EINVAL,
				  "\"%s\" is no time; valid is RATE, or RATE until a time in UTC such as "
				  "2026-11-27T14:00:00Z",
				  shown);
	}
	*ret = t;
	return 0;
}

const char *pp_timed_format(char buf[static 64], const struct pp_timed *t)
{
	time_t until = (time_t)t->until;
	char rate[32];
	struct tm tm;
	size_t n;

	n = (size_t)snprintf(buf, 64, "%s", pp_rate_format(rate, t->rate));
	if (t->until && gmtime_r(&until, &tm))
		strftime(buf + n, 64 - n, UNTIL "%Y-%m-%dT%H:%M:%SZ", &tm);
	return buf;
}
