// SPDX-License-Identifier: Apache-2.0
// Whom rules are for, as user space writes it: pods and blocks in their groups, matches, and the
// end of pairs' pipes. Maps alone, without programs.
#include <bpf/bpf.h>

#include "base/base.h"
#include "kernel/limits.h"
#include "kernel/matches.h"
#include "kernel/pairs.h"
#include "kernel/parties.h"
#include "tap.h"

enum { ROOM = 16384, MANY = 20000, A = 100 };

static struct pp_datapath d;

/* --- parties */

/* As a compiler would have made them, in groups of these bits. */
static uint64_t bits[PP_MAX_GROUPS + 100];
static struct pp_party parties[MANY];
static struct pp_party_block blocks[4];
static struct pp_parties all = { .n_words = 1, .bits = bits, .parties = parties, .blocks = blocks };
static uint32_t match[20] = { 5, 70, 1023 };

static void put_party(size_t i, uint32_t address, uint64_t identity, uint32_t group)
{
	parties[i] = (struct pp_party){ .identity = identity, .group = group };
	for (int b = 0; b < 4; b++)
		parties[i].key[12 + b] = (uint8_t)(address >> 8 * (3 - b));
	parties[i].key[10] = parties[i].key[11] = 0xff;
}

static void put_block(size_t i, const char *prefix, uint32_t group)
{
	blocks[i] = (struct pp_party_block){ .group = group };
	pp_cidr_parse(prefix, &blocks[i].c, NULL);
}

static void begin(void)
{
	static const uint64_t groups[] = { 0, 1, 2, 3 };

	memcpy(bits, groups, sizeof(groups));
	all.n_groups = 4;
	put_party(0, 0x0a000001, 7, 1);
	put_party(1, 0x0a000002, 8, 2);
	put_party(2, 0x0a000003, 0, 3);
	all.n_parties = 3;
	put_block(0, "10.1.0.0/16", 1);
	put_block(1, "10.1.0.0/24", 3);
	put_block(2, "2001:db8::/32", 2);
	all.n_blocks = 3;
}

static int set(bool thorough)
{
	return pp_parties_set(&d, &all, match, 3, thorough);
}

static struct pp_party_info info_of(size_t i)
{
	struct pp_party_info info = { .group = UINT32_MAX };

	bpf_map_lookup_elem(d.parties_fd, parties[i].key, &info);
	return info;
}

static uint32_t group_of_block(size_t i)
{
	struct pp_prefix key = { .len = blocks[i].c.len };
	uint32_t group = UINT32_MAX;

	memcpy(key.addr, blocks[i].c.addr, sizeof(key.addr));
	bpf_map_lookup_elem(d.blocks_fd, &key, &group);
	return group;
}

static bool has(uint32_t group, uint32_t m)
{
	struct pp_group_in in = { 0 };

	bpf_map_lookup_elem(d.groups_fd, &group, &in);
	return in.in[m / 64] >> m % 64 & 1;
}

/* Is the group, in the kernel, in just what it is in here? */
static bool is_group(uint32_t group, uint32_t g)
{
	bool same = group < PP_MAX_GROUPS;

	for (size_t i = 0; i < 3; i++)
		same &= has(group, match[i]) == (bits[g] >> i & 1);
	return same;
}

static bool all_are(void)
{
	bool same = true;

	for (size_t i = 0; i < all.n_parties; i++)
		same &= info_of(i).identity == parties[i].identity &&
			is_group(info_of(i).group, parties[i].group);
	for (size_t i = 0; i < all.n_blocks; i++)
		same &= is_group(group_of_block(i), blocks[i].group);
	return same;
}

static size_t count(int fd)
{
	char key[32], next[32];
	size_t n = 0;

	for (void *at = NULL; bpf_map_get_next_key(fd, at, next) == 0; at = key, n++)
		memcpy(key, next, sizeof(key));
	return n;
}

