// SPDX-License-Identifier: Apache-2.0
// epoll takes one event at a time, so that a callback may free any source.

#include <sys/timerfd.h>
#include <time.h>

#include "base/loop.h"
#include "base/base.h"

#define NS_PER_S 1000000000ull

struct pp_loop {
	int fd;
	bool stopped;
};

struct pp_source {
	struct pp_loop *loop;
	int fd;
	bool timer; /* the descriptor is a timer of our own */
	union {
		void (*io)(uint32_t events, void *arg);
		void (*expired)(void *arg);
	};
	void *arg;
};

int pp_loop_new(struct pp_loop **ret)
{
	struct pp_loop *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->fd < 0) {
		int r = -errno;

		free(l);
		return r;
	}
	*ret = l;
	return 0;
}

void pp_loop_free(struct pp_loop *l)
{
	if (!l)
		return;
	close(l->fd);
	free(l);
}

void pp_loop_stop(struct pp_loop *l)
{
	l->stopped = true;
}

static void dispatch(struct pp_source *s, uint32_t events)
{
	uint64_t times;

	if (!s->timer) {
		s->io(events, s->arg);
		return;
	}
	/* nothing to read: it was armed again since */
	if (read(s->fd, &times, sizeof(times)) == sizeof(times))
		s->expired(s->arg);
}

int pp_loop_run(struct pp_loop *l)
{
	struct epoll_event e;

	l->stopped = false;
	while (!l->stopped) {
		int n = epoll_wait(l->fd, &e, 1, -1);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 1)
			dispatch(e.data.ptr, e.events);
	}
	return 0;
}

static int source_new(struct pp_loop *l, int fd, uint32_t events, void *arg, struct pp_source **ret)
{
	struct pp_source *s = calloc(1, sizeof(*s));
	struct epoll_event e = { .events = events, .data.ptr = s };

	if (!s)
		return -ENOMEM;
	s->loop = l;
	s->fd = fd;
	s->arg = arg;
	if (epoll_ctl(l->fd, EPOLL_CTL_ADD, fd, &e)) {
		int r = -errno;

		free(s);
		return r;
	}
	*ret = s;
	return 0;
}

int pp_source_io(struct pp_loop *l, int fd, uint32_t events, void (*fn)(uint32_t events, void *arg),
		 void *arg, struct pp_source **ret)
{
	int r = source_new(l, fd, events, arg, ret);

	if (!r)
		(*ret)->io = fn;
	return r;
}

int pp_source_io_set(struct pp_source *s, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = s };

	return epoll_ctl(s->loop->fd, EPOLL_CTL_MOD, s->fd, &e) ? -errno : 0;
}

int pp_source_timer(struct pp_loop *l, void (*fn)(void *arg), void *arg, struct pp_source **ret)
{
	_cleanup_close_ int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	int r;

	if (fd < 0)
		return -errno;
	r = source_new(l, fd, EPOLLIN, arg, ret);
	if (r)
		return r;
	TAKE_FD(fd);
	(*ret)->timer = true;
	(*ret)->expired = fn;
	return 0;
}

uint64_t pp_loop_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

void pp_source_arm(struct pp_source *s, uint64_t delay_ns)
{
	/* zero would disarm it */
	struct itimerspec t = { .it_value = { delay_ns / NS_PER_S, delay_ns % NS_PER_S ?: 1 } };

	timerfd_settime(s->fd, 0, &t, NULL);
}

void pp_source_disarm(struct pp_source *s)
{
	struct itimerspec t = {};

	timerfd_settime(s->fd, 0, &t, NULL);
}

void pp_source_free(struct pp_source *s)
{
	if (!s)
		return;
	epoll_ctl(s->loop->fd, EPOLL_CTL_DEL, s->fd, NULL);
	if (s->timer)
		close(s->fd);
	free(s);
}
