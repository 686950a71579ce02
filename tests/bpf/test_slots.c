// SPDX-License-Identifier: Apache-2.0
// The maps of cgroups and of peers, as the agent writes them: only what differs, identities that
// give way to limits, and as many as a large cluster has. Maps alone, without programs.
#include <bpf/bpf.h>
#include <time.h>

#include "base/base.h"
#include "kernel/prefixes.h"
#include "kernel/slots.h"
#include "kernel/wants.h"
#include "tap.h"

static struct pp_datapath d = { .slots_fd = -1, .prefixes_fd = -1, .names_fd = -1, .iter_fd = -1 };

static struct pp_slot slot_of(uint64_t id)
{
	struct pp_slot s = {};

	bpf_map_lookup_elem(d.slots_fd, &id, &s);
	return s;
}

static size_t count(int fd, void *key, void *next)
{
	size_t n = 0;

	for (void *at = NULL; bpf_map_get_next_key(fd, at, next) == 0; at = key, n++)
		memcpy(key, next, fd == d.slots_fd ? sizeof(uint64_t) : sizeof(struct pp_prefix));
	return n;
}

static size_t slots(void)
{
	uint64_t key, next;

	return count(d.slots_fd, &key, &next);
}

static size_t prefixes(void)
{
	struct pp_prefix key, next;

	return count(d.prefixes_fd, &key, &next);
}

/* As pp_limit_set() does. */
static int limit(uint64_t id, uint32_t pipe)
{
	struct pp_slot s = slot_of(id);

	d.pipes[pipe] = (struct pp_pipe){ .rate = 1000, .cgroup_id = id };
	s.pipe[PP_INGRESS] = pipe;
	return pp_slot_write(&d, id, &s);
}

/* Of pods alone, as an agent does it. Returns how many found no room. */
static size_t identities(const uint64_t *ids, const uint64_t *pods, size_t n, bool complete)
{
	struct pp_want_slot *s = calloc(n + 1, sizeof(*s));
	struct pp_wants w = { .slots = s, .n_slots = n, .complete = complete, .thorough = false };
	size_t left = 0;

	for (size_t i = 0; i < n; i++) {
		s[i] = (struct pp_want_slot){ .path = "/none", .cgroup_id = ids[i], pods[i] };
		for (int dir = 0; dir < PP_N_DIR; dir++)
			s[i].pipe[dir] = s[i].uplink[dir] = s[i].cap[dir][0] = s[i].cap[dir][1] =
				s[i].rule[dir][0] = PP_NOTHING;
	}
	pp_wants_apply(&d, &w, NULL);
	for (size_t i = 0; i < n; i++)
		left += s[i].no_room;
	free(s);
	return left;
}

static void test_identities(void)
{
	const uint64_t ids[] = { 30, 10, 20 }, pods[] = { 3, 1, 2 };
	const uint64_t two[] = { 10, 20 }, others[] = { 1, 9 };
	uint64_t gen;

	limit(20, 1);
	is_u64(identities(ids, pods, 3, true), 0, "three pods, one of them limited");
	ok(slots() == 3 && slot_of(10).identity == 1 && slot_of(20).identity == 2 &&
		   slot_of(20).pipe[PP_INGRESS] == 1,
	   "are known, beside the limit");
	is_u64(d.state->nlimits[PP_INGRESS], 1, "which alone counts as one");
	gen = d.state->gen;
	is_u64(identities(ids, pods, 3, true), 0, "the same again");
	is_u64(d.state->gen, gen, "writes nothing");
	is_u64(identities(two, others, 2, false), 0, "a pod changes while not all are known");
	ok(slot_of(20).identity == 9 && slot_of(30).identity == 3, "others stay");
	pp_slots_reconcile(&d);
	ok(slot_of(20).pipe[PP_INGRESS] == 1, "the limit stays");
}

static void test_reconcile(void)
{
	d.pipes[1].rate = 0; /* as a command that was killed leaves it */
	pp_slots_reconcile(&d);
	ok(!slot_of(20).pipe[PP_INGRESS] && slot_of(20).identity == 9,
	   "a pipe that is free again is taken out of a slot that stays");
	is_u64(d.state->nlimits[PP_INGRESS], 0, "and not counted");
	for (uint64_t id = 10; id <= 30; id += 10)
		pp_slot_write(&d, id, &(struct pp_slot){});
	is_u64(slots(), 0, "a slot without anything goes");
}

