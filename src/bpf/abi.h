/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel programs and user space share: the layout of the pinned maps. The only header
 * both sides include.
 */
#pragma once

#include <linux/types.h>

/* Part of the pin path: programs and commands that disagree on this file never meet. */
#define PP_ABI 9

enum pp_limits {
	/* that user space makes: 1000 pods, two directions, tenants, rules; 0 is never used */
	PP_MAX_PIPES = 8192,
	PP_MAX_PAIRS = 4096, /* behind those: that the programs make, each for one pair of pods */
	PP_ALL_PIPES = PP_MAX_PIPES + PP_MAX_PAIRS,
	PP_MAX_SLOTS = 4096,  /* cgroups with at least one pipe */
	PP_MAX_NESTED = 8,    /* pipes of trees and caps that one flow crosses */
	PP_MAX_PATH = 12,     /* and with those of rules */
	PP_MAX_CAPS = 2,      /* pipes of a slot beside its tree, in one direction */
	PP_MAX_LOCALS = 8192, /* addresses and identities on this node */
	PP_MAX_NAME = 400,    /* of a pipe's name, with its end */
	PP_MAX_DEPTH = 32,    /* levels of the cgroup tree, from the root, that can have slots */
	/* prefixes of hosts that take part in feedback: four for each of 5000 nodes, and room */
	PP_MAX_PREFIXES = 32768,
};

#include "pipe.h"
#include "match.h"

enum pp_dir { PP_EGRESS, PP_INGRESS, PP_N_DIR };

/* Who set a limit, and so who may take it away again unasked. */
enum pp_owner { PP_OWNER_COMMAND, PP_OWNER_AGENT, PP_N_OWNER };

/* What happened that is nobody's drop, for the whole datapath. Indexes pp_state.event. */
enum pp_event {
	/* no memory for a socket's record: the packet was held by its pipes' queues alone */
	PP_EVENT_NO_STORAGE,
	/* more than PP_MAX_PATH limits above one socket: the outermost do not bind it */
	PP_EVENT_PATH_FULL,
	PP_EVENT_NO_PACE,    /* the kernel refused to set a pace on a TCP socket: it is policed */
	PP_EVENT_SLOT_FREED, /* a removed cgroup gave its slot back */
	/* all PP_MAX_PAIRS are in use: those that found none share the pipe of their rule */
	PP_EVENT_PAIRS_FULL,
	PP_N_EVENT,
};

/* Value of pp_slots; the key is a cgroup id. Pipe 0 stands for none. */
struct pp_slot {
	__u32 pipe[PP_N_DIR];
	/* that takes what the cgroup itself sends, where the other one has members */
	__u32 own[PP_N_DIR];
	/* in the tree of the uplink, for what has its other end off the node; the nearest counts */
	__u32 uplink[PP_N_DIR];
	__u32 cap[PP_N_DIR][PP_MAX_CAPS]; /* limits beside the tree */
	__u64 identity;                   /* first 64 bits of the pod's UID; 0: none, or unknown */
	/* limits towards some; the first without a pipe ends them */
	struct pp_slot_rule rule[PP_N_DIR][PP_SLOT_RULES];
};

/* Key of pp_prefixes: addresses whose hosts take part. IPv4 is mapped: ::ffff:0:0/96. */
struct pp_prefix {
	__u32 len; /* bits of addr that count */
	__u8 addr[16];
};

/* Value of pp_prefixes. */
struct pp_prefix_info {
	__u32 owner; /* enum pp_owner */
};

/*
 * Key of pp_locals: an address of this node or of a pod on it, IPv4 mapped; or, behind eight bytes
 * of ones, which no host's address begins with, the identity of such a pod.
 */
struct pp_local {
	__u8 addr[16];
};

/* The one entry of pp_state. */
struct pp_state {
	__u64 gen; /* changed whenever any path may have changed: sockets look theirs up again */
	__u32 nlimits[PP_N_DIR]; /* pipes in slots, at least; 0: every packet passes at once */
	__u32 nprefixes;         /* 0: no feedback with anybody */
	__u32 nrules[PP_N_DIR];  /* slots with rules, at least; 0: the peer does not matter */
	__u32 next_pair;         /* where to look for a free pipe of a pair */
	__u32 counting; /* the tcp iterator only counts sockets that it cannot give callbacks, in
			   pp_pipe.fixed */
	__u64 event[PP_N_EVENT];
	__u32 pipes_end; /* no pipe at this index or above was ever used; written by user space */
	__u32 levels;    /* of the cgroup tree, a bit each, that may have slots; likewise */
	__u32 matches_end; /* no match at this index or above was ever used; likewise */
	/* what pp_parties and pp_blocks were last made of, as a sum; 0: not known; likewise */
	__u64 parties_sum;
};

/* What the tcp iterator did to a socket: it prints one of these characters for each. */
enum pp_iter_mark {
	PP_MARK_HELD = 'h',   /* under control, with callbacks */
	PP_MARK_FIXED = 'x',  /* paced at a fixed rate: the kernel can give it no callbacks */
	PP_MARK_FREED = 'f',  /* released */
	PP_MARK_FAILED = '!', /* could not be paced: policed in the egress program */
};
