// SPDX-License-Identifier: Apache-2.0
// Prefixes of addresses as people write them: 10.244.0.0/16, fd00:10::/56, 10.1.2.3.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* IPv4 is mapped to IPv6 (RFC 4291, 2.5.5.2): 10.0.0.0/8 is ::ffff:a00:0/104. */
struct pp_cidr {
	uint8_t len; /* 0..128; of IPv4 96..128 */
	uint8_t addr[16];
};

/* Longest text of pp_cidr_format(), with its end. */
#define PP_CIDR_TEXT 64

/*
 * An address alone is a prefix of its full length. Bits behind the prefix must be 0: 10.1.2.3/8 is
 * refused, since it may be meant as either. 0, or -EINVAL with a message.
 */
int pp_cidr_parse(const char *s, struct pp_cidr *ret, struct pp_err *e);

/*
 * A list with commas between, at least one. 0, -EINVAL with a message, or -ENOMEM; *ret is the
 * caller's.
 */
int pp_cidrs_parse(const char *s, struct pp_cidr **ret, size_t *ret_n, struct pp_err *e);

/* Sorts them by address and length, and leaves each once. Returns how many are left. */
size_t pp_cidrs_sort(struct pp_cidr *c, size_t n);

/* Of a prefix: is it of IPv4? */
bool pp_cidr_is_v4(const struct pp_cidr *c);

/* Is c within it, or the same? A prefix of IPv6 has none of IPv4 in it, however short it is. */
bool pp_cidr_contains(const struct pp_cidr *outer, const struct pp_cidr *c);

/* As it would be written; returns buf. */
const char *pp_cidr_format(char buf[PP_CIDR_TEXT], const struct pp_cidr *c);
