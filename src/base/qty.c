// SPDX-License-Identifier: Apache-2.0
// Reads and writes rates and durations in exact integer arithmetic.

#include <inttypes.h>

#include "base/base.h"
#include "base/qty.h"

static const char RATE_VALID[] = "valid is a number of bits/s with k, M, G, T, P or Ki, Mi, Gi, Ti "
				 "(50M, 1.5G, 800k), from 1k to 1P";
static const char DURATION_VALID[] = "valid is a number with d, h, m, s, ms, us or ns "
				     "(500ms, 90s, 1h30m), from 1ms to 365d";

static const char DECIMAL[] = "kMGTPE";
static const char BINARY[] = "KMGTPE";

/* Largest first: the order in which they are written. */
static const struct unit {
	const char *name;
	uint64_t ns;
} UNITS[] = {
	{ "d", 86400000000000 }, { "h", 3600000000000 }, { "m", 60000000000 }, { "s", 1000000000 },
	{ "ms", 1000000 },       { "us", 1000 },         { "ns", 1 },
};

/* A piece of the text, ready to be shown. */
struct quoted {
	char text[32];
};

/* Digits as they stand in the text, worth 0.d0d1d2... * 10^point. */
struct decimal {
	const char *text;
	size_t before; /* digits before the dot, which sits there if there is one */
	size_t count; /* all digits */
	int64_t point;
};

static struct quoted quote(const char *s, size_t len)
{
	struct quoted q;

	pp_err_escape(q.text, sizeof(q.text), s, len);
	return q;
}

static unsigned int digit(const struct decimal *d, size_t i)
{
	return d->text[i < d->before ? i : i + 1] - '0';
}

/* Returns what is wrong with the number at s, or NULL. */
static const char *scan(const char *s, struct decimal *ret, const char **ret_end)
{
	size_t before = strspn(s, "0123456789");
	size_t after = s[before] == '.' ? strspn(s + before + 1, "0123456789") : 0;
	const char *end = s + before + (s[before] == '.' ? 1 + after : 0);

	if (*s == '-')
		return "is negative";
	if (before + after == 0)
		return "does not start with a number";
	if (*end == '.')
		return "has more than one dot";
	*ret = (struct decimal){ s, before, before + after, before };
	*ret_end = end;
	return NULL;
}

/*
 * The value of d times unit, rounded down; UINT64_MAX if it is larger. *ret_inexact says that a
 * fraction was cut off. Digits after the point are multiplied from the last one on, as on paper, so
 * any number of them is exact. unit is at most 2^60, so that ten times it fits, and 1 if the point
 * is negative: only m and exponents move it, and they exclude any other suffix.
 */
static uint64_t scale(const struct decimal *d, uint64_t unit, bool *ret_inexact)
{
	uint64_t whole = 0, carry = 0;
	bool inexact = false;

	for (size_t i = d->count; i > 0 && (int64_t)i > d->point; i--) {
		carry += digit(d, i - 1) * unit;
		inexact |= carry % 10 != 0;
		carry /= 10;
	}
	*ret_inexact = inexact;

	for (int64_t i = 0; i < d->point; i++) {
		bool written = i < (int64_t)d->count;

		if (!written && !whole)
			break;
		if (__builtin_mul_overflow(whole, 10, &whole) ||
		    __builtin_add_overflow(whole, written ? digit(d, i) : 0, &whole))
			return UINT64_MAX;
	}
	if (__builtin_mul_overflow(whole, unit, &whole) ||
	    __builtin_add_overflow(whole, carry, &whole))
		return UINT64_MAX;
	return whole;
}

/* Moves the point by the exponent at s. Nobody's digits reach as far as the bound on it. */
static bool apply_exponent(const char *s, struct decimal *d)
{
	const int64_t bound = 1000000000000000;
	bool negative = *s == '-';
	int64_t exponent = 0;

	if (*s == '-' || *s == '+')
		s++;
	if (!*s || s[strspn(s, "0123456789")])
		return false;
	for (; *s; s++)
		exponent = exponent < bound ? exponent * 10 + (*s - '0') : bound;
	d->point += negative ? -exponent : exponent;
	return true;
}

