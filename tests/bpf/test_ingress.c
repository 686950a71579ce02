// SPDX-License-Identifier: Apache-2.0
// The ingress program: what it has for itself beside what both packet programs do (test_packet.c,
// test_path.c), by test runs; and under real sockets, to whom the peer at the other end of the wire
// sends.
//
// Nobody tells the peer anything: these are senders that take no part in feedback.
#define _GNU_SOURCE
#include <bpf/libbpf.h>
#include <errno.h>
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

/* --- test runs */

static void test_verdict(uint64_t a)
{
	struct pp_pipe *p;

	rig_clear();
	p = rig_limit_queue(1, a, SLOW, 60 * PP_NSEC);
	is_u64(rig_send(&(struct rig_packet){ .len = 1000 }), 0, "a refused packet is dropped");
	is_refused(p, PP_REFUSED_HARD, 1, 1000, "a refused packet");
}

/* Each direction of a cgroup has a pipe: only the packet's is touched, whatever it comes to. */
static void test_directions(uint64_t a)
{
	for (int dir = 0; dir < PP_N_DIR; dir++) {
		const char *name = dir == PP_EGRESS ? "egress packet" : "ingress packet";
		struct pp_pipe *mine, *other, before;

		rig_use(!dir);
		other = rig_limit_queue(2, a, SLOW, 60 * PP_NSEC);
		rig.dir = dir;
		mine = rig_limit_queue(1, a, SLOW, QUEUE);
		before = *other;
		is_u64(rig_send(&(struct rig_packet){ .len = 1000 }), PASS,
		       "%s: passes a queue in the other direction", name);
		is_counted(mine, 1, 1000, name);
		is_untouched(other, &before, name);
		mine->vt = (rig_now() + 60 * PP_NSEC) << PP_TICKS;
		is_u64(rig_send(&(struct rig_packet){ .len = 1000 }), REFUSE,
		       "%s, refused: verdict", name);
		is_refused(mine, PP_REFUSED_HARD, 1, 1000, name);
		is_untouched(other, &before, name);

		/* with the other direction's limit alone nothing looks at the packet */
		rig_use(!dir);
		other = rig_limit_queue(2, a, SLOW, 60 * PP_NSEC);
		rig.dir = dir;
		before = *other;
		is_u64(rig_send(&(struct rig_packet){ .len = 1000 }), PASS,
		       "%s, no limit in its direction: passes", name);
		is_untouched(other, &before, name);
	}
	rig_use(PP_INGRESS);
}

/* Prefixes make the program look at what listens, and at nothing else. */
static void test_prefixes_alone(uint64_t a)
{
	struct pp_pipe *p, before;

	rig_clear();
	p = rig_limit_queue(1, a, SLOW, 60 * PP_NSEC);
	rig.state->nlimits[PP_INGRESS] = 0;
	rig.state->nprefixes = 1;
	before = *p;
	is_u64(rig_send(&(struct rig_packet){ .len = 1000 }), PASS, "prefixes, no limit: passes");
	is_untouched(p, &before, "prefixes, no limit");
}

/* --- real sockets */

static void use_kind(size_t i)
{
	wire.v6 = kinds[i].v6;
	wire.timestamps = kinds[i].timestamps;
	wire_settle(&wire, 20);
	wire.packets = wire.bytes = wire.payload = 0;
	wire.sent_packets = wire.sent_bytes = 0;
}

static void set_queue(struct pp_pipe *p, uint64_t ns)
{
	p->vt = (rig_now() + ns) << PP_TICKS;
}

