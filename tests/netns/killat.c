// SPDX-License-Identifier: Apache-2.0
/*
 * killat N COMMAND...: kills a command with SIGKILL when its Nth system call that changes something
 * outside of it has returned: bpf, mkdir, unlink, rmdir, setns, and their *at forms. Exits 0 if it
 * did; 1 if the command ended before.
 */
#include <err.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static bool counts(uint64_t nr)
{
	switch (nr) {
	case SYS_bpf:
	case SYS_mkdirat:
	case SYS_unlinkat:
	case SYS_setns:
#ifdef SYS_mkdir
	case SYS_mkdir:
	case SYS_rmdir:
	case SYS_unlink:
#endif
		return true;
	}
	return false;
}

static void start(char **argv)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		err(2, "PTRACE_TRACEME");
	execvp(argv[0], argv);
	err(2, "%s", argv[0]);
}

int main(int argc, char **argv)
{
	struct __ptrace_syscall_info call;
	bool counted = false;
	int status, left;
	pid_t pid;

	if (argc < 3 || (left = atoi(argv[1])) < 1)
		errx(2, "usage: killat N COMMAND...");
	pid = fork();
	if (pid < 0)
		err(2, "fork");
	if (!pid)
		start(argv + 2);
	waitpid(pid, &status, 0);
	if (!WIFSTOPPED(status))
		return 2;
	ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
	while (left && !ptrace(PTRACE_SYSCALL, pid, NULL, NULL)) {
		waitpid(pid, &status, 0);
		if (!WIFSTOPPED(status))
			return 1;
		if (WSTOPSIG(status) != (SIGTRAP | 0x80) ||
		    ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(call), &call) < 0)
			continue;
		if (call.op == PTRACE_SYSCALL_INFO_ENTRY)
			counted = counts(call.entry.nr);
		else if (call.op == PTRACE_SYSCALL_INFO_EXIT && counted)
			left--;
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return 0;
}
