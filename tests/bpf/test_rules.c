// SPDX-License-Identifier: Apache-2.0
// Limits towards some: which rules a packet's pipes come from. Who the peer is, test runs of both
// packet programs tell; ports, and a path that follows its peer, sockets on a wire.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bpf/law.h"
#include "pipe.h"
#include "rig.h"
#include "rules.h"
#include "tap.h"
#include "wire.h"

#define FAST PP_RATE_MAX

static struct wire wire;
static uint64_t cgroup; /* that this process is in */

static uint32_t run(const char *peer)
{
	rules_counted();
	if (rig_send(&(struct rig_packet){ .len = 1000, .peer = peer }) != PASS)
		rig_die("refused");
	return rules_counted();
}

static void test_all(void)
{
	rules_clear();
	rules_match(1, (struct pp_match){ .kind = PP_MATCH_ALL });
	rules_match(2, (struct pp_match){ .kind = PP_MATCH_GROUPS });
	rules_add(1, cgroup, 1, FAST);
	rules_add(2, cgroup, 2, FAST);
	rules_add(3, cgroup, 1, FAST);
	is_u64(run("10.1.2.3"), 1 << 1 | 1 << 3, "all: what is for all counts, and goes on");
	is_u64(run("2001:db8::1"), 1 << 1 | 1 << 3, "all: IPv6 too");
	rig_enter("");
	is_u64(run("10.1.2.3"), 0, "all: not of what the cgroup above sends");
	rig_enter("a/b");
	is_u64(run("10.1.2.3"), 1 << 1 | 1 << 3, "all: of what cgroups below send");
	rules_add(4, rig_cgroup("a/b"), 1, FAST);
	rules_add(5, rig_cgroup("a/c"), 1, FAST);
	is_u64(run("10.1.2.3"), 1 << 1 | 1 << 3 | 1 << 4, "nested: rules of both bind");
	rig_enter("a");
}

static void test_blocks(void)
{
	static const struct {
		const char *peer;
		uint32_t in;
	} cases[] = {
		{ "10.1.0.0", 1 << 1 },
		{ "10.1.255.255", 1 << 1 },
		{ "10.2.0.0", 0 },
		{ "10.0.255.255", 0 },
		{ "10.1.2.3", 0 },
		{ "10.1.3.0", 1 << 1 },
		{ "192.0.2.7", 1 << 1 | 1 << 2 },
		{ "192.0.2.6", 1 << 2 },
		{ "2001:db8:5::1", 1 << 1 },
		{ "2001:db8:6::1", 0 },
		{ "2001:db9::1", 0 },
		{ "a01::", 0 }, /* 10.1.0.0 in its first bytes */
		{ "::10.1.0.0", 0 },
	};

	rules_clear();
	rules_match(1, (struct pp_match){ .kind = PP_MATCH_BLOCKS,
					  .n_blocks = 5,
					  .block = {
						  rules_block("10.1.2.0", 120, true),
						  rules_block("10.1.0.0", 112, false),
						  rules_block("192.0.2.7", 128, false),
						  rules_block("2001:db8::", 32, false),
						  rules_block("2001:db8:6::", 48, true),
					  } });
	rules_match(2, (struct pp_match){ .kind = PP_MATCH_BLOCKS,
					  .n_blocks = 1,
					  .block = { rules_block("192.0.2.0", 120, false),
						     rules_block("0.0.0.0", 96, false) } });
	rules_add(1, cgroup, 1, FAST);
	rules_add(2, cgroup, 2, FAST);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		is_u64(run(cases[i].peer), cases[i].in, "blocks: %s", cases[i].peer);
}

