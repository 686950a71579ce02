// SPDX-License-Identifier: Apache-2.0
// The egress program under real sockets: what a pipe counts is what leaves the host, to the byte,
// and what is refused is told to the socket as it should be.
//
// The programs are attached to a cgroup below the test's own. Its packets leave by a TUN device,
// where the test reads each of them, segmented by the kernel; the test is the TCP peer, too.
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/udp.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bpf/law.h"
#include "pipe.h"
#include "rig.h"
#include "tap.h"
#include "wire.h"

#define FAST PP_RATE_MAX
#define DEEP (3 * PP_MAX_DEPTH)
#define MEDIUM 10000000 /* bytes/s; an epoch takes 10 ms */

static struct wire wire;
static uint64_t cgroup; /* that the sockets are in */

static const struct {
	const char *name;
	bool v6;
	bool timestamps;
	uint32_t headers; /* of a data segment */
} kinds[] = {
	{ "v4", false, false, 40 },
	{ "v4 with timestamps", false, true, 52 },
	{ "v6", true, false, 60 },
	{ "v6 with timestamps", true, true, 72 },
};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void clear_counts(void)
{
	wire_settle(&wire, 20);
	wire.packets = wire.bytes = wire.payload = 0;
	wire.fin = false;
}

static void use_kind(size_t i)
{
	wire.v6 = kinds[i].v6;
	wire.timestamps = kinds[i].timestamps;
	clear_counts();
}

static void set_queue(struct pp_pipe *p, uint64_t ns)
{
	p->vt = (rig_now() + ns) << PP_TICKS;
}

