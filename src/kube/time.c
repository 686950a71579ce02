// SPDX-License-Identifier: Apache-2.0
// Writes the time of day for objects.
#include <time.h>

#include "base/base.h"
#include "kube/time.h"

static size_t write_seconds(char buf[static 32], const struct timespec *t)
{
	struct tm tm;

	gmtime_r(&t->tv_sec, &tm);
	return strftime(buf, 24, "%Y-%m-%dT%H:%M:%S", &tm);
}

const char *pp_time_now(char buf[static 32])
{
	struct timespec t;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &t);
	n = write_seconds(buf, &t);
	snprintf(buf + n, 32 - n, "Z");
	return buf;
}

const char *pp_time_now_micro(char buf[static 32])
{
	struct timespec t;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &t);
	n = write_seconds(buf, &t);
	snprintf(buf + n, 32 - n, ".%06uZ", (unsigned int)(t.tv_nsec / 1000) % 1000000);
	return buf;
}
