// SPDX-License-Identifier: Apache-2.0
/*
 * The receiving end: sinks for bulk TCP, near-idle TCP and UDP in one epoll loop that also takes a
 * sample every 10 ms; the echo server has a thread of its own, lest a probe waits behind bulk
 * reads.
 */
#define _GNU_SOURCE 1	/* accept4, recvmmsg */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "traffic.h"

#define LINGER_NS	(200 * NS_PER_MS)	/* all connections closed for so long: the end */
#define UDP_BATCH	64

/* Listening sockets and the like are told from flows by their address. */
static int listen_fds[3];	/* by role */

static int bind_to(int port, int type)
{
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int off = 0, on = 1;

	if (fd < 0)
		err(1, "socket");
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		err(1, "bind port %d", port);
	return fd;
}

static void watch(int poll_fd, int fd, uint32_t events, void *ptr)
{
	struct epoll_event ev = { .events = events, .data.ptr = ptr };

	if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &ev))
		err(1, "epoll_ctl");
}

static struct flow *flow_add(struct receiver *r, int fd, enum role role,
			     const struct sockaddr_in6 *peer)
{
	struct flow *f = calloc(1, sizeof(*f));

	if (!f)
		err(1, "flow");
	if (r->flow_count == r->flow_room) {
		r->flow_room = r->flow_room ? 2 * r->flow_room : 64;
		r->flows = reallocarray(r->flows, r->flow_room, sizeof(*r->flows));
		if (!r->flows)
			err(1, "flows");
	}
	f->fd = fd;
	f->role = role;
	f->open = true;
	f->opened = now_ns();
	f->port = ntohs(peer->sin6_port);
	if (IN6_IS_ADDR_V4MAPPED(&peer->sin6_addr)) {
		f->ip_header = 20;
		inet_ntop(AF_INET, &peer->sin6_addr.s6_addr[12], f->peer, sizeof(f->peer));
	} else {
		f->ip_header = 40;
		inet_ntop(AF_INET6, &peer->sin6_addr, f->peer, sizeof(f->peer));
	}
	r->flows[r->flow_count++] = f;
	r->open_count++;
	return f;
}

