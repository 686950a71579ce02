// SPDX-License-Identifier: Apache-2.0
// What an agent wants, in the maps: trees are made, change and go, and what stays keeps its clock
// and its counters, for the next agent too. Maps alone, without programs and cgroups.
#include <bpf/bpf.h>

#include "base/base.h"
#include "kernel/ledger.h"
#include "kernel/limits.h"
#include "kernel/locals.h"
#include "kernel/matches.h"
#include "kernel/slots.h"
#include "kernel/wants.h"
#include "tap.h"

static struct pp_datapath d = { .slots_fd = -1, .prefixes_fd = -1, .iter_fd = -1 };

#define ROOM 100 /* of peers */

enum { MBIT = 125000, A = 100, B = 200 };

/* Two pods of a tenant at an uplink, one of them with an observed limit. */
enum { CLASS, TENANT, UPLINK, TENANT_UP, LEAF_A, LEAF_B, UP_A, OBSERVED, N_WANTS };

static struct pp_want wants[N_WANTS];
static struct pp_want_slot slot[2];

static struct pp_want want(const char *name, uint64_t rate, size_t parent, uint64_t cgroup)
{
	return (struct pp_want){ .name = name,
				 .rate = rate,
				 .weight = 100,
				 .parent = parent,
				 .cgroup_id = cgroup,
				 .ledger = PP_NOTHING,
				 .match = PP_NOTHING };
}

static void make(void)
{
	wants[CLASS] = want("class gold", PP_NO_CEIL, PP_NOTHING, 0);
	wants[CLASS].kind = PP_KIND_LEDGER;
	wants[TENANT] = want("tenant acme", 100 * MBIT, PP_NOTHING, 0);
	wants[UPLINK] = want("uplink one", 1000 * MBIT, PP_NOTHING, 0);
	wants[TENANT_UP] = want("tenant acme", PP_NO_CEIL, UPLINK, 0);
	wants[LEAF_A] = want("pod x/a", 50 * MBIT, TENANT, A);
	wants[LEAF_A].ledger = CLASS;
	wants[LEAF_B] = want("pod x/b", PP_NO_CEIL, TENANT, B);
	wants[UP_A] = want("pod x/a", PP_NO_CEIL, TENANT_UP, A);
	wants[OBSERVED] = want("pod x/a observed by BandwidthPolicy x/o", MBIT, PP_NOTHING, A);
	wants[OBSERVED].observe = true;
	wants[UPLINK].uplink = wants[TENANT_UP].uplink = wants[UP_A].uplink = true;
	for (int i = 0; i < 2; i++) {
		slot[i] = (struct pp_want_slot){ .path = "/none", .cgroup_id = i ? B : A };
		for (int dir = 0; dir < PP_N_DIR; dir++)
			slot[i].pipe[dir] = slot[i].uplink[dir] = slot[i].cap[dir][0] =
				slot[i].cap[dir][1] = slot[i].rule[dir][0] = PP_NOTHING;
		slot[i].pipe[PP_EGRESS] = i ? LEAF_B : LEAF_A;
	}
	slot[0].uplink[PP_EGRESS] = UP_A;
	slot[0].cap[PP_EGRESS][0] = OBSERVED;
}

/* There is no iterator here: that connections cannot be reached is no fault of the maps. */
static void apply(size_t n, size_t n_slots, bool complete)
{
	struct pp_wants w = {
		.w = wants, .n = n, .slots = slot, .n_slots = n_slots, .complete = complete
	};

	pp_wants_apply(&d, &w, NULL);
}

static struct pp_slot slot_of(uint64_t id)
{
	struct pp_slot s = {};

	bpf_map_lookup_elem(d.slots_fd, &id, &s);
	return s;
}

static struct pp_pipe *pipe_of(int w)
{
	return &d.pipes[wants[w].pipe];
}

static void is_parent(int member, int parent, const char *name)
{
	is_u64(pipe_of(member)->parent, parent < 0 ? 0 : wants[parent].pipe, "%s", name);
}

