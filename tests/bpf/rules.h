// SPDX-License-Identifier: Apache-2.0
// What a test of rules sets up beside the rig: matches, peers and their groups, rules of slots; and
// the path that a socket has then.
#pragma once

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/abi.h"
#include "rig.h"

/* As maps.h has it: the beginning of a socket's record. */
struct rules_path {
	uint64_t gen, identity, vt;
	uint32_t n;
	uint16_t local, parents, near, all;
	uint8_t rules, common;
	uint16_t port;
	uint8_t peer[16];
	uint32_t pipe[PP_MAX_PATH];
};

/* Likewise, the key of pp_pairs. */
struct rules_pair {
	uint32_t of, pad;
	struct pp_local peer;
};

static inline void rules_put(const struct bpf_map *map, const void *key, const void *value)
{
	if (bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY))
		rig_die(bpf_map__name(map));
}

static inline void rules_empty(const struct bpf_map *map)
{
	char key[64];

	while (bpf_map_get_next_key(bpf_map__fd(map), NULL, key) == 0)
		if (bpf_map_delete_elem(bpf_map__fd(map), key))
			rig_die(bpf_map__name(map));
}

/* Besides what rig_clear() does: no peer, no pair. */
static inline void rules_clear(void)
{
	rig_clear();
	rules_empty(rig.skel->maps.pp_parties);
	rules_empty(rig.skel->maps.pp_blocks);
	rules_empty(rig.skel->maps.pp_pairs);
}

/* An address as the maps have it, IPv4 mapped; and an identity. */
static inline struct pp_local rules_address(const char *text)
{
	struct pp_local a = { .addr = { [10] = 255, [11] = 255 } };

	if (inet_pton(AF_INET, text, a.addr + 12) != 1 && inet_pton(AF_INET6, text, a.addr) != 1)
		rig_die(text);
	return a;
}

static inline struct pp_local rules_pod(uint64_t identity)
{
	struct pp_local a;

	memset(&a, 255, sizeof(a));
	memcpy(a.addr + 8, &identity, sizeof(identity));
	return a;
}

/* Group g is in this match alone. */
static inline void rules_group(uint32_t g, uint32_t match)
{
	struct pp_group_in in = { 0 };

	in.in[match / 64] = 1ULL << match % 64;
	rules_put(rig.skel->maps.pp_groups, &g, &in);
}

static inline void rules_party(struct pp_local key, uint64_t identity, uint32_t group)
{
	struct pp_party_info info = { .identity = identity, .group = group };

	rules_put(rig.skel->maps.pp_parties, &key, &info);
}

/* A prefix, of len bits of the address as the maps have it. */
static inline void rules_prefix(const char *text, uint32_t len, uint32_t group)
{
	struct pp_prefix key = { .len = len };
	struct pp_local a = rules_address(text);

	memcpy(key.addr, a.addr, sizeof(key.addr));
	rules_put(rig.skel->maps.pp_blocks, &key, &group);
}

static inline void rules_match(uint32_t match, struct pp_match m)
{
	m.key = match;
	rules_put(rig.skel->maps.pp_matches, &match, &m);
}

/* A prefix of a match's own. */
static inline struct pp_block rules_block(const char *text, int len, bool except)
{
	struct pp_local a = rules_address(text);
	struct pp_block b = { .except = except };
	uint8_t mask[16] = { 0 };

	for (int i = 0; i < len; i++)
		mask[i / 8] |= 0x80 >> i % 8;
	memcpy(b.addr, a.addr, sizeof(b.addr));
	memcpy(b.mask, mask, sizeof(b.mask));
	return b;
}

/* Pipe k becomes the cgroup's next rule, for those of a match. */
static inline struct pp_pipe *rules_add(uint32_t k, uint64_t cgroup_id, uint32_t match,
					uint64_t rate)
{
	struct pp_pipe *p = &rig.pipe[k];
	struct pp_slot slot = { 0 };
	int n = 0;

	*p = (struct pp_pipe){ .rate = rate,
			       .cgroup_id = cgroup_id,
			       .dir = rig.dir,
			       .kind = PP_KIND_RULE,
			       .of = match };
	bpf_map_lookup_elem(bpf_map__fd(rig.skel->maps.pp_slots), &cgroup_id, &slot);
	while (slot.rule[rig.dir][n].pipe)
		n++;
	slot.rule[rig.dir][n] = (struct pp_slot_rule){ k, match };
	rules_put(rig.skel->maps.pp_slots, &cgroup_id, &slot);
	rig.state->nlimits[rig.dir]++;
	rig.state->nrules[rig.dir]++;
	rig.state->gen++;
	return p;
}

/* Pipes that rules_counted() looks at: from 1 on. */
#define RULES_COUNTED 8

/* Of these, those that have counted something since the last call, a bit each. */
static inline uint32_t rules_counted(void)
{
	uint32_t mask = 0;

	for (int k = 1; k <= RULES_COUNTED; k++) {
		mask |= (uint32_t)(rig.pipe[k].packets > 0) << k;
		rig.pipe[k].packets = 0;
	}
	return mask;
}

/* The path of what a socket sends; all zeros where it has no record. */
static inline struct rules_path rules_path_of(int fd)
{
	const struct bpf_map *map = rig.skel->maps.pp_flows;
	char record[4096] = { 0 };
	struct rules_path path;

	if (bpf_map__value_size(map) > sizeof(record))
		rig_die("pp_flows");
	bpf_map_lookup_elem(bpf_map__fd(map), &fd, record);
	memcpy(&path, record, sizeof(path));
	return path;
}

/* The pipe of a pair, 0 if there is none. */
static inline uint32_t rules_pair_of(uint32_t of, struct pp_local peer)
{
	struct rules_pair key = { .of = of, .peer = peer };
	uint32_t k = 0;

	bpf_map_lookup_elem(bpf_map__fd(rig.skel->maps.pp_pairs), &key, &k);
	return k;
}
