/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pause: the first process of a pod. It holds the pod's namespaces until the runtime ends it, and
 * as process 1 of a shared PID namespace it lets orphans go.
 */
#include <signal.h>
#include <unistd.h>

static void end(int signal)
{
	(void)signal;
	_exit(0);
}

int main(void)
{
	/* Process 1 ignores what it has no handler for. Ignored children leave no zombies. */
	signal(SIGTERM, end);
	signal(SIGINT, end);
	signal(SIGCHLD, SIG_IGN);
	for (;;)
		pause();
}