static bool apply_suffix(const char *s, struct decimal *d, uint64_t *unit)
{
	const char *power;

	*unit = 1;
	if (!*s)
		return true;
	if (s[1] == '\0' && *s == 'm') {
		d->point -= 3;
		return true;
	}
	if (s[1] == '\0' && (power = strchr(DECIMAL, *s))) {
		d->point += 3 * (power - DECIMAL + 1);
		return true;
	}
	if (s[1] == 'i' && s[2] == '\0' && (power = strchr(BINARY, *s))) {
		*unit = 1ull << (10 * (power - BINARY + 1));
		return true;
	}
	return (*s == 'e' || *s == 'E') && apply_exponent(s + 1, d);
}

/* Mistakes that are better named by themselves than by where they stop the parser. */
static const char *stray(const char *s)
{
	if (strchr(s, ','))
		return "has a comma, use a dot";
	if (s[strcspn(s, " \t\r\n")])
		return "has a space";
	return NULL;
}

static int refuse_rate(struct pp_err *e, int code, const char *s, const char *what)
{
	return pp_err_set(e, code, "rate \"%s\" %s; %s", quote(s, strlen(s)).text, what,
			  RATE_VALID);
}

int pp_rate_parse(const char *s, uint64_t *ret_bytes, struct pp_err *e)
{
	const char *wrong = stray(s);
	const char *suffix;
	struct decimal d;
	uint64_t unit, bits;
	bool inexact;

	if (!*s)
		return pp_err_set(e, -EINVAL, "rate is empty; %s", RATE_VALID);
	if (!wrong)
		wrong = scan(s + (*s == '+'), &d, &suffix);
	if (wrong)
		return refuse_rate(e, -EINVAL, s, wrong);
	if (!apply_suffix(suffix, &d, &unit))
		return pp_err_set(e, -EINVAL, "rate \"%s\": unknown suffix \"%s\"; %s",
				  quote(s, strlen(s)).text, quote(suffix, strlen(suffix)).text,
				  RATE_VALID);

	bits = scale(&d, unit, &inexact);
	if (inexact && *suffix == 'm')
		return refuse_rate(e, -EINVAL, s, "is not a whole number of bits/s");
	if (inexact && bits < UINT64_MAX)
		bits++;
	if (bits < PP_RATE_MIN_BITS)
		return refuse_rate(e, -ERANGE, s, "is too low");
	if (bits > PP_RATE_MAX_BITS)
		return refuse_rate(e, -ERANGE, s, "is too high");
	*ret_bytes = (bits + 4) / 8;
	return 0;
}

const char *pp_rate_format(char buf[static 32], uint64_t bytes)
{
	unsigned __int128 bits = (unsigned __int128)bytes * 8;
	uint64_t unit = 1000000000000000000;

	for (size_t i = strlen(DECIMAL); i > 0; i--, unit /= 1000) {
		unsigned int frac = (uint64_t)(bits % unit) / (unit / 1000);
		int n;

		if (bits < unit || bits % (unit / 1000))
			continue;
		n = snprintf(buf, 32, "%" PRIu64 ".%03u", (uint64_t)(bits / unit), frac);
		while (buf[n - 1] == '0')
			n--;
		if (buf[n - 1] == '.')
			n--;
		buf[n] = DECIMAL[i - 1];
		buf[n + 1] = '\0';
		return buf;
	}
	snprintf(buf, 32, "%" PRIu64, (uint64_t)bits);
	return buf;
}