static void test_made(void)
{
	char *name;

	make();
	apply(N_WANTS, 2, true);
	for (int i = 0; i < N_WANTS; i++)
		ok(wants[i].pipe && wants[i].fresh && pipe_of(i)->rate == wants[i].rate &&
			   pipe_of(i)->cgroup_id == wants[i].cgroup_id,
		   "%s is there", wants[i].name);
	is_parent(LEAF_A, TENANT, "a pod has a share of its tenant's limit");
	is_parent(UP_A, TENANT_UP, "and at the uplink of its tenant's share");
	is_parent(TENANT_UP, UPLINK, "which is one of the uplink");
	is_u64(pipe_of(TENANT)->members, 2, "two members, and none of its own");
	is_u64(slot_of(A).pipe[PP_EGRESS], wants[LEAF_A].pipe, "the slot leads to it");
	is_u64(slot_of(A).uplink[PP_EGRESS], wants[UP_A].pipe, "to that of the uplink");
	is_u64(slot_of(A).cap[PP_EGRESS][0], wants[OBSERVED].pipe, "to what is observed");
	ok(pipe_of(OBSERVED)->observe && pipe_of(UP_A)->uplink && !pipe_of(LEAF_A)->uplink,
	   "they are what they are");
	is_u64(d.state->nlimits[PP_EGRESS], 2, "two cgroups are limited");
	name = pp_name_of(&d, pipe_of(TENANT)->key);
	is_str(name ? name : "", "tenant acme", "a pipe of many has a name");
	free(name);
}

static void test_again(void)
{
	uint64_t gen = d.state->gen;
	uint32_t was[N_WANTS];

	for (int i = 0; i < N_WANTS; i++) {
		was[i] = wants[i].pipe;
		pipe_of(i)->bytes = 1000 + i;
	}
	make(); /* as the next agent does */
	apply(N_WANTS, 2, true);
	for (int i = 0; i < N_WANTS; i++)
		ok(wants[i].pipe == was[i] && !wants[i].fresh &&
			   pipe_of(i)->bytes == 1000 + (uint64_t)i,
		   "%s is found again, with what it counted", wants[i].name);
	is_u64(d.state->gen, gen, "no path has changed");
}

static void test_changed(void)
{
	uint32_t leaf = wants[LEAF_A].pipe;

	make();
	wants[LEAF_A].rate = 20 * MBIT;
	wants[LEAF_A].weight = 300;
	wants[LEAF_A].parent = PP_NOTHING;
	wants[LEAF_B].guarantee = 10 * MBIT;
	apply(N_WANTS, 2, true);
	ok(wants[LEAF_A].pipe == leaf && pipe_of(LEAF_A)->rate == 20 * MBIT &&
		   pipe_of(LEAF_A)->bytes == 1000 + LEAF_A,
	   "a changed limit keeps its counters");
	is_parent(LEAF_A, -1, "and leaves its parent");
	is_u64(pipe_of(TENANT)->members, 1, "which has one member less");
	is_u64(pipe_of(LEAF_B)->guarantee, 10 * MBIT, "a guarantee is new");
	make();
	wants[LEAF_A].weight = 300;
	apply(N_WANTS, 2, true);
	is_parent(LEAF_A, TENANT, "it comes back");
	is_u64(pipe_of(LEAF_A)->weight, 300, "with another weight");
}

/* From one tenant to another. */
static void test_moved(void)
{
	uint32_t old = wants[TENANT].pipe;

	make();
	wants[TENANT].name = "tenant bolt";
	apply(N_WANTS, 2, true);
	ok(wants[TENANT].pipe != old, "another tenant is another pipe");
	is_parent(LEAF_A, TENANT, "pods have shares of it");
	ok(!d.pipes[old].rate && !d.pipes[old].members, "the first is free");
	is_u64(pipe_of(TENANT)->members, 2, "both are its members");
}

/* What a pod did that is gone is its class's. */
static void test_ledger(void)
{
	uint64_t bytes = pipe_of(LEAF_A)->bytes - pipe_of(LEAF_A)->ledger_from;
	uint64_t was = pipe_of(CLASS)->bytes;

	make();
	apply(LEAF_A, 0, false);
	ok(d.pipes[slot_of(A).pipe[PP_EGRESS]].rate > 0,
	   "while not all is known, nothing is taken away");
	make();
	for (int dir = 0; dir < PP_N_DIR; dir++)
		slot[1].pipe[dir] = PP_NOTHING;
	slot[0] = slot[1];
	apply(LEAF_A, 1, true);
	is_u64(d.pipes[wants[CLASS].pipe].bytes, was + bytes, "its bytes are in the ledger");
	ok(!slot_of(A).pipe[PP_EGRESS] && !slot_of(A).cap[PP_EGRESS][0] &&
		   !slot_of(A).uplink[PP_EGRESS],
	   "its slot is empty");
	is_u64(d.state->nlimits[PP_EGRESS], 0, "no cgroup is limited");
}

