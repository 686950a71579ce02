// SPDX-License-Identifier: Apache-2.0
/*
 * A wire of any length: a TUN device in each of two network namespaces, and every packet that
 * enters one leaves the other half a round trip later. In order, and without loss below the queue's
 * bound.
 * The kernel cuts super-packets into segments before they reach a TUN device, and merges none that
 * leave it: the receiver sees them as a network card without offloads would deliver them.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "traffic.h"

#define SLOT 2048	/* a packet: MTU 1500 and its length and time */
#define SLOTS 65536	/* in flight each way: 780 Mbit/s of full packets at an RTT of 2 s */
#define BATCH 64	/* packets one way before the other way has its turn */

struct slot {
	int64_t due;
	uint32_t len;
	uint8_t data[SLOT - 16];
};

/* What is on its way in one direction: a ring, since all take the same time. */
struct way {
	int in, out;
	struct slot *slots;
	uint64_t head, tail;
	uint64_t packets, bytes, drops;
	int64_t late_sum, late_max;
};

static volatile sig_atomic_t stopped;

static void on_signal(int signo)
{
	(void)signo;
	stopped = 1;
}

static int open_tun(const char *netns, const char *device)
{
	int ns = open(netns, O_RDONLY | O_CLOEXEC), fd;
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };

	if (ns < 0 || setns(ns, CLONE_NEWNET))
		err(1, "%s", netns);
	close(ns);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	strncpy(ifr.ifr_name, device, IFNAMSIZ - 1);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr))
		err(1, "/dev/net/tun: %s", device);
	return fd;
}

/* Takes what has come in; returns whether there may be more. */
static bool take(struct way *w, int64_t delay)
{
	for (int i = 0; i < BATCH; i++) {
		struct slot *s = &w->slots[w->head % SLOTS];
		ssize_t n = read(w->in, s->data, sizeof(s->data));

		if (n < 0)
			return false;
		if (w->head - w->tail == SLOTS - 1) {
			w->drops++;
			continue;
		}
		s->len = n;
		s->due = now_ns() + delay;
		w->head++;
	}
	return true;
}

/* Sends what is due; returns when the next one is, or INT64_MAX. */
static int64_t give(struct way *w)
{
	while (w->tail != w->head) {
		struct slot *s = &w->slots[w->tail % SLOTS];
		int64_t late = now_ns() - s->due;

		if (late < 0)
			return s->due;
		w->tail++;
		if (write(w->out, s->data, s->len) < 0) {
			w->drops++;
			continue;
		}
		w->packets++;
		w->bytes += s->len;
		w->late_sum += late;
		if (late > w->late_max)
			w->late_max = late;
	}
	return INT64_MAX;
}

static void carry(struct way *w, int64_t delay)
{
	struct pollfd fds[2] = { { .fd = w[0].in, .events = POLLIN },
				 { .fd = w[1].in, .events = POLLIN } };

	while (!stopped) {
		bool more = take(&w[0], delay) | take(&w[1], delay);
		int64_t a = give(&w[0]), b = give(&w[1]), wait = (a < b ? a : b) - now_ns();
		struct timespec t;

		if (more || wait <= 0)
			continue;
		if (wait > NS_PER_S)
			wait = NS_PER_S;
		t.tv_sec = wait / NS_PER_S;
		t.tv_nsec = wait % NS_PER_S;
		ppoll(fds, 2, &t, NULL);
	}
}

static json_t *way_report(const struct way *w)
{
	return json_pack("{s:I, s:I, s:I, s:f, s:f}", "packets", (json_int_t)w->packets, "bytes",
			 (json_int_t)w->bytes, "drops", (json_int_t)w->drops, "late_mean_us",
			 w->packets ? w->late_sum / 1e3 / w->packets : 0.0, "late_max_us",
			 w->late_max / 1e3);
}

int delay_main(const struct delay_options *o)
{
	int a = open_tun(o->from, o->device), b = open_tun(o->to, o->device);
	struct way w[2] = { { .in = a, .out = b }, { .in = b, .out = a } };
	struct sigaction sa = { .sa_handler = on_signal };
	json_t *report;

	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	prctl(PR_SET_TIMERSLACK, 1000UL);
	for (int i = 0; i < 2; i++) {
		w[i].slots = calloc(SLOTS, sizeof(struct slot));
		if (!w[i].slots)
			errx(1, "no memory");
	}
	carry(w, o->rtt_ms * NS_PER_MS / 2);
	report = json_pack("{s:o, s:o}", "there", way_report(&w[0]), "back", way_report(&w[1]));
	if (!report || json_dumpf(report, stdout, JSON_INDENT(1)) || puts("") == EOF)
		errx(1, "cannot print the report");
	json_decref(report);
	return 0;
}
