// SPDX-License-Identifier: Apache-2.0
// What the agent says to its service manager, read from a real socket. Built with sanitizers.
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent/notify.h"
#include "base/base.h"
#include "tap.h"

static char dir[] = "/tmp/pp-notify-XXXXXX";
static char abstract[40];

/* As a manager does; *name is what it puts into NOTIFY_SOCKET. */
static int listen_at(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(a.sun_path, name, strlen(name));
	if (name[0] == '@')
		a.sun_path[0] = '\0';
	if (fd < 0 || bind(fd, (const struct sockaddr *)&a, len + (name[0] != '@')))
		abort();
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

/* The next datagram, or "" if there is none. */
static const char *heard(int fd)
{
	static char text[400];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void stop(void *arg)
{
	pp_loop_stop(arg);
}

static void run_ms(struct pp_loop *l, uint64_t ms)
{
	struct pp_source *timer = NULL;

	if (pp_source_timer(l, stop, l, &timer))
		abort();
	pp_source_arm(timer, ms * 1000000);
	pp_loop_run(l);
	pp_source_free(timer);
}

static void test_words(struct pp_loop *l, const char *name)
{
	_cleanup_close_ int fd = listen_at(name);
	struct pp_notify *n = NULL;
	struct pp_err e = { "" };

	ok(!pp_notify_new(l, &n, &e) && n, "a socket at %s %s", name, e.msg);
	is_str(heard(fd), "", "nothing is said by itself");
	pp_notify_ready(n);
	is_str(heard(fd), "READY=1\n", "ready");
	pp_notify_status(n, "3 limits in force");
	is_str(heard(fd), "STATUS=3 limits in force\n", "status");
	pp_notify_status(n, "a\nSTOPPING=1");
	is_str(heard(fd), "STATUS=a STOPPING=1\n", "a status is one line");
	pp_notify_stopping(n);
	is_str(heard(fd), "STOPPING=1\n", "stopping");
	run_ms(l, 20);
	is_str(heard(fd), "", "each once, and no watchdog that nobody asked for");
	pp_notify_free(n);
}

static void test_watchdog(struct pp_loop *l)
{
	_cleanup_close_ int fd = listen_at(abstract);
	struct pp_notify *n = NULL;
	struct pp_err e = { "" };
	char pid[20];
	int times = 0;

	setenv("WATCHDOG_USEC", "100000", 1);
	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("WATCHDOG_PID", pid, 1);
	ok(!pp_notify_new(l, &n, &e), "a watchdog of 100 ms %s", e.msg);
	run_ms(l, 525);
	while (strcmp(heard(fd), "WATCHDOG=1\n") == 0)
		times++;
	ok(times >= 5 && times <= 10, "hears 10 times in 525 ms: %d", times);
	pp_notify_free(n);
	setenv("WATCHDOG_PID", "1", 1);
	ok(!pp_notify_new(l, &n, &e), "a watchdog of another process %s", e.msg);
	run_ms(l, 120);
	is_str(heard(fd), "", "hears nothing");
	pp_notify_free(n);
	unsetenv("WATCHDOG_PID");
	setenv("WATCHDOG_USEC", "soon", 1);
	n = NULL;
	ok(pp_notify_new(l, &n, &e) == -EINVAL && !n, "a time that is none: %s", e.msg);
	unsetenv("WATCHDOG_USEC");
}

/* A manager that does not read: nothing waits, nothing is lost. */
static void test_full(struct pp_loop *l)
{
	_cleanup_close_ int fd = listen_at(abstract);
	struct pp_notify *n = NULL;
	struct pp_err e = { "" };
	const char *text;
	bool ready = false;
	int said = 0;

	ok(!pp_notify_new(l, &n, &e), "a manager that does not read %s", e.msg);
	for (int i = 0; i < 2000; i++)
		pp_notify_status(n, "again");
	pp_notify_ready(n);
	while ((text = heard(fd))[0])
		said++;
	ok(said > 0 && said < 2000, "has %d datagrams in its queue", said);
	run_ms(l, 150);
	while ((text = heard(fd))[0])
		ready |= strcmp(text, "READY=1\nSTATUS=again\n") == 0;
	ok(ready, "and what did not fit comes later");
	pp_notify_free(n);
}

static void test_none(struct pp_loop *l)
{
	static const char *const wrong[] = { "vsock:2:1", "/", "@", "run/notify", NULL };
	struct pp_notify *n = NULL;
	struct pp_err e = { "" };
	char longest[200];

	unsetenv("NOTIFY_SOCKET");
	ok(!pp_notify_new(l, &n, &e) && !n, "nobody asked");
	pp_notify_ready(n);
	pp_notify_status(n, "a");
	pp_notify_stopping(n);
	pp_notify_free(n);
	for (int i = 0; wrong[i]; i++) {
		setenv("NOTIFY_SOCKET", wrong[i], 1);
		ok(pp_notify_new(l, &n, &e) == -EINVAL, "%s", e.msg);
	}
	memset(longest, '/', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	setenv("NOTIFY_SOCKET", longest, 1);
	ok(pp_notify_new(l, &n, &e) == -EINVAL, "%s", e.msg);
}

int main(void)
{
	struct pp_loop *l = NULL;
	char path[64];

	if (!mkdtemp(dir) || pp_loop_new(&l))
		abort();
	snprintf(path, sizeof(path), "%s/notify", dir);
	snprintf(abstract, sizeof(abstract), "@pp-notify-%d", getpid());
	test_words(l, path);
	test_words(l, abstract);
	test_watchdog(l);
	test_full(l);
	test_none(l);
	pp_loop_free(l);
	unlink(path);
	rmdir(dir);
	return done_testing();
}
