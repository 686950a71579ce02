// SPDX-License-Identifier: Apache-2.0
/* What runs beside the bulk flows: the latency probe, near-idle connections, and a UDP sender. */
#include <errno.h>
#include <err.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "traffic.h"

#define UDP_TICK_NS	NS_PER_MS
#define UDP_PACKET	1400	/* L3 bytes, less where the path's MTU is below */
#define UDP_BURST_NS	(4 * NS_PER_MS)	/* at its rate: what it sends at once, at most */
#define UDP_CATCH_UP	1.2	/* times its rate: what a sender that was late sends at, at most */

/* One request and its reply. 0, or -errno if the connection is gone; -ETIME if the run ends. */
static int exchange(struct load *l)
{
	char message[SMALL_BYTES] = {};
	size_t got = 0;

	if (send(l->fds[0], message, sizeof(message), MSG_NOSIGNAL) != sizeof(message))
		return -EPIPE;
	while (got < sizeof(message)) {
		ssize_t n = recv(l->fds[0], message + got, sizeof(message) - got, 0);

		if (n > 0)
			got += n;
		else if (!n)
			return -ECONNRESET;
		else if (errno == EAGAIN && now_ns() >= l->stop)
			return -ETIME;
		else if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
	return 0;
}

/*
 * A closed loop at a fixed rate: a request goes out at each tick unless the last reply is still
 * missing; ticks that pass meanwhile are counted as missed. A request without a reply at the end
 * counts with its age.
 */
void *probe_run(void *load)
{
	struct load *l = load;
	struct timeval poll = { .tv_usec = 100000 };
	int64_t period = NS_PER_S / l->o->probe_hz, at = l->start;
	size_t room = (l->stop - l->start) / period + 2;

	prctl(PR_SET_TIMERSLACK, 1UL);
	setsockopt(l->fds[0], SOL_SOCKET, SO_RCVTIMEO, &poll, sizeof(poll));
	l->rtt_ns = calloc(room, sizeof(*l->rtt_ns));
	if (!l->rtt_ns)
		err(1, "probe");
	for (; at < l->stop && l->rtt_count < room; at += period) {
		int64_t sent, late = now_ns() - at;
		int r;

		if (late > period) {
			l->missed += late / period;
			at += late / period * period;
		}
		sleep_until(at);
		sent = now_ns();
		if (sent >= l->stop)
			break;
		r = exchange(l);
		l->rtt_ns[l->rtt_count++] = now_ns() - sent;
		if (r) {
			l->failed += r != -ETIME;
			break;
		}
	}
	return NULL;
}

/* Each connection sends a little once a period, spread evenly over the connections. */
void *idle_run(void *load)
{
	struct load *l = load;
	static const char message[SMALL_BYTES];
	int64_t period = l->o->idle_ms * NS_PER_MS;

	for (uint64_t turn = 0;; turn++) {
		int64_t at = l->start + (int64_t)(turn * period / l->fd_count);
		int fd = l->fds[turn % l->fd_count];

		if (at >= l->stop)
			break;
		sleep_until(at);
		if (send(fd, message, sizeof(message), MSG_DONTWAIT | MSG_NOSIGNAL) ==
		    (ssize_t)sizeof(message))
			l->sent++;
		else
			l->failed++;
	}
	return NULL;
}

static void udp_burst(struct load *l, size_t payload, int count)
{
	static char message[UDP_PACKET];

	for (int i = 0; i < count; i++) {
		if (send(l->fds[0], message, payload, MSG_DONTWAIT) >= 0)
			l->sent++;
		else if (errno == EPERM)
			l->refused++;
		else if (errno == EAGAIN || errno == ENOBUFS)
			l->full++;
		else
			l->failed++;
	}
}

/*
 * Sends at a rate. What it could not send because it was not scheduled it makes up for, but not at
 * once: no more than UDP_CATCH_UP times its rate, so that a rate below a limit stays below it.
 */
void *udp_run(void *load)
{
	struct load *l = load;
	bool v4 = l->o->family == AF_INET;
	int mtu = 0, header = v4 ? 28 : 48;
	size_t packet = UDP_PACKET;
	socklen_t len = sizeof(mtu);
	double credit = 0, room = 0, most;

	if (!getsockopt(l->fds[0], v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_MTU : IPV6_MTU, &mtu,
			&len) && mtu < UDP_PACKET)
		packet = mtu;
	most = UDP_CATCH_UP * UDP_BURST_NS * l->o->udp_bps / 8 / NS_PER_S + packet;
	prctl(PR_SET_TIMERSLACK, 1UL);
	for (int64_t at = l->start, last = at; at < l->stop; at += UDP_TICK_NS) {
		double due;
		int64_t now;
		int count;

		sleep_until(at);
		now = now_ns();
		due = l->o->udp_bps / 8 * (now - last) / NS_PER_S;
		last = now;
		credit += due;
		room += UDP_CATCH_UP * due;
		if (room > most)
			room = most;
		count = (credit < room ? credit : room) / packet;
		/* Offered, taken or not: a refused datagram is not offered again. */
		udp_burst(l, packet - header, count);
		credit -= (double)count * packet;
		room -= (double)count * packet;
	}
	l->sent_bytes = l->sent * packet;
	return NULL;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static double percentile_us(const struct load *l, double p)
{
	size_t i = p * l->rtt_count;

	if (!l->rtt_count)
		return 0;
	return l->rtt_ns[i < l->rtt_count ? i : l->rtt_count - 1] / 1000.0;
}

json_t *probe_report(struct load *l)
{
	struct tcp_info info;

	info_read(l->fds[0], &info);
	qsort(l->rtt_ns, l->rtt_count, sizeof(*l->rtt_ns), by_size);
	return json_pack("{s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:i}",
			 "count", (json_int_t)l->rtt_count, "missed", (json_int_t)l->missed,
			 "failed", (json_int_t)l->failed,
			 "p50_us", percentile_us(l, 0.5), "p90_us", percentile_us(l, 0.9),
			 "p99_us", percentile_us(l, 0.99), "max_us", percentile_us(l, 1),
			 "segs_retrans", info.tcpi_total_retrans);
}

json_t *idle_report(struct load *l)
{
	json_int_t acked = 0, bytes_retrans = 0, retrans = 0;
	struct tcp_info info;

	for (size_t i = 0; i < l->fd_count; i++) {
		info_read(l->fds[i], &info);
		acked += info.tcpi_bytes_acked > 1 ? info.tcpi_bytes_acked - 1 : 0;
		bytes_retrans += info.tcpi_bytes_retrans;
		retrans += info.tcpi_total_retrans;
	}
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "flows", (json_int_t)l->fd_count,
			 "sent", (json_int_t)l->sent, "failed", (json_int_t)l->failed,
			 "bytes_acked", acked, "bytes_retrans", bytes_retrans,
			 "segs_retrans", retrans);
}

json_t *udp_report(struct load *l)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "sent", (json_int_t)l->sent,
			 "l3_bytes", (json_int_t)l->sent_bytes, "refused", (json_int_t)l->refused,
			 "full", (json_int_t)l->full, "failed", (json_int_t)l->failed);
}