/* Group g is in match g; 4 in none that has a rule. */
static void test_groups(void)
{
	rules_clear();
	for (uint32_t g = 1; g <= 4; g++)
		rules_group(g, g);
	for (uint32_t m = 1; m <= 3; m++) {
		rules_match(m, (struct pp_match){ .kind = PP_MATCH_GROUPS });
		rules_add(m, cgroup, m, FAST);
	}
	is_u64(run("10.2.3.4"), 0, "groups: nobody is in one");
	rules_party(rules_address("10.2.3.4"), 0, 1);
	rules_party(rules_address("2001:db8::7"), 77, 2);
	rules_prefix("10.2.0.0", 112, 2);
	rules_prefix("10.2.3.0", 120, 3);
	rules_prefix("2001:db8::", 32, 3);
	rules_prefix("10.2.4.0", 120, 0);
	rules_prefix("10.2.5.0", 120, 4);
	is_u64(run("10.2.3.4"), 1 << 1, "groups: an address counts more than its block");
	is_u64(run("10.2.3.5"), 1 << 3, "groups: the longest prefix counts");
	is_u64(run("10.2.9.9"), 1 << 2, "groups: a shorter one");
	is_u64(run("10.3.0.0"), 0, "groups: none");
	is_u64(run("10.2.4.1"), 0, "groups: a block in no group hides the one around it");
	is_u64(run("10.2.5.1"), 0, "groups: as does one in another group");
	is_u64(run("2001:db8::7"), 1 << 2, "groups: an IPv6 address");
	is_u64(run("2001:db8::8"), 1 << 3, "groups: an IPv6 block");
	is_u64(run("2001:db7::8"), 0, "groups: no IPv6 block");
	/* the highest of both there can be */
	rules_group(PP_MAX_GROUPS - 1, PP_MAX_MATCHES - 1);
	rules_match(PP_MAX_MATCHES - 1, (struct pp_match){ .kind = PP_MATCH_GROUPS });
	rules_add(4, cgroup, PP_MAX_MATCHES - 1, FAST);
	rules_party(rules_address("10.2.3.4"), 0, PP_MAX_GROUPS - 1);
	is_u64(run("10.2.3.4"), 1 << 4, "groups: the last group, and the last match");
}

/* All sixteen of a slot are looked at; a path has room for twelve. */
static void test_many(void)
{
	struct pp_match all = { .kind = PP_MATCH_ALL };

	rules_clear();
	rules_match(1, all);
	rules_match(2, (struct pp_match){ .kind = PP_MATCH_GROUPS });
	for (uint32_t i = 0; i < PP_SLOT_RULES; i++)
		rules_add(20 + i, cgroup, i < PP_SLOT_RULES - 1 ? 2 : 1, FAST);
	run("10.0.0.1");
	is_u64(rig.pipe[20 + PP_SLOT_RULES - 1].bytes, 1000, "16 rules: the last one counts");
	rules_match(2, all);
	rig.state->gen++;
	run("10.0.0.1");
	is_u64(rig.pipe[20 + PP_MAX_PATH - 1].bytes, 1000, "16 rules for one: 12 are in force");
	is_u64(rig.pipe[20 + PP_MAX_PATH].bytes, 0, "16 rules for one: no more");
	is_u64(rig.state->event[PP_EVENT_PATH_FULL], 4, "16 rules for one: that is counted");
}

/* --- sockets on the wire */

