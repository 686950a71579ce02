// SPDX-License-Identifier: Apache-2.0
// A line is built whole and written at once, so that lines of two processes do not mix.
#include <stdarg.h>
#include <time.h>

#include "base/log.h"
#include "base/base.h"
#include "base/err.h"

#define LINE_MAX_BYTES 1024

static size_t put_time(char *line, size_t size)
{
	struct timespec now;
	struct tm tm;
	char day[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	return snprintf(line, size, "ts=%s.%03ldZ", day, now.tv_nsec / 1000000);
}

static size_t put_pair(char *line, size_t size, size_t n, const char *key, const char *value)
{
	char shown[300];
	int more;

	pp_err_escape(shown, sizeof(shown), value, strlen(value));
	more = snprintf(line + n, size - n, " %s=\"%s\"", key, shown);
	/* a pair that does not fit is left out whole */
	if (n + more >= size)
		line[n] = '\0';
	else
		n += more;
	return n;
}

void pp_log(enum pp_log_level level, const char *msg, ...)
{
	static const char *const names[] = { "error", "warn", "info" };
	char line[LINE_MAX_BYTES];
	const size_t size = sizeof(line) - 1; /* room for the newline */
	size_t n = put_time(line, size);
	const char *key;
	va_list args;

	n += snprintf(line + n, size - n, " level=%s", names[level]);
	n = put_pair(line, size, n, "msg", msg);
	va_start(args, msg);
	while ((key = va_arg(args, const char *))) {
		const char *value = va_arg(args, const char *);

		if (value && value[0])
			n = put_pair(line, size, n, key, value);
	}
	va_end(args);
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0)
		return; /* there is nowhere to say so */
}