static void test_by_hand(void)
{
	struct pp_slot s = { .pipe = { 4000 } };

	d.pipes[4000] = (struct pp_pipe){ .rate = MBIT, .cgroup_id = A };
	d.state->pipes_end = 4001;
	pp_slot_write(&d, A, &s);
	make();
	apply(N_WANTS, 2, true);
	is_u64(slot_of(A).pipe[PP_EGRESS], 4000, "what was set by hand stands in its place");
	ok(strstr(slot[0].why[PP_EGRESS], "unlimit") != NULL, "and that is told: %s",
	   slot[0].why[PP_EGRESS]);
	is_u64(wants[LEAF_A].pipe, 0, "the other is not made");
	is_u64(slot_of(A).uplink[PP_EGRESS], wants[UP_A].pipe, "its uplink is");
	ok(!slot[1].why[PP_EGRESS][0], "others are in force");
}

static void test_none(void)
{
	struct pp_wants none = { .complete = true };
	size_t n = 0;

	pp_wants_apply(&d, &none, NULL);
	for (uint32_t k = 1; k < pp_pipes_end(&d); k++)
		n += d.pipes[k].rate != 0;
	is_u64(n, 1, "nothing is wanted: what was set by hand is left");
	n = 0;
	for (uint64_t key = 0, next; bpf_map_get_next_key(d.names_fd, n ? &key : NULL, &next) == 0;
	     key = next)
		n++;
	is_u64(n, 0, "no name is");
}

static void test_locals(void)
{
	struct pp_local l[3] = { { { 1 } }, { { 3 } }, { { 2 } } };
	uint64_t gen;
	uint32_t one;

	is_u64(pp_locals_set(&d, l, 3), 0, "three addresses");
	gen = d.state->gen;
	is_u64(pp_locals_set(&d, l, 3), 0, "again");
	is_u64(d.state->gen, gen, "change nothing");
	is_u64(pp_locals_set(&d, l, 2), 0, "two");
	ok(d.state->gen != gen, "are others");
	ok(bpf_map_lookup_elem(d.locals_fd, &l[2], &one) != 0 &&
		   bpf_map_lookup_elem(d.locals_fd, &l[1], &one) == 0,
	   "one is gone");
}

/* --- rules */

/* Two rules of the first pod, for some; what is set by hand has an entry of its own. */
static struct pp_want rules[PP_SLOT_RULES + 2];
static struct pp_want_match matches[2];
static struct pp_want_slot rule_slot;
static struct pp_party peers[ROOM + 10];
static struct pp_parties parties = {
	.n_words = 1, .n_groups = 2, .bits = (uint64_t[]){ 0, 1 }, .parties = peers
};

static void make_rules(size_t n)
{
	static char name[ARRAY_SIZE(rules)][40];

	for (size_t i = 0; i < n; i++) {
		snprintf(name[i], sizeof(name[i]), "pod x/a rule %zu of BandwidthPolicy x/o", i);
		rules[i] = want(name[i], (1 + i) * MBIT, PP_NOTHING, A);
		rules[i].match = i % 2;
	}
	matches[0] = (struct pp_want_match){ "pods of y", { .kind = PP_MATCH_GROUPS }, 0 };
	matches[1] = (struct pp_want_match){ "all, TCP 80", { .kind = PP_MATCH_ALL }, 0 };
	rule_slot = (struct pp_want_slot){ .path = "/none", .cgroup_id = A };
	for (int dir = 0; dir < PP_N_DIR; dir++)
		rule_slot.pipe[dir] = rule_slot.uplink[dir] = rule_slot.cap[dir][0] =
			rule_slot.cap[dir][1] = rule_slot.rule[dir][0] = PP_NOTHING;
	for (size_t i = 0; i < PP_SLOT_RULES; i++)
		rule_slot.rule[PP_EGRESS][i] = i < n ? i : PP_NOTHING;
}

static const char *apply_rules(size_t n, const struct pp_parties *p, bool *ret_more)
{
	static char why[120];
	struct pp_wants w = { .w = rules,
			      .n = n,
			      .slots = &rule_slot,
			      .n_slots = 1,
			      .matches = matches,
			      .n_matches = 2,
			      .parties = p,
			      .complete = true };

	pp_wants_apply(&d, &w, NULL);
	if (ret_more)
		*ret_more = w.more;
	snprintf(why, sizeof(why), "%s", w.why_parties);
	return why;
}

