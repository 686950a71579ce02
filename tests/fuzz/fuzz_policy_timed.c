// SPDX-License-Identifier: Apache-2.0
// Feeds any text to the reader of limits for a time. What is accepted is written, and read again as
// the same.

#include "base/base.h"
#include "policy/timed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* assert() would depend on NDEBUG. */
static void must(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = strndup((const char *)data, size);
	struct pp_timed t = { 0 }, again = { 0 };
	struct pp_err e = { "" };
	char back[64];

	must(text != NULL);
	if (pp_timed_parse(text, &t, &e)) {
		must(e.msg[0] && !strchr(e.msg, '\n'));
		return 0;
	}
	must(t.rate && t.until >= 0);
	must(pp_timed_parse(pp_timed_format(back, &t), &again, &e) == 0);
	/* a rate is written in bits, of which its bytes are whole */
	must(again.rate == t.rate && again.until == t.until);
	return 0;
}
