// SPDX-License-Identifier: Apache-2.0
// The rig: see rig.h.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/sockios.h>
#include <mntent.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rig.h"

#define ETHERNET 14
#define MAX_PACKET 4096

struct rig rig;

static char top[PATH_MAX / 2]; /* podpace-test, in full */
static char own[PATH_MAX];     /* the test's own cgroup below it */

void rig_die(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

/* --- cgroups */

static bool find_cgroup2(void)
{
	FILE *f = setmntent("/proc/mounts", "r");
	struct mntent *m;
	bool found = false;

	while (f && !found && (m = getmntent(f))) {
		found = strcmp(m->mnt_type, "cgroup2") == 0;
		if (found)
			snprintf(top, sizeof(top), "%s/podpace-test", m->mnt_dir);
	}
	if (f)
		endmntent(f);
	snprintf(own, sizeof(own), "%s/bpf-%d", top, (int)getpid());
	return found;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)ftw;
	if (type == FTW_DP)
		rmdir(path);
	return 0;
}

static void remove_cgroups(void)
{
	/* a dead process leaves its cgroup a moment after it has been waited for */
	for (int tries = 0; tries < 100 && access(own, F_OK) == 0; tries++) {
		nftw(own, remove_one, 16, FTW_DEPTH | FTW_PHYS);
		usleep(10000);
	}
	rmdir(top);
}

/* Makes every level. The name of cgroup `path` in full. */
static void cgroup_name(const char *path, char *ret, size_t size)
{
	if ((size_t)snprintf(ret, size, "%s%s%s", own, *path ? "/" : "", path) >= size)
		rig_die("name of a cgroup");
	for (char *slash = ret + strlen(own); slash; slash = strchr(slash + 1, '/')) {
		char was = *slash;

		*slash = '\0';
		if (mkdir(ret, 0755) < 0 && errno != EEXIST)
			rig_die(ret);
		*slash = was;
		if (!was)
			return;
	}
	if (mkdir(ret, 0755) < 0 && errno != EEXIST)
		rig_die(ret);
}

int rig_cgroup_fd(const char *path)
{
	char name[PATH_MAX];
	int fd;

	cgroup_name(path, name, sizeof(name));
	fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		rig_die(name);
	return fd;
}

void rig_remove(const char *path)
{
	char name[PATH_MAX];

	cgroup_name(path, name, sizeof(name));
	if (rmdir(name) < 0)
		rig_die(name);
}

uint64_t rig_cgroup(const char *path)
{
	char name[PATH_MAX];
	struct stat st;

	cgroup_name(path, name, sizeof(name));
	/* the inode number of a cgroup's directory is its id, where ino_t has 64 bits */
	if (stat(name, &st) < 0)
		rig_die(name);
	return st.st_ino;
}

uint64_t rig_enter(const char *path)
{
	uint64_t id = rig_cgroup(path);
	char name[PATH_MAX + 16];
	FILE *f;

	snprintf(name, sizeof(name), "%s%s%s/cgroup.procs", own, *path ? "/" : "", path);
	f = fopen(name, "w");
	if (!f || fprintf(f, "%d\n", (int)getpid()) < 0 || fclose(f))
		rig_die(name);
	return id;
}

/* --- the programs and their maps */

static void *map_array(const struct bpf_map *map, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	if (p == MAP_FAILED)
		rig_die(bpf_map__name(map));
	return p;
}

static void load_programs(enum rig_load load)
{
	struct bpf_program *p;

	rig.skel = podpace_bpf__open();
	if (!rig.skel)
		rig_die("skeleton");
	bpf_object__for_each_program (p, rig.skel->obj)
		bpf_program__set_autoload(p, p == rig.skel->progs.pp_egress ||
						     p == rig.skel->progs.pp_ingress);
	bpf_program__set_autoload(rig.skel->progs.pp_sockops, load >= RIG_SOCKOPS);
	bpf_program__set_autoload(rig.skel->progs.pp_rmdir, load == RIG_RMDIR);
	if (podpace_bpf__load(rig.skel))
		rig_die("the kernel refused the programs");
	rig.pipe = map_array(rig.skel->maps.pp_pipes, sizeof(*rig.pipe) * PP_ALL_PIPES);
	rig.state = map_array(rig.skel->maps.pp_state, sizeof(*rig.state));
}

/* In a network namespace of its own; a bridge is the device that needs the least to be made. */
static void make_device(void)
{
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		rig_die("network namespace");
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCBRADDBR, "pp0") < 0)
		rig_die("bridge device");
	close(fd);
	rig.ifindex = if_nametoindex("pp0");
}