static struct pp_slot_rule rule_of(int i)
{
	return slot_of(A).rule[PP_EGRESS][i];
}

static bool rule_is(int i, size_t w)
{
	const struct pp_pipe *p = &d.pipes[rules[w].pipe];

	return rules[w].pipe && rule_of(i).pipe == rules[w].pipe &&
	       rule_of(i).match == matches[rules[w].match].index && p->rate == rules[w].rate &&
	       p->of == rule_of(i).match;
}

static void test_rules(void)
{
	struct pp_match hand = { .kind = PP_MATCH_BLOCKS };
	struct pp_slot s = { 0 };
	uint32_t by_hand, was;
	uint64_t gen;

	make_rules(2);
	apply_rules(2, NULL, NULL);
	ok(rule_is(0, 0) && rule_is(1, 1) && !rule_of(2).pipe, "rules: two");
	is_u64(d.state->nrules[PP_EGRESS], 1, "rules: of one cgroup");
	is_u64(d.pipes[rules[0].pipe].kind, PP_KIND_RULE, "rules: each one limit");
	gen = d.state->gen;
	was = rules[0].pipe;
	make_rules(2);
	apply_rules(2, NULL, NULL);
	ok(d.state->gen == gen && rules[0].pipe == was && !rules[0].fresh,
	   "rules: the same again changes nothing");

	rules[0].pairs = true;
	apply_rules(2, NULL, NULL);
	ok(rules[0].pipe == was && d.pipes[was].kind == PP_KIND_PAIRS && rules[0].fresh,
	   "rules: one becomes a limit for each pair");
	ok(d.state->gen != gen, "rules: connections that are there get theirs");
	gen = d.state->gen;
	rules[0].pairs = false;
	apply_rules(2, NULL, NULL);
	ok(d.pipes[was].kind == PP_KIND_RULE && d.state->gen != gen,
	   "rules: and one for all again");
	gen = d.state->gen;
	rules[0].match = 1;
	apply_rules(2, NULL, NULL);
	ok(rule_is(0, 0) && d.state->gen != gen, "rules: one is for others now");

	/* set by hand, before there are others */
	make_rules(2);
	pp_match_get(&d, &hand, "10.0.0.0/8", &by_hand);
	d.pipes[4000] = (struct pp_pipe){
		.rate = MBIT, .cgroup_id = A, .kind = PP_KIND_RULE, .of = by_hand
	};
	d.state->pipes_end = 4001;
	s.rule[PP_EGRESS][0] = (struct pp_slot_rule){ 4000, by_hand };
	pp_slot_write(&d, A, &s);
	apply_rules(2, NULL, NULL);
	ok(rule_of(0).pipe == 4000 && rule_of(0).match == by_hand && rule_is(1, 0) && rule_is(2, 1),
	   "rules: what was set by hand stays, before the others");
	apply_rules(0, NULL, NULL);
	is_u64(slot_of(A).rule[PP_EGRESS][0].pipe, 4000, "rules: all others go");
	ok(!rule_of(1).pipe && !d.pipes[was].rate, "rules: their limits with them");
	ok(pp_match_find(&d, "10.0.0.0/8") == by_hand, "rules: its match stays");
	make_rules(PP_SLOT_RULES);
	apply_rules(PP_SLOT_RULES, NULL, NULL);
	ok(rule_is(1, 0) && rule_is(15, 14), "rules: as many as there is room for");
	ok(strstr(rule_slot.why[PP_EGRESS], "more than 16") != NULL, "rules: and no more: %s",
	   rule_slot.why[PP_EGRESS]);
	pp_slot_write(&d, A, &(struct pp_slot){ 0 });
	d.pipes[4000].rate = 0;
}

static void put_peer(uint32_t i, uint32_t group)
{
	peers[i] = (struct pp_party){
		.key = { [0] = 10, [14] = i >> 8, [15] = i }, .group = group
	};
}