static int make_socket(int type, int protocol)
{
	int family = wire.v6 ? AF_INET6 : AF_INET, one = 1;
	int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);

	if (fd < 0)
		rig_die("socket");
	if (type == SOCK_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* A TCP connection to the peer. */
static int open_connection(void)
{
	struct sockaddr_in6 to;
	socklen_t len = wire_peer(&wire, 7000, &to);
	int fd = make_socket(SOCK_STREAM, 0);
	struct tcp_info info = { 0 };

	if (connect(fd, (struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS)
		rig_die("connect");
	for (int i = 0; i < 100 && info.tcpi_state != TCP_ESTABLISHED; i++) {
		wire_poll(&wire, 20);
		len = sizeof(info);
		getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
	}
	if (info.tcpi_state != TCP_ESTABLISHED)
		rig_die("no connection");
	wire_settle(&wire, 20);
	return fd;
}

static uint64_t egress_runs(void)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(bpf_program__fd(rig.skel->progs.pp_egress), &info, &len))
		rig_die("bpf_prog_info");
	return info.run_cnt;
}

static void send_all(int fd, size_t bytes)
{
	static const char zeros[65536];

	while (bytes) {
		size_t some = bytes < sizeof(zeros) ? bytes : sizeof(zeros);
		ssize_t n = send(fd, zeros, some, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			rig_die("send");
		bytes -= n < 0 ? 0 : n;
		wire_poll(&wire, n < 0 ? 10 : 0);
	}
}

/* Everything of a connection, from SYN to FIN. */
static void test_stream(size_t kind)
{
	const uint64_t bytes = 500000;
	const char *name = kinds[kind].name;
	struct pp_pipe *p;
	uint64_t runs;
	int fd;

	rig_clear();
	use_kind(kind);
	p = rig_limit(1, cgroup, FAST);
	runs = egress_runs();
	fd = open_connection();
	send_all(fd, bytes);
	shutdown(fd, SHUT_WR);
	for (int i = 0; i < 200 && !wire.fin; i++)
		wire_poll(&wire, 50);
	wire_settle(&wire, 100);
	runs = egress_runs() - runs;
	is_u64(wire.payload, bytes, "TCP %s: the peer has it all", name);
	is_u64(p->packets, wire.packets, "TCP %s: packets are those on the wire", name);
	is_u64(p->bytes, wire.bytes, "TCP %s: bytes are those on the wire", name);
	is_u64(all_refused(p), 0, "TCP %s: none refused", name);
	ok(runs * 2 < wire.packets, "TCP %s: in super-packets, %" PRIu64 " for %" PRIu64, name,
	   runs, wire.packets);
	is_u64(p->mss > p->mss_now ? p->mss : p->mss_now, WIRE_MTU, "TCP %s: largest segment",
	       name);
	wire_reset(&wire, fd);
}

static void test_datagrams(bool v6)
{
	const char *name = v6 ? "v6" : "v4";
	struct sockaddr_in6 to;
	uint64_t runs, headers = v6 ? 48 : 28;
	char data[5000] = "";
	int fd, size = 400;
	struct pp_pipe *p;
	socklen_t len;

	rig_clear();
	use_kind(v6 ? 2 : 0);
	p = rig_limit(1, cgroup, FAST);
	len = wire_peer(&wire, 7001, &to);
	fd = make_socket(SOCK_DGRAM, 0);
	if (connect(fd, (struct sockaddr *)&to, len) < 0)
		rig_die("connect");
	is_u64(send(fd, data, 1000, 0), 1000, "UDP %s: sent", name);
	is_u64(p->bytes, 1000 + headers, "UDP %s: bytes", name);
	if (setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)) < 0) {
		skip("no UDP_SEGMENT");
	} else {
		runs = egress_runs();
		is_u64(send(fd, data, 4100, 0), 4100, "UDP %s segments: sent", name);
		is_u64(egress_runs() - runs, 1, "UDP %s segments: as one super-packet", name);
	}
	wire_settle(&wire, 50);
	is_u64(p->packets, wire.packets, "UDP %s: packets are those on the wire", name);
	is_u64(p->bytes, wire.bytes, "UDP %s: bytes are those on the wire", name);
	is_u64(wire.packets, 12, "UDP %s: 1 and 11 packets", name);

	/* what is refused is lost without a word: EPERM would say that a rule forbids it */
	clear_counts();
	size = 0;
	setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size));
	p = rig_limit_queue(1, cgroup, MEDIUM, 60 * PP_NSEC);
	is_u64(send(fd, data, 1000, 0), 1000, "UDP %s refused: the application sees no error",
	       name);
	is_u64(p->refused[PP_REFUSED_HARD], 1, "UDP %s refused: counted", name);
	is_u64(p->refused_bytes, 1000 + headers, "UDP %s refused: bytes", name);
	p = rig_limit_queue(1, cgroup, MEDIUM, 80 * PP_MSEC);
	is_u64(send(fd, data, 1000, 0), 1000, "UDP %s in a queue of 80 ms: no error", name);
	is_u64(p->refused[PP_REFUSED_QUEUE], 1, "UDP %s in a queue of 80 ms: refused", name);
	wire_settle(&wire, 20);
	is_u64(wire.packets, 0, "UDP %s refused: nothing leaves", name);
	close(fd);
}

/*
 * SYN, SYN-ACK, ACK and small segments pass a queue that no data may join. TCP keeps the data and
 * sends it later.
 */
static void test_high_queue(size_t kind)
{
	const char *name = kinds[kind].name;
	char data[1000] = "";
	struct pp_pipe *p;
	int fd;

	rig_clear();
	use_kind(kind);
	p = rig_limit_queue(1, cgroup, MEDIUM, PP_NSEC * 19 / 10);
	fd = open_connection();
	is_u64(p->packets, 2, "queue of 1.9 s, TCP %s: SYN and ACK pass", name);
	is_u64(send(fd, data, 20, 0), 20, "queue of 1.9 s, TCP %s: 20 bytes sent", name);
	wire_settle(&wire, 20);
	is_u64(wire.payload, 20, "queue of 1.9 s, TCP %s: 20 bytes pass", name);
	is_u64(send(fd, data, 1000, 0), 1000, "queue of 1.9 s, TCP %s: 1000 bytes sent", name);
	is_u64(p->refused[PP_REFUSED_HARD], 1, "queue of 1.9 s, TCP %s: 1000 bytes are refused",
	       name);
	is_u64(p->refused_bytes, 1000 + kinds[kind].headers,
	       "queue of 1.9 s, TCP %s: bytes refused", name);
	is_u64(p->packets, wire.packets, "queue of 1.9 s, TCP %s: packets are those on the wire",
	       name);
	is_u64(wire.packets, 3, "queue of 1.9 s, TCP %s: three of them", name);
	p->vt = rig_now() << PP_TICKS;
	for (int i = 0; i < 100 && wire.payload < 1020; i++)
		wire_poll(&wire, 20);
	is_u64(wire.payload, 1020, "queue gone, TCP %s: the data come", name);
	wire_reset(&wire, fd);
}