static void test_set(void)
{
	uint32_t was[3];

	begin();
	is_u64((uint64_t)set(false), 1, "parties: new ones");
	ok(all_are() && count(d.parties_fd) == 3 && count(d.blocks_fd) == 3, "parties: are there");
	ok(info_of(0).group == group_of_block(0) && info_of(2).group == group_of_block(1),
	   "parties: who matches the same is in one group");
	is_u64((uint64_t)set(false), 0, "parties: the same again");
	for (size_t i = 0; i < 3; i++)
		was[i] = info_of(i).group;
	/* numbered in another way */
	bits[1] = 3, bits[3] = 1;
	parties[0].group = blocks[0].group = 3;
	parties[2].group = blocks[1].group = 1;
	is_u64((uint64_t)set(false), 0, "parties: groups are known by what they are in");
	ok(all_are() && info_of(0).group == was[0] && info_of(2).group == was[2],
	   "parties: and stay where they are");
}

/* A group that somebody is in is never written to. */
static void test_moved(void)
{
	uint32_t one, two, three;

	begin();
	set(false);
	one = info_of(0).group, two = info_of(1).group, three = info_of(2).group;
	bits[4] = 6;
	all.n_groups = 5;
	parties[0].group = 4;
	is_u64((uint64_t)set(false), 1, "moved: into a new group");
	ok(all_are(), "moved: each is in his");
	ok(info_of(0).group != one && info_of(0).group != two && info_of(0).group != three,
	   "moved: which is in no other's place");
	ok(has(one, 5) && !has(one, 70), "moved: the old one is as it was");
	match[0] = 6;
	is_u64((uint64_t)set(false), 1, "moved: a match has another entry");
	ok(all_are(), "moved: each is in his");
	ok(has(one, 5) && !has(one, 6), "moved: the old one is as it was");
	match[0] = 5;
	set(false);
	parties[1] = parties[2];
	all.n_parties = 2;
	blocks[1] = blocks[2];
	all.n_blocks = 2;
	is_u64((uint64_t)set(false), 1, "removed: one, and a block");
	ok(all_are() && count(d.parties_fd) == 2 && count(d.blocks_fd) == 2, "removed: they are");
	put_party(0, 0x0a000001, 9, 1);
	is_u64((uint64_t)set(false), 1, "changed: another pod has the address");
	ok(all_are(), "changed: it is its");
}

static void test_thorough(void)
{
	struct pp_group_in none = { 0 };
	struct pp_prefix more = { .len = 8 };
	uint32_t g;

	begin();
	set(false);
	g = info_of(0).group;
	bpf_map_delete_elem(d.parties_fd, parties[1].key);
	bpf_map_update_elem(d.groups_fd, &g, &none, BPF_ANY);
	bpf_map_update_elem(d.blocks_fd, &more, &g, BPF_ANY);
	is_u64((uint64_t)set(false), 0, "tampered with: nothing is read while all is the same");
	ok(!all_are(), "tampered with: nor written");
	is_u64((uint64_t)set(true), 1, "tampered with: thorough");
	ok(all_are() && count(d.blocks_fd) == 3, "tampered with: repaired");
	is_u64((uint64_t)set(true), 0, "tampered with: and nothing more");
	all.n_parties = all.n_blocks = 0;
	is_u64((uint64_t)set(false), 1, "none: all go");
	is_u64(count(d.parties_fd) + count(d.blocks_fd), 0, "none: are left");
	is_u64((uint64_t)set(true), 0, "none: again");
}

static void test_too_many(void)
{
	begin();
	all.n_blocks = 0;
	for (uint32_t i = 0; i < MANY; i++)
		put_party(i, 0x0a000000 + i, 0, 1 + i % 3);
	all.n_parties = MANY;
	is_u64((uint64_t)-set(false), ENOSPC, "too many parties");
	is_u64(count(d.parties_fd), ROOM, "too many parties: what fits is there");
	is_u64((uint64_t)-set(false), ENOSPC, "too many parties: is tried again");
	all.n_parties = ROOM;
	ok(set(false) >= 0 && all_are(), "as many as fit: are there");
	for (uint32_t i = 0; i < ROOM; i++)
		put_party(i, 0x0b000000 + i, 0, 1 + i % 3);
	set(false);
	ok(set(false) >= 0 && all_are(), "as many others: find room at the second time at least");

	/* a group for each: they are in more matches than there are groups */
	all.n_parties = all.n_groups = PP_MAX_GROUPS + 50;
	for (uint32_t i = 0; i < all.n_groups; i++) {
		put_party(i, 0x0b000000 + i, 0, i);
		bits[i] = i;
	}
	for (uint32_t m = 0; m < ARRAY_SIZE(match); m++)
		match[m] = 1 + m;
	is_u64((uint64_t)-pp_parties_set(&d, &all, match, ARRAY_SIZE(match), false), ENOSPC,
	       "too many groups");
	all.n_parties = all.n_groups = 1000;
	is_u64((uint64_t)pp_parties_set(&d, &all, match, ARRAY_SIZE(match), false), 1,
	       "fewer groups");
	is_u64(count(d.parties_fd), 1000, "fewer groups: those are there");
	all.n_parties = 0;
	set(false);
}