static int make_socket(int type)
{
	int fd = socket(wire.v6 ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		rig_die("socket");
	return fd;
}

/* The socket sends a datagram to a neighbour of the wire's peer; what has counted it. */
static uint32_t send_to(int fd, uint8_t last, uint16_t port)
{
	struct sockaddr_in6 to;
	socklen_t len = wire_peer(&wire, port, &to);

	if (wire.v6)
		to.sin6_addr.s6_addr[15] = last;
	else
		((uint8_t *)&((struct sockaddr_in *)&to)->sin_addr)[3] = last;
	rules_counted();
	if (sendto(fd, "0123456789", 10, 0, (struct sockaddr *)&to, len) != 10)
		rig_die("sendto");
	wire_poll(&wire, 0);
	return rules_counted();
}

/* Its SYN alone: whatever comes back finds nothing. */
static uint32_t connect_to(uint16_t port)
{
	struct sockaddr_in6 to;
	socklen_t len = wire_peer(&wire, port, &to);
	int fd = make_socket(SOCK_STREAM);
	uint32_t mask;

	rules_counted();
	if (connect(fd, (struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS)
		rig_die("connect");
	mask = rules_counted();
	close(fd);
	wire_settle(&wire, 20);
	return mask;
}

/* Ports 7001 to 7003 of UDP, 7003 of TCP; all of TCP; all of both; one of UDP. */
static void set_ports(void)
{
	static const struct pp_ports ports[4][2] = {
		{ { 7001, 7003, IPPROTO_UDP, { 0 } }, { 7003, 7003, IPPROTO_TCP, { 0 } } },
		{ { 1, 65535, IPPROTO_TCP, { 0 } } },
		{ { 0 } },
		{ { 7003, 7003, IPPROTO_UDP, { 0 } } },
	};
	static const uint32_t n[4] = { 2, 1, 0, 1 };

	rules_clear();
	for (uint32_t m = 1; m <= 4; m++) {
		struct pp_match match = { .kind = PP_MATCH_ALL, .n_ports = n[m - 1] };

		memcpy(match.port, ports[m - 1], sizeof(ports[0]));
		rules_match(m, match);
		rules_add(m, cgroup, m, FAST);
	}
}

static void test_ports_out(const char *name)
{
	int fd = make_socket(SOCK_DGRAM);

	rig_use(PP_EGRESS);
	set_ports();
	is_u64(send_to(fd, 2, 7000), 1 << 3, "%s: UDP to 7000", name);
	is_u64(send_to(fd, 2, 7001), 1 << 1 | 1 << 3, "%s: UDP to 7001", name);
	is_u64(send_to(fd, 2, 7003), 1 << 1 | 1 << 3 | 1 << 4, "%s: UDP to 7003", name);
	is_u64(send_to(fd, 2, 7004), 1 << 3, "%s: UDP to 7004", name);
	is_u64(connect_to(7002), 1 << 2 | 1 << 3, "%s: TCP to 7002", name);
	is_u64(connect_to(7003), 1 << 1 | 1 << 2 | 1 << 3, "%s: TCP to 7003", name);
	close(fd);
	wire_settle(&wire, 20);
}

/* What comes in has the own port in its rule, whatever the peer's is (7000). */
static void test_ports_in(const char *name)
{
	static const uint32_t want[] = { 1 << 3, 1 << 1 | 1 << 3, 1 << 1 | 1 << 3 | 1 << 4 };
	struct sockaddr_in6 at;
	socklen_t len;
	int fd;

	rig_use(PP_INGRESS);
	set_ports();
	for (size_t i = 0; i < 3; i++) {
		static const uint16_t port[] = { 7500, 7002, 7003 };

		fd = make_socket(SOCK_DGRAM);
		len = wire_host(&wire, port[i], &at);
		if (bind(fd, (struct sockaddr *)&at, len) < 0)
			rig_die("bind");
		rules_counted();
		wire_datagram(&wire, port[i], 100);
		is_u64(rules_counted(), want[i], "%s: UDP at %d", name, port[i]);
		close(fd);
	}
	for (uint16_t port = 7002; port <= 7003; port++) {
		fd = make_socket(SOCK_STREAM);
		len = wire_host(&wire, port, &at);
		if (bind(fd, (struct sockaddr *)&at, len) < 0 || listen(fd, 8) < 0)
			rig_die("listen");
		rules_counted();
		wire_syn(&wire, port);
		is_u64(rules_counted(), (port == 7003) << 1 | 1 << 2 | 1 << 3, "%s: a SYN at %d", name,
		       port);
		wire_poll(&wire, 100);
		rules_counted();
		wire_send(&wire, 100, 0);
		is_u64(rules_counted(), (port == 7003) << 1 | 1 << 2 | 1 << 3, "%s: data at %d", name,
		       port);
		close(fd);
		wire_settle(&wire, 20);
	}
}

/* Trees and limits beside them, from the innermost out; then rules; then the uplink's. */
static void test_order(void)
{
	static const uint32_t want[] = { 1, 2, 3, 4, 11, 12, 13, 21, 22 };
	uint64_t a = rig_cgroup("a"), b = rig_enter("a/b");
	struct pp_slot slot = { .pipe = { 1 }, .cap = { { 3 } }, .uplink = { 21 } };
	struct rules_path path;
	bool same = true;
	int fd;

	rig_use(PP_EGRESS);
	rules_clear();
	rules_match(1, (struct pp_match){ .kind = PP_MATCH_ALL });
	rules_put(rig.skel->maps.pp_slots, &b, &slot);
	for (uint32_t i = 0; i < 9; i++)
		rig.pipe[want[i]] = (struct pp_pipe){ .rate = FAST };
	rig.pipe[1].parent = 2, rig.pipe[1].weight = 100, rig.pipe[2].members = 1;
	rig.pipe[21].parent = 22, rig.pipe[21].weight = 100, rig.pipe[22].members = 1;
	rig_limit(4, a, FAST);
	rules_add(13, a, 1, FAST);
	rules_add(11, b, 1, FAST);
	rules_add(12, b, 1, FAST);
	fd = make_socket(SOCK_DGRAM);
	send_to(fd, 2, 7000);
	path = rules_path_of(fd);
	for (uint32_t i = 0; i < 9; i++)
		same &= path.pipe[i] == want[i];
	ok(same && path.all == 9, "order: tree, limits beside it, rules, uplink: %u pipes",
	   path.all);
	is_u64(path.near, 7, "order: all but the uplink's for a peer on the node");
	is_u64(path.parents, 2, "order: two have members");
	is_u64(rig.pipe[22].packets, 1, "order: the last has counted it");
	rules_put(rig.skel->maps.pp_locals, rules_address("10.78.0.2").addr, &(uint32_t){ 0 });
	send_to(fd, 2, 7000);
	is_u64(rig.pipe[13].packets, 2, "order: on the node, rules count");
	is_u64(rig.pipe[21].packets, 1, "order: and the uplink does not");
	rules_empty(rig.skel->maps.pp_locals);
	close(fd);
	cgroup = rig_enter("a");
}

/* Eight limits, of a cgroup in another, and four rules; what is more is left out. */
static void test_full(void)
{
	char path[64] = "a";
	int n = 1, fd;
	struct rules_path p;
	uint64_t id = cgroup;

	rig_use(PP_EGRESS);
	rules_clear();
	rules_match(1, (struct pp_match){ .kind = PP_MATCH_ALL });
	for (uint32_t i = 0; i < PP_MAX_NESTED; i++) {
		if (i)
			n += snprintf(path + n, sizeof(path) - (size_t)n, "/d%u", i);
		id = rig_enter(path);
		rig_limit(1 + i, id, FAST);
	}
	for (uint32_t i = 0; i < PP_MAX_PATH - PP_MAX_NESTED; i++)
		rules_add(31 + i, i % 2 ? id : cgroup, 1, FAST);
	fd = make_socket(SOCK_DGRAM);
	send_to(fd, 2, 7000);
	p = rules_path_of(fd);
	is_u64(p.n, PP_MAX_PATH, "full: as many as there is room for");
	is_u64(rig.state->event[PP_EVENT_PATH_FULL], 0, "full: no more");
	rules_add(40, cgroup, 1, FAST);
	send_to(fd, 2, 7000);
	is_u64(rig.state->event[PP_EVENT_PATH_FULL], 1, "full: one more is counted");
	is_u64(rig.pipe[40].packets, 0, "full: the outermost cgroup's last rule is left out");
	is_u64(rig.pipe[31].packets, 2, "full: its others are not");
	close(fd);
	cgroup = rig_enter("a");
}

/* One socket, and with each datagram another peer. */
static void test_alternating(const char *name)
{
	struct pp_local a[2];
	uint64_t gen;
	int fd, wrong = 0;

	rig_use(PP_EGRESS);
	rules_clear();
	a[0] = rules_address(wire.v6 ? "fd78::2" : "10.78.0.2");
	a[1] = rules_address(wire.v6 ? "fd78::3" : "10.78.0.3");
	for (uint32_t i = 0; i < 2; i++) {
		rules_group(1 + i, 1 + i);
		rules_party(a[i], 0, 1 + i);
		rules_match(1 + i, (struct pp_match){ .kind = PP_MATCH_GROUPS });
		rules_add(1 + i, cgroup, 1 + i, FAST);
	}
	fd = make_socket(SOCK_DGRAM);
	gen = rig.state->gen;
	for (int i = 0; i < 10; i++) {
		wrong += send_to(fd, 2, 7000) != 1 << 1;
		wrong += send_to(fd, 3, 7000) != 1 << 2;
		wrong += send_to(fd, 4, 7000) != 0;
	}
	is_u64(wrong, 0, "%s: each datagram is counted for its peer", name);
	is_u64(rig.state->gen, gen, "%s: without another generation", name);
	rules_party(a[0], 0, 2);
	rig.state->gen++;
	is_u64(send_to(fd, 2, 7000), 1 << 2, "%s: the peer goes to another group", name);
	bpf_map_delete_elem(bpf_map__fd(rig.skel->maps.pp_parties), &a[0]);
	rig.state->gen++;
	is_u64(send_to(fd, 2, 7000), 0, "%s: and to none", name);
	close(fd);
}

static int tests(void)
{
	int fd = rig_cgroup_fd("a");

	for (int dir = 0; dir < PP_N_DIR; dir++) {
		cgroup = rig_enter("a");
		rig_use(dir);
		test_all();
		test_blocks();
		test_groups();
		test_many();
	}
	if (!wire_open(&wire)) {
		skip("no TUN device");
		return done_testing();
	}
	/* the links end with this process */
	if (!bpf_program__attach_cgroup(rig.skel->progs.pp_egress, fd) ||
	    !bpf_program__attach_cgroup(rig.skel->progs.pp_ingress, fd))
		rig_die("attach");
	for (int i = 0; i < 2; i++) {
		wire.v6 = i;
		test_ports_out(i ? "v6" : "v4");
		test_ports_in(i ? "v6" : "v4");
		test_alternating(i ? "v6" : "v4");
	}
	wire.v6 = false;
	test_order();
	test_full();
	return done_testing();
}

int main(void)
{
	return rig_main(tests, RIG_PACKETS);
}
