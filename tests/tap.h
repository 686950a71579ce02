// SPDX-License-Identifier: Apache-2.0
// The whole test framework: TAP on stdout. A test is a main that ends in `return done_testing();`.
#pragma once

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static unsigned int tap_run, tap_failed;

__attribute__((format(printf, 4, 5))) static inline bool
tap_check(bool pass, const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	printf("%sok %u - ", pass ? "" : "not ", ++tap_run);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	if (!pass) {
		tap_failed++;
		printf("#   at %s:%d\n", file, line);
	}
	return pass;
}

/* The name of a test is a printf format with its arguments. */
#define ok(cond, ...) tap_check((cond), __FILE__, __LINE__, __VA_ARGS__)

#define is_u64(got, want, ...)                                                                     \
	do {                                                                                       \
		uint64_t _got = (got), _want = (want);                                             \
		if (!ok(_got == _want, __VA_ARGS__))                                               \
			printf("#   got %" PRIu64 ", want %" PRIu64 "\n", _got, _want);            \
	} while (0)

#define is_str(got, want, ...)                                                                     \
	do {                                                                                       \
		const char *_got = (got), *_want = (want);                                         \
		if (!ok(_got && _want && !strcmp(_got, _want), __VA_ARGS__))                       \
			printf("#   got  '%s'\n#   want '%s'\n", _got ? _got : "(null)",           \
			       _want ? _want : "(null)");                                          \
	} while (0)

/* Counts as a test that was not run, and says why. */
#define skip(reason) printf("ok %u # SKIP %s\n", ++tap_run, (reason))

static inline int done_testing(void)
{
	printf("1..%u\n", tap_run);
	return tap_failed || !tap_run;
}
