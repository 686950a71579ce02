// SPDX-License-Identifier: Apache-2.0
// capget(2) and capset(2) by number: glibc has no wrappers, and two capabilities need no library.
#define _GNU_SOURCE
#include <linux/capability.h>
#include <sys/syscall.h>

#include "base/base.h"
#include "kernel/caps.h"

#define SHORT (1u << CAP_SYS_ADMIN | 1u << CAP_SYS_PTRACE)

/* What was effective before, of SHORT; 0: nothing was lowered. */
static unsigned int lowered;

static int change(unsigned int clear, unsigned int set, unsigned int *ret_was)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data))
		return -errno;
	*ret_was = data[0].effective;
	data[0].effective = (data[0].effective & ~clear) | (set & data[0].permitted);
	return syscall(SYS_capset, &head, data) ? -errno : 0;
}

int pp_caps_lower(void)
{
	unsigned int was;
	int r = change(SHORT, 0, &was);

	if (!r)
		lowered = was & SHORT;
	return r;
}

void pp_caps_raise(void)
{
	unsigned int was;

	/* refused, the step itself will fail and say so */
	if (lowered)
		change(0, lowered, &was);
}

void pp_caps_restore(void)
{
	unsigned int was;

	if (lowered)
		change(SHORT, 0, &was);
}