/* The answer to a SYN is the listener's packet. */
static void test_listener(size_t kind)
{
	static uint16_t port = 7100; /* each time another: the peer never closes */
	const char *name = kinds[kind].name;
	struct sockaddr_in6 at;
	struct pp_pipe *p;
	socklen_t len;
	int fd, child = -1;

	rig_clear();
	use_kind(kind);
	len = wire_host(&wire, ++port, &at);
	fd = make_socket(SOCK_STREAM, 0);
	if (bind(fd, (struct sockaddr *)&at, len) < 0 || listen(fd, 8) < 0)
		rig_die("listen");
	p = rig_limit(1, cgroup, FAST);
	wire_syn(&wire, port);
	for (int i = 0; i < 100 && child < 0; i++) {
		wire_poll(&wire, 20);
		child = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	}
	if (child < 0)
		rig_die("accept");
	is_u64(p->packets, 1, "listener %s: its SYN-ACK is counted", name);
	is_u64(p->bytes, wire.bytes, "listener %s: bytes are those on the wire", name);
	send_all(child, 20000);
	wire_settle(&wire, 50);
	is_u64(p->packets, wire.packets, "accepted %s: packets are those on the wire", name);
	is_u64(p->bytes, wire.bytes, "accepted %s: bytes are those on the wire", name);
	is_u64(wire.payload, 20000, "accepted %s: the peer has it all", name);
	wire_reset(&wire, child);
	close(fd);
}

/*
 * A socket that only looks like TCP, for which CAP_NET_RAW is enough, is held like all that has no
 * pace.
 */
static void test_raw(void)
{
	uint8_t tcp[1000] = { [12] = 5 << 4 };
	struct sockaddr_in6 to;
	struct pp_pipe *p;
	socklen_t len;
	int fd, sent = 0;

	rig_clear();
	use_kind(0);
	fd = make_socket(SOCK_RAW, IPPROTO_TCP);
	len = wire_peer(&wire, 0, &to);
	if (connect(fd, (struct sockaddr *)&to, len) < 0)
		rig_die("connect");
	p = rig_limit(1, cgroup, MEDIUM);
	for (int i = 0; i < 10; i++) {
		set_queue(p, 80 * PP_MSEC);
		sent += send(fd, tcp, sizeof(tcp), 0) == sizeof(tcp);
		set_queue(p, 80 * PP_MSEC);
		sent += send(fd, tcp, 20, 0) == 20;
	}
	is_u64(sent, 20, "raw TCP: the application sees no error");
	is_u64(p->refused[PP_REFUSED_QUEUE], 20, "raw TCP in a queue of 80 ms: refused");
	is_u64(p->refused_bytes, 10 * (1020 + 40), "raw TCP in a queue of 80 ms: bytes refused");
	wire_reset(&wire, fd);
}

