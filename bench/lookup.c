// SPDX-License-Identifier: Apache-2.0
// What it takes to find the rules that are for a peer, in ns of CPU: a markdown table.
//
//   lookup [ROUNDS]     default 5; root
//
// A socket sends datagrams through a TUN device, first all to one peer, as on a connection, then
// each to another one, drawn from 100 000: then each packet has its path looked up, with caches
// that many others have used. Both are what the kernel adds up for the egress program
// (run_time_ns), medians of the rounds; the difference is the look-up. Of the rules the first is
// for all of these peers, where they are known, and the others for none of them.
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bpf/law.h"
#include "rig.h"
#include "rules.h"
#include "wire.h"

#define MAX_ROUNDS 99
#define PEERS 100000
#define SENDS 100000
#define GROUPS 4096

static int rounds = 5;
static struct wire wire;
static int sender;
static struct in_addr peer[PEERS];

enum known { BY_NOTHING, BY_ADDRESS, BY_PREFIX, N_KNOWN };

static const struct {
	const char *name;
	int rules;
	bool pairs;
	uint32_t peers;
} rows[] = {
	{ "no rules", 0, false, PEERS },
	{ "1 rule", 1, false, PEERS },
	{ "4 rules", 4, false, PEERS },
	{ "16 rules", 16, false, PEERS },
	{ "1 rule, a pipe for each of 4000 peers", 1, true, 4000 },
};

/* Numerical Recipes' generator: the same peers each time. */
static uint32_t draw(void)
{
	static uint64_t x = 1;

	x = x * 6364136223846793005ULL + 1442695040888963407ULL;
	return x >> 33;
}

static struct pp_local mapped(struct in_addr a)
{
	struct pp_local l = { .addr = { [10] = 255, [11] = 255 } };

	memcpy(l.addr + 12, &a, sizeof(a));
	return l;
}

/* All in the first match, and each group in some that no rule is for. */
static void make_groups(void)
{
	for (uint32_t g = 1; g < GROUPS; g++) {
		struct pp_group_in in = { .in = { 2 } };

		for (int i = 0; i < 8; i++)
			in.in[1 + draw() % (PP_MAX_MATCHES / 64 - 1)] |= 1ULL << draw() % 64;
		rules_put(rig.skel->maps.pp_groups, &g, &in);
	}
}

static void make_peers(enum known known)
{
	rules_empty(rig.skel->maps.pp_parties);
	rules_empty(rig.skel->maps.pp_blocks);
	for (uint32_t i = 0; i < PEERS; i++) {
		uint32_t group = 1 + draw() % (GROUPS - 1);

		peer[i].s_addr = htonl(0x0b000000 + draw() % 0x60000000);
		if (known == BY_ADDRESS) {
			rules_party(mapped(peer[i]), draw() + 1ULL, group);
		} else if (known == BY_PREFIX) {
			struct pp_local a = mapped(peer[i]);
			struct pp_prefix key = { .len = 96 + 20 + draw() % 13 };

			for (uint32_t b = key.len; b < 128; b++)
				a.addr[b / 8] &= ~(0x80 >> b % 8);
			memcpy(key.addr, a.addr, sizeof(key.addr));
			rules_put(rig.skel->maps.pp_blocks, &key, &group);
		}
	}
}

/* The level of the cgroup that this process is in. */
static int level(void)
{
	FILE *f = fopen("/proc/self/cgroup", "r");
	char line[512];
	int n = 0;

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "0::", 3) == 0)
			for (const char *c = line; *c; c++)
				n += *c == '/';
	if (f)
		fclose(f);
	return n;
}

/* The sender is some levels down, as a container is; there are slots at its level and above. */
static void set_up(int rules, bool pairs)
{
	char path[64] = "limited";
	size_t n = strlen(path);
	uint64_t id = 0;

	for (int i = 0; i < 8; i++) {
		id = rig_enter(path);
		n += snprintf(path + n, sizeof(path) - n, "/%d", i);
	}
	rig_clear();
	rules_empty(rig.skel->maps.pp_pairs);
	for (int i = 0; i < rules; i++) {
		rules_match(1 + i, (struct pp_match){ .kind = PP_MATCH_GROUPS });
		rules_add(10 + i, id, 1 + i, PP_RATE_MAX);
	}
	if (!rules)
		rig_limit(1, id, PP_RATE_MAX);
	else if (pairs)
		rig.pipe[10].kind = PP_KIND_PAIRS;
	rig.state->levels = 3U << (level() - 1);
}

static void egress_info(struct bpf_prog_info *ret)
{
	__u32 len = sizeof(*ret);

	memset(ret, 0, len);
	if (bpf_obj_get_info_by_fd(bpf_program__fd(rig.skel->progs.pp_egress), ret, &len))
		rig_die("bpf_prog_info");
}

static void send_to(struct in_addr a)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(7000), .sin_addr = a };

	/* nobody reads: what the device has no room for is dropped behind the program */
	if (sendto(sender, "0123456789", 10, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		rig_die("sendto");
}

/* To so many peers. */
static double measure(uint32_t peers)
{
	struct bpf_prog_info begin, end;

	send_to(peer[draw() % peers]);
	egress_info(&begin);
	for (uint32_t i = 0; i < SENDS; i++)
		send_to(peer[draw() % peers]);
	egress_info(&end);
	return (double)(end.run_time_ns - begin.run_time_ns) / (end.run_cnt - begin.run_cnt);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(uint32_t peers)
{
	double v[MAX_ROUNDS];

	for (int i = 0; i < rounds; i++)
		v[i] = measure(peers);
	qsort(v, rounds, sizeof(v[0]), ascending);
	return v[rounds / 2];
}

static void make_sender(void)
{
	sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	/* whatever the address is: it is taken to be on that link */
	if (sender < 0 || setsockopt(sender, SOL_SOCKET, SO_BINDTODEVICE, "pp1", 4) < 0)
		rig_die("socket");
}

static int measure_all(void)
{
	static const char *const known[] = { "nothing", "100000 addresses", "100000 prefixes" };
	int fd = rig_cgroup_fd("limited");

	if (!wire_open(&wire) || bpf_enable_stats(BPF_STATS_RUN_TIME) < 0 ||
	    !bpf_program__attach_cgroup(rig.skel->progs.pp_egress, fd))
		rig_die("TUN device, programs");
	make_groups();
	printf("| peers are known by | rules | one peer, ns | another each time, ns | "
	       "look-up, ns |\n|---|---|---|---|---|\n");
	for (int k = 0; k < N_KNOWN; k++) {
		make_peers((enum known)k);
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			double one, each;

			set_up(rows[i].rules, rows[i].pairs);
			make_sender();
			one = median(1);
			each = median(rows[i].peers);
			close(sender);
			printf("| %s | %s | %.0f | %.0f | %.0f |\n", known[k], rows[i].name, one,
			       each, each - one);
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		rounds = strtol(argv[1], NULL, 10);
	if (argc > 2 || rounds < 1 || rounds > MAX_ROUNDS) {
		fprintf(stderr, "usage: %s [ROUNDS], 1 to %d\n", argv[0], MAX_ROUNDS);
		return 2;
	}
	return rig_main(measure_all, RIG_PACKETS);
}
