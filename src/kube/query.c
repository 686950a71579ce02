// SPDX-License-Identifier: Apache-2.0
// Escapes text for URLs.

#include "base/base.h"
#include "kube/query.h"

char *pp_query_escape(const char *s)
{
	static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "abcdefghijklmnopqrstuvwxyz0123456789-._~";
	char *out = malloc(3 * strlen(s) + 1), *to = out;

	if (!out)
		return NULL;
	for (; *s; s++) {
		if (strchr(unreserved, *s))
			*to++ = *s;
		else
			to += snprintf(to, 4, "%%%02X", (unsigned char)*s);
	}
	*to = '\0';
	return out;
}
