// SPDX-License-Identifier: Apache-2.0
// The option on the wire: every code of a rate, every form byte by byte, everything malformed
// refused. Built with sanitizers.

#include "bpf/wire.h"
#include "tap.h"

#define ROOM PP_WIRE_ROOM
#define FILL 0x5a

static uint64_t seed = 88172645463325252ULL;

/* xorshift64, so that every run sees the same numbers. */
static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

/* Of any magnitude. */
static uint64_t any(void)
{
	uint64_t shift = rnd() % 64;

	return rnd() >> shift;
}

/* Codes are to rates what an order-preserving numbering is: nothing between two of them is lost. */
static void test_codes(void)
{
	unsigned int again = 0, rising = 0, below = 0, codes = PP_WIRE_NO_LIMIT;

	for (unsigned int code = 1; code < codes; code++) {
		uint64_t rate = pp_wire_unpack(code);

		again += pp_wire_pack(rate) == code;
		rising += rate > pp_wire_unpack(code - 1);
		/* the rate just below the next one has this code still */
		below += code + 1 == codes || pp_wire_pack(pp_wire_unpack(code + 1) - 1) == code;
	}
	is_u64(again, codes - 1, "each code, unpacked, is packed to itself");
	is_u64(rising, codes - 1, "each code is a higher rate than the one before");
	is_u64(below, codes - 1, "rates between two codes are rounded down");
}

static void test_exact(void)
{
	unsigned int exact = 0;

	for (uint64_t rate = 1; rate <= 4095; rate++)
		exact += pp_wire_unpack(pp_wire_pack(rate)) == rate;
	is_u64(exact, 4095, "1 to 4095 bytes/s are exact");
}

static void test_rounding(void)
{
	int n = 0, above = 0, far = 0, falls = 0;

	for (int i = 0; i < 1000000; i++) {
		uint64_t rate = any() % PP_WIRE_RATE_MAX + 1, more = rate + any() % 10000;
		uint64_t got = pp_wire_unpack(pp_wire_pack(rate));

		n++;
		above += got > rate;
		far += (rate - got) * 2048 >= rate && got != rate;
		falls += pp_wire_pack(more) < pp_wire_pack(rate);
	}
	is_u64(above, 0, "%d rates: none comes out higher than it was", n);
	is_u64(far, 0, "%d rates: each within 1/2048", n);
	is_u64(falls, 0, "%d rates: a higher one has no lower code", n);
}

static void test_extremes(void)
{
	static const struct {
		uint64_t rate, code, back;
	} cases[] = {
		{ 0, 1, 1 },
		{ 1, 1, 1 },
		{ 2047, 2047, 2047 },
		{ 2048, 2048, 2048 },
		{ 4095, 4095, 4095 },
		{ 4096, 4096, 4096 },
		{ 4097, 4096, 4096 },
		{ 4098, 4097, 4098 },
		{ 12500000, 0x6beb, 12496896 },
		{ PP_WIRE_RATE_MAX - 1, 0xfffd, 4093ULL << 30 },
		{ PP_WIRE_RATE_MAX, 0xfffe, PP_WIRE_RATE_MAX },
		{ PP_WIRE_RATE_MAX + 1, PP_WIRE_NO_LIMIT, UINT64_MAX },
		{ 1ULL << 63, PP_WIRE_NO_LIMIT, UINT64_MAX },
		{ UINT64_MAX, PP_WIRE_NO_LIMIT, UINT64_MAX },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		is_u64(pp_wire_pack(cases[i].rate), cases[i].code, "code of %" PRIu64 " bytes/s",
		       cases[i].rate);
		is_u64(pp_wire_unpack(cases[i].code), cases[i].back, "%" PRIu64 " bytes/s, read",
		       cases[i].rate);
	}
	is_u64(pp_wire_unpack(0), 0, "code 0 is no rate");
}