static int make_socket(int type)
{
	int fd = socket(wire.v6 ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		rig_die("socket");
	return fd;
}

/* A TCP connection to the peer. */
static int open_connection(void)
{
	struct sockaddr_in6 to;
	socklen_t len = wire_peer(&wire, 7000, &to);
	int fd = make_socket(SOCK_STREAM);
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

/* Bytes that the application can read now. */
static uint64_t drain(int fd)
{
	char data[65536];
	uint64_t sum = 0;
	ssize_t n;

	while ((n = recv(fd, data, sizeof(data), 0)) > 0)
		sum += n;
	return sum;
}

/* From the SYN-ACK on: single segments and super-packets, whose number of segments is not told. */
static void test_stream(size_t kind)
{
	const char *name = kinds[kind].name;
	uint32_t headers = kinds[kind].headers;
	struct pp_pipe *p;
	uint64_t bytes;
	int fd;

	rig_clear();
	use_kind(kind);
	p = rig_limit(1, cgroup, FAST);
	fd = open_connection();
	is_u64(p->packets, 1, "TCP %s: the SYN-ACK is counted", name);
	is_u64(p->bytes, wire.sent_bytes, "TCP %s: its bytes", name);
	bytes = p->bytes;
	wire_send(&wire, 1000, 0);
	is_u64(p->packets, 2, "TCP %s, one segment: packets", name);
	is_u64(p->bytes - bytes, 1000 + headers, "TCP %s, one segment: bytes", name);
	bytes = p->bytes;
	wire_send(&wire, 5500, 1000);
	is_u64(p->packets, 8, "TCP %s, super-packet of 6: packets", name);
	is_u64(p->bytes - bytes, 5500 + 6 * headers, "TCP %s, super-packet of 6: bytes", name);
	is_u64(p->mss_now > p->mss ? p->mss_now : p->mss, 1000 + headers,
	       "TCP %s, super-packet of 6: largest segment", name);
	is_u64(drain(fd), 6500, "TCP %s: the application has it all", name);
	wire_settle(&wire, 50);
	is_u64(p->packets, wire.sent_packets, "TCP %s: packets are those that the peer sent", name);
	is_u64(p->bytes, wire.sent_bytes, "TCP %s: bytes are those that the peer sent", name);
	is_u64(all_refused(p), 0, "TCP %s: none refused", name);
	wire_reset(&wire, fd);
}

/* The SYN is the listener's packet. */
static void test_listener(size_t kind)
{
	static uint16_t port = 7200; /* each time another: the peer never closes */
	const char *name = kinds[kind].name;
	struct sockaddr_in6 at;
	struct pp_pipe *p;
	socklen_t len;
	int fd, child = -1;

	rig_clear();
	use_kind(kind);
	len = wire_host(&wire, ++port, &at);
	fd = make_socket(SOCK_STREAM);
	if (bind(fd, (struct sockaddr *)&at, len) < 0 || listen(fd, 8) < 0)
		rig_die("listen");
	p = rig_limit(1, cgroup, FAST);
	wire_syn(&wire, port);
	is_u64(p->packets, 1, "listener %s: the SYN is counted", name);
	for (int i = 0; i < 100 && child < 0; i++) {
		wire_poll(&wire, 20);
		child = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	}
	if (child < 0)
		rig_die("accept");
	wire_send(&wire, 900, 0);
	is_u64(drain(child), 900, "accepted %s: the application has it all", name);
	is_u64(p->packets, wire.sent_packets, "accepted %s: packets are those that the peer sent",
	       name);
	is_u64(p->bytes, wire.sent_bytes, "accepted %s: bytes are those that the peer sent", name);
	wire_reset(&wire, child);
	close(fd);
}

/*
 * One segment of 1000 bytes finds a queue. What is refused the peer sends again: it is not told,
 * and has no record of it.
 */
static void meet_queue(struct pp_pipe *p, int fd, const char *name, uint64_t queue, int why,
		       uint32_t headers)
{
	memset(p->refused, 0, sizeof(p->refused));
	p->refused_bytes = 0;
	set_queue(p, queue);
	wire_send(&wire, 1000, 0);
	set_queue(p, 0);
	if (why < 0) {
		is_u64(drain(fd), 1000, "%s: passes", name);
		is_u64(all_refused(p), 0, "%s: none refused", name);
		return;
	}
	is_u64(drain(fd), 0, "%s: dropped", name);
	is_refused(p, why, 1, 1000 + headers, name);
	wire.seq -= 1000;
	wire_send(&wire, 1000, 0);
	is_u64(drain(fd), 1000, "%s: sent again, passes", name);
}

/* What stands in the pipe refuses a sender that nothing tells its rate beyond a second. */
static void test_queue(size_t kind)
{
	uint32_t headers = kinds[kind].headers;
	struct pp_pipe *p;
	char name[80];
	int fd;

	rig_clear();
	use_kind(kind);
	p = rig_limit(1, cgroup, MEDIUM);
	fd = open_connection();
#define CASE(...) (snprintf(name, sizeof(name), __VA_ARGS__), name)
	meet_queue(p, fd, CASE("TCP %s, queue 90 ms", kinds[kind].name), 90 * PP_MSEC, -1, headers);
	meet_queue(p, fd, CASE("TCP %s, queue 3 s", kinds[kind].name), 3 * PP_NSEC, PP_REFUSED_HARD,
		   headers);
	p->grace = rig_now() + PP_NSEC;
	meet_queue(p, fd, CASE("TCP %s, queue 3 s, new limit", kinds[kind].name), 3 * PP_NSEC, -1,
		   headers);
	p->grace = 0;
#undef CASE
	/* a small segment passes what no data may join, up to two seconds */
	set_queue(p, PP_NSEC * 19 / 10);
	wire_send(&wire, 20, 0);
	is_u64(drain(fd), 20, "TCP %s, queue 1.9 s: 20 bytes pass", kinds[kind].name);
	set_queue(p, 3 * PP_NSEC);
	wire_send(&wire, 20, 0);
	is_u64(drain(fd), 0, "TCP %s, queue 3 s: 20 bytes are dropped", kinds[kind].name);
	wire_reset(&wire, fd);
}

/*
 * Its own clock refuses it, in the end. A segment of 1040 bytes is a millisecond of the whole
 * limit, and 17 ms of what a flow has that was not seen before.
 */
static void test_share(size_t kind)
{
	const char *name = kinds[kind].name;
	struct pp_pipe *p;
	uint64_t before, passed = 0;
	int fd;

	rig_clear();
	use_kind(kind);
	p = rig_limit(1, cgroup, MEDIUM / 10);
	fd = open_connection();
	before = p->packets;
	for (int i = 0; i < 5000 && !p->refused[PP_REFUSED_SHARE]; i++) {
		wire_send(&wire, 1000, 0);
		passed += drain(fd) / 1000;
	}
	is_refused(p, PP_REFUSED_SHARE, 1, 1000 + kinds[kind].headers, name);
	is_u64(p->packets - before, passed, "TCP %s beyond its share: what came is counted", name);
	is_u64(p->unheard, passed, "TCP %s beyond its share: as of a sender that hears nothing",
	       name);
	/* more on a machine that is busy with something else */
	ok(passed > 20 && passed < 1000, "TCP %s beyond its share: after %" PRIu64 " segments",
	   name, passed);
	wire.seq -= 1000;
	usleep(100000);
	wire_send(&wire, 1000, 0);
	is_u64(drain(fd), 1000, "TCP %s beyond its share: 100 ms later, passes", name);
	wire_reset(&wire, fd);
}

static void test_datagrams(bool v6)
{
	const char *name = v6 ? "v6" : "v4";
	uint64_t headers = v6 ? 48 : 28;
	struct sockaddr_in6 at;
	struct pp_pipe *p;
	socklen_t len;
	int fd;

	rig_clear();
	use_kind(v6 ? 2 : 0);
	len = wire_host(&wire, 7300, &at);
	fd = make_socket(SOCK_DGRAM);
	if (bind(fd, (struct sockaddr *)&at, len) < 0)
		rig_die("bind");
	p = rig_limit(1, cgroup, MEDIUM);
	wire_datagram(&wire, 7300, 1000);
	is_u64(drain(fd), 1000, "UDP %s: passes", name);
	is_counted(p, 1, 1000 + headers, "UDP");
	set_queue(p, 60 * PP_MSEC);
	wire_datagram(&wire, 7300, 1000);
	is_u64(drain(fd), 0, "UDP %s, queue 60 ms: dropped", name);
	is_refused(p, PP_REFUSED_QUEUE, 1, 1000 + headers, "UDP, queue 60 ms");
	/* the first at a sixteenth of the limit, as of a flow that has not been seen: 1.6 ms each
	 */
	set_queue(p, 0);
	for (int i = 0; i < 1000 && !p->refused[PP_REFUSED_SHARE]; i++)
		wire_datagram(&wire, 7300, 1000);
	is_u64(p->refused[PP_REFUSED_SHARE], 1, "UDP %s: beyond its share dropped", name);
	is_u64(p->packets * 1000 - 1000, drain(fd), "UDP %s: what was counted has come", name);
	close(fd);
}

static int tests(void)
{
	uint64_t a = rig_enter("a");
	int fd;

	rig_use(PP_INGRESS);
	test_verdict(a);
	test_directions(a);
	test_prefixes_alone(a);
	if (!wire_open(&wire)) {
		skip("no TUN device");
		return done_testing();
	}
	fd = rig_cgroup_fd("limited");
	/* the link ends with this process */
	if (!bpf_program__attach_cgroup(rig.skel->progs.pp_ingress, fd))
		rig_die("attach");
	cgroup = rig_enter("limited");
	for (size_t i = 0; i < N_KINDS; i++) {
		test_stream(i);
		test_listener(i);
		test_queue(i);
		test_share(i);
	}
	test_datagrams(false);
	test_datagrams(true);
	return done_testing();
}

int main(void)
{
	return rig_main(tests, RIG_PACKETS);
}
