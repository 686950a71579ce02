// SPDX-License-Identifier: Apache-2.0
/*
 * The sending end: opens its bulk connections, starts them at one instant, keeps every one
 * supplied by nonblocking writes until the time is over, then aborts them so that nothing queued
 * lengthens the run.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "traffic.h"

#define WRITE_BYTES	(256 << 10)
#define CONNECT_NS	(30 * NS_PER_S)	/* how long connections may take to open */
#define SETTLE_NS	(50 * NS_PER_MS) /* between the last handshake and the start */
#define TICK_MS		2		/* for flows that start, stop or fill up by the clock */

struct stream {
	int fd, error;
	bool connected, writing;
	int64_t begun, start;		/* of connect(), of the first write */
	double connect_ms;
	uint32_t syn_retrans;
	double credit;			/* payload bytes that --flow-rate allows */
	int64_t ticks, behind;		/* and what TCP had not sent of it, summed over the ticks */
};

struct sender {
	const struct send_options *o;
	struct stream *streams;
	int poll_fd;
	int64_t ticked;
};

static int socket_new(const struct send_options *o, int offset, int type)
{
	int fd = socket(o->family, type | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		err(1, "socket");
	if (type == SOCK_DGRAM)
		return fd;
	if (o->cc && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, o->cc, strlen(o->cc)))
		err(1, "congestion control %s", o->cc);
	if (offset && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
		err(1, "TCP_NODELAY");
	return fd;
}

static int connect_once(const struct send_options *o, int fd, int offset)
{
	union address addr = o->addr;

	addr.v4.sin_port = htons(ntohs(addr.v4.sin_port) + offset);
	return connect(fd, &addr.any, o->addr_len) ? -errno : 0;
}

int connect_to(const struct send_options *o, int offset, int type)
{
	int64_t give_up = now_ns() + 2 * NS_PER_S;

	for (;;) {
		int fd = socket_new(o, offset, type), r = connect_once(o, fd, offset);

		if (!r)
			return fd;
		if (r != -ECONNREFUSED || now_ns() > give_up)
			errx(1, "connect: %s", strerror(-r));
		close(fd);
		sleep_until(now_ns() + 20 * NS_PER_MS);
	}
}

static void want(struct sender *s, struct stream *t, bool writing)
{
	struct epoll_event ev = { .events = writing ? EPOLLOUT : 0, .data.ptr = t };

	if (t->writing == writing)
		return;
	t->writing = writing;
	if (epoll_ctl(s->poll_fd, EPOLL_CTL_MOD, t->fd, &ev))
		err(1, "epoll_ctl");
}

static void stream_open(struct sender *s, struct stream *t)
{
	struct epoll_event ev = { .events = EPOLLOUT, .data.ptr = t };
	int r;

	t->begun = now_ns();
	t->fd = socket_new(s->o, 0, SOCK_STREAM | SOCK_NONBLOCK);
	t->writing = true;	/* until connected, writable means connected */
	r = connect_once(s->o, t->fd, 0);
	if (r && r != -EINPROGRESS)
		errx(1, "connect: %s", strerror(-r));
	if (epoll_ctl(s->poll_fd, EPOLL_CTL_ADD, t->fd, &ev))
		err(1, "epoll_ctl");
}

static void stream_fail(struct sender *s, struct stream *t, int error)
{
	t->error = error;
	epoll_ctl(s->poll_fd, EPOLL_CTL_DEL, t->fd, NULL);
}

static void stream_connected(struct sender *s, struct stream *t)
{
	struct tcp_info info;
	socklen_t len = sizeof(int);
	int error = 0;

	getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		stream_fail(s, t, error);
		return;
	}
	info_read(t->fd, &info);
	t->connected = true;
	t->connect_ms = (double)(now_ns() - t->begun) / NS_PER_MS;
	t->syn_retrans = info.tcpi_total_retrans;
	if (!s->o->open_now)
		want(s, t, false);
}

