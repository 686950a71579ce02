// SPDX-License-Identifier: Apache-2.0
/*
 * One TCP connection that does what standard input says: an order a line, and a line of answer to
 * each. Rates are SO_MAX_PACING_RATE's, in bytes/s of payload.
 *
 *   socket 4|6           a new socket, in the place of the last
 *   connect ADDR PORT    listen PORT    accept
 *   set4 N    set8 N     sets the rate by an option of 4 or of 8 bytes
 *   get4      get8       reads it
 *   send SECONDS         sends as fast as it may: answers with bits/s of L3, bits/s of payload,
 *                        bytes retransmitted in this time
 *   cgroup FOLDER        moves the process
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int sock = -1;
static int family = AF_INET;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static int new_socket(const char *version, const char *unused)
{
	(void)unused;
	if (sock >= 0)
		close(sock);
	family = strcmp(version, "6") == 0 ? AF_INET6 : AF_INET;
	sock = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return sock < 0 ? -errno : 0;
}

static int connect_to(const char *addr, const char *port)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(atoi(port)) };

	if (family == AF_INET && inet_pton(AF_INET, addr, &v4.sin_addr) == 1)
		return connect(sock, (struct sockaddr *)&v4, sizeof(v4)) ? -errno : 0;
	if (family == AF_INET6 && inet_pton(AF_INET6, addr, &v6.sin6_addr) == 1)
		return connect(sock, (struct sockaddr *)&v6, sizeof(v6)) ? -errno : 0;
	return -EINVAL;
}

static int listen_on(const char *port, const char *unused)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };

	(void)unused;
	return bind(sock, (struct sockaddr *)&v4, sizeof(v4)) || listen(sock, 1) ? -errno : 0;
}

static int accept_one(const char *unused, const char *unused2)
{
	int fd = accept(sock, NULL, NULL);

	(void)unused;
	(void)unused2;
	if (fd < 0)
		return -errno;
	close(sock);
	sock = fd;
	return 0;
}

static int set4(const char *rate, const char *unused)
{
	uint32_t v = strtoul(rate, NULL, 0);

	(void)unused;
	return setsockopt(sock, SOL_SOCKET, SO_MAX_PACING_RATE, &v, sizeof(v)) ? -errno : 0;
}

static int set8(const char *rate, const char *unused)
{
	uint64_t v = strtoull(rate, NULL, 0);

	(void)unused;
	return setsockopt(sock, SOL_SOCKET, SO_MAX_PACING_RATE, &v, sizeof(v)) ? -errno : 0;
}

/* 1: the answer has been printed. */
static int get4(const char *unused, const char *unused2)
{
	uint32_t v = 0;
	socklen_t len = sizeof(v);

	(void)unused;
	(void)unused2;
	if (getsockopt(sock, SOL_SOCKET, SO_MAX_PACING_RATE, &v, &len))
		return -errno;
	printf(len == sizeof(v) ? "%" PRIu32 "\n" : "%" PRIu32 ", of another size\n", v);
	return 1;
}

static int get8(const char *unused, const char *unused2)
{
	uint64_t v = 0;
	socklen_t len = sizeof(v);

	(void)unused;
	(void)unused2;
	if (getsockopt(sock, SOL_SOCKET, SO_MAX_PACING_RATE, &v, &len))
		return -errno;
	printf(len == sizeof(v) ? "%" PRIu64 "\n" : "%" PRIu64 ", of another size\n", v);
	return 1;
}

static int info(struct tcp_info *ret)
{
	socklen_t len = sizeof(*ret);

	memset(ret, 0, sizeof(*ret));
	return getsockopt(sock, IPPROTO_TCP, TCP_INFO, ret, &len) ? -errno : 0;
}

/* Headers count for what was sent, payload for what was acknowledged: a few packets apart. */
static int send_for(const char *seconds, const char *unused)
{
	static char data[1 << 18];
	struct tcp_info a, b;
	double begin = now(), end = begin + atof(seconds);
	int header, r;

	(void)unused;
	r = info(&a);
	if (r)
		return r;
	while (now() < end) {
		struct pollfd p = { .fd = sock, .events = POLLOUT };

		if (send(sock, data, sizeof(data), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
		    errno != EAGAIN)
			return -errno;
		poll(&p, 1, 5);
	}
	r = info(&b);
	if (r)
		return r;
	end = now();
	header = (family == AF_INET ? 40 : 60) + (b.tcpi_options & TCPI_OPT_TIMESTAMPS ? 12 : 0);
	b.tcpi_bytes_acked -= a.tcpi_bytes_acked;
	b.tcpi_data_segs_out -= a.tcpi_data_segs_out;
	printf("%.0f %.0f %" PRIu64 "\n",
	       (b.tcpi_bytes_acked + (double)header * b.tcpi_data_segs_out) * 8 / (end - begin),
	       b.tcpi_bytes_acked * 8 / (end - begin),
	       (uint64_t)(b.tcpi_bytes_retrans - a.tcpi_bytes_retrans));
	return 1;
}

static int enter_cgroup(const char *folder, const char *unused)
{
	char path[4096];
	int fd, r;

	(void)unused;
	snprintf(path, sizeof(path), "%s/cgroup.procs", folder);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = write(fd, "0", 1) == 1 ? 0 : -errno;
	close(fd);
	return r;
}

static const struct {
	const char *name;
	int (*run)(const char *, const char *);
} orders[] = {
	{ "socket", new_socket }, { "connect", connect_to }, { "listen", listen_on },
	{ "accept", accept_one }, { "set4", set4 }, { "set8", set8 }, { "get4", get4 },
	{ "get8", get8 }, { "send", send_for }, { "cgroup", enter_cgroup },
};

int main(void)
{
	char line[4200], name[32], a[4096], b[64];

	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	new_socket("4", "");
	while (fgets(line, sizeof(line), stdin)) {
		int r = -ENOSYS;

		*name = *a = *b = '\0';
		sscanf(line, "%31s %4095s %63s", name, a, b);
		for (size_t i = 0; i < sizeof(orders) / sizeof(*orders); i++)
			if (strcmp(orders[i].name, name) == 0)
				r = orders[i].run(a, b);
		if (r != 1)
			printf("%s\n", r ? strerror(-r) : "ok");
	}
	return 0;
}