/* --- matches */

static int get(const char *text, enum pp_match_kind kind, uint32_t *ret)
{
	struct pp_match m = { .kind = kind };

	return pp_match_get(&d, &m, text, ret);
}

static void test_matches(void)
{
	struct pp_slot s = { 0 };
	uint32_t a, b, c, again;
	uint64_t id = A;
	char text[32], *name;
	int failed = 0;

	is_u64(pp_matches_end(&d), 1, "matches: none");
	ok(!get("10.0.0.0/8", PP_MATCH_BLOCKS, &a) && !get("internet", PP_MATCH_BLOCKS, &b) &&
		   a && b && a != b,
	   "matches: two");
	ok(!get("internet", PP_MATCH_BLOCKS, &again) && again == b, "matches: known by its text");
	ok(!get("internet", PP_MATCH_GROUPS, &c) && c != b,
	   "matches: not the same by hand and by an agent");
	is_u64(pp_match_find(&d, "internet"), b, "matches: found by hand");
	is_u64(pp_match_find(&d, "0.0.0.0/0"), 0, "matches: or not");
	name = pp_match_name(&d, c);
	is_str(name, "internet", "matches: it has its text");
	free(name);
	s.rule[PP_INGRESS][0] = (struct pp_slot_rule){ 1, b };
	bpf_map_update_elem(d.slots_fd, &id, &s, BPF_ANY);
	pp_matches_collect(&d, true);
	ok(!pp_match_find(&d, "10.0.0.0/8") && pp_match_find(&d, "internet") == b,
	   "collect: what no slot leads to goes");
	name = pp_match_name(&d, c);
	ok(!name && count(d.names_fd) == 1, "collect: its text too");
	free(name);
	for (uint32_t i = 0; i < PP_MAX_MATCHES - 2; i++) {
		snprintf(text, sizeof(text), "%u", i);
		failed += get(text, PP_MATCH_GROUPS, &again) != 0;
	}
	is_u64((uint64_t)failed, 0, "matches: as many as there is room for");
	is_u64((uint64_t)-get("one more", PP_MATCH_GROUPS, &again), ENOSPC, "matches: no more");
	ok(!get("internet", PP_MATCH_BLOCKS, &again) && again == b, "matches: but the same");
	bpf_map_delete_elem(d.slots_fd, &id);
	pp_matches_collect(&d, true);
	is_u64(count(d.names_fd), 0, "collect: all go");
}

/* --- pairs */

enum { OF = 7, PAIR = PP_MAX_PIPES + 3 };

/* As maps.h has it. */
struct key {
	uint32_t of, pad;
	uint8_t peer[16];
};

static bool is_entered(void)
{
	struct key key = { .of = OF, .peer = { 1, 2, 3 } };
	uint32_t k;

	return bpf_map_lookup_elem(d.pairs_fd, &key, &k) == 0;
}

/* A pair that was busy a moment ago. */
static struct pp_pipe *make_pair(void)
{
	struct key key = { .of = OF, .peer = { 1, 2, 3 } };
	uint32_t k = PAIR;

	d.pipes[OF] = (struct pp_pipe){
		.rate = 1000, .cgroup_id = A, .since = 55, .kind = PP_KIND_PAIRS
	};
	d.pipes[PAIR] = d.pipes[OF];
	d.pipes[PAIR].kind = PP_KIND_PAIR;
	d.pipes[PAIR].of = OF;
	d.pipes[PAIR].last = pp_now();
	memcpy(d.pipes[PAIR].peer, key.peer, sizeof(key.peer));
	bpf_map_update_elem(d.pairs_fd, &key, &k, BPF_ANY);
	return &d.pipes[PAIR];
}

