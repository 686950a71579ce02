// SPDX-License-Identifier: Apache-2.0
// Reads base64 strictly: padding is required, and the bits below the last byte are zero.

#include "base/base.h"
#include "base/base64.h"

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int pp_base64_decode(const char *text, char **ret, size_t *ret_len)
{
	_cleanup_free_ char *out = malloc(strlen(text) / 4 * 3 + 4);
	unsigned int word = 0, n = 0, padding = 0;
	size_t len = 0;

	if (!out)
		return -ENOMEM;
	for (; *text; text++) {
		int d = digit(*text);

		if (strchr(" \t\r\n", *text))
			continue;
		if (*text == '=' && n >= 2 && n + padding < 4) {
			padding++;
			continue;
		}
		if (d < 0 || padding)
			return -EINVAL;
		word = word << 6 | d;
		if (++n < 4)
			continue;
		out[len++] = word >> 16;
		out[len++] = word >> 8;
		out[len++] = word;
		n = word = 0;
	}
	if (n ? n + padding != 4 : padding)
		return -EINVAL;
	/* n digits hold n - 1 bytes */
	if (n == 2 && !(word & 0xf)) {
		out[len++] = word >> 4;
	} else if (n == 3 && !(word & 0x3)) {
		out[len++] = word >> 10;
		out[len++] = word >> 2;
	} else if (n) {
		return -EINVAL;
	}
	out[len] = '\0';
	*ret = TAKE_PTR(out);
	*ret_len = len;
	return 0;
}
