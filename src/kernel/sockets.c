// SPDX-License-Identifier: Apache-2.0
// TCP connections that are there already: brought under their limits, or released, by the tcp
// iterator.
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <fcntl.h>
#include <sched.h>

#include "base/base.h"
#include "kernel/caps.h"
#include "kernel/sockets.h"

struct sync {
	const struct pp_datapath *d;
	struct pp_socket_count count;
};

static void count_mark(struct pp_socket_count *c, char mark)
{
	switch (mark) {
	case PP_MARK_HELD:
		c->held++;
		break;
	case PP_MARK_FIXED:
		c->fixed++;
		break;
	case PP_MARK_FREED:
		c->freed++;
		break;
	case PP_MARK_FAILED:
		c->failed++;
		break;
	}
}

/*
 * The iterator sees the network namespace that the task is in when the iterator's file is opened.
 */
static int run_iterator(struct sync *s)
{
	_cleanup_close_ int fd = bpf_iter_create(s->d->iter_fd);
	char buf[4096];
	ssize_t n;

	if (fd < 0)
		return -errno;
	while ((n = read(fd, buf, sizeof(buf))) != 0) {
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		for (ssize_t i = 0; i < n; i++)
			count_mark(&s->count, buf[i]);
	}
	return 0;
}

static int visit(int netns_fd, void *arg)
{
	if (setns(netns_fd, CLONE_NEWNET) < 0)
		return -errno;
	return run_iterator(arg);
}

static int pass(struct sync *s, const char *path, int home, struct pp_err *e)
{
	int r, back;

	s->count = (struct pp_socket_count){ 0 };
	pp_caps_raise();
	r = pp_cgroup_each_netns(&s->d->cgroupfs, path, visit, s);
	back = setns(home, CLONE_NEWNET) ? -errno : 0;
	pp_caps_restore();
	if (back)
		return pp_err_set(e, back, "cannot return to the own network namespace: %s",
				  strerror(-back));
	if (!r)
		r = run_iterator(s);
	return r ? pp_err_set(e, r, "cgroup %s: its existing connections cannot be reached: %s",
			      path, strerror(-r))
		 : 0;
}

int pp_sockets_sync(const struct pp_datapath *d, const char *path, struct pp_socket_count *ret,
		    struct pp_err *e)
{
	_cleanup_close_ int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	struct sync s = { .d = d };
	int r;

	if (d->iter_fd < 0)
		return pp_err_set(e, -ENOENT, "%s: the tcp iterator is not pinned any more",
				  d->dir);
	if (home < 0)
		return pp_err_set(e, -errno, "/proc/self/ns/net: %s", strerror(errno));
	/*
	 * sockets that get no callbacks share their pipe's limit among them: they must be counted
	 * first
	 */
	for (__u32 i = 1; i < d->state->pipes_end && i < PP_MAX_PIPES; i++)
		__atomic_store_n(&d->pipes[i].fixed, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&d->state->counting, 1, __ATOMIC_SEQ_CST);
	r = pass(&s, path, home, e);
	__atomic_store_n(&d->state->counting, 0, __ATOMIC_SEQ_CST);
	if (!r)
		r = pass(&s, path, home, e);
	if (r)
		return r;
	*ret = s.count;
	return 0;
}
