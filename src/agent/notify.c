// SPDX-License-Identifier: Apache-2.0
// A datagram is some lines KEY=VALUE. What the manager's queue has no room for is said again a
// moment later: the loop never waits for it.
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent/notify.h"
#include "base/base.h"

#define US 1000ull
#define AGAIN_NS (100 * 1000 * US)
/* a day: beyond that a number of microseconds is a mistake, and may not fit in nanoseconds */
#define MAX_USEC (86400ull * 1000000)

struct pp_notify {
	int fd;
	struct sockaddr_un to;
	socklen_t to_len;
	struct pp_source *again, *watchdog;
	uint64_t interval_ns;        /* of the watchdog; 0: there is none */
	bool ready, stopping, alive; /* not said yet */
	bool status_due;
	char status[200];
};

static void flush(struct pp_notify *n)
{
	char text[300];
	size_t len;

	len = (size_t)snprintf(text, sizeof(text), "%s%s%s%s%s%s", n->ready ? "READY=1\n" : "",
			       n->stopping ? "STOPPING=1\n" : "", n->alive ? "WATCHDOG=1\n" : "",
			       n->status_due ? "STATUS=" : "", n->status_due ? n->status : "",
			       n->status_due ? "\n" : "");
	if (!len)
		return;
	if (sendto(n->fd, text, len, MSG_NOSIGNAL, (const struct sockaddr *)&n->to, n->to_len) <
	    0) {
		/* EAGAIN, or the manager is being replaced */
		pp_source_arm(n->again, AGAIN_NS);
		return;
	}
	n->ready = n->stopping = n->alive = n->status_due = false;
	pp_source_disarm(n->again);
}

static void on_again(void *arg)
{
	flush(arg);
}

static void on_watchdog(void *arg)
{
	struct pp_notify *n = arg;

	pp_source_arm(n->watchdog, n->interval_ns);
	n->alive = true;
	flush(n);
}

/* A path, or "@" and an abstract name. */
static int set_address(struct pp_notify *n, const char *socket, struct pp_err *e)
{
	size_t len = strlen(socket);
	char shown[80];

	if ((socket[0] != '/' && socket[0] != '@') || len < 2 || len >= sizeof(n->to.sun_path)) {
		pp_err_escape(shown, sizeof(shown), socket, len);
		return pp_err_set(
			e, -EINVAL,
			"NOTIFY_SOCKET \"%s\": valid is a path, or @ and an abstract name, "
			"of at most %zu bytes",
			shown, sizeof(n->to.sun_path) - 1);
	}
	n->to.sun_family = AF_UNIX;
	memcpy(n->to.sun_path, socket, len);
	n->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	if (socket[0] == '@')
		n->to.sun_path[0] = '\0'; /* its length is part of an abstract name */
	else
		n->to_len++;
	return 0;
}

static int set_watchdog(struct pp_notify *n, struct pp_loop *l, struct pp_err *e)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	unsigned long long us;
	char shown[40], *end;
	int r;

	if (!usec || (pid && strtoll(pid, NULL, 10) != getpid()))
		return 0;
	errno = 0;
	us = strtoull(usec, &end, 10);
	if (errno || *end || usec[0] < '0' || usec[0] > '9' || us < 2 || us > MAX_USEC) {
		pp_err_escape(shown, sizeof(shown), usec, strlen(usec));
		return pp_err_set(e, -EINVAL,
				  "WATCHDOG_USEC \"%s\": valid are microseconds, 2 to %llu", shown,
				  MAX_USEC);
	}
	n->interval_ns = us * US / 2;
	r = pp_source_timer(l, on_watchdog, n, &n->watchdog);
	if (!r)
		pp_source_arm(n->watchdog, n->interval_ns);
	return r;
}

int pp_notify_new(struct pp_loop *l, struct pp_notify **ret, struct pp_err *e)
{
	const char *socket_name = getenv("NOTIFY_SOCKET");
	struct pp_notify *n;
	int r;

	if (!socket_name || !socket_name[0]) {
		*ret = NULL;
		return 0;
	}
	n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	r = n->fd < 0 ? -errno : set_address(n, socket_name, e);
	if (!r)
		r = pp_source_timer(l, on_again, n, &n->again);
	if (!r)
		r = set_watchdog(n, l, e);
	if (r) {
		pp_notify_free(n);
		return r;
	}
	*ret = n;
	return 0;
}

void pp_notify_free(struct pp_notify *n)
{
	if (!n)
		return;
	pp_source_free(n->again);
	pp_source_free(n->watchdog);
	if (n->fd >= 0)
		close(n->fd);
	free(n);
}

void pp_notify_ready(struct pp_notify *n)
{
	if (!n)
		return;
	n->ready = true;
	flush(n);
}

void pp_notify_status(struct pp_notify *n, const char *text)
{
	if (!n)
		return;
	snprintf(n->status, sizeof(n->status), "%s", text);
	/* a newline would begin another KEY=VALUE */
	for (char *p = n->status; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	n->status_due = true;
	flush(n);
}

void pp_notify_stopping(struct pp_notify *n)
{
	if (!n)
		return;
	n->stopping = true;
	flush(n);
}
