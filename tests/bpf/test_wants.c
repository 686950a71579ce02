// SPDX-License-Identifier: Apache-2.0
// What an agent wants, in the maps: trees are made, change and go, and what stays keeps its clock
// and its counters, for the next agent too. Maps alone, without programs and cgroups.
#include <bpf/bpf.h>

#include "base/base.h"
#include "kernel/ledger.h"
#include "kernel/limits.h"
#include "kernel/locals.h"
#include "kernel/slots.h"
#include "kernel/wants.h"
#include "tap.h"

static struct pp_datapath d = { .slots_fd = -1, .prefixes_fd = -1, .iter_fd = -1 };

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

int main(void)
{
	d.slots_fd = bpf_map_create(BPF_MAP_TYPE_HASH, "slots", sizeof(uint64_t),
				    sizeof(struct pp_slot), PP_MAX_SLOTS, NULL);
	d.names_fd = bpf_map_create(BPF_MAP_TYPE_HASH, "names", sizeof(uint64_t), PP_MAX_NAME,
				    PP_MAX_PIPES, NULL);
	d.locals_fd = bpf_map_create(BPF_MAP_TYPE_HASH, "locals", sizeof(struct pp_local),
				     sizeof(uint32_t), PP_MAX_LOCALS, NULL);
	d.pipes = calloc(PP_ALL_PIPES, sizeof(*d.pipes));
	d.state = calloc(1, sizeof(*d.state));
	if (d.slots_fd < 0 || d.names_fd < 0 || d.locals_fd < 0 || !d.pipes || !d.state) {
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
	return done_testing();
}
