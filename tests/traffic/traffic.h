/* SPDX-License-Identifier: Apache-2.0 */
/*
 * traffic: an instrument that makes traffic and measures it at the receiving end. It knows nothing
 * of podpace and uses no BPF, so that what it says about a limit is independent of the limiter.
 *
 * Ports of a receiver at --port P: P bulk sink, P+1 echo (latency probe), P+2 UDP sink, P+3 sink
 * for near-idle connections. Times are CLOCK_MONOTONIC in nanoseconds; sizes are L3 bytes (IP
 * packets, headers once per segment on the wire) unless a name says payload.
 */
#ifndef TRAFFIC_H
#define TRAFFIC_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <jansson.h>

#define PORT_ECHO	1
#define PORT_UDP	2
#define PORT_IDLE	3

#define SMALL_BYTES	100	/* payload of a probe request, its reply, and of a near-idle send */
#define SAMPLE_NS	(10 * 1000000LL)
#define NS_PER_MS	1000000LL
#define NS_PER_S	1000000000LL

struct tcp_info;

/* A counter over time: cumulative bytes at points that never go back in time or value. */
struct point {
	int64_t ns;
	uint64_t bytes;
};

struct series {
	struct point *points;
	size_t count, room;
};

void series_add(struct series *s, int64_t ns, uint64_t bytes);
/* Bytes at @ns, linear between two points, flat before the first and after the last. */
double series_at(const struct series *s, int64_t ns);
/*
 * The window of @width ns between @begin and @end with the most bytes (or the least, with @least).
 * Returns bytes and, in @ret_start, where the window starts. Exact for the interpolated curve.
 */
double series_window(const struct series *s, int64_t begin, int64_t end, int64_t width, bool least,
		     int64_t *ret_start);
double jain_index(const double *values, size_t count);

enum role {
	ROLE_BULK,
	ROLE_IDLE,
	ROLE_ECHO,
};

/* One accepted connection at the receiver. */
struct flow {
	int fd;			/* -1 once closed */
	enum role role;
	bool open;
	int ip_header;		/* 20 or 40 */
	char peer[INET6_ADDRSTRLEN];
	int port;
	int64_t opened, closed;
	uint64_t bytes;		/* L3, at the last sample */
	uint64_t payload;
	double at_from, at_to;	/* L3 bytes when the measuring window opened and closed */
	bool passed_from, passed_to;
	int64_t progress;	/* when bytes was last seen to grow */
	int64_t stall;		/* longest time without growth inside the window, ns */
	struct series curve;	/* each 100 ms, with --series only */
};

struct receive_options {
	int port;
	double seconds;		/* hard stop after the start of the process; 0: none */
	double from, to;	/* measuring window, seconds after the first data byte */
	bool series, keep;
};

struct receiver {
	struct receive_options o;
	struct flow **flows;
	size_t flow_count, flow_room, open_count;
	int poll_fd, echo_fd, udp_fd, timer_fd, signal_fd;
	struct series wire, all, bulk, udp;
	int64_t first;		/* when the first data arrived, 0 before */
	int64_t sampled;	/* time of the last sample */
	int64_t sample_gap;	/* longest time between two samples since first */
	int64_t last_open;	/* last time any connection was open */
	int64_t end;		/* when the last bulk flow or, without bulk, connection closed */
	uint64_t udp_bytes, udp_datagrams;
	uint64_t total, bulk_total, wire_total;
	int tcp_header;		/* of the segments received, with options */
};

/* flow.c: counting */
void flow_update(struct receiver *r, struct flow *f, int64_t now);
void receiver_sample(struct receiver *r, int64_t now);
json_t *receiver_report(struct receiver *r);

/* The port lies at the same place in both. */
union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct send_options {
	union address addr;
	socklen_t addr_len;
	int family;		/* AF_INET, AF_INET6 */
	int flows, idle;
	double seconds;
	const char *cc;		/* NULL: the system's */
	double probe_hz;
	double udp_bps;		/* L3 bits/s */
	double flow_bps;	/* payload bits/s of each flow, 0: as fast as it goes */
	int on_ms, off_ms, stagger_ms;
	int idle_ms;		/* between two sends of a near-idle connection */
	bool open_now;
	int short_clients;	/* beside the flows, each with one connection after another */
	uint64_t short_bytes;	/* payload of each */
};

struct delay_options {
	const char *from, *to;	/* paths of network namespaces */
	const char *device;	/* its name in both */
	double rtt_ms;
};

/* wire.c: bytes of all IP packets that arrived in this network namespace so far */
uint64_t wire_bytes(int tcp_header);

/* load.c: what runs beside the bulk flows, each in a thread of its own between start and stop */
struct load {
	const struct send_options *o;
	int64_t start, stop;
	int *fds;
	size_t fd_count;
	uint64_t *rtt_ns;	/* probe: a value a reply */
	size_t rtt_count;
	uint64_t sent, sent_bytes, refused, full, missed, failed;
};

void *probe_run(void *load);
void *idle_run(void *load);
void *udp_run(void *load);
json_t *probe_report(struct load *l);
json_t *idle_report(struct load *l);
json_t *udp_report(struct load *l);

/* short.c: the short connections, between start and stop; blocks. Their report. */
json_t *short_run(const struct send_options *o, int64_t start, int64_t stop);

int receive_main(const struct receive_options *o);
int send_main(const struct send_options *o);
int delay_main(const struct delay_options *o);
/* A socket connected to port + @offset; waits up to 2 s for a receiver that is not there yet. */
int connect_to(const struct send_options *o, int offset, int type);
void info_read(int fd, struct tcp_info *ret);

static inline int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static inline void sleep_until(int64_t ns)
{
	struct timespec ts = { .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL))
		;
}

#endif
