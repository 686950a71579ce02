// SPDX-License-Identifier: Apache-2.0
// Feeds any text to the parser of address prefixes, and any prefix to the formatter, and checks
// what must hold for every answer.

#include "base/base.h"
#include "base/cidr.h"

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
	must(strncmp(e->msg, "address prefix \"", 16) == 0 && !strstr(e->msg + len - 3, "..."));
}

static void check_round_trip(const struct pp_cidr *c)
{
	char buf[PP_CIDR_TEXT];
	struct pp_cidr back;

	must(strlen(pp_cidr_format(buf, c)) < sizeof(buf));
	must(pp_cidr_parse(buf, &back, NULL) == 0);
	must(back.len == c->len && memcmp(back.addr, c->addr, sizeof(c->addr)) == 0);
}

/* Clears what lies behind the length. */
static void trim(struct pp_cidr *c)
{
	for (int bit = c->len; bit < 128; bit++)
		c->addr[bit / 8] &= ~(0x80 >> bit % 8);
}

static void check_text(const char *text)
{
	struct pp_cidr c, was, trimmed;
	struct pp_err e;

	memset(&e, 'x', sizeof(e));
	memset(&c, 0x5a, sizeof(c));
	was = c;
	if (pp_cidr_parse(text, &c, &e)) {
		must(memcmp(&c, &was, sizeof(c)) == 0);
		check_message(&e);
		return;
	}
	must(c.len <= 128);
	trimmed = c;
	trim(&trimmed);
	must(memcmp(&c, &trimmed, sizeof(c)) == 0);
	check_round_trip(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = malloc(size + 1);
	struct pp_cidr any = { 0 };

	must(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	check_text(text);

	memcpy(&any, data, size < sizeof(any) ? size : sizeof(any));
	any.len %= 129;
	trim(&any);
	check_round_trip(&any);
	return 0;
}
