// SPDX-License-Identifier: Apache-2.0
// Rates and durations as people write and read them. Bits/s on the surface, bytes/s inside.
#pragma once

#include <stdint.h>

#include "base/err.h"

#define PP_RATE_MIN_BITS 1000ull
#define PP_RATE_MAX_BITS 1000000000000000ull

#define PP_DURATION_MIN_NS 1000000ull
#define PP_DURATION_MAX_NS (365 * 86400 * 1000000000ull)

/*
 * Reads a rate in bits/s, PP_RATE_MIN_BITS to PP_RATE_MAX_BITS, and returns it in bytes/s. The
 * grammar is that of a Kubernetes quantity (apimachinery, pkg/api/resource/quantity.go) without the
 * sign - and the suffixes n and u: digits with at most one dot, then k M G T P E, m,
 * Ki Mi Gi Ti Pi Ei, or an exponent (e3, E-3). Exact: a fraction of a bit/s is rounded up, as
 * Quantity.Value() does, then bytes to the nearest. With m the value must be whole bits/s.
 * Returns 0, -EINVAL (malformed) or -ERANGE.
 */
int pp_rate_parse(const char *s, uint64_t *ret_bytes, struct pp_err *e);

/*
 * Writes bytes/s as exact bits/s, with the largest suffix that needs no more than three decimals.
 * pp_rate_parse() reads it back as the same value, if that is in range. Returns buf.
 */
const char *pp_rate_format(char buf[static 32], uint64_t bytes);

/* Writes bytes/s as bits/s in four significant digits, rounded: "99.61M". Returns buf. */
const char *pp_rate_human(char buf[static 32], uint64_t bytes);

/*
 * Reads a duration, PP_DURATION_MIN_NS to PP_DURATION_MAX_NS: numbers with units (d h m s ms us ns;
 * a day is 24 h), larger units first, each at most once: "1h30m", "1.5h". Exact: a fraction of a
 * nanosecond is an error. Returns 0, -EINVAL (malformed) or -ERANGE.
 */
int pp_duration_parse(const char *s, uint64_t *ret_ns, struct pp_err *e);

/* Writes all of ns: "1h30m", "1s500us"; zero is "0s". Returns buf. */
const char *pp_duration_format(char buf[static 32], uint64_t ns);

/* Writes the largest unit and the one after it, rounded down: "3h12m", "1ms204us". Returns buf. */
const char *pp_duration_human(char buf[static 32], uint64_t ns);
