// SPDX-License-Identifier: Apache-2.0
// What the egress program costs, in ns of CPU each time it runs (once for a super-packet): a
// markdown table.
//
//   program [ROUNDS]     default 5; root
//
// "test run": BPF_PROG_TEST_RUN, a million repetitions, the kernel's own mean; the same packet of
// 1500 bytes, so caches are warm, on a socket without a protocol, which is policed as UDP is.
// "TCP": what the kernel adds up (run_time_ns) while one connection sends 40 MB through a TUN
// device to this program; it contains one reading of the clock, so the first row is the floor of
// both columns. Each is the median of the rounds.
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
#define REPEAT 1000000
#define TCP_BYTES 40000000

static int rounds = 5;
static struct wire wire;

static const struct {
	const char *name;
	int pipes;      /* on the path of the cgroup that sends */
	bool elsewhere; /* another cgroup has one */
	bool tree;      /* each but the last is a member of the next */
	int rules;      /* that are for others, beside; and then the pipes are rules', for all */
} rows[] = {
	{ "no limit on the host", 0, false, false, 0 },
	{ "limits elsewhere, none on the path", 0, true, false, 0 },
	{ "1 pipe", 1, false, false, 0 },
	{ "1 pipe, of a rule, and 15 rules for others", 1, false, false, 15 },
	{ "3 pipes", 3, false, false, 0 },
	{ "3 pipes, of rules, and 13 rules for others", 3, false, false, 13 },
	{ "3 pipes, a tree of shares", 3, false, true, 0 },
	{ "8 pipes", 8, false, false, 0 },
};

static void add_rules(uint64_t id, int pipes, int others)
{
	rules_match(1, (struct pp_match){ .kind = PP_MATCH_ALL });
	rules_match(2, (struct pp_match){ .kind = PP_MATCH_GROUPS });
	for (int i = 0; i < others; i++)
		rules_add(20 + i, id, 2, PP_RATE_MAX);
	for (int i = 0; i < pipes; i++)
		rules_add(1 + i, id, 1, PP_RATE_MAX);
}

/* The sender is 8 levels down; pipes are on the innermost. */
static void set_up(int pipes, bool elsewhere, bool tree, int rules)
{
	char path[64] = "limited";
	uint64_t id[PP_MAX_PATH];
	size_t n = strlen(path);

	for (int i = 0; i < PP_MAX_PATH; i++) {
		id[i] = rig_enter(path);
		n += snprintf(path + n, sizeof(path) - n, "/%d", i);
	}
	rig_clear();
	if (rules)
		add_rules(id[PP_MAX_PATH - 1], pipes, rules);
	for (int i = 0; i < pipes && !rules; i++)
		rig_limit(1 + i, id[PP_MAX_PATH - 1 - i], PP_RATE_MAX);
	for (int i = 0; tree && i < pipes - 1; i++) {
		rig.pipe[1 + i].weight = PP_WEIGHT_DEFAULT;
		rig.pipe[1 + i].parent = 2 + i;
		rig.pipe[2 + i].members = 1;
	}
	if (elsewhere)
		rig_limit(100, rig_cgroup("elsewhere"), PP_RATE_MAX);
}

static double test_run(void)
{
	struct rig_result r = rig_run(&(struct rig_packet){ .len = 1500 }, REPEAT);

	if (r.err || r.verdict != 1)
		rig_die("test run");
	return r.ns;
}

static void egress_info(struct bpf_prog_info *ret)
{
	__u32 len = sizeof(*ret);

	memset(ret, 0, len);
	if (bpf_obj_get_info_by_fd(bpf_program__fd(rig.skel->progs.pp_egress), ret, &len))
		rig_die("bpf_prog_info");
}

static double tcp(void)
{
	static const char data[262144];
	struct bpf_prog_info begin, end;
	struct sockaddr_in6 to;
	socklen_t len = wire_peer(&wire, 7000, &to);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct linger now = { .l_onoff = 1 };

	if (fd < 0 || (connect(fd, (struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS))
		rig_die("connect");
	wire_settle(&wire, 20);
	wire.payload = 0;
	egress_info(&begin);
	while (wire.payload < TCP_BYTES) {
		if (send(fd, data, sizeof(data), MSG_NOSIGNAL) < 0 && errno != EAGAIN)
			rig_die("send");
		wire_poll(&wire, 1);
	}
	egress_info(&end);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
	wire_settle(&wire, 20);
	return (double)(end.run_time_ns - begin.run_time_ns) / (end.run_cnt - begin.run_cnt);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double (*measure)(void))
{
	double v[MAX_ROUNDS];

	for (int i = 0; i < rounds; i++)
		v[i] = measure();
	qsort(v, rounds, sizeof(v[0]), ascending);
	return v[rounds / 2];
}

static int measure_all(void)
{
	double run[sizeof(rows) / sizeof(rows[0])];
	int fd = rig_cgroup_fd("limited");
	bool has_wire = wire_open(&wire);

	/* with the clock of run_time_ns switched off, and nothing attached */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		set_up(rows[i].pipes, rows[i].elsewhere, rows[i].tree, rows[i].rules);
		run[i] = median(test_run);
	}
	if (has_wire && (bpf_enable_stats(BPF_STATS_RUN_TIME) < 0 ||
			 !bpf_program__attach_cgroup(rig.skel->progs.pp_egress, fd) ||
			 !bpf_program__attach_cgroup(rig.skel->progs.pp_sockops, fd)))
		rig_die("attach");
	printf("| limits | test run, ns | TCP, ns |\n|---|---|---|\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		printf("| %s | %.0f | ", rows[i].name, run[i]);
		if (!has_wire) {
			printf("no TUN device |\n");
			continue;
		}
		set_up(rows[i].pipes, rows[i].elsewhere, rows[i].tree, rows[i].rules);
		printf("%.0f |\n", median(tcp));
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
	return rig_main(measure_all, RIG_SOCKOPS);
}