/* Goes through 1.000k, 10.00k, 100.0k, 1.000M ... to the first in which bits has four digits. */
const char *pp_rate_human(char buf[static 32], uint64_t bytes)
{
	unsigned __int128 bits = (unsigned __int128)bytes * 8;
	uint64_t unit = 1000;

	if (bits < 1000) {
		snprintf(buf, 32, "%" PRIu64, (uint64_t)bits);
		return buf;
	}
	for (size_t i = 0; DECIMAL[i]; i++, unit *= 1000) {
		for (unsigned int ten = 1000; ten > 1; ten /= 10) {
			unsigned __int128 digits = (bits * ten + unit / 2) / unit;
			unsigned int milli = (unsigned int)digits * (1000 / ten);

			if (digits >= 10000)
				continue;
			snprintf(buf, 32, "%u.%03u", milli / 1000, milli % 1000);
			buf[5] = DECIMAL[i]; /* after four digits and the dot */
			buf[6] = '\0';
			return buf;
		}
	}
	return buf; /* not reached: 2^64 bytes/s is 147.6E */
}

static int refuse_duration(struct pp_err *e, int code, const char *s, const char *what)
{
	return pp_err_set(e, code, "duration \"%s\" %s; %s", quote(s, strlen(s)).text, what,
			  DURATION_VALID);
}

static size_t find_unit(const char *s, size_t len)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(UNITS) && (strncmp(UNITS[i].name, s, len) || UNITS[i].name[len]))
		i++;
	return i;
}

/* Adds the number and unit at *s to *ns and moves *s past them. all is the whole text. */
static int add_term(const char *all, const char **s, size_t *next, uint64_t *ns, struct pp_err *e)
{
	const char *unit, *wrong;
	struct decimal d;
	uint64_t term;
	size_t len, at;
	bool inexact;

	wrong = scan(*s, &d, &unit);
	if (wrong)
		return refuse_duration(e, -EINVAL, all, wrong);
	len = strcspn(unit, "0123456789.");
	if (len == 0)
		return refuse_duration(e, -EINVAL, all, "has a number without a unit");
	at = find_unit(unit, len);
	if (at == ARRAY_SIZE(UNITS))
		return pp_err_set(e, -EINVAL, "duration \"%s\": unknown unit \"%s\"; %s",
				  quote(all, strlen(all)).text, quote(unit, len).text,
				  DURATION_VALID);
	if (at < *next)
		return refuse_duration(e, -EINVAL, all, "does not have its larger units first");
	term = scale(&d, UNITS[at].ns, &inexact);
	if (inexact)
		return refuse_duration(e, -EINVAL, all, "is not a whole number of ns");
	if (__builtin_add_overflow(*ns, term, ns))
		*ns = UINT64_MAX;
	*next = at + 1;
	*s = unit + len;
	return 0;
}

int pp_duration_parse(const char *s, uint64_t *ret_ns, struct pp_err *e)
{
	const char *wrong = stray(s);
	const char *at = s + (*s == '+');
	uint64_t ns = 0;
	size_t next = 0;

	if (!*s)
		return pp_err_set(e, -EINVAL, "duration is empty; %s", DURATION_VALID);
	if (wrong)
		return refuse_duration(e, -EINVAL, s, wrong);
	do {
		int r = add_term(s, &at, &next, &ns, e);

		if (r < 0)
			return r;
	} while (*at);
	if (ns < PP_DURATION_MIN_NS)
		return refuse_duration(e, -ERANGE, s, "is too short");
	if (ns > PP_DURATION_MAX_NS)
		return refuse_duration(e, -ERANGE, s, "is too long");
	*ret_ns = ns;
	return 0;
}

/* The longest, UINT64_MAX, is "213503d23h34m33s709ms551us615ns": 31 characters. */
static const char *format_units(char buf[static 32], uint64_t ns, size_t max_units)
{
	size_t at = 0;

	for (size_t i = 0; i < ARRAY_SIZE(UNITS) && max_units; i++) {
		uint64_t n = ns / UNITS[i].ns;

		ns %= UNITS[i].ns;
		if (n)
			at += snprintf(buf + at, 32 - at, "%" PRIu64 "%s", n, UNITS[i].name);
		if (at)
			max_units--;
	}
	if (!at)
		snprintf(buf, 32, "0s");
	return buf;
}

const char *pp_duration_format(char buf[static 32], uint64_t ns)
{
	return format_units(buf, ns, ARRAY_SIZE(UNITS));
}

const char *pp_duration_human(char buf[static 32], uint64_t ns)
{
	return format_units(buf, ns, 2);
}