/* It was swept once: it is on its way out, and then it is free. */
static void is_leaving(const char *name)
{
	const struct pp_pipe free_one = { 0 };
	struct pp_pipe *p = &d.pipes[PAIR];

	ok(p->kind == PP_KIND_GONE && p->rate && !is_entered(), "%s: it leaves", name);
	is_u64(pp_pairs_sweep(&d), true, "%s: and is swept again", name);
	is_u64(p->kind, PP_KIND_GONE, "%s: too early", name);
	p->grace -= 2000000000;
	is_u64(pp_pairs_sweep(&d), false, "%s: not a third time", name);
	ok(memcmp(p, &free_one, sizeof(*p)) == 0, "%s: it is free", name);
}

static void test_pairs(void)
{
	struct pp_pipe *p = make_pair();
	uint64_t gen = d.state->gen;

	is_u64(pp_pairs_sweep(&d), false, "a busy pair: nothing to do");
	d.pipes[OF].rate = 2000;
	d.pipes[OF].expires = 99;
	d.pipes[OF].observe = 1;
	pp_pairs_sweep(&d);
	ok(p->rate == 2000 && p->expires == 99 && p->observe == 1, "it follows its rule");
	ok(is_entered() && d.state->gen == gen, "and stays where it is");
	is_u64(pp_pairs_count(&d, OF), 1, "the rule has one");
	is_u64(pp_pairs_count(&d, OF + 1), 0, "another has none");

	p->last = pp_now() - PP_PAIR_IDLE_NS - 1;
	is_u64(pp_pairs_sweep(&d), true, "an idle one");
	ok(d.state->gen != gen, "an idle one: paths are looked up again");
	is_leaving("an idle one");

	make_pair();
	d.pipes[OF].rate = 0;
	pp_pairs_sweep(&d);
	is_leaving("its rule is gone");
	make_pair();
	d.pipes[OF].since = 56;
	pp_pairs_sweep(&d);
	is_leaving("another rule has its place");
	make_pair();
	d.pipes[OF].kind = PP_KIND_RULE;
	pp_pairs_sweep(&d);
	is_leaving("a rule for all of them");

	p->kind = PP_KIND_PAIR;
	is_u64(pp_pairs_sweep(&d), false, "one that is being made");
	is_u64(p->kind, PP_KIND_PAIR, "one that is being made: is left alone");
}

static bool make_maps(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, trie, .map_flags = 1 /* BPF_F_NO_PREALLOC */);
	LIBBPF_OPTS(bpf_map_create_opts, mapped, .map_flags = 1 << 10 /* BPF_F_MMAPABLE */);

	d.slots_fd = bpf_map_create(BPF_MAP_TYPE_HASH, "slots", 8, sizeof(struct pp_slot), 16, NULL);
	d.names_fd = bpf_map_create(BPF_MAP_TYPE_HASH, "names", 8, PP_MAX_NAME, 2000, NULL);
	d.matches_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "matches", 4, sizeof(struct pp_match),
				      PP_MAX_MATCHES, NULL);
	d.groups_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "groups", 4, sizeof(struct pp_group_in),
				     PP_MAX_GROUPS, &mapped);
	d.parties_fd = bpf_map_create(BPF_MAP_TYPE_HASH, "parties", sizeof(struct pp_local),
				      sizeof(struct pp_party_info), ROOM, NULL);
	d.blocks_fd = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "blocks", sizeof(struct pp_prefix), 4,
				     ROOM, &trie);
	d.pairs_fd = bpf_map_create(BPF_MAP_TYPE_HASH, "pairs", sizeof(struct key), 4,
				    PP_MAX_PAIRS, NULL);
	d.pipes = calloc(PP_ALL_PIPES, sizeof(*d.pipes));
	d.state = calloc(1, sizeof(*d.state));
	return d.slots_fd >= 0 && d.names_fd >= 0 && d.matches_fd >= 0 && d.groups_fd >= 0 &&
	       d.parties_fd >= 0 && d.blocks_fd >= 0 && d.pairs_fd >= 0 && d.pipes && d.state;
}

int main(void)
{
	if (!make_maps()) {
		printf("1..0 # SKIP no BPF maps: %s\n", strerror(errno));
		return 77;
	}
	test_set();
	test_moved();
	test_thorough();
	test_too_many();
	test_matches();
	test_pairs();
	return done_testing();
}
