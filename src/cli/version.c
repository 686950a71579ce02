// SPDX-License-Identifier: Apache-2.0
// podpace version: of the command, and of the layout it shares with the kernel programs.
#include "base/base.h"
#include "cli/cmd.h"

int pp_cmd_version(const struct pp_args *args, struct pp_err *e)
{
	(void)e;
	if (args->format == PP_JSON)
		printf("{\n  \"version\": \"%s\",\n  \"abi\": %d\n}\n", PP_VERSION, PP_ABI);
	else
		printf("podpace %s, datapath ABI %d\n", PP_VERSION, PP_ABI);
	return 0;
}
