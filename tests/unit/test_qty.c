// SPDX-License-Identifier: Apache-2.0
// Rates and durations: limits, every message, exactness against a second computation, round trips.

#include "base/base.h"
#include "base/qty.h"
#include "tap.h"

#define RATE_VALID                                                                                 \
	"; valid is a number of bits/s with k, M, G, T, P or Ki, Mi, Gi, Ti (50M, 1.5G, 800k), "   \
	"from 1k to 1P"
#define DURATION_VALID                                                                             \
	"; valid is a number with d, h, m, s, ms, us or ns (500ms, 90s, 1h30m), from 1ms to 365d"

typedef int parse_fn(const char *s, uint64_t *ret, struct pp_err *e);

static uint64_t state = 88172645463325252ull;

/* xorshift64, so that every run sees the same numbers. */
static uint64_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	return state ^= state << 17;
}

struct good {
	const char *text;
	uint64_t value;
};

static void check_good(parse_fn *parse, const struct good *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct pp_err e = {};
		uint64_t got = 0;
		int r = parse(cases[i].text, &got, &e);

		if (r)
			printf("# %s\n", e.msg);
		is_u64(r ? 0 : got, cases[i].value, "%.40s", cases[i].text);
	}
}

struct bad {
	const char *text;
	int code;
	const char *msg;
};

static void check_bad(parse_fn *parse, const struct bad *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct pp_err e = {};
		uint64_t got = 4711;

		is_u64(-parse(cases[i].text, &got, &e), -cases[i].code, "code of bad case %zu", i);
		is_str(e.msg, cases[i].msg, "message of bad case %zu", i);
		is_u64(got, 4711, "result untouched by bad case %zu", i);
		is_u64(-parse(cases[i].text, &got, NULL), -cases[i].code,
		       "bad case %zu without a place for the message", i);
	}
}

static void test_rate_good(void)
{
	static const struct good cases[] = {
		{ "1k", 125 },
		{ "1000", 125 },
		{ "1P", 125000000000000 },
		{ "1000000000000000", 125000000000000 },
		{ "0.001E", 125000000000000 },
		{ "999T", 124875000000000 },
		{ "50M", 6250000 },
		{ "+50M", 6250000 },
		{ "1.5G", 187500000 },
		{ "800k", 100000 },
		{ "1Ki", 128 },
		{ "1Mi", 131072 },
		{ "1.5Gi", 201326592 },
		{ "1Ti", 137438953472 },
		{ "0.5Pi", 70368744177664 },
		{ "0.0005Ei", 72057594037928 },
		{ "1e3", 125 },
		{ "1E3", 125 },
		{ "1e+6", 125000 },
		{ "5000000E-3", 625 },
		{ "1.5e9", 187500000 },
		{ "0.00000000000000000001e26", 125000 },
		{ "100000000000000000000000000000e-20", 125000000 },
		{ "0000000000000000000000000000001M", 125000 },
		{ "1000000m", 125 },
		{ "1.M", 125000 },
		{ ".5M", 62500 },
		{ "8k", 1000 },
		/* bytes to the nearest, half a byte up */
		{ "1003", 125 },
		{ "1004", 126 },
		{ "1011", 126 },
		/* bits up */
		{ "999.5", 125 },
		{ "1003.0000000000000000000000000000000000000001", 126 },
		{ "1.0030000000000000000000000000000000000000001k", 126 },
		{ "0.99999999999999999999999999999999999P", 125000000000000 },
		{ "1003e0", 125 },
		{ "10030000000000000000000000000000000000000001e-40", 126 },
	};

	check_good(pp_rate_parse, cases, ARRAY_SIZE(cases));
}

