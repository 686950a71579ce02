// SPDX-License-Identifier: Apache-2.0
/*
 * Short connections: each client opens one, sends so many bytes, shuts it down and waits until the
 * other end has closed it too, so that all has arrived; then it opens the next.
 */
#include <err.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "traffic.h"

struct client {
	const struct send_options *o;
	int64_t start, stop;
	pthread_t thread;
	uint64_t failed;
	size_t count, room;
	int64_t *took_ns; /* of each connection, from connect() on */
};

/* 0, or -1 if it was not closed in order. */
static int converse(const struct client *c)
{
	static const char data[65536];
	struct timeval patience = { .tv_sec = 5 };
	uint64_t left = c->o->short_bytes;
	int fd = connect_to(c->o, 0, SOCK_STREAM), r = -1;
	char end;

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	while (left) {
		ssize_t n = send(fd, data, left < sizeof(data) ? left : sizeof(data), MSG_NOSIGNAL);

		if (n <= 0)
			break;
		left -= n;
	}
	if (!left && !shutdown(fd, SHUT_WR))
		r = recv(fd, &end, 1, 0) ? -1 : 0;
	close(fd);
	return r;
}

static void *client_run(void *arg)
{
	struct client *c = arg;

	for (sleep_until(c->start); now_ns() < c->stop;) {
		int64_t begun = now_ns();

		if (converse(c)) {
			c->failed++;
			continue;
		}
		if (c->count == c->room) {
			c->room = c->room ? 2 * c->room : 256;
			c->took_ns = reallocarray(c->took_ns, c->room, sizeof(*c->took_ns));
			if (!c->took_ns)
				err(1, "clients");
		}
		c->took_ns[c->count++] = now_ns() - begun;
	}
	return NULL;
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static json_t *report(const struct client *clients, int n)
{
	uint64_t failed = 0;
	size_t count = 0, at = 0;
	int64_t *all;
	json_t *r;

	for (int i = 0; i < n; i++) {
		count += clients[i].count;
		failed += clients[i].failed;
	}
	all = calloc(count + 1, sizeof(*all));
	if (!all)
		err(1, "clients");
	for (int i = 0; i < n; i++) {
		if (clients[i].count)
			memcpy(all + at, clients[i].took_ns, clients[i].count * sizeof(*all));
		at += clients[i].count;
	}
	qsort(all, count, sizeof(*all), by_size);
	r = json_pack("{s:I, s:I, s:f, s:f, s:f}", "count", (json_int_t)count, "failed",
		      (json_int_t)failed, "p50_ms", (double)all[count / 2] / NS_PER_MS, "p99_ms",
		      (double)all[count * 99 / 100] / NS_PER_MS, "max_ms",
		      (double)all[count ? count - 1 : 0] / NS_PER_MS);
	free(all);
	return r;
}

json_t *short_run(const struct send_options *o, int64_t start, int64_t stop)
{
	struct client *clients = calloc(o->short_clients + 1, sizeof(*clients));
	json_t *r;

	if (!clients)
		err(1, "clients");
	for (int i = 0; i < o->short_clients; i++) {
		clients[i] = (struct client){ .o = o, .start = start, .stop = stop };
		if (pthread_create(&clients[i].thread, NULL, client_run, &clients[i]))
			errx(1, "cannot start a thread");
	}
	for (int i = 0; i < o->short_clients; i++)
		pthread_join(clients[i].thread, NULL);
	r = report(clients, o->short_clients);
	for (int i = 0; i < o->short_clients; i++)
		free(clients[i].took_ns);
	free(clients);
	return r;
}
