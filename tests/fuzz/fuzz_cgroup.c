// SPDX-License-Identifier: Apache-2.0
// Fuzzes the paths of cgroups: what is accepted is in its one form, what is refused has a message
// of one line.
#include <assert.h>
#include <ctype.h>

#include "base/base.h"
#include "kernel/cgroup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *in = malloc(size + 1), *out = NULL, *again = NULL;
	struct pp_err e = { "" };

	if (!in)
		return 0;
	memcpy(in, data, size);
	in[size] = '\0';
	if (pp_cgroup_normalize(in, &out, &e)) {
		assert(!out && e.msg[0] && strlen(e.msg) < sizeof(e.msg));
		for (const char *p = e.msg; *p; p++)
			assert(!iscntrl((unsigned char)*p));
		return 0;
	}
	assert(out[0] == '/' && !strstr(out, "//") && !strstr(out, "/../") && !strstr(out, "/./"));
	assert(strlen(out) <= strlen(in) && (!out[1] || out[strlen(out) - 1] != '/'));
	assert(pp_cgroup_normalize(out, &again, &e) == 0 && strcmp(out, again) == 0);
	assert(pp_cgroup_below("/", out) && pp_cgroup_below(out, out));
	return 0;
}
