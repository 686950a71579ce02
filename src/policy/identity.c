// SPDX-License-Identifier: Apache-2.0
// The identity of a pod: a part of its uid, which is random enough to be its alone.
#include <ctype.h>

#include "policy/identity.h"

uint64_t pp_identity_of(const char *uid)
{
	uint64_t id = 0;

	for (int digits = 0; digits < 16; uid++) {
		if (*uid == '-')
			continue;
		if (!isxdigit((unsigned char)*uid))
			return 0;
		id = id << 4 | (uint64_t)(*uid <= '9' ? *uid - '0' : (*uid | 0x20) - 'a' + 10);
		digits++;
	}
	return id;
}