static void test_rate_malformed(void)
{
	static const struct bad cases[] = {
		{ "", -EINVAL, "rate is empty" RATE_VALID },
		{ "10Mb", -EINVAL, "rate \"10Mb\": unknown suffix \"Mb\"" RATE_VALID },
		{ "10K", -EINVAL, "rate \"10K\": unknown suffix \"K\"" RATE_VALID },
		{ "10ki", -EINVAL, "rate \"10ki\": unknown suffix \"ki\"" RATE_VALID },
		{ "10i", -EINVAL, "rate \"10i\": unknown suffix \"i\"" RATE_VALID },
		{ "10n", -EINVAL, "rate \"10n\": unknown suffix \"n\"" RATE_VALID },
		{ "10mm", -EINVAL, "rate \"10mm\": unknown suffix \"mm\"" RATE_VALID },
		{ "1e", -EINVAL, "rate \"1e\": unknown suffix \"e\"" RATE_VALID },
		{ "1e+", -EINVAL, "rate \"1e+\": unknown suffix \"e+\"" RATE_VALID },
		{ "1e3k", -EINVAL, "rate \"1e3k\": unknown suffix \"e3k\"" RATE_VALID },
		{ "1e3.5", -EINVAL, "rate \"1e3.5\": unknown suffix \"e3.5\"" RATE_VALID },
		{ "1+5", -EINVAL, "rate \"1+5\": unknown suffix \"+5\"" RATE_VALID },
		{ "0x10M", -EINVAL, "rate \"0x10M\": unknown suffix \"x10M\"" RATE_VALID },
		{ "1,5G", -EINVAL, "rate \"1,5G\" has a comma, use a dot" RATE_VALID },
		{ "10 M", -EINVAL, "rate \"10 M\" has a space" RATE_VALID },
		{ " 10M", -EINVAL, "rate \" 10M\" has a space" RATE_VALID },
		{ "10M\n", -EINVAL, "rate \"10M\\x0a\" has a space" RATE_VALID },
		{ "-5M", -EINVAL, "rate \"-5M\" is negative" RATE_VALID },
		{ "M", -EINVAL, "rate \"M\" does not start with a number" RATE_VALID },
		{ "+", -EINVAL, "rate \"+\" does not start with a number" RATE_VALID },
		{ ".", -EINVAL, "rate \".\" does not start with a number" RATE_VALID },
		{ "++1M", -EINVAL, "rate \"++1M\" does not start with a number" RATE_VALID },
		{ "1.2.3M", -EINVAL, "rate \"1.2.3M\" has more than one dot" RATE_VALID },
		{ "1..2M", -EINVAL, "rate \"1..2M\" has more than one dot" RATE_VALID },
		{ "1500001m", -EINVAL,
		  "rate \"1500001m\" is not a whole number of bits/s" RATE_VALID },
		{ "1\"0", -EINVAL, "rate \"1\\x220\": unknown suffix \"\\x220\"" RATE_VALID },
		{ "1\x1b[31m", -EINVAL,
		  "rate \"1\\x1b[31m\": unknown suffix \"\\x1b[31m\"" RATE_VALID },
		{ "1abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz", -EINVAL,
		  "rate \"1abcdefghijklmnopqrstuvwxyza...\": unknown suffix "
		  "\"abcdefghijklmnopqrstuvwxyzab...\"" RATE_VALID },
	};

	check_bad(pp_rate_parse, cases, ARRAY_SIZE(cases));
}

