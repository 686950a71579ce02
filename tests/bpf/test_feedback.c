// SPDX-License-Identifier: Apache-2.0
// Feedback, option by option: what the host says on each segment, and what it makes of what the
// peer says. The peer is the test itself (wire.h).
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bpf/law.h"
#include "bpf/wire.h"
#include "pipe.h"
#include "rig.h"
#include "tap.h"
#include "wire.h"

#define MEDIUM 10000000 /* bytes/s */
#define FAST 1000000000
#define IDENTITY 0x0123456789abcdef
#define NO_PACE UINT64_MAX

static struct wire wire;
static uint64_t cgroup; /* that the sockets are in */

/* The peer's address is one whose host takes part, or is not. */
static void set_peer(bool known)
{
	struct pp_prefix key = { .len = wire.v6 ? 64 : 120 };
	int fd = bpf_map__fd(rig.skel->maps.pp_prefixes);
	struct pp_prefix_info info = { 0 };
	struct sockaddr_in6 to;

	wire_peer(&wire, 1, &to);
	if (wire.v6) {
		memcpy(key.addr, &to.sin6_addr, 8);
	} else {
		key.addr[10] = key.addr[11] = 0xff;
		memcpy(key.addr + 12, &((struct sockaddr_in *)&to)->sin_addr, 3);
	}
	if (known && bpf_map_update_elem(fd, &key, &info, BPF_ANY))
		rig_die("pp_prefixes");
	if (!known)
		bpf_map_delete_elem(fd, &key);
	/* another prefix is there in any case */
	key.len = 32;
	memset(key.addr, 0xfd, sizeof(key.addr));
	bpf_map_update_elem(fd, &key, &info, BPF_ANY);
	rig.state->nprefixes = 1 + known;
}

/* What the peer says on each segment from now on; NULL: nothing. */
static void say(const struct pp_wire *w)
{
	wire.extra_len = w ? pp_wire_write(wire.extra, w) : 0;
}

/* What is said among these options: the length of ours; 0 if there is none. */
static uint32_t find(const uint8_t *options, uint32_t n, struct pp_wire *ret)
{
	for (uint32_t i = 0; i + 1 < n && options[i];) {
		uint8_t o[PP_WIRE_ROOM] = { 0 };
		uint8_t len = options[i] == TCPOPT_NOP ? 1 : options[i + 1];

		if (!len)
			break;
		if (options[i] == PP_WIRE_KIND && i + len <= n) {
			memcpy(o, options + i, len < sizeof(o) ? len : sizeof(o));
			return pp_wire_read(o, len, ret) ? UINT32_MAX : len;
		}
		i += len;
	}
	return 0;
}

/* What the host has said on its last segment. */
static uint32_t heard(struct pp_wire *ret)
{
	return find(wire.options, wire.options_len, ret);
}

static void begin(enum pp_dir dir, bool known)
{
	struct pp_slot slot = { .identity = IDENTITY };

	wire_settle(&wire, 20);
	rig_use(dir);
	set_peer(known);
	say(NULL);
	if (bpf_map_update_elem(bpf_map__fd(rig.skel->maps.pp_slots), &cgroup, &slot, BPF_ANY))
		rig_die("pp_slots");
}

