// SPDX-License-Identifier: Apache-2.0
// What a test of the programs stands on: a cgroup and a network namespace of its own, the programs
// loaded (neither attached nor pinned), their maps in reach, and packets to run them with
// (BPF_PROG_TEST_RUN).
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bpf/abi.h"
#include "podpace.skel.h"

struct rig {
	/* pp_egress, pp_ingress and, with RIG_SOCKOPS, pp_sockops; RIG_RMDIR adds pp_rmdir */
	struct podpace_bpf *skel;
	struct pp_pipe *pipe;     /* PP_ALL_PIPES, shared with the kernel */
	struct pp_state *state;   /* shared with the kernel */
	unsigned int ifindex;     /* of a device that is not loopback, where nothing gets to */
	enum pp_dir dir; /* of limits that are set and of packets that run; egress at first */
};
extern struct rig rig;

enum rig_load { RIG_PACKETS, RIG_SOCKOPS, RIG_RMDIR };

/*
 * The whole of a main: runs `tests`, which returns an exit status, in a child within the test's own
 * cgroup, and removes the cgroup whatever became of the child. Prints a skipped plan where the
 * tests cannot run.
 */
int rig_main(int (*tests)(void), enum rig_load load);

/* Ends the child with a message: something that is not the test's matter went wrong. */
void rig_die(const char *what) __attribute__((noreturn));

/*
 * Moves this process to the cgroup at `path` below the test's own ("" is the test's own, "a/b" two
 * levels down), made where missing, and returns its id. Sockets of test runs belong to the
 * process's cgroup.
 */
uint64_t rig_enter(const char *path);
/* The id of that cgroup, made where missing, and an open directory. */
uint64_t rig_cgroup(const char *path);
int rig_cgroup_fd(const char *path);
/* Removes it; nothing may be in it. */
void rig_remove(const char *path);

/* From now on limits and packets are of this direction; clears. */
void rig_use(enum pp_dir dir);

/* No limit, no slot, counters at zero, another generation. */
void rig_clear(void);

/* Pipe k limits the cgroup to rate bytes/s, as the command leaves it: no epoch has begun. */
struct pp_pipe *rig_limit(uint32_t k, uint64_t cgroup_id, uint64_t rate);
/* The same, but the pipe's first epoch has begun now and its queue is as long as given. */
struct pp_pipe *rig_limit_queue(uint32_t k, uint64_t cgroup_id, uint64_t rate, uint64_t queue_ns);
/* Only the slot, of which the other direction stays: what the cgroup's packets cross from the next
   generation on. */
void rig_slot(uint64_t cgroup_id, uint32_t k);

/* Nanoseconds of the programs' clock. */
uint64_t rig_now(void);

/* A UDP packet for a test run. */
struct rig_packet {
	uint32_t len; /* of the super-packet, L3 bytes */
	bool v6;
	uint32_t options;  /* IPv4 options, bytes, a multiple of 4 */
	uint32_t gso_segs; /* as in the skb; 0 and 1: no super-packet */
	uint32_t gso_size; /* payload of a segment */
	uint32_t ifindex;  /* 0: the rig's device */
	uint32_t ecn;	   /* in its IP header (RFC 3168): 0 not capable, 3 marked */
	const char *peer;  /* the other end's address, which says v6 itself; NULL: zeros */
};

/* What a test run said. */
struct rig_result {
	int err;          /* -errno of the run */
	uint32_t verdict; /* of the last repetition */
	uint32_t ns;      /* of one repetition, the mean */
	uint32_t ecn;	  /* of the packet after the run */
};

/* The program of rig.dir. */
struct bpf_program *rig_program(void);

/*
 * Runs it. Each run has a new socket, all repetitions share it. It belongs to this process's cgroup
 * and is neither TCP nor UDP: the kernel makes it without a protocol (net/bpf/test_run.c).
 */
struct rig_result rig_run(const struct rig_packet *k, uint32_t repeat);
/* One packet; its verdict, or -errno. */
int rig_send(const struct rig_packet *k);
