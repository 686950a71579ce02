// SPDX-License-Identifier: Apache-2.0
// Limits towards some, by who the peer is over time: a pipe for each pair, connections whose other
// end says who it is, or becomes another, and a cgroup that goes with its rules.
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bpf/law.h"
#include "bpf/wire.h"
#include "pipe.h"
#include "rig.h"
#include "rules.h"
#include "tap.h"
#include "wire.h"

#define FAST 1000000000
#define OWNER 0x1111111111111111ULL  /* of the peer's address */
#define OTHER 0x2222222222222222ULL  /* behind it */
#define NOBODY 0x3333333333333333ULL /* nothing is known of it */

static struct wire wire;
static uint64_t cgroup; /* that the sockets are in */

static const char *peer_text(void)
{
	return wire.v6 ? "fd78::2" : "10.78.0.2";
}

static int make_socket(int type)
{
	int fd = socket(wire.v6 ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1;

	if (fd < 0)
		rig_die("socket");
	if (type == SOCK_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* --- connections */

/* What the peer says on each segment from now on; 0: nothing. */
static void say(uint64_t identity)
{
	struct pp_wire w = { .hello = 1, .identity = identity };

	wire.extra_len = identity ? pp_wire_write(wire.extra, &w) : 0;
}

/*
 * Rules 1 to 4: of the owner of the peer's address, of the pod that is behind it, of the address as
 * one of a block's, and of nobody. Its host takes part.
 */
static void begin(enum pp_dir dir)
{
	struct pp_local a = rules_address(peer_text());
	struct pp_prefix near = { .len = 128 };

	wire_settle(&wire, 20);
	rig_use(dir);
	rules_clear();
	say(0);
	memcpy(near.addr, a.addr, sizeof(near.addr));
	rules_put(rig.skel->maps.pp_prefixes, &near, &(struct pp_prefix_info){ 0 });
	rig.state->nprefixes = 1;
	for (uint32_t g = 1; g <= 4; g++) {
		rules_group(g, g);
		rules_match(g, (struct pp_match){ .kind = PP_MATCH_GROUPS });
		rules_add(g, cgroup, g, FAST);
	}
	rules_party(a, OWNER, 1);
	rules_party(rules_pod(OWNER), OWNER, 1);
	rules_party(rules_pod(OTHER), OTHER, 2);
	rules_prefix(peer_text(), 112, 3);
}

/* What its SYN, and what the ACK of the handshake were counted in. */
static int open_connection(uint32_t *ret_syn, uint32_t *ret_ack)
{
	struct sockaddr_in6 to;
	socklen_t len = wire_peer(&wire, 7000, &to);
	int fd = make_socket(SOCK_STREAM);

	rules_counted();
	if (connect(fd, (struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS)
		rig_die("connect");
	*ret_syn = rules_counted();
	wire_settle(&wire, 20);
	*ret_ack = rules_counted();
	return fd;
}

static uint32_t next_segment(int fd)
{
	rules_counted();
	if (send(fd, "0123456789", 10, MSG_NOSIGNAL) != 10)
		rig_die("send");
	wire_settle(&wire, 5);
	return rules_counted();
}

static void test_identity(const char *name)
{
	static const struct {
		const char *name;
		uint64_t says;
		uint32_t rule;
	} cases[] = {
		{ "nothing said", 0, 1 },
		{ "the address's owner", OWNER, 1 },
		{ "another pod", OTHER, 2 },
		{ "nobody known", NOBODY, 3 },
	};
	uint32_t syn, ack;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int fd;

		begin(PP_EGRESS);
		say(cases[i].says);
		fd = open_connection(&syn, &ack);
		is_u64(syn, 1 << 1, "%s, %s: its SYN goes by the address", name, cases[i].name);
		is_u64(ack, 1U << cases[i].rule, "%s, %s: what follows by who it is", name,
		       cases[i].name);
		is_u64(next_segment(fd), 1U << cases[i].rule, "%s, %s: and data", name,
		       cases[i].name);
		wire_reset(&wire, fd);
	}
}

/* It is said on a later segment only: a SYN cookie, a listener from before the programs. */
static void test_late(const char *name)
{
	uint32_t syn, ack;
	int fd;

	begin(PP_EGRESS);
	fd = open_connection(&syn, &ack);
	is_u64(next_segment(fd), 1 << 1, "%s, said late: by the address", name);
	say(OTHER);
	wire_send(&wire, 0, 0);
	say(0);
	is_u64(next_segment(fd), 1 << 2, "%s, said late: by who it is", name);
	wire_reset(&wire, fd);
}

/* As a receiver, of one that has connected. */
static void test_received(const char *name)
{
	static uint16_t port = 7600;
	struct sockaddr_in6 at;
	socklen_t len;
	int fd;

	begin(PP_INGRESS);
	len = wire_host(&wire, ++port, &at);
	fd = make_socket(SOCK_STREAM);
	if (bind(fd, (struct sockaddr *)&at, len) < 0 || listen(fd, 8) < 0)
		rig_die("listen");
	say(OTHER);
	wire_syn(&wire, port);
	wire_settle(&wire, 20);
	rules_counted();
	wire_send(&wire, 500, 0);
	is_u64(rules_counted(), 1 << 2, "%s, accepted: what comes goes by who it is", name);
	rules_party(rules_pod(OTHER), OTHER, 4);
	rig.state->gen++;
	wire_send(&wire, 500, 0);
	is_u64(rules_counted(), 1 << 4, "%s, accepted: and into its new group", name);
	say(0);
	wire_reset(&wire, fd);
}

/* Who is in a rule changes: the next packet of a connection goes by that. */
static void test_changes(const char *name)
{
	struct pp_local a = rules_address(peer_text());
	uint32_t syn, ack;
	int fd;

	begin(PP_EGRESS);
	fd = open_connection(&syn, &ack);
	is_u64(next_segment(fd), 1 << 1, "%s, changes: its group", name);
	rules_party(a, OWNER, 4);
	is_u64(next_segment(fd), 1 << 1, "%s, changes: as long as the generation stands", name);
	rig.state->gen++;
	is_u64(next_segment(fd), 1 << 4, "%s, changes: another group", name);
	bpf_map_delete_elem(bpf_map__fd(rig.skel->maps.pp_parties), &a);
	rig.state->gen++;
	is_u64(next_segment(fd), 1 << 3, "%s, changes: no pod's: its block", name);
	rules_empty(rig.skel->maps.pp_blocks);
	rig.state->gen++;
	is_u64(next_segment(fd), 0, "%s, changes: nobody's", name);
	rules_party(a, OWNER, 1);
	rig.state->gen++;
	is_u64(next_segment(fd), 1 << 1, "%s, changes: in a rule again", name);
	wire_reset(&wire, fd);
}

/* A rule's rate is the pace of the connections that it is for, and of no other. */
static void test_pace(const char *name)
{
	socklen_t len = sizeof(uint64_t);
	uint64_t pace = 0;
	uint32_t syn, ack;
	int fd;

	begin(PP_EGRESS);
	rig.pipe[2].rate = 500000;
	fd = open_connection(&syn, &ack);
	next_segment(fd);
	getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &pace, &len);
	ok(pace > 500000, "%s, paced by the rule that is for it: %" PRIu64, name, pace);
	say(OTHER);
	wire_send(&wire, 0, 0);
	say(0);
	for (int i = 0; i < 3; i++)
		next_segment(fd);
	getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &pace, &len);
	ok(pace && pace <= 500000, "%s, and by another when it is: %" PRIu64, name, pace);
	wire_reset(&wire, fd);
}

/* --- pairs */

/* A datagram to a neighbour of the peer's. */
static void send_to(int fd, uint8_t last, size_t bytes)
{
	static const char data[1400];
	struct sockaddr_in6 to;
	socklen_t len = wire_peer(&wire, 7000, &to);

	if (wire.v6)
		to.sin6_addr.s6_addr[15] = last;
	else
		((uint8_t *)&((struct sockaddr_in *)&to)->sin_addr)[3] = last;
	if (sendto(fd, data, bytes, 0, (struct sockaddr *)&to, len) != (ssize_t)bytes)
		rig_die("sendto");
	wire_poll(&wire, 0);
}

static struct pp_local neighbour(int last)
{
	struct pp_local a = rules_address(peer_text());

	a.addr[15] = last;
	return a;
}

static struct pp_pipe *begin_pairs(uint64_t rate)
{
	struct pp_pipe *p;

	rig_use(PP_EGRESS);
	rules_clear();
	rules_match(1, (struct pp_match){ .kind = PP_MATCH_ALL });
	p = rules_add(1, cgroup, 1, rate);
	p->kind = PP_KIND_PAIRS;
	p->since = 12345;
	p->expires = rig_now() + 600 * PP_NSEC;
	p->owner = PP_OWNER_AGENT;
	return p;
}

static void test_pairs(const char *name)
{
	uint32_t headers = wire.v6 ? 48 : 28, a, b;
	struct pp_pipe *of = begin_pairs(FAST), *p;
	int fd = make_socket(SOCK_DGRAM), other = make_socket(SOCK_DGRAM);

	send_to(fd, 2, 100);
	a = rules_pair_of(1, neighbour(2));
	ok(a >= PP_MAX_PIPES && a < PP_ALL_PIPES, "%s: a pair has a pipe, %u", name, a);
	p = &rig.pipe[a];
	ok(p->rate == FAST && p->of == 1 && p->since == of->since && p->kind == PP_KIND_PAIR &&
		   p->cgroup_id == cgroup && p->expires == of->expires && p->owner == of->owner &&
		   p->dir == PP_EGRESS && !memcmp(p->peer, neighbour(2).addr, 16),
	   "%s: like its rule's", name);
	is_u64(of->packets, 0, "%s: which counts nothing", name);
	is_u64(p->bytes, 100 + headers, "%s: it counts", name);
	send_to(other, 2, 100);
	is_u64(p->packets, 2, "%s: another socket's too", name);
	send_to(fd, 3, 100);
	b = rules_pair_of(1, neighbour(3));
	ok(b >= PP_MAX_PIPES && b != a, "%s: another peer has another pipe", name);
	send_to(fd, 2, 100);
	send_to(fd, 3, 100);
	ok(p->packets == 3 && rig.pipe[b].packets == 2, "%s: each counts its own", name);

	/* one pod with two addresses */
	rules_party(neighbour(4), OWNER, 0);
	rules_party(neighbour(5), OWNER, 0);
	send_to(fd, 4, 100);
	send_to(fd, 5, 100);
	a = rules_pair_of(1, rules_pod(OWNER));
	ok(a && rig.pipe[a].packets == 2, "%s: a pod's addresses are one peer", name);
	ok(!rules_pair_of(1, neighbour(4)) && !rules_pair_of(1, neighbour(5)),
	   "%s: and none by themselves", name);
	close(fd);
	close(other);
}

/* By its identity, wherever it has said it: the pod behind a service is the pod itself. */
static void test_pair_identity(const char *name)
{
	uint32_t syn, ack, k;
	int fd;

	begin(PP_EGRESS);
	rig.pipe[2].kind = PP_KIND_PAIRS;
	say(OTHER);
	fd = open_connection(&syn, &ack);
	say(0);
	next_segment(fd);
	k = rules_pair_of(2, rules_pod(OTHER));
	ok(k && rig.pipe[k].packets > 0, "%s: a pair with who is behind an address", name);
	ok(!rules_pair_of(2, rules_pod(OWNER)), "%s: not with its owner", name);
	wire_reset(&wire, fd);
}

static void test_pairs_full(const char *name)
{
	struct pp_pipe *of = begin_pairs(FAST);
	int fd = make_socket(SOCK_DGRAM);
	uint32_t k;

	for (k = PP_MAX_PIPES; k < PP_ALL_PIPES; k++)
		rig.pipe[k].kind = k % 2 ? PP_KIND_PAIR : PP_KIND_GONE;
	send_to(fd, 2, 100);
	is_u64(of->packets, 1, "%s, no room: the rule's own pipe counts", name);
	is_u64(rig.state->event[PP_EVENT_PAIRS_FULL], 1, "%s, no room: that is counted", name);
	is_u64(rules_pair_of(1, neighbour(2)), 0, "%s, no room: there is no pair", name);
	rig.pipe[PP_MAX_PIPES + 77].kind = PP_KIND_LIMIT;
	rig.state->next_pair = 70;
	rig.state->gen++;
	send_to(fd, 2, 100);
	is_u64(rules_pair_of(1, neighbour(2)), PP_MAX_PIPES + 77, "%s: the one that is free", name);
	is_u64(rig.pipe[PP_MAX_PIPES + 77].packets, 1, "%s: counts", name);
	close(fd);
}

/* A rule that is gone this moment makes no pairs: nobody would take them back. */
static void test_pairs_gone(const char *name)
{
	struct pp_pipe *of = begin_pairs(FAST);
	int fd = make_socket(SOCK_DGRAM);
	uint32_t n = 0;

	of->rate = 0;
	send_to(fd, 2, 100);
	for (uint32_t k = PP_MAX_PIPES; k < PP_ALL_PIPES; k++)
		n += rig.pipe[k].kind != PP_KIND_LIMIT;
	is_u64(n, 0, "%s: a rule that is gone makes no pair", name);
	is_u64(rules_pair_of(1, neighbour(2)), 0, "%s: nor enters one", name);
	close(fd);
}

/*
 * One socket of many peers, each of which it sends so many bytes/s for so long. What they may have
 * is none of each other's matter. Returns how long it took, ns.
 */
static uint64_t send_in_turn(int peers, uint64_t rate, uint64_t each, uint64_t ns)
{
	enum { SIZE = 1000 };
	uint64_t begin, now;
	int fd = make_socket(SOCK_DGRAM);

	begin_pairs(rate);
	begin = now = rig_now();
	for (uint64_t i = 0; now - begin < ns; i++) {
		send_to(fd, 2 + i % (uint64_t)peers, SIZE);
		while (now - begin < (i + 1) * SIZE * PP_NSEC / each / (uint64_t)peers) {
			wire_poll(&wire, 0);
			now = rig_now();
		}
	}
	close(fd);
	return now - begin;
}

static void test_pairs_in_turn(const char *name)
{
	const uint64_t rate = 5000000;
	uint64_t refused = 0, ns;

	send_in_turn(4, rate, rate / 2, PP_NSEC / 2);
	for (int i = 0; i < 4; i++)
		refused += all_refused(&rig.pipe[rules_pair_of(1, neighbour(2 + i))]);
	is_u64(refused, 0, "%s: four peers, half the rate each: none is refused", name);
	ns = send_in_turn(2, rate, 2 * rate, PP_NSEC / 2);
	for (int i = 0; i < 2; i++) {
		const struct pp_pipe *p = &rig.pipe[rules_pair_of(1, neighbour(2 + i))];
		uint64_t share = p->bytes * 100 / (rate * (ns / PP_USEC) / 1000000);

		/* a burst and what an epoch begins with beside */
		ok(share >= 70 && share <= 110, "%s: twice the rate: %" PRIu64 "%% of it", name,
		   share);
		ok(p->refused[PP_REFUSED_SHARE] > 0, "%s: twice the rate: it is its share", name);
	}
}

/* --- a cgroup that goes */

static void test_rmdir(void)
{
	uint64_t id = rig_cgroup("limited/going");

	for (int dir = 0; dir < PP_N_DIR; dir++) {
		if (!dir)
			begin_pairs(FAST);
		rig.dir = dir;
		for (uint32_t k = 0; k < 3; k++)
			rules_add(10 + 10 * dir + k, id, 1, FAST);
		/* as many as there are slots with rules, not rules */
		rig.state->nlimits[dir] = rig.state->nrules[dir] = dir ? 1 : 2;
	}
	rig.dir = PP_EGRESS;
	rig_remove("limited/going");
	for (uint32_t k = 0; k < 3; k++)
		ok(!rig.pipe[10 + k].rate && !rig.pipe[20 + k].rate,
		   "a removed cgroup: its rules %u are free", k);
	is_u64(rig.state->nrules[PP_EGRESS], 1, "a removed cgroup: another one has rules");
	is_u64(rig.state->nrules[PP_INGRESS], 0, "a removed cgroup: nobody has any that way");
	is_u64(rig.state->nlimits[PP_EGRESS], 1, "a removed cgroup: nor limits");
	is_u64(rig.state->event[PP_EVENT_SLOT_FREED], 1, "a removed cgroup: that is counted");
	ok(rig.pipe[1].rate == FAST, "a removed cgroup: the other's rule stays");
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
	    !bpf_program__attach_cgroup(rig.skel->progs.pp_sockops, fd) ||
	    !bpf_program__attach(rig.skel->progs.pp_rmdir))
		rig_die("attach");
	cgroup = rig_enter("limited");
	for (int i = 0; i < 2; i++) {
		const char *name = i ? "v6" : "v4";

		wire.v6 = i;
		test_identity(name);
		test_late(name);
		test_received(name);
		test_changes(name);
		test_pace(name);
		test_pairs(name);
		test_pair_identity(name);
		test_pairs_full(name);
		test_pairs_gone(name);
		test_pairs_in_turn(name);
	}
	test_rmdir();
	return done_testing();
}

int main(void)
{
	return rig_main(tests, RIG_RMDIR);
}