/* SYN, SYN-ACK, and the ACK, which is the last segment that came. Gives what the SYN said. */
static int open_connection(struct pp_wire *ret_syn, uint32_t *ret_len)
{
	int fd =
		socket(wire.v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in6 to;
	socklen_t len = wire_peer(&wire, 7000, &to);
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (fd < 0 || (connect(fd, (struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS))
		rig_die("connect");
	wire_settle(&wire, 20);
	*ret_len = find(wire.syn_options, wire.syn_options_len, ret_syn);
	return fd;
}

/* SO_MAX_PACING_RATE of the kernel, past podpace's own hook, which is not attached. */
static uint64_t pace_of(int fd)
{
	socklen_t len = sizeof(uint64_t);
	uint64_t pace = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &pace, &len))
		rig_die("SO_MAX_PACING_RATE");
	return pace;
}

/* The host sends ten bytes; what that segment says. */
static uint32_t next_segment(int fd, struct pp_wire *ret)
{
	*ret = (struct pp_wire){ 0 };
	if (send(fd, "0123456789", 10, MSG_NOSIGNAL) != 10)
		rig_die("send");
	wire_settle(&wire, 5);
	return heard(ret);
}

/* The peer acknowledges once more, and says this rate. */
static uint64_t tell(int fd, uint64_t rate)
{
	say(&(struct pp_wire){ .rate = rate });
	wire_send(&wire, 0, 0);
	say(NULL);
	return pace_of(fd);
}

static uint64_t rounded(uint64_t rate)
{
	return pp_wire_unpack(pp_wire_pack(rate));
}

/* --- as a sender */

static void test_hello(const char *name)
{
	struct pp_wire w = { 0 };
	uint32_t len;
	int fd;

	begin(PP_EGRESS, false);
	say(&(struct pp_wire){ .hello = 1, .rate = 1000000 });
	fd = open_connection(&w, &len);
	is_u64(len, 0, "%s, not a peer: its SYN says nothing", name);
	is_u64(pace_of(fd), NO_PACE, "%s, not a peer: the SYN-ACK's rate is not heard", name);
	is_u64(tell(fd, 1000000), NO_PACE, "%s, not a peer: nor one later", name);
	is_u64(next_segment(fd, &w), 0, "%s, not a peer: nothing is said", name);
	wire_reset(&wire, fd);

	begin(PP_EGRESS, true);
	fd = open_connection(&w, &len);
	is_u64(len, PP_WIRE_HELLO_LEN, "%s, a peer: the SYN says hello", name);
	is_u64(w.identity, IDENTITY, "%s, a peer: and who it is", name);
	is_u64(heard(&w), PP_WIRE_HELLO_LEN, "%s, a peer: so does the ACK", name);
	is_u64(next_segment(fd, &w), PP_WIRE_HELLO_LEN, "%s, a peer: and the next segment", name);
	is_u64(next_segment(fd, &w), 0, "%s, a peer: not a third", name);
	is_u64(pace_of(fd), NO_PACE, "%s, a peer that says nothing: no pace", name);
	wire_reset(&wire, fd);
}

static void test_told(const char *name)
{
	struct pp_wire w = { 0 };
	struct pp_pipe *p;
	uint64_t pace;
	uint32_t len, was;
	int fd;

	begin(PP_EGRESS, true);
	say(&(struct pp_wire){ .hello = 1, .rate = 1000000 });
	fd = open_connection(&w, &len);
	is_u64(pace_of(fd), rounded(1000000), "%s: the SYN-ACK's rate is the pace", name);
	is_u64(tell(fd, 300000), rounded(300000), "%s: a lower one later", name);
	is_u64(tell(fd, 2000000), rounded(2000000), "%s: a higher one", name);
	is_u64(tell(fd, 1), 1500, "%s: 1 byte/s is no less than 1500", name);
	is_u64(tell(fd, UINT64_MAX), NO_PACE, "%s: no limit", name);

	p = rig_limit(1, cgroup, 500000);
	next_segment(fd, &w);
	tell(fd, 4000000);
	pace = pace_of(fd);
	ok(pace && pace <= 500000, "%s, beside a limit: %" PRIu64 " is not above it", name, pace);
	is_u64(tell(fd, 2000), 2000, "%s, beside a limit: a lower rate binds", name);
	tell(fd, UINT64_MAX);
	pace = pace_of(fd);
	ok(pace && pace <= 500000, "%s, beside a limit: no limit lifts to %" PRIu64, name, pace);
	p->rate = 0;
	rig.state->gen++;

	/* what TCP itself would not take */
	tell(fd, 3000000);
	pace = pace_of(fd);
	is_u64(pace, rounded(3000000), "%s: a rate before forged ones", name);
	wire.seq += 1 << 20;
	is_u64(tell(fd, 2000), pace, "%s: a sequence number beyond the window", name);
	wire.seq -= 1 << 21;
	is_u64(tell(fd, 2000), pace, "%s: one from before", name);
	wire.seq += 1 << 20;
	was = wire.next;
	wire.next += 100000;
	is_u64(tell(fd, 2000), pace, "%s: data acknowledged that was not sent", name);
	wire.next = was - (1 << 20);
	is_u64(tell(fd, 2000), pace, "%s: an acknowledgement from long ago", name);
	wire.next = was;
	is_u64(tell(fd, 2000), 2000, "%s: and a true one", name);
	wire_reset(&wire, fd);
}

/* How many packets the host sends of 20 segments before anything is acknowledged. */
static int first_flight(const struct pp_wire *told)
{
	static const char data[20 * 1400];
	struct pp_wire w = { 0 };
	char packet[WIRE_MTU];
	uint32_t len;
	int fd, n = 0;

	say(told);
	fd = open_connection(&w, &len);
	say(NULL);
	if (send(fd, data, sizeof(data), MSG_NOSIGNAL) != sizeof(data))
		rig_die("send");
	while (read(wire.fd, packet, sizeof(packet)) > 0)
		n++;
	wire_reset(&wire, fd);
	return n;
}

/* TCP does not pace what a connection sends first: it keeps to the rate all the same. */
static void test_opening(const char *name)
{
	struct pp_pipe *p;
	int n;

	begin(PP_EGRESS, true);
	n = first_flight(&(struct pp_wire){ .hello = 1 });
	ok(n >= 8, "%s, told no rate: a first flight of %d packets", name, n);
	n = first_flight(&(struct pp_wire){ .hello = 1, .rate = 1000000 });
	ok(n >= 1 && n <= 2, "%s, told 1.5 ms a packet: of %d", name, n);
	p = rig_limit(1, cgroup, FAST);
	n = first_flight(&(struct pp_wire){ .hello = 1, .rate = 1000000 });
	ok(n >= 1 && n <= 2, "%s, told so beside a limit far above: of %d", name, n);
	ok(p->refused[PP_REFUSED_OPENING] > 0, "%s, beside a limit: it counts what waits", name);
}

static void test_malformed(const char *name)
{
	struct pp_wire w = { 0 };
	int wrong = 0, n = 0;
	uint32_t len;
	int fd;

	begin(PP_EGRESS, true);
	say(&(struct pp_wire){ .hello = 1, .rate = 1000000 });
	fd = open_connection(&w, &len);
	for (int at = 0; at < 8; at++)
		for (int bit = 0; bit < 8; bit++) {
			/* a rate of 2000, but for one bit: of the rate, too */
			say(&(struct pp_wire){ .rate = 2000 });
			wire.extra[at] ^= 1 << bit;
			len = pp_wire_read(wire.extra, 8, &w) == 0;
			wire_send(&wire, 0, 0);
			wrong += pace_of(fd) != (len ? pp_max(w.rate, 1500) : rounded(1000000));
			n++;
			tell(fd, 1000000);
		}
	is_u64(wrong, 0, "%s: each of %d options with a flipped bit", name, n);
	wire_reset(&wire, fd);
}

/* --- as a receiver */

static void test_tells(const char *name)
{
	struct pp_wire w = { 0 };
	int fd, ends = 0;
	uint32_t len;
	struct pp_pipe *p;

	begin(PP_INGRESS, true);
	p = rig_limit(1, cgroup, MEDIUM);
	say(&(struct pp_wire){ .hello = 1 });
	fd = open_connection(&w, &len);
	say(NULL);
	is_u64(len, PP_WIRE_HELLO_LEN, "%s, limited: the SYN says hello, no rate", name);
	is_u64(heard(&w), PP_WIRE_FULL_LEN, "%s, limited: the ACK says hello and a rate", name);
	is_u64(w.rate, rounded(MEDIUM / 16), "%s, limited: that of a flow to come", name);
	next_segment(fd, &w);
	is_u64(next_segment(fd, &w), PP_WIRE_RATE_LEN, "%s, limited: then just the rate", name);
	for (int i = 0; i < 5; i++)
		wire_send(&wire, 1000, 0);
	is_u64(next_segment(fd, &w), PP_WIRE_RATE_LEN, "%s, with data: the rate", name);
	ok(w.rate > MEDIUM / 16 && w.rate <= MEDIUM, "%s, with data: %llu bytes/s", name, w.rate);
	p->rate = 0;
	rig.state->gen++;
	while (ends < 10 && next_segment(fd, &w) == PP_WIRE_RATE_LEN && w.rate == UINT64_MAX)
		ends++;
	is_u64(ends, 4, "%s, no longer limited: said four times", name);
	is_u64(next_segment(fd, &w), 0, "%s, no longer limited: and then nothing", name);
	wire_reset(&wire, fd);

	begin(PP_INGRESS, true);
	rig_limit(1, cgroup, MEDIUM);
	fd = open_connection(&w, &len);
	next_segment(fd, &w);
	is_u64(next_segment(fd, &w), 0, "%s, limited: no rate to a peer that said no hello", name);
	wire_reset(&wire, fd);
}

static void test_syn_ack(const char *name)
{
	static const struct {
		const char *name;
		bool known, hello, limited;
		uint32_t len;
	} cases[] = {
		{ "not a peer", false, true, true, 0 },
		{ "no hello", true, false, true, 0 },
		{ "no limit", true, true, false, PP_WIRE_SERVED_LEN },
		{ "limited", true, true, true, PP_WIRE_SERVED_LEN },
	};
	static uint16_t port = 7400; /* each time another: the peer never closes */

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pp_wire w = { 0 };
		struct sockaddr_in6 at;
		socklen_t len = wire_host(&wire, ++port, &at);
		int fd;

		begin(PP_INGRESS, cases[i].known);
		if (cases[i].limited)
			rig_limit(1, cgroup, MEDIUM);
		fd = socket(wire.v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (bind(fd, (struct sockaddr *)&at, len) < 0 || listen(fd, 8) < 0)
			rig_die("listen");
		if (cases[i].hello)
			say(&(struct pp_wire){ .hello = 1 });
		wire_syn(&wire, port);
		say(NULL);
		wire_poll(&wire, 100);
		is_u64(find(wire.syn_options, wire.syn_options_len, &w), cases[i].len,
		       "%s, SYN-ACK, %s: length", name, cases[i].name);
		if (cases[i].len) {
			is_u64(w.identity, IDENTITY, "%s, SYN-ACK, %s: who it is", name,
			       cases[i].name);
			is_u64(w.port, port, "%s, SYN-ACK, %s: its port", name, cases[i].name);
			is_u64(w.rate, cases[i].limited ? rounded(MEDIUM / 16) : 0,
			       "%s, SYN-ACK, %s: first rate", name, cases[i].name);
		}
		wire_reset(&wire, fd);
	}
}

static int tests(void)
{
	int fd = rig_cgroup_fd("limited");

	if (!wire_open(&wire)) {
		printf("1..0 # SKIP no TUN device\n");
		return 0;
	}
	/* the links end with this process */
	if (!bpf_program__attach_cgroup(rig.skel->progs.pp_egress, fd) ||
	    !bpf_program__attach_cgroup(rig.skel->progs.pp_ingress, fd) ||
	    !bpf_program__attach_cgroup(rig.skel->progs.pp_sockops, fd))
		rig_die("attach");
	cgroup = rig_enter("limited");
	for (int i = 0; i < 4; i++) {
		char name[32];

		wire.v6 = i & 1;
		wire.timestamps = i & 2;
		snprintf(name, sizeof(name), "%s%s", wire.v6 ? "v6" : "v4",
			 wire.timestamps ? " with timestamps" : "");
		test_hello(name);
		test_told(name);
		test_opening(name);
		test_malformed(name);
		test_tells(name);
		test_syn_ack(name);
	}
	return done_testing();
}

int main(void)
{
	return rig_main(tests, RIG_SOCKOPS);
}
