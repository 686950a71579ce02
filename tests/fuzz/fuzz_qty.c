// SPDX-License-Identifier: Apache-2.0
// Feeds any text to the rate and duration parsers and checks what must hold for every answer.

#include "base/base.h"
#include "base/qty.h"

typedef int parse_fn(const char *s, uint64_t *ret, struct pp_err *e);
typedef const char *format_fn(char buf[static 32], uint64_t value);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* assert() would depend on NDEBUG. */
static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check_message(const struct pp_err *e)
{
	size_t len = strnlen(e->msg, sizeof(e->msg));

	must(len > 0 && len < sizeof(e->msg));
	for (size_t i = 0; i < len; i++)
		must(e->msg[i] >= 0x20 && e->msg[i] <= 0x7e);
	must(strstr(e->msg, "; valid is ") && !strstr(e->msg + len - 3, "..."));
}

static void check(parse_fn *parse, format_fn *format, format_fn *human, const char *text,
		  uint64_t min, uint64_t max)
{
	const uint64_t untouched = 0x5a5a5a5a5a5a5a5a;
	uint64_t value = untouched, back = 0;
	struct pp_err e;
	char buf[32];
	int r;

	memset(&e, 'x', sizeof(e));
	r = parse(text, &value, &e);
	must(parse(text, &back, NULL) == r);
	if (r) {
		must(r == -EINVAL || r == -ERANGE);
		must(value == untouched);
		check_message(&e);
		return;
	}
	must(value == back && value >= min && value <= max);
	must(parse(format(buf, value), &back, NULL) == 0 && back == value);
	must(strlen(human(buf, value)) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = malloc(size + 1);
	uint64_t any = 0;
	char buf[32];

	must(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	check(pp_rate_parse, pp_rate_format, pp_rate_human, text, PP_RATE_MIN_BITS / 8,
	      PP_RATE_MAX_BITS / 8);
	check(pp_duration_parse, pp_duration_format, pp_duration_human, text, PP_DURATION_MIN_NS,
	      PP_DURATION_MAX_NS);

	memcpy(&any, data, size < sizeof(any) ? size : sizeof(any));
	must(strlen(pp_rate_format(buf, any)) < sizeof(buf));
	must(strlen(pp_rate_human(buf, any)) < sizeof(buf));
	must(strlen(pp_duration_format(buf, any)) < sizeof(buf));
	must(strlen(pp_duration_human(buf, any)) < sizeof(buf));
	return 0;
}