static void test_rate_range(void)
{
	static const struct bad cases[] = {
		{ "0", -ERANGE, "rate \"0\" is too low" RATE_VALID },
		{ "999", -ERANGE, "rate \"999\" is too low" RATE_VALID },
		{ "0.999k", -ERANGE, "rate \"0.999k\" is too low" RATE_VALID },
		{ "999000m", -ERANGE, "rate \"999000m\" is too low" RATE_VALID },
		{ "0e999999999999999999999", -ERANGE,
		  "rate \"0e999999999999999999999\" is too low" RATE_VALID },
		{ "1e-999999999999999999999", -ERANGE,
		  "rate \"1e-999999999999999999999\" is too low" RATE_VALID },
		{ "1000000000000001", -ERANGE, "rate \"1000000000000001\" is too high" RATE_VALID },
		{ "1000000000000000.0001", -ERANGE,
		  "rate \"1000000000000000.0001\" is too high" RATE_VALID },
		{ "1.000000000000001P", -ERANGE,
		  "rate \"1.000000000000001P\" is too high" RATE_VALID },
		{ "1Pi", -ERANGE, "rate \"1Pi\" is too high" RATE_VALID },
		{ "1E", -ERANGE, "rate \"1E\" is too high" RATE_VALID },
		{ "16Ei", -ERANGE, "rate \"16Ei\" is too high" RATE_VALID },
		{ "15.9999999999999999999999Ei", -ERANGE,
		  "rate \"15.9999999999999999999999Ei\" is too high" RATE_VALID },
		{ "18446744073709551615", -ERANGE,
		  "rate \"18446744073709551615\" is too high" RATE_VALID },
		{ "18446744073709552616", -ERANGE,
		  "rate \"18446744073709552616\" is too high" RATE_VALID },
		{ "18446744073709552616000m", -ERANGE,
		  "rate \"18446744073709552616000m\" is too high" RATE_VALID },
		{ "1e999999999999999999999", -ERANGE,
		  "rate \"1e999999999999999999999\" is too high" RATE_VALID },
		{ "99999999999999999999999999999999999999k", -ERANGE,
		  "rate \"9999999999999999999999999999...\" is too high" RATE_VALID },
	};

	check_bad(pp_rate_parse, cases, ARRAY_SIZE(cases));
}

/* Short numbers with every suffix, against the plain quotient in 128 bits. */
static void test_rate_reference(void)
{
	static const struct {
		const char *name;
		uint64_t factor;
	} suffixes[] = {
		{ "", 1 },
		{ "k", 1000 },
		{ "M", 1000000 },
		{ "G", 1000000000 },
		{ "T", 1000000000000 },
		{ "P", 1000000000000000 },
		{ "E", 1000000000000000000 },
		{ "Ki", 1ull << 10 },
		{ "Mi", 1ull << 20 },
		{ "Gi", 1ull << 30 },
		{ "Ti", 1ull << 40 },
		{ "Pi", 1ull << 50 },
		{ "Ei", 1ull << 60 },
		{ "e7", 10000000 },
	};
	unsigned int wrong = 0, in_range = 0;

	for (unsigned int i = 0; i < 200000; i++) {
		size_t at = rnd() % ARRAY_SIZE(suffixes);
		uint64_t whole = rnd() % (1ull << rnd() % 40), ten = 1, frac, got = 0;
		unsigned int decimals = 1 + rnd() % 12;
		unsigned __int128 bits;
		char text[64];
		int r, want;

		for (unsigned int d = 0; d < decimals; d++)
			ten *= 10;
		frac = rnd() % ten;
		snprintf(text, sizeof(text), "%" PRIu64 ".%0*" PRIu64 "%s", whole, (int)decimals,
			 frac, suffixes[at].name);
		bits = (unsigned __int128)whole * suffixes[at].factor +
		       ((unsigned __int128)frac * suffixes[at].factor + ten - 1) / ten;
		want = bits < 1000 || bits > PP_RATE_MAX_BITS ? -ERANGE : 0;
		r = pp_rate_parse(text, &got, NULL);
		if (r != want || (!r && got != (uint64_t)(bits + 4) / 8)) {
			printf("# %s\n", text);
			wrong++;
		}
		in_range += !r;
	}
	is_u64(wrong, 0, "200000 random rates equal the 128 bit quotient");
	ok(in_range > 50000, "a good part of them in range (%u)", in_range);
}

