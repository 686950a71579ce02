// SPDX-License-Identifier: Apache-2.0
// podpace check: are the objects in these files valid? Everything that is wrong, a line each.
#include "base/base.h"
#include "cli/files.h"

int pp_cmd_check(const struct pp_args *args, struct pp_err *e)
{
	_cleanup_(pp_files_free) struct pp_files f = PP_FILES_INIT(f);
	int r = pp_files_read(&f, args, e);

	if (!r)
		printf("%zu object%s valid\n", f.objects.n, f.objects.n == 1 ? " is" : "s are");
	return r;
}
