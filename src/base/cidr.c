// SPDX-License-Identifier: Apache-2.0
// Prefixes of addresses as people write them: 10.244.0.0/16, fd00:10::/56, 10.1.2.3.
#include <arpa/inet.h>

#include "base/base.h"
#include "base/cidr.h"

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

static int invalid(const char *s, const char *why, struct pp_err *e)
{
	char shown[80];

	pp_err_escape(shown, sizeof(shown), s, strlen(s));
	return pp_err_set(e, -EINVAL, "address prefix \"%s\": %s", shown, why);
}

static int parse_length(const char *s, unsigned int most, unsigned int *ret)
{
	unsigned int n = 0;

	if (!s[0] || strlen(s) > 3)
		return -EINVAL;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return -EINVAL;
		n = n * 10 + (*s - '0');
	}
	*ret = n;
	return n <= most ? 0 : -EINVAL;
}

static bool zero_behind(const uint8_t *addr, unsigned int len)
{
	for (unsigned int bit = len; bit < 128; bit++)
		if (addr[bit / 8] & 0x80 >> bit % 8)
			return false;
	return true;
}

int pp_cidr_parse(const char *s, struct pp_cidr *ret, struct pp_err *e)
{
	static const char valid[] = "valid are 10.244.0.0/16, fd00:10::/56, 10.1.2.3";
	const char *slash = strchr(s, '/');
	size_t n = slash ? (size_t)(slash - s) : strlen(s);
	char text[INET6_ADDRSTRLEN + 1];
	unsigned int most, len;
	struct pp_cidr c;

	if (n >= sizeof(text))
		return invalid(s, valid, e);
	memcpy(text, s, n);
	text[n] = '\0';
	if (inet_pton(AF_INET, text, c.addr + 12) == 1) {
		memcpy(c.addr, mapped, sizeof(mapped));
		most = 32;
	} else if (inet_pton(AF_INET6, text, c.addr) == 1) {
		most = 128;
	} else {
		return invalid(s, valid, e);
	}
	len = most;
	if (slash && parse_length(slash + 1, most, &len))
		return invalid(s,
			       most == 32 ? "its length must be 0 to 32" : "its length must be 0 to 128",
			       e);
	c.len = 128 - most + len;
	if (!zero_behind(c.addr, c.len))
		return invalid(s, "it has bits set behind its length; valid is the first address of "
				  "the prefix, or an address alone",
			       e);
	*ret = c;
	return 0;
}

int pp_cidrs_parse(const char *s, struct pp_cidr **ret, size_t *ret_n, struct pp_err *e)
{
	_cleanup_free_ char *copy = strdup(s);
	_cleanup_free_ struct pp_cidr *all = NULL;
	char *rest = copy, *word;
	size_t n = 0, room = 1;
	int r;

	for (const char *p = s; *p; p++)
		room += *p == ',';
	all = calloc(room, sizeof(*all));
	if (!copy || !all)
		return -ENOMEM;
	while ((word = strsep(&rest, ","))) {
		r = pp_cidr_parse(word, &all[n++], e);
		if (r)
			return r;
	}
	*ret = TAKE_PTR(all);
	*ret_n = n;
	return 0;
}

static int by_address(const void *a, const void *b)
{
	const struct pp_cidr *x = a, *y = b;
	int r = memcmp(x->addr, y->addr, sizeof(x->addr));

	return r ? r : (int)x->len - (int)y->len;
}

size_t pp_cidrs_sort(struct pp_cidr *c, size_t n)
{
	size_t kept = 0;

	if (n)
		qsort(c, n, sizeof(*c), by_address);
	for (size_t i = 0; i < n; i++)
		if (!kept || by_address(&c[kept - 1], &c[i]) != 0)
			c[kept++] = c[i];
	return kept;
}

bool pp_cidr_is_v4(const struct pp_cidr *c)
{
	return c->len >= 96 && memcmp(c->addr, mapped, sizeof(mapped)) == 0;
}

bool pp_cidr_contains(const struct pp_cidr *outer, const struct pp_cidr *c)
{
	size_t whole = outer->len / 8;
	uint8_t rest = (uint8_t)(0xff00 >> outer->len % 8);

	return outer->len <= c->len && pp_cidr_is_v4(outer) == pp_cidr_is_v4(c) &&
	       memcmp(outer->addr, c->addr, whole) == 0 &&
	       (outer->len % 8 == 0 || ((outer->addr[whole] ^ c->addr[whole]) & rest) == 0);
}

const char *pp_cidr_format(char buf[PP_CIDR_TEXT], const struct pp_cidr *c)
{
	char text[INET6_ADDRSTRLEN] = "?";
	bool v4 = pp_cidr_is_v4(c);

	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? c->addr + 12 : c->addr, text, sizeof(text));
	snprintf(buf, PP_CIDR_TEXT, "%s/%d", text, v4 ? c->len - 96 : c->len);
	return buf;
}