/* TCP paces none of its first ten segments: only one may be in flight while a queue stands. */
static void test_opening(size_t kind)
{
	const char *name = kinds[kind].name;
	uint32_t segment = 1000 + kinds[kind].headers;
	struct pp_pipe *p;
	char data[1000] = "";
	int fd;

	rig_clear();
	use_kind(kind);
	p = rig_limit(1, cgroup, MEDIUM);
	fd = open_connection();
	is_u64(p->packets, 2, "opening %s: SYN and ACK", name);
	set_queue(p, PP_NSEC / 2);
	is_u64(send(fd, data, 1000, 0), 1000, "opening %s, queue 0.5 s: sent", name);
	is_u64(p->refused[PP_REFUSED_OPENING], 1,
	       "opening %s, queue 0.5 s: the first segment waits", name);
	wire_reset(&wire, fd);

	fd = open_connection();
	p = rig_limit(1, cgroup, MEDIUM);
	set_queue(p, 80 * PP_MSEC);
	is_u64(send(fd, data, 1000, 0), 1000, "opening %s, queue 80 ms: sent", name);
	is_u64(p->packets, 1, "opening %s, queue 80 ms: the first segment passes", name);
	set_queue(p, 80 * PP_MSEC);
	is_u64(send(fd, data, 1000, 0), 1000, "opening %s, queue 80 ms: sent again", name);
	is_u64(p->refused[PP_REFUSED_OPENING], 1, "opening %s, queue 80 ms: the second waits",
	       name);
	is_u64(p->refused_bytes, segment, "opening %s, queue 80 ms: bytes refused", name);
	is_u64(all_refused(p), 1, "opening %s, queue 80 ms: refused for this reason only", name);
	is_u64(p->bytes, segment, "opening %s, queue 80 ms: bytes", name);
	p->vt = 0;
	send_all(fd, 20000);
	for (int i = 0; i < 100 && wire.payload < 22000; i++)
		wire_poll(&wire, 20);
	is_u64(wire.payload, 22000, "opening %s: all comes in the end", name);
	memset(p->refused, 0, sizeof(p->refused));
	set_queue(p, 80 * PP_MSEC);
	send_all(fd, 1000);
	for (int i = 0; i < 100 && wire.payload < 23000; i++)
		wire_poll(&wire, 20);
	is_u64(wire.payload, 23000, "opened %s, queue 80 ms: passes", name);
	is_u64(all_refused(p), 0, "opened %s, queue 80 ms: none refused", name);
	wire_reset(&wire, fd);
}

/* The limit is found from a socket as deep below it as the kernel lets cgroups be. */
static void test_deep(void)
{
	char path[16 + 2 * DEEP] = "limited";
	struct pp_pipe *p;
	int fd;

	rig_clear();
	use_kind(0);
	for (int i = 0; i < DEEP; i++)
		strcat(path, "/d");
	p = rig_limit(1, cgroup, FAST);
	rig_enter(path);
	fd = open_connection();
	send_all(fd, 5000);
	wire_settle(&wire, 50);
	is_u64(p->packets, wire.packets, "TCP %d levels below a limit: packets", DEEP);
	wire_reset(&wire, fd);
	rig_enter("limited");
}

static void attach(struct bpf_program *prog, int fd)
{
	/* the link ends with this process */
	if (!bpf_program__attach_cgroup(prog, fd))
		rig_die(bpf_program__name(prog));
}

static int tests(void)
{
	int fd = rig_cgroup_fd("limited");

	if (!wire_open(&wire)) {
		printf("1..0 # SKIP no TUN device\n");
		return 0;
	}
	if (bpf_enable_stats(BPF_STATS_RUN_TIME) < 0)
		rig_die("BPF_ENABLE_STATS");
	attach(rig.skel->progs.pp_egress, fd);
	cgroup = rig_enter("limited");
	for (size_t i = 0; i < N_KINDS; i++) {
		test_stream(i);
		test_high_queue(i);
		test_listener(i);
	}
	test_datagrams(false);
	test_datagrams(true);
	test_raw();
	attach(rig.skel->progs.pp_sockops, fd);
	for (size_t i = 0; i < N_KINDS; i++) {
		test_stream(i);
		test_listener(i);
		test_opening(i);
	}
	test_deep();
	return done_testing();
}

int main(void)
{
	return rig_main(tests, RIG_SOCKOPS);
}