int rig_main(int (*tests)(void), enum rig_load load)
{
	int status = 0;
	pid_t child;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (geteuid() != 0 || !find_cgroup2()) {
		printf("1..0 # SKIP %s\n", geteuid() ? "needs root" : "no cgroup2 mount");
		return 0;
	}
	if (mkdir(top, 0755) < 0 && errno != EEXIST)
		rig_die(top);
	/* what ends the child must leave the parent to clean up */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	child = fork();
	if (child < 0)
		rig_die("fork");
	if (child == 0) {
		signal(SIGINT, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
		rig_enter("");
		make_device();
		load_programs(load);
		exit(tests());
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	remove_cgroups();
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	printf("Bail out! signal %d\n", WTERMSIG(status));
	return 1;
}

/* --- limits */

uint64_t rig_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

void rig_clear(void)
{
	int fd = bpf_map__fd(rig.skel->maps.pp_slots);
	uint64_t gen = rig.state->gen, key;

	while (bpf_map_get_next_key(fd, NULL, &key) == 0)
		bpf_map_delete_elem(fd, &key);
	memset(rig.pipe, 0, sizeof(*rig.pipe) * PP_ALL_PIPES);
	memset(rig.state, 0, sizeof(*rig.state));
	rig.state->gen = gen + 1;
	rig.state->levels = ~0U;
}

void rig_slot(uint64_t cgroup_id, uint32_t k)
{
	int fd = bpf_map__fd(rig.skel->maps.pp_slots);
	struct pp_slot slot = { 0 };

	bpf_map_lookup_elem(fd, &cgroup_id, &slot);
	slot.pipe[rig.dir] = k;
	if (bpf_map_update_elem(fd, &cgroup_id, &slot, BPF_ANY))
		rig_die("pp_slots");
}

struct pp_pipe *rig_limit(uint32_t k, uint64_t cgroup_id, uint64_t rate)
{
	struct pp_pipe *p = &rig.pipe[k];

	memset(p, 0, sizeof(*p));
	p->cgroup_id = cgroup_id;
	p->dir = rig.dir;
	p->rate = rate;
	rig_slot(cgroup_id, k);
	rig.state->nlimits[rig.dir]++;
	rig.state->gen++;
	return p;
}

struct pp_pipe *rig_limit_queue(uint32_t k, uint64_t cgroup_id, uint64_t rate, uint64_t queue_ns)
{
	struct pp_pipe *p = rig_limit(k, cgroup_id, rate);

	p->R = p->C = rate;
	p->n16 = 16;
	p->epoch_no = 1;
	p->qmin = ~0ULL;
	p->last = rig_now();
	p->vt = (p->last + queue_ns) << 8;
	return p;
}

/* --- packets */

static size_t build(const struct rig_packet *k, uint8_t *data)
{
	bool v6 = k->v6 || (k->peer && strchr(k->peer, ':')), sent = rig.dir == PP_EGRESS;
	uint8_t *ip = data + ETHERNET, *peer = ip + (v6 ? 8 : 12) + (sent ? v6 ? 16 : 4 : 0);

	memset(data, 0, ETHERNET + k->len);
	if (k->peer && inet_pton(v6 ? AF_INET6 : AF_INET, k->peer, peer) != 1)
		rig_die(k->peer);
	data[12] = v6 ? 0x86 : 0x08;
	data[13] = v6 ? 0xdd : 0x00;
	if (v6) {
		ip[0] = 6 << 4;
		ip[4] = (k->len - 40) >> 8;
		ip[5] = k->len - 40;
		ip[6] = IPPROTO_UDP;
		ip[1] = k->ecn << 4;
	} else {
		ip[0] = 4 << 4 | (5 + k->options / 4);
		ip[2] = k->len >> 8;
		ip[3] = k->len;
		ip[9] = IPPROTO_UDP;
		ip[1] = k->ecn;
	}
	return ETHERNET + k->len;
}

void rig_use(enum pp_dir dir)
{
	rig_clear();
	rig.dir = dir;
	printf("# %s\n", dir == PP_EGRESS ? "egress" : "ingress");
}

struct bpf_program *rig_program(void)
{
	return rig.dir == PP_EGRESS ? rig.skel->progs.pp_egress : rig.skel->progs.pp_ingress;
}

struct rig_result rig_run(const struct rig_packet *k, uint32_t repeat)
{
	uint8_t data[ETHERNET + MAX_PACKET], out[ETHERNET + MAX_PACKET] = { 0 };
	struct __sk_buff skb = {
		.ifindex = k->ifindex ? k->ifindex : rig.ifindex,
		.gso_segs = k->gso_segs,
		.gso_size = k->gso_size,
	};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data, .data_out = out,
		    .data_size_out = sizeof(out), .ctx_in = &skb,
		    .ctx_size_in = sizeof(skb), .repeat = repeat);
	struct rig_result r;

	if (k->len > MAX_PACKET)
		rig_die("packet");
	opts.data_size_in = build(k, data);
	r.err = bpf_prog_test_run_opts(bpf_program__fd(rig_program()), &opts);
	r.verdict = opts.retval;
	r.ns = opts.duration;
	r.ecn = out[ETHERNET + 1] >> (k->v6 ? 4 : 0) & 3;
	return r;
}

int rig_send(const struct rig_packet *k)
{
	struct rig_result r = rig_run(k, 1);

	return r.err ? r.err : (int)r.verdict;
}