static void stream_write(struct sender *s, struct stream *t)
{
	static char data[WRITE_BYTES];
	size_t size = sizeof(data);
	ssize_t n;

	if (s->o->flow_bps > 0) {
		if (t->credit < 1) {
			want(s, t, false);
			return;
		}
		if (t->credit < size)
			size = t->credit;
	}
	n = send(t->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		t->credit -= n;
	else if (errno != EAGAIN && errno != EINTR)
		stream_fail(s, t, errno);
}

/* What was written at the ticks before and has not left yet: the stream is late by that. */
static void note_behind(struct stream *t)
{
	int unsent;

	if (ioctl(t->fd, SIOCOUTQNSD, &unsent))
		err(1, "SIOCOUTQNSD");
	t->behind += unsent;
	t->ticks++;
}

/* Opens, starts and pauses what goes by the clock. */
static void tick(struct sender *s, int64_t now)
{
	const struct send_options *o = s->o;
	double earned = s->ticked ? o->flow_bps / 8 * (now - s->ticked) / NS_PER_S : 0;
	int64_t period = (o->on_ms + o->off_ms) * NS_PER_MS;

	s->ticked = now;
	for (int i = 0; i < o->flows; i++) {
		struct stream *t = &s->streams[i];
		bool on = !period || (now - t->start) % period < o->on_ms * NS_PER_MS;

		if (t->error || now < t->start)
			continue;
		if (t->fd < 0)
			stream_open(s, t);
		if (!t->connected)
			continue;
		if (o->flow_bps > 0)
			note_behind(t);
		/* What was not sent is not saved up beyond 20 ms: the rate is a rate. */
		t->credit += earned;
		if (t->credit > o->flow_bps / 8 / 50)
			t->credit = o->flow_bps / 8 / 50;
		want(s, t, on && (o->flow_bps <= 0 || t->credit >= 1));
	}
}

static void step(struct sender *s, int64_t until, bool by_clock)
{
	struct epoll_event events[256];
	int64_t left = until - now_ns();
	int wait_ms = left <= 0 ? 0 : left / NS_PER_MS + 1, n;

	if (by_clock && wait_ms > TICK_MS)
		wait_ms = TICK_MS;
	n = epoll_wait(s->poll_fd, events, 256, wait_ms);
	for (int i = 0; i < n; i++) {
		struct stream *t = events[i].data.ptr;

		if (!t->connected)
			stream_connected(s, t);
		else if (t->writing)
			stream_write(s, t);
		else if (events[i].events & (EPOLLERR | EPOLLHUP))
			stream_fail(s, t, ECONNRESET);
	}
	if (by_clock && now_ns() - s->ticked >= TICK_MS * NS_PER_MS)
		tick(s, now_ns());
}

static void open_all(struct sender *s)
{
	int64_t give_up = now_ns() + CONNECT_NS;
	int left;

	for (int i = 0; i < s->o->flows; i++)
		stream_open(s, &s->streams[i]);
	do {
		left = 0;
		for (int i = 0; i < s->o->flows; i++)
			left += !s->streams[i].connected && !s->streams[i].error;
		if (left)
			step(s, now_ns() + 100 * NS_PER_MS, false);
	} while (left && now_ns() < give_up);
	if (left)
		errx(1, "%d of %d connections did not open", left, s->o->flows);
}

/*
 * A counter of this network namespace, from the pairs of lines (names, values) of
 * /proc/net/netstat; 0 where the kernel has none of that name.
 */
static json_int_t tcp_counter(const char *name)
{
	FILE *file = fopen("/proc/net/netstat", "re");
	char *lines[2] = {}, *at[2], *key, *value;
	size_t room[2] = {};
	json_int_t count = 0;

	if (!file)
		err(1, "/proc/net/netstat");
	while (getline(&lines[0], &room[0], file) > 0 && getline(&lines[1], &room[1], file) > 0) {
		at[0] = lines[0];
		at[1] = lines[1];
		while ((key = strsep(&at[0], " \n")) && (value = strsep(&at[1], " \n")))
			if (!strcmp(key, name))
				count = strtoll(value, NULL, 10);
	}
	free(lines[0]);
	free(lines[1]);
	fclose(file);
	return count;
}

/*
 * What TCP sends again without a loss. Its last segment, when an ACK is late by a few milliseconds
 * (RFC 8985, tail loss probe), as where another process has the receiver's processor: only a probe
 * that was answered by new data alone repaired a loss. And segments that others overtook: a veth
 * pair queues packets on the processor that sends them, so when a socket's packets leave from
 * another one, as when an iterator lets go of it, they may pass those before; TCP finds out, and
 * undoes what it did to its window (RFC 3522, RFC 3708).
 */
static const char *const spurious_names[][2] = {
	{ "loss_probes", "TCPLossProbes" },	{ "loss_probes_repaired", "TCPLossProbeRecovery" },
	{ "full_undos", "TCPFullUndo" },	{ "partial_undos", "TCPPartialUndo" },
	{ "dsack_undos", "TCPDSACKUndo" },	{ "loss_undos", "TCPLossUndo" },
	{ "timeouts", "TCPTimeouts" },		/* these are not spurious */
	{ "syn_timeouts", "TCPSynRetrans" },	/* of them; a handshake that waits has one */
};
enum { N_SPURIOUS = sizeof(spurious_names) / sizeof(spurious_names[0]) };

static void spurious_count(json_int_t counts[N_SPURIOUS])
{
	for (int i = 0; i < N_SPURIOUS; i++)
		counts[i] = tcp_counter(spurious_names[i][1]) - counts[i];
}

/* How late a stream of --flow-rate was on average: its unsent bytes, at its rate. */
static double behind_ms(const struct sender *s, const struct stream *t)
{
	return t->ticks ? (double)t->behind / t->ticks * 8e3 / s->o->flow_bps : 0;
}

static json_t *stream_report(const struct sender *s, struct stream *t, json_int_t sums[4])
{
	struct tcp_info info;
	json_int_t segments, values[4];

	if (t->fd < 0)
		return json_pack("{s:s}", "error", "not started");
	info_read(t->fd, &info);
	/* bytes_acked counts the SYN once it is acknowledged. */
	values[0] = info.tcpi_bytes_acked > 1 ? info.tcpi_bytes_acked - 1 : 0;
	values[1] = info.tcpi_bytes_retrans;
	segments = info.tcpi_total_retrans - t->syn_retrans;
	values[2] = segments;
	values[3] = info.tcpi_data_segs_out;
	for (int i = 0; i < 4; i++)
		sums[i] += values[i];
	return json_pack("{s:I, s:I, s:I, s:I, s:i, s:i, s:f, s:f, s:i, s:i, s:i, s:I, s:s}",
			 "bytes_acked", values[0], "bytes_retrans", values[1],
			 "segs_retrans", values[2], "data_segs_out", values[3],
			 "total_retrans", info.tcpi_total_retrans, "syn_retrans", t->syn_retrans,
			 "connect_ms", t->connect_ms, "behind_ms", behind_ms(s, t),
			 "rtt_us", info.tcpi_rtt,
			 "min_rtt_us", info.tcpi_min_rtt, "cwnd", info.tcpi_snd_cwnd,
			 "pacing_rate_bps", (json_int_t)(info.tcpi_pacing_rate == UINT64_MAX ? -1 :
							 (json_int_t)info.tcpi_pacing_rate * 8),
			 "error", t->error ? strerror(t->error) : "");
}

static json_t *streams_report(struct sender *s)
{
	static const char *const names[] = { "bytes_acked", "bytes_retrans", "segs_retrans",
					     "data_segs_out" };
	json_t *report = json_object(), *array = json_array();
	struct linger abort_now = { .l_onoff = 1 };
	json_int_t sums[4] = {}, failed = 0;
	char cc[16] = "";
	int mss = 0;

	for (int i = 0; i < s->o->flows; i++) {
		struct stream *t = &s->streams[i];
		socklen_t cc_len = sizeof(cc) - 1, mss_len = sizeof(mss);

		failed += t->error != 0;
		json_array_append_new(array, stream_report(s, t, sums));
		if (t->fd < 0)
			continue;
		if (!mss) {
			getsockopt(t->fd, IPPROTO_TCP, TCP_CONGESTION, cc, &cc_len);
			getsockopt(t->fd, IPPROTO_TCP, TCP_MAXSEG, &mss, &mss_len);
		}
		setsockopt(t->fd, SOL_SOCKET, SO_LINGER, &abort_now, sizeof(abort_now));
	}
	for (int i = 0; i < s->o->flows; i++)
		if (s->streams[i].fd >= 0)
			close(s->streams[i].fd);
	json_object_set_new(report, "cc", json_string(cc));
	json_object_set_new(report, "mss", json_integer(mss));
	json_object_set_new(report, "family", json_integer(s->o->family == AF_INET ? 4 : 6));
	json_object_set_new(report, "failed", json_integer(failed));
	for (int i = 0; i < 4; i++)
		json_object_set_new(report, names[i], json_integer(sums[i]));
	json_object_set_new(report, "flows", array);
	return report;
}

static void loads_start(struct load loads[3], pthread_t threads[3])
{
	static void *(*const run[3])(void *) = { probe_run, idle_run, udp_run };

	for (int i = 0; i < 3; i++)
		if (loads[i].o && pthread_create(&threads[i], NULL, run[i], &loads[i]))
			errx(1, "cannot start a thread");
}

static struct load load_open(const struct send_options *o, int count, int offset, int type)
{
	struct load l = { .o = o, .fd_count = count, .fds = calloc(count, sizeof(int)) };

	if (!l.fds)
		err(1, "load");
	for (int i = 0; i < count; i++)
		l.fds[i] = connect_to(o, offset, type);
	return l;
}

static void bulk_run(struct sender *s, int64_t start, int64_t stop)
{
	const struct send_options *o = s->o;
	bool by_clock = o->open_now || o->stagger_ms || o->on_ms || o->flow_bps > 0;

	for (int i = 0; i < o->flows; i++)
		s->streams[i].start = start + (int64_t)i * o->stagger_ms * NS_PER_MS;
	sleep_until(start);
	if (o->flows)
		tick(s, now_ns());
	while (o->flows && now_ns() < stop)
		step(s, stop, by_clock);
	sleep_until(stop);
}

struct shorts {
	const struct send_options *o;
	int64_t start, stop;
	pthread_t thread;
	json_t *report;
};

static void *shorts_run(void *arg)
{
	struct shorts *s = arg;

	s->report = short_run(s->o, s->start, s->stop);
	return NULL;
}

static void shorts_start(struct shorts *s, int64_t start, int64_t stop)
{
	s->start = start;
	s->stop = stop;
	if (s->o->short_clients && pthread_create(&s->thread, NULL, shorts_run, s))
		errx(1, "cannot start a thread");
}

static void shorts_finish(struct shorts *s, json_t *report)
{
	if (!s->o->short_clients)
		return;
	pthread_join(s->thread, NULL);
	json_object_set_new(report, "short", s->report);
}

int send_main(const struct send_options *o)
{
	static json_t *(*const reports[3])(struct load *) = { probe_report, idle_report,
							      udp_report };
	static const char *const names[3] = { "probe", "idle", "udp" };
	struct sender s = { .o = o, .poll_fd = epoll_create1(EPOLL_CLOEXEC) };
	bool alone = !o->flows && o->probe_hz <= 0 && !o->idle;
	struct load loads[3] = {};
	struct shorts shorts = { .o = o };
	pthread_t threads[3];
	struct rlimit files;
	json_int_t spurious[N_SPURIOUS] = {};
	int64_t start, stop;
	json_t *report;
	int control;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	s.streams = calloc(o->flows + 1, sizeof(*s.streams));
	if (!s.streams || s.poll_fd < 0)
		err(1, "sender");
	for (int i = 0; i < o->flows; i++)
		s.streams[i].fd = -1;
	/* Waits for the receiver; kept where nothing else would tell it that a sender is there. */
	control = connect_to(o, PORT_IDLE, SOCK_STREAM);
	if (o->probe_hz > 0)
		loads[0] = load_open(o, 1, PORT_ECHO, SOCK_STREAM);
	if (o->idle)
		loads[1] = load_open(o, o->idle, PORT_IDLE, SOCK_STREAM);
	if (o->udp_bps > 0)
		loads[2] = load_open(o, 1, PORT_UDP, SOCK_DGRAM);
	if (!o->open_now)
		open_all(&s);
	if (!alone)
		close(control);
	start = now_ns() + SETTLE_NS;
	stop = start + (int64_t)(o->seconds * NS_PER_S);
	for (int i = 0; i < 3; i++) {
		loads[i].start = start;
		loads[i].stop = stop;
	}
	spurious_count(spurious);
	loads_start(loads, threads);
	shorts_start(&shorts, start, stop);
	bulk_run(&s, start, stop);
	spurious_count(spurious);
	report = streams_report(&s);
	shorts_finish(&shorts, report);
	for (int i = 0; i < N_SPURIOUS; i++)
		json_object_set_new(report, spurious_names[i][0], json_integer(spurious[i]));
	for (int i = 0; i < 3; i++) {
		if (!loads[i].o)
			continue;
		pthread_join(threads[i], NULL);
		json_object_set_new(report, names[i], reports[i](&loads[i]));
	}
	json_dumpf(report, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
	putchar('\n');
	json_decref(report);
	return 0;
}