/* More pods than there is room for beside the limits, which come to need all of it. */
static void test_full(void)
{
	enum { N = 196, ROOM = N - 100 };
	uint64_t ids[N], pods[N];
	uint32_t k = 1;
	int failed = 0;

	for (size_t i = 0; i < N; i++) {
		ids[i] = 1000 + i;
		pods[i] = 1 + i;
	}
	for (; k <= PP_MAX_SLOTS - ROOM; k++)
		failed += limit(100000 + k, k) != 0;
	is_u64(failed, 0, "many limits");
	is_u64(identities(ids, pods, N, false), 100, "100 more pods than slots");
	is_u64(limit(100000 + k, k), 0, "a limit finds room beside them");
	is_u64(slots(), PP_MAX_SLOTS, "in the place of one");
	is_u64(identities(ids, pods, N, false), 101, "which finds none");
	ok(slot_of(100000 + k).pipe[PP_INGRESS] == k, "and takes none from a limit");
	for (k++; k <= PP_MAX_SLOTS; k++)
		failed += limit(100000 + k, k) != 0;
	is_u64(failed, 0, "limits take all slots");
	is_u64(d.state->nlimits[PP_INGRESS], PP_MAX_SLOTS, "and are counted");
	is_u64(-limit(100000 + k, k), E2BIG, "one more is refused");
	is_u64(identities(ids, pods, N, false), N, "no identity is left");
	is_u64(d.state->nlimits[PP_INGRESS], PP_MAX_SLOTS, "all limits are");
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static struct pp_cidr *cluster(size_t n, unsigned int from)
{
	struct pp_cidr *c = calloc(n, sizeof(*c));

	for (size_t i = 0; c && i < n; i++) {
		c[i].len = 128;
		c[i].addr[10] = c[i].addr[11] = 0xff;
		c[i].addr[12] = 10;
		c[i].addr[13] = (from + i) >> 16;
		c[i].addr[14] = (from + i) >> 8;
		c[i].addr[15] = from + i;
	}
	return c;
}

static void test_prefixes(void)
{
	size_t n = 20000;
	struct pp_cidr *c = cluster(n, 0), *moved = cluster(n, 100);
	struct pp_err e = { "" };
	double begin = seconds();

	pp_prefix_add(&d, &c[7], PP_OWNER_COMMAND, &e);
	is_u64(pp_prefixes_set(&d, c, n, PP_OWNER_AGENT, true, &e), n - 1, "20000 prefixes");
	is_u64(d.state->nprefixes, n, "are counted");
	is_u64(pp_prefixes_set(&d, c, n, PP_OWNER_AGENT, true, &e), 0, "the same: no change");
	is_u64(pp_prefixes_set(&d, moved, n, PP_OWNER_AGENT, false, &e), 100, "100 more");
	is_u64(pp_prefixes_set(&d, moved, n, PP_OWNER_AGENT, true, &e), 99,
	       "those that are gone go, when all are known; somebody else's stays");
	ok(prefixes() == n + 1 && d.state->nprefixes == n + 1, "%zu are left", prefixes());
	ok(seconds() - begin < 5, "in %.2f s", seconds() - begin);
	is_u64(pp_prefixes_set(&d, NULL, 0, PP_OWNER_AGENT, true, &e), n, "none");
	is_u64(d.state->nprefixes, 1, "but somebody else's");
	free(c);
	free(moved);
}

/* What does not fit is told; what fits is there, and makes room when it goes. */
static void test_too_many(void)
{
	size_t n = PP_MAX_PREFIXES + 10;
	struct pp_cidr *c = cluster(n, 0), *fewer = cluster(n, 1000);
	struct pp_err e = { "" };

	is_u64(-pp_prefixes_set(&d, c, n, PP_OWNER_AGENT, true, &e), ENOSPC, "too many: %s", e.msg);
	is_u64(d.state->nprefixes, PP_MAX_PREFIXES, "as many as fit are there");
	is_u64(-pp_prefixes_set(&d, fewer, n - 1000, PP_OWNER_AGENT, true, &e), ENOSPC,
	       "others, before there is room");
	ok(pp_prefixes_set(&d, fewer, n - 1000, PP_OWNER_AGENT, true, &e) > 0, "and after");
	is_u64(d.state->nprefixes, n - 1000 + 1, "all are there");
	free(c);
	free(fewer);
}

int main(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, trie, .map_flags = 1 /* BPF_F_NO_PREALLOC */);

	d.slots_fd = bpf_map_create(BPF_MAP_TYPE_HASH, "slots", sizeof(uint64_t),
				    sizeof(struct pp_slot), PP_MAX_SLOTS, NULL);
	d.prefixes_fd = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "prefixes", sizeof(struct pp_prefix),
				       sizeof(struct pp_prefix_info), PP_MAX_PREFIXES, &trie);
	d.pipes = calloc(PP_ALL_PIPES, sizeof(*d.pipes));
	d.state = calloc(1, sizeof(*d.state));
	if (d.slots_fd < 0 || d.prefixes_fd < 0 || !d.pipes || !d.state) {
		printf("1..0 # SKIP no BPF maps: %s\n", strerror(errno));
		return 77;
	}
	test_identities();
	test_reconcile();
	test_full();
	test_prefixes();
	test_too_many();
	return done_testing();
}
