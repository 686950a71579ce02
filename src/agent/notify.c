// SPDX-License-Identifier: Apache-2.0
// Tells systemd how the daemon is doing. The protocol is a datagram of text, stable by systemd's
// own promise (sd_notify(3), "Notes"); its library would cost the agent more memory than its pods.
#define _GNU_SOURCE
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent/notify.h"
#include "base/base.h"

struct pp_notify {
	int fd;
	struct sockaddr_un to;
	socklen_t len;
	struct pp_source *timer;
	uint64_t every_ns; /* the watchdog's; 0: there is none */
};

/* A path, or an abstract name with @ in place of its zero byte. */
static int address(const char *name, struct pp_notify *n)
{
	size_t len = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof(n->to.sun_path))
		return -EINVAL;
	n->to.sun_family = AF_UNIX;
	memcpy(n->to.sun_path, name, len);
	if (name[0] == '@')
		n->to.sun_path[0] = '\0';
	n->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (name[0] == '/'));
	return 0;
}

/* Twice in the time that it waits. */
static uint64_t watchdog(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	unsigned long long us = usec ? strtoull(usec, NULL, 10) : 0;

	if (pid && strtoull(pid, NULL, 10) != (unsigned long long)getpid())
		return 0;
	return us < UINT64_MAX / 500 ? us * 500 : 0;
}

void pp_notify_say(struct pp_notify *n, const char *state)
{
	if (n)
		(void)sendto(n->fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
			     (struct sockaddr *)&n->to, n->len);
}

static void on_timer(void *arg)
{
	struct pp_notify *n = arg;

	pp_notify_say(n, "WATCHDOG=1");
	pp_source_arm(n->timer, n->every_ns);
}

int pp_notify_new(struct pp_loop *l, struct pp_notify **ret)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct pp_notify *n;
	int r;

	*ret = NULL;
	if (!name)
		return 0;
	n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	r = n->fd < 0 ? -errno : address(name, n);
	n->every_ns = watchdog();
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	if (!r && n->every_ns)
		r = pp_source_timer(l, on_timer, n, &n->timer);
	if (r) {
		pp_notify_free(n);
		return r;
	}
	if (n->every_ns)
		pp_source_arm(n->timer, n->every_ns);
	*ret = n;
	return 0;
}

void pp_notify_free(struct pp_notify *n)
{
	if (!n)
		return;
	pp_source_free(n->timer);
	if (n->fd >= 0)
		close(n->fd);
	free(n);
}