static void test_peers(void)
{
	struct pp_party_info info;
	uint64_t gen;

	make_rules(2);
	put_peer(0, 1);
	parties.n_parties = 1;
	is_str(apply_rules(2, &parties, NULL), "", "peers: one");
	gen = d.state->gen;
	apply_rules(2, &parties, NULL);
	is_u64(d.state->gen, gen, "peers: the same again: nothing changes");
	apply_rules(2, NULL, NULL);
	ok(!bpf_map_lookup_elem(d.parties_fd, peers[0].key, &info),
	   "peers: not known this time: they stay");
	for (uint32_t i = 0; i < ROOM + 10; i++)
		put_peer(i, 1);
	parties.n_parties = ROOM + 10;
	ok(strstr(apply_rules(2, &parties, NULL), "more") != NULL, "peers: more than fit");
	ok(d.state->gen != gen, "peers: connections with those that do are looked up again");
}

static void test_pairs(void)
{
	struct pp_pipe *p = &d.pipes[PP_MAX_PIPES + 9];
	bool more;

	make_rules(1);
	rules[0].pairs = true;
	apply_rules(1, NULL, &more);
	is_u64(more, false, "pairs: none is on its way out");
	*p = d.pipes[rules[0].pipe];
	p->kind = PP_KIND_PAIR;
	p->of = rules[0].pipe;
	p->last = pp_now();
	rules[0].rate = 7 * MBIT;
	apply_rules(1, NULL, &more);
	ok(p->rate == 7 * MBIT && !more, "pairs: a new rate is theirs at once");
	apply_rules(0, NULL, &more);
	ok(p->kind == PP_KIND_GONE && more, "pairs: the rule goes, and they, a little later");
}

/* A rule that several cgroups share goes, and one of them is not known any more. */
static void test_shared_rule(void)
{
	struct pp_wants none = { .complete = true };

	make_rules(1);
	rules[0].cgroup_id = 0;
	apply_rules(1, NULL, NULL);
	ok(rule_is(0, 0), "a rule of many");
	pp_wants_apply(&d, &none, NULL);
	is_u64(rule_of(0).pipe, 0, "a rule of many goes: no slot leads to it");
	is_u64(d.state->nrules[PP_EGRESS], 0, "a rule of many goes: nor is counted");
}

int main(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, trie, .map_flags = 1 /* BPF_F_NO_PREALLOC */);
	LIBBPF_OPTS(bpf_map_create_opts, mapped, .map_flags = 1 << 10 /* BPF_F_MMAPABLE */);

	d.slots_fd = bpf_map_create(BPF_MAP_TYPE_HASH, "slots", sizeof(uint64_t),
				    sizeof(struct pp_slot), PP_MAX_SLOTS, NULL);
	d.names_fd = bpf_map_create(BPF_MAP_TYPE_HASH, "names", sizeof(uint64_t), PP_MAX_NAME,
				    PP_MAX_PIPES, NULL);
	d.locals_fd = bpf_map_create(BPF_MAP_TYPE_HASH, "locals", sizeof(struct pp_local),
				     sizeof(uint32_t), PP_MAX_LOCALS, NULL);
	d.matches_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "matches", 4, sizeof(struct pp_match),
				      PP_MAX_MATCHES, NULL);
	d.groups_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "groups", 4, sizeof(struct pp_group_in),
				     PP_MAX_GROUPS, &mapped);
	d.parties_fd = bpf_map_create(BPF_MAP_TYPE_HASH, "parties", sizeof(struct pp_local),
				      sizeof(struct pp_party_info), ROOM, NULL);
	d.blocks_fd = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "blocks", sizeof(struct pp_prefix), 4,
				     ROOM, &trie);
	d.pairs_fd = bpf_map_create(BPF_MAP_TYPE_HASH, "pairs", 24, 4, PP_MAX_PAIRS, NULL);
	d.pipes = calloc(PP_ALL_PIPES, sizeof(*d.pipes));
	d.state = calloc(1, sizeof(*d.state));
	if (d.slots_fd < 0 || d.names_fd < 0 || d.locals_fd < 0 || d.matches_fd < 0 ||
	    d.groups_fd < 0 || d.parties_fd < 0 || d.blocks_fd < 0 || d.pairs_fd < 0 || !d.pipes ||
	    !d.state) {
		printf("1..0 # SKIP no BPF maps: %s\n", strerror(errno));
		return 77;
	}
	d.state->levels = ~0U;
	test_made();
	test_again();
	test_changed();
	test_moved();
	test_ledger();
	test_by_hand();
	test_none();
	test_locals();
	test_rules();
	test_peers();
	test_pairs();
	test_shared_rule();
	return done_testing();
}