static void test_rate_format(void)
{
	static const struct {
		uint64_t bytes;
		const char *text, *human;
	} cases[] = {
		{ 0, "0", "0" },
		{ 1, "8", "8" },
		{ 124, "992", "992" },
		{ 125, "1k", "1.000k" },
		{ 126, "1.008k", "1.008k" },
		{ 125000, "1M", "1.000M" },
		{ 4625000, "37M", "37.00M" },
		{ 6250000, "50M", "50.00M" },
		{ 187500000, "1.5G", "1.500G" },
		{ 12451250, "99.61M", "99.61M" },
		{ 12451251, "99610.008k", "99.61M" },
		{ 150500000, "1.204G", "1.204G" },
		{ 154320875, "1234.567M", "1.235G" },
		{ 1249937, "9999.496k", "9.999M" },
		{ 1249938, "9999.504k", "10.00M" },
		{ 12499375, "99.995M", "100.0M" },
		{ 124993750, "999.95M", "1.000G" },
		{ 124993749, "999949.992k", "999.9M" },
		{ 125000000000000, "1P", "1.000P" },
		{ 125000000000000000, "1E", "1.000E" },
		{ UINT64_MAX, "147573952589676412.92k", "147.6E" },
	};
	char buf[32];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		is_str(pp_rate_format(buf, cases[i].bytes), cases[i].text, "format %" PRIu64,
		       cases[i].bytes);
		is_str(pp_rate_human(buf, cases[i].bytes), cases[i].human, "human %" PRIu64,
		       cases[i].bytes);
	}
}

static bool rate_returns(uint64_t bytes)
{
	uint64_t back = 0;
	char buf[32];

	if (!pp_rate_parse(pp_rate_format(buf, bytes), &back, NULL) && back == bytes)
		return true;
	printf("# %" PRIu64 " -> %s -> %" PRIu64 "\n", bytes, buf, back);
	return false;
}

static void test_rate_round_trip(void)
{
	const uint64_t min = PP_RATE_MIN_BITS / 8, max = PP_RATE_MAX_BITS / 8;
	unsigned int wrong = 0;

	for (uint64_t bytes = min; bytes < min + 100000; bytes++)
		wrong += !rate_returns(bytes);
	for (uint64_t bytes = max; bytes > max - 1000; bytes--)
		wrong += !rate_returns(bytes);
	for (unsigned int i = 0; i < 200000; i++)
		wrong += !rate_returns(min + rnd() % (max - min) % (1ull << (10 + rnd() % 38)));
	is_u64(wrong, 0, "every rate reads back as it was written");
}

static void test_duration_good(void)
{
	static const struct good cases[] = {
		{ "1ms", 1000000 },
		{ "500ms", 500000000 },
		{ "90s", 90000000000 },
		{ "+90s", 90000000000 },
		{ "5m", 300000000000 },
		{ "1h30m", 5400000000000 },
		{ "1.5h", 5400000000000 },
		{ ".5h", 1800000000000 },
		{ "2d", 172800000000000 },
		{ "365d", 31536000000000000 },
		{ "8760h", 31536000000000000 },
		{ "364d24h", 31536000000000000 },
		{ "1d1h1m1s1ms1us1ns", 90061001001001 },
		{ "1000000ns", 1000000 },
		{ "999us1000ns", 1000000 },
		{ "1.000000001s", 1000000001 },
		{ "1.0000000010000000000000000000000000000s", 1000000001 },
		{ "0d90s", 90000000000 },
	};

	check_good(pp_duration_parse, cases, ARRAY_SIZE(cases));
}