static void accept_all(struct receiver *r, enum role role)
{
	struct sockaddr_in6 peer;
	socklen_t len = sizeof(peer);
	struct flow *f;
	int fd;

	while ((fd = accept4(listen_fds[role], (struct sockaddr *)&peer, &len,
			     SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		f = flow_add(r, fd, role, &peer);
		if (role == ROLE_ECHO) {
			watch(r->poll_fd, fd, EPOLLRDHUP, f);
			watch(r->echo_fd, fd, EPOLLIN, f);
		} else {
			watch(r->poll_fd, fd, EPOLLIN, f);
		}
		len = sizeof(peer);
	}
	if (errno != EAGAIN && errno != ECONNABORTED)
		err(1, "accept");
}

/* An echo socket stays open until the process ends: the echo thread may be using its number. */
static void flow_end(struct receiver *r, struct flow *f)
{
	int64_t now = now_ns();

	flow_update(r, f, now);
	f->open = false;
	f->closed = r->last_open = now;
	r->open_count--;
	if (f->role == ROLE_ECHO) {
		epoll_ctl(r->poll_fd, EPOLL_CTL_DEL, f->fd, NULL);
		return;
	}
	close(f->fd);
	f->fd = -1;
	if (f->role == ROLE_BULK)
		r->end = now;
}

static void flow_read(struct receiver *r, struct flow *f)
{
	static char unused[1 << 20];
	ssize_t n;

	/* On TCP, MSG_TRUNC throws the data away without copying it (tcp(7)). */
	n = recv(f->fd, unused, sizeof(unused), MSG_TRUNC | MSG_DONTWAIT);
	if (n > 0 && f->role == ROLE_BULK && !r->first)
		receiver_sample(r, now_ns());
	if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
		flow_end(r, f);
}

static void udp_read(struct receiver *r)
{
	static char unused[UDP_BATCH];
	struct sockaddr_in6 peers[UDP_BATCH];
	struct mmsghdr messages[UDP_BATCH];
	struct iovec parts[UDP_BATCH];
	bool first = !r->udp_datagrams;
	int n;

	for (int i = 0; i < UDP_BATCH; i++) {
		parts[i] = (struct iovec){ .iov_base = &unused[i], .iov_len = 1 };
		messages[i].msg_hdr = (struct msghdr){ .msg_name = &peers[i],
			.msg_namelen = sizeof(peers[i]), .msg_iov = &parts[i], .msg_iovlen = 1 };
	}
	n = recvmmsg(r->udp_fd, messages, UDP_BATCH, MSG_DONTWAIT | MSG_TRUNC, NULL);
	for (int i = 0; i < n; i++) {
		bool v4 = IN6_IS_ADDR_V4MAPPED(&peers[i].sin6_addr);

		r->udp_bytes += messages[i].msg_len + (v4 ? 28 : 48);
		r->udp_datagrams++;
	}
	if (first && r->udp_datagrams && !r->first)
		receiver_sample(r, now_ns());
}

static void *echo_run(void *arg)
{
	struct receiver *r = arg;
	struct epoll_event events[64];
	char buffer[4096];

	for (;;) {
		int n = epoll_wait(r->echo_fd, events, 64, -1);

		for (int i = 0; i < n; i++) {
			struct flow *f = events[i].data.ptr;
			ssize_t len = recv(f->fd, buffer, sizeof(buffer), MSG_DONTWAIT);

			if (len > 0)
				len = send(f->fd, buffer, len, MSG_NOSIGNAL);
			if (!len || (len < 0 && errno != EAGAIN))
				epoll_ctl(r->echo_fd, EPOLL_CTL_DEL, f->fd, NULL);
		}
	}
	return NULL;
}

static void receiver_open(struct receiver *r)
{
	/* The last one to open tells a waiting sender that all are open. */
	static const enum role order[] = { ROLE_BULK, ROLE_ECHO, ROLE_IDLE };
	static const int offsets[] = { [ROLE_BULK] = 0, [ROLE_IDLE] = PORT_IDLE,
				       [ROLE_ECHO] = PORT_ECHO };
	struct itimerspec every = { .it_interval.tv_nsec = SAMPLE_NS };
	struct rlimit files;
	int64_t start = now_ns() + SAMPLE_NS;
	int size = 32 << 20;
	sigset_t signals;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	r->poll_fd = epoll_create1(EPOLL_CLOEXEC);
	r->echo_fd = epoll_create1(EPOLL_CLOEXEC);
	r->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
	r->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (r->poll_fd < 0 || r->echo_fd < 0 || r->signal_fd < 0 || r->timer_fd < 0)
		err(1, "receiver");
	every.it_value.tv_sec = start / NS_PER_S;
	every.it_value.tv_nsec = start % NS_PER_S;
	if (timerfd_settime(r->timer_fd, TFD_TIMER_ABSTIME, &every, NULL))
		err(1, "timerfd_settime");
	r->udp_fd = bind_to(r->o.port + PORT_UDP, SOCK_DGRAM);
	if (setsockopt(r->udp_fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		setsockopt(r->udp_fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	watch(r->poll_fd, r->timer_fd, EPOLLIN, &r->timer_fd);
	watch(r->poll_fd, r->signal_fd, EPOLLIN, &r->signal_fd);
	watch(r->poll_fd, r->udp_fd, EPOLLIN, &r->udp_fd);
	for (int i = 0; i < 3; i++) {
		int role = order[i];

		listen_fds[role] = bind_to(r->o.port + offsets[role], SOCK_STREAM);
		if (listen(listen_fds[role], 4096))
			err(1, "listen");
		watch(r->poll_fd, listen_fds[role], EPOLLIN, &listen_fds[role]);
	}
}

/* Takes the sample; false when it is time to end. */
static bool tick(struct receiver *r, int64_t started)
{
	int64_t now = now_ns();
	uint64_t ticks;

	if (read(r->timer_fd, &ticks, sizeof(ticks)) < 0 && errno != EAGAIN)
		err(1, "timer");
	receiver_sample(r, now);
	if (r->open_count)
		r->last_open = now;
	if (r->o.seconds > 0 && now - started > r->o.seconds * NS_PER_S)
		return false;
	return r->o.keep || !r->flow_count || r->open_count || now - r->last_open < LINGER_NS;
}

/* False when it is time to end. */
static bool handle(struct receiver *r, struct epoll_event *ev, int64_t started)
{
	void *who = ev->data.ptr;
	struct flow *f = who;

	if (who == &r->signal_fd)
		return false;
	if (who == &r->timer_fd)
		return tick(r, started);
	if (who == &r->udp_fd) {
		udp_read(r);
		return true;
	}
	for (int role = ROLE_BULK; role <= ROLE_ECHO; role++) {
		if (who == &listen_fds[role]) {
			accept_all(r, role);
			return true;
		}
	}
	if (f->role == ROLE_ECHO)
		flow_end(r, f);
	else
		flow_read(r, f);
	return true;
}

static void receiver_finish(struct receiver *r)
{
	bool bulk_open = false, bulk = false;

	receiver_sample(r, now_ns());
	for (size_t i = 0; i < r->flow_count; i++) {
		bulk |= r->flows[i]->role == ROLE_BULK;
		bulk_open |= r->flows[i]->role == ROLE_BULK && r->flows[i]->open;
	}
	if (!bulk)
		r->end = r->last_open;
	if (bulk_open || !r->end)
		r->end = r->sampled;
}

int receive_main(const struct receive_options *o)
{
	static struct receiver r;
	struct epoll_event events[256];
	int64_t started = now_ns();
	bool run = true;
	pthread_t echo;
	json_t *report;

	r.o = *o;
	receiver_open(&r);
	if (pthread_create(&echo, NULL, echo_run, &r))
		errx(1, "cannot start a thread");
	while (run) {
		int n = epoll_wait(r.poll_fd, events, 256, -1);

		for (int i = 0; i < n && run; i++)
			run = handle(&r, &events[i], started);
	}
	receiver_finish(&r);
	report = receiver_report(&r);
	json_dumpf(report, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
	putchar('\n');
	json_decref(report);
	return 0;
}
