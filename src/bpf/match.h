/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Limits towards some: which peers and ports a rule is for, as the programs and user space share
 * it. Part of abi.h.
 *
 * Who the peer is comes down to one number, its group: the peers of a group are in the same
 * matches. Then a match asks one bit, however many rules and peers there are.
 */
#pragma once

#include <linux/types.h>

enum pp_match_limits {
	PP_SLOT_RULES = 16,      /* of a slot, in one direction */
	PP_MAX_MATCHES = 1024,  /* 0 is never used */
	PP_MAX_GROUPS = 8192,   /* 0 is in no match */
	PP_MAX_PARTIES = 262144, /* addresses and identities of pods, anywhere in the cluster */
	PP_MAX_BLOCKS = 131072, /* prefixes of addresses */
	PP_MAX_MATCH_PORTS = 16,
	PP_MAX_MATCH_BLOCKS = 32,
};

/* Of a slot: what its traffic with those of the match goes through. */
struct pp_slot_rule {
	__u32 pipe;
	__u32 match;
};

enum pp_match_kind {
	PP_MATCH_ALL,    /* whoever it is */
	PP_MATCH_GROUPS, /* by pp_parties, pp_blocks and pp_groups, which an agent writes */
	PP_MATCH_BLOCKS, /* by its own prefixes: one that was set by hand */
};

/* Ports of a protocol: that packets go to. */
struct pp_ports {
	__u16 first, last; /* 1 to 65535 are all */
	__u8 protocol;     /* IPPROTO_* */
	__u8 pad[3];
};

/* A prefix: addr is what of an address, IPv4 mapped, is left by mask. */
struct pp_block {
	__u64 addr[2], mask[2]; /* in the order of the address's bytes */
	__u32 except;           /* 1: those in it are not meant, whatever other prefix has them */
	__u32 pad;
};

/* Value of pp_matches. */
struct pp_match {
	__u64 key;  /* names it, in pp_names; 0: the entry is free */
	__u32 kind; /* enum pp_match_kind */
	__u32 n_ports;  /* 0: all protocols and ports */
	__u32 n_blocks; /* of a PP_MATCH_BLOCKS */
	__u32 pad;
	__u64 identity; /* of a PP_MATCH_BLOCKS: of the pod whose addresses these are; or 0 */
	struct pp_ports port[PP_MAX_MATCH_PORTS];
	struct pp_block block[PP_MAX_MATCH_BLOCKS];
};

/* Value of pp_groups: the matches of PP_MATCH_GROUPS that its peers are in, a bit each. */
struct pp_group_in {
	__u64 in[PP_MAX_MATCHES / 64];
};

/* Value of pp_parties; its key is a pp_local: an address, or an identity. */
struct pp_party_info {
	__u64 identity; /* of the pod that has the address; 0: none is known */
	__u32 group;
	__u32 pad;
};