static void test_duration_bad(void)
{
	static const struct bad cases[] = {
		{ "", -EINVAL, "duration is empty" DURATION_VALID },
		{ "5", -EINVAL, "duration \"5\" has a number without a unit" DURATION_VALID },
		{ "0", -EINVAL, "duration \"0\" has a number without a unit" DURATION_VALID },
		{ "1h30", -EINVAL, "duration \"1h30\" has a number without a unit" DURATION_VALID },
		{ "5w", -EINVAL, "duration \"5w\": unknown unit \"w\"" DURATION_VALID },
		{ "5u", -EINVAL, "duration \"5u\": unknown unit \"u\"" DURATION_VALID },
		{ "5min", -EINVAL, "duration \"5min\": unknown unit \"min\"" DURATION_VALID },
		{ "5M", -EINVAL, "duration \"5M\": unknown unit \"M\"" DURATION_VALID },
		{ "1h5x", -EINVAL, "duration \"1h5x\": unknown unit \"x\"" DURATION_VALID },
		{ "5\xc2\xb5s", -EINVAL,
		  "duration \"5\\xc2\\xb5s\": unknown unit \"\\xc2\\xb5s\"" DURATION_VALID },
		{ "h", -EINVAL, "duration \"h\" does not start with a number" DURATION_VALID },
		{ "+", -EINVAL, "duration \"+\" does not start with a number" DURATION_VALID },
		{ "-5m", -EINVAL, "duration \"-5m\" is negative" DURATION_VALID },
		{ "1,5h", -EINVAL, "duration \"1,5h\" has a comma, use a dot" DURATION_VALID },
		{ "1h 5m", -EINVAL, "duration \"1h 5m\" has a space" DURATION_VALID },
		{ "1.2.3s", -EINVAL, "duration \"1.2.3s\" has more than one dot" DURATION_VALID },
		{ "30m1h", -EINVAL,
		  "duration \"30m1h\" does not have its larger units first" DURATION_VALID },
		{ "1m1m", -EINVAL,
		  "duration \"1m1m\" does not have its larger units first" DURATION_VALID },
		{ "1.0000000001s", -EINVAL,
		  "duration \"1.0000000001s\" is not a whole number of ns" DURATION_VALID },
		{ "0s", -ERANGE, "duration \"0s\" is too short" DURATION_VALID },
		{ "999999ns", -ERANGE, "duration \"999999ns\" is too short" DURATION_VALID },
		{ "366d", -ERANGE, "duration \"366d\" is too long" DURATION_VALID },
		{ "365d1ns", -ERANGE, "duration \"365d1ns\" is too long" DURATION_VALID },
		{ "213504d", -ERANGE, "duration \"213504d\" is too long" DURATION_VALID },
		{ "213503d88473709551616ns", -ERANGE, /* 1h modulo 2^64 */
		  "duration \"213503d88473709551616ns\" is too long" DURATION_VALID },
		{ "213503d18446744073709551615ns", -ERANGE,
		  "duration \"213503d18446744073709551615ns\" is too long" DURATION_VALID },
		{ "99999999999999999999999d", -ERANGE,
		  "duration \"99999999999999999999999d\" is too long" DURATION_VALID },
	};

	check_bad(pp_duration_parse, cases, ARRAY_SIZE(cases));
}

static void test_duration_format(void)
{
	static const struct {
		uint64_t ns;
		const char *text, *human;
	} cases[] = {
		{ 0, "0s", "0s" },
		{ 1, "1ns", "1ns" },
		{ 1000000, "1ms", "1ms" },
		{ 90000000000, "1m30s", "1m30s" },
		{ 5400000000000, "1h30m", "1h30m" },
		{ 172800000000000, "2d", "2d" },
		{ 1000500000, "1s500us", "1s" },
		{ 1204567, "1ms204us567ns", "1ms204us" },
		{ 3599999999999, "59m59s999ms999us999ns", "59m59s" },
		{ PP_DURATION_MAX_NS, "365d", "365d" },
		{ UINT64_MAX, "213503d23h34m33s709ms551us615ns", "213503d23h" },
	};
	unsigned int wrong = 0;
	char buf[32];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		is_str(pp_duration_format(buf, cases[i].ns), cases[i].text, "format %" PRIu64,
		       cases[i].ns);
		is_str(pp_duration_human(buf, cases[i].ns), cases[i].human, "human %" PRIu64,
		       cases[i].ns);
	}
	for (unsigned int i = 0; i < 200000; i++) {
		uint64_t range = 1ull << (21 + rnd() % 34);
		uint64_t ns = PP_DURATION_MIN_NS + rnd() % range % PP_DURATION_MAX_NS;
		uint64_t back = 0;

		if (pp_duration_parse(pp_duration_format(buf, ns), &back, NULL) || back != ns) {
			printf("# %" PRIu64 " -> %s -> %" PRIu64 "\n", ns, buf, back);
			wrong++;
		}
	}
	is_u64(wrong, 0, "every duration reads back as it was written");
}

int main(void)
{
	test_rate_good();
	test_rate_malformed();
	test_rate_range();
	test_rate_reference();
	test_rate_format();
	test_rate_round_trip();
	test_duration_good();
	test_duration_bad();
	test_duration_format();
	return done_testing();
}