static const struct form {
	const char *name;
	struct pp_wire w;
	uint32_t len;
	uint8_t bytes[ROOM];
} forms[] = {
	{ "rate", { .rate = 0x1234 << 3 }, 8, { 254, 8, 0x9a, 0xce, 0x1b, 0x5d, 0x29, 0x1a } },
	{ "no limit", { .rate = UINT64_MAX }, 8, { 254, 8, 0x9a, 0xce, 0x1b, 0x5d, 0xff, 0xff } },
	{ "hello",
	  { .hello = 1, .identity = 0x0123456789abcdef },
	  14,
	  { 254, 14, 0x9a, 0xce, 0x1b, 0x5d, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef } },
	{ "hello of nobody", { .hello = 1 }, 14, { 254, 14, 0x9a, 0xce, 0x1b, 0x5d } },
	{ "hello and rate",
	  { .hello = 1, .identity = 0xfedcba9876543210, .rate = 258 },
	  16,
	  { 254, 16, 0x9a, 0xce, 0x1b, 0x5d, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10, 1,
	    2 } },
	{ "hello of who was connected to",
	  { .hello = 1, .identity = 0xfedcba9876543210, .port = 5432 },
	  18,
	  { 254, 18, 0x9a, 0xce, 0x1b, 0x5d, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10, 0, 0,
	    0x15, 0x38 } },
	{ "the same with a rate",
	  { .hello = 1, .identity = 0xfedcba9876543210, .rate = 258, .port = 65535 },
	  18,
	  { 254, 18, 0x9a, 0xce, 0x1b, 0x5d, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10, 1, 2,
	    0xff, 0xff } },
};
#define N_FORMS (sizeof(forms) / sizeof(forms[0]))

static bool same(const struct pp_wire *a, const struct pp_wire *b)
{
	return a->hello == b->hello && a->identity == b->identity && a->rate == b->rate &&
	       a->port == b->port;
}

static void test_forms(void)
{
	for (size_t i = 0; i < N_FORMS; i++) {
		const struct form *f = &forms[i];
		struct pp_wire w = { .identity = 7, .rate = 7, .hello = 7 };
		uint8_t o[ROOM];

		memset(o, FILL, sizeof(o));
		is_u64(pp_wire_write(o, &f->w), f->len, "%s: length written", f->name);
		ok(memcmp(o, f->bytes, f->len) == 0, "%s: bytes written", f->name);
		memset(o, FILL, sizeof(o));
		memcpy(o, f->bytes, f->len);
		is_u64(pp_wire_read(o, f->len, &w), 0, "%s: read", f->name);
		ok(same(&w, &f->w), "%s: what was read", f->name);
	}
}

static void test_nothing_to_say(void)
{
	struct pp_wire w = { .identity = 5 };
	uint8_t o[ROOM];

	is_u64(pp_wire_write(o, &w), 0, "no hello, no rate: nothing is written");
}

static bool refused(const uint8_t *o, uint32_t len)
{
	const struct pp_wire was = { .identity = 1, .rate = 2, .hello = 3 };
	struct pp_wire w = was;

	return pp_wire_read(o, len, &w) == -1 && same(&w, &was);
}

static void test_lengths(const struct form *f)
{
	int wrong = 0, n = 0;
	uint8_t o[ROOM];

	/* as TCP found it, as it says itself, and both */
	for (uint32_t len = 0; len < 256; len++) {
		if (len == f->len)
			continue;
		memcpy(o, f->bytes, sizeof(o));
		wrong += !refused(o, len);
		o[1] = len;
		wrong += !refused(o, f->len);
		wrong += len != 8 && len != 14 && len != 16 && len != 18 && !refused(o, len);
		n++;
	}
	is_u64(wrong, 0, "%s: each of %d other lengths is refused", f->name, n);
	ok(refused(f->bytes, UINT32_MAX), "%s: a length of -1 is refused", f->name);
}

static void test_heads(const struct form *f)
{
	int wrong = 0, n = 0;
	uint8_t o[ROOM];

	for (int i = 0; i < PP_WIRE_HEAD; i++)
		for (int value = 0; value < 256; value++) {
			memcpy(o, f->bytes, sizeof(o));
			if (o[i] == value)
				continue;
			o[i] = value;
			wrong += !refused(o, f->len);
			n++;
		}
	is_u64(wrong, 0, "%s: each of %d other heads is refused", f->name, n);
}

/* Nobody writes a rate of 0, which would be read as nothing, nor a port of 0. */
static void test_rate_0(const struct form *f)
{
	uint8_t o[ROOM];

	if (f->len == PP_WIRE_HELLO_LEN)
		return;
	memcpy(o, f->bytes, sizeof(o));
	o[f->len - 2] = o[f->len - 1] = 0;
	ok(refused(o, f->len), "%s: 0 at its end is refused", f->name);
}

int main(void)
{
	test_codes();
	test_exact();
	test_rounding();
	test_extremes();
	test_forms();
	test_nothing_to_say();
	for (size_t i = 0; i < N_FORMS; i++) {
		test_lengths(&forms[i]);
		test_heads(&forms[i]);
		test_rate_0(&forms[i]);
	}
	return done_testing();
}
