/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A discrete-event simulator of TCP flows under the control law: the law itself (src/bpf/law.h),
 * what the datapath does with it (datapath.c), as much of Linux TCP as the law can see (tcp.c,
 * bbr.c), applications (world.c) and the cases with what is asserted of them (cases.c, judge.c).
 *
 * Everything is deterministic: one random sequence a case, from a fixed seed. Times are ns, sizes
 * bytes, rates bytes/s. The network has no queue and loses nothing: the only queue is the pipe's
 * virtual one.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/tree.h"

enum {
	SIM_PIPES = 2, /* of a case without a tree */
	SIM_PATH = 4,
	SIM_GROUPS = 4,
	SIM_PHASES = 3,
	SIM_HEADERS = 52, /* IPv4 and TCP with timestamps */
	SIM_ROUNDS = 10,  /* BBR keeps the best bandwidth of as many */
	SIM_BIN = 10,     /* ms: bins of the worst 100 ms */
};

#define KBIT 1000ULL
#define MBIT 1000000ULL
#define GBIT 1000000000ULL
#define LAN 100 * PP_USEC, 1 * PP_MSEC

#define SIM_NONE (~0U)
#define SIM_START (1000 * PP_NSEC) /* the clock does not begin at 0: neither does the kernel's */

enum sim_cc { SIM_CUBIC, SIM_BBR };
enum sim_app { SIM_BULK, SIM_DEMAND, SIM_ONOFF, SIM_SHORT, SIM_KEPT };
enum sim_event {
	SIM_OPEN,
	SIM_ARRIVE,
	SIM_DELACK,
	SIM_SEND,
	SIM_PROBE,
	SIM_WRITE,
	SIM_STOP,
	SIM_FLIP,
	SIM_CHANGE,
	SIM_PHASE,
	SIM_N_EVENT
};

/* Flows that are alike. */
struct sim_group {
	__u32 flows;
	enum sim_cc cc;
	enum sim_app app;
	__u32 mss;     /* payload of a full segment */
	__u64 rtt_min; /* each flow has its own, spread evenly between the logarithms of the two */
	__u64 rtt_max;
	__u64 demand; /* SIM_DEMAND: bytes/s */
	/* SIM_SHORT: payload of a connection; each is followed by the next. SIM_KEPT: of an answer
	 */
	__u64 size;
	__u32 size_max;    /* SIM_SHORT: if set, sizes are spread evenly up to it */
	__u32 on, off;     /* SIM_ONOFF: epochs */
	__u32 from, until; /* phases in which the group runs; until 0: to the end */
	__u32 pipes;       /* mask */
	__u64 want;    /* L3 bytes/s that the group is to get, in the last phase; 0: not checked */
	__u8 at_once;  /* all open at the same moment */
	__u8 alike;    /* its flows are to get the same as all other flows of such groups */
	__u8 unpaced;  /* obeys the window alone */
	__u8 admitted; /* SIM_SHORT: servers, whose connections wait for admission */
};

/* A pipe of a tree, and what flows through it if it is a leaf. Rates are bytes/s. */
struct sim_node {
	__u32 parent; /* its index; the first node, the root, has itself */
	__u32 weight;
	__u64 ceil, guarantee; /* ceil 0: none */
	/* of a leaf: */
	__u32 flows;
	enum sim_cc cc;
	__u64 demand;      /* of all its flows; 0: all that they get */
	__u32 from, until; /* phases in which they run; until 0: to the end */
	__u64 rtt;
};

/* A node becomes another, at a time after the start, as user space makes it: the numbers alone. */
struct sim_change {
	__u64 at; /* ns */
	__u32 node, weight;
	__u64 ceil, guarantee;
};

struct sim_tree {
	struct sim_node *node;
	struct sim_change *change; /* of a tree of one phase, in order of time */
	__u32 changes;
	__u32 nodes;
	__u32 phases;
	__u64 settle, phase; /* ns of a phase: before it is measured, and in all */
	double within;       /* each leaf is to get what it should, but for such a part */
	double within_all;   /* and the leaves all together on average */
};

enum sim_check {
	SIM_NO_FILL = 1,   /* pipe 0 is not to be full */
	SIM_NO_SETTLE = 2, /* never comes to rest */
	SIM_COARSE = 4, /* less than 20 packets/s a flow: the average of 60 s, and nobody starves */
};

struct sim_case {
	char name[64];
	struct sim_group group[SIM_GROUPS];
	const struct sim_tree *tree; /* in place of the groups and rates */
	/* bytes/s; 0 in phase 0: no such pipe, in later phases: as before */
	__u64 rate[SIM_PHASES][SIM_PIPES];
	__u64 flip;       /* bytes/s: the other limit, if it changes all the time */
	__u64 flip_every; /* ns */
	__u32 phases;
	__u32 epochs;      /* measured in each phase, after those it may take to settle */
	__u32 checks;      /* enum sim_check */
	__u64 cap;         /* what the flows can send at most, if less than the limit; 0: more */
	const char *todo;  /* why it is known to fail */
	__u32 todo_phases; /* mask: where */
};

struct sim_skb {
	__u64 sent;
	/* of the flow, when this was sent: BBR's rate sample */
	__u64 delivered, delivered_at, first_sent;
	__u32 len; /* payload */
	__u32 segs;
	__u32 next;
	__u32 app_limited;
};

struct sim_bbr {
	__u64 bw[SIM_ROUNDS]; /* payload bytes/s */
	__u64 best;
	__u64 full_bw;
	__u64 next_round; /* delivered */
	__u64 phase_start;
	__u32 round;
	__u32 full_rounds;
	__u8 mode;
	__u8 phase;
};

struct sim_flow {
	const struct sim_group *group;
	struct pp_share share[SIM_PATH];
	__u32 path[SIM_PATH]; /* indices of pipes; a parent lies behind its member */
	__u32 pipes;
	__u64 rtt, last_ack_at;
	__u32 window; /* clamp, segments */
	__u8 open, asked, charged, opened, shrinks, delack_armed, send_armed, probe_armed,
		app_limited, limited;
	__u64 max_rate; /* pace that was set */
	/* tcp_sock */
	__u64 pace, wstamp, srtt_us, min_rtt_us;
	__u32 cwnd, ssthresh, cwnd_cnt, max_out, out;
	__u64 seq, una, rtt_seq, round_seq, cwr_seq;
	__u64 delivered, delivered_at, first_sent;
	__u32 segs_out;       /* data_segs_out, refused ones too */
	__u32 quick, pending; /* receiver: ACKs at once, segments not acknowledged */
	__u32 head, tail, arrived;
	__u32 delack_gen;
	__u64 last_send;
	struct sim_bbr bbr;
	/* application */
	__u64 supply; /* payload that the application has written; ~0: without end */
	__u64 got;    /* L3 bytes in the part of the phase that is measured */
};

struct sim_heap_entry {
	__u64 t;
	__u32 flow;
	__u32 what; /* enum sim_event in the low byte, a generation above */
};

struct sim_heap {
	struct sim_heap_entry *at;
	__u64 n, size;
};

/* What was accepted by a pipe, by time. */
struct sim_bins {
	__u64 *at;
	__u64 n, width, start;
};

/* What came out of one phase. */
struct sim_result {
	__u64 C;
	__u64 epoch;         /* ns, of the equal share or, if that is longer, one RTT */
	double y[SIM_PIPES]; /* over the measured part, of each limit */
	double settle;       /* epochs until every window of 8 epochs is within 5 %; -1: never */
	double jain;
	double least;             /* the worst flow's part of the mean of those alike */
	double worst;             /* 100 ms, of the limit */
	double lowest, highest;   /* windows of 8 epochs in the measured part */
	double group[SIM_GROUPS]; /* bytes/s */
	__u64 refused;
};

struct sim {
	const struct sim_case *c;
	__u64 now;
	__u64 rng;
	struct sim_heap heap;
	struct sim_flow *flow;
	__u32 flows;
	struct sim_skb *skb;
	__u32 skbs, skb_size, skb_free;
	struct pp_pipe *pipe;
	struct sim_group *leaf; /* of a tree: what flows through each node */
	__u64 *leaf_got;        /* and got in the part of the phase that is measured */
	__u32 phase;
	__u64 phase_start, settle_end, phase_end;
	struct sim_bins epochs, worst;
	__u64 in[SIM_PIPES]; /* bytes accepted in the measured part */
	__u64 refused;
	__u64 events;
	__u64 connections; /* short ones that are over */
	__u32 csv;
	__u32 csv_epoch;
	struct sim_result result[SIM_PHASES];
};

/* heap.c: events in the order of their times; of the same time, in any but always the same order */
void sim_heap_add(struct sim_heap *h, __u64 t, __u32 flow, __u32 what);
int sim_heap_take(struct sim_heap *h, struct sim_heap_entry *ret);
void sim_bins_start(struct sim_bins *b, __u64 start, __u64 width, __u64 n);
void sim_bins_add(struct sim_bins *b, __u64 t, __u64 bytes);

/* datapath.c: what src/bpf does with a packet, 0 if it refuses it, and at an RTT sample */
__u32 sim_datapath_send(struct sim *s, struct sim_flow *f, __u64 payload, __u32 segs);
void sim_datapath_order(struct sim *s, struct sim_flow *f);
__u64 sim_datapath_admit(struct sim *s, struct sim_flow *f);
void sim_datapath_leave(struct sim *s, struct sim_flow *f);

/* tcp.c */
void sim_tcp_open(struct sim *s, struct sim_flow *f);
void sim_tcp_send(struct sim *s, struct sim_flow *f);
void sim_tcp_arrive(struct sim *s, struct sim_flow *f);
void sim_tcp_delack(struct sim *s, struct sim_flow *f, __u32 gen);

/* bbr.c: acked segments, of which the last was `k`; sets cwnd and pace */
void sim_bbr_open(struct sim *s, struct sim_flow *f);
void sim_bbr_ack(struct sim *s, struct sim_flow *f, const struct sim_skb *k, __u32 acked);

/* world.c: runs a case; results in s->result, s is to be freed by sim_free */
void sim_run(struct sim *s, const struct sim_case *c, int csv);
void sim_free(struct sim *s);
__u64 sim_random(struct sim *s, __u64 below);
/* the flow has sent all that its application wrote */
void sim_drained(struct sim *s, struct sim_flow *f);
void sim_accepted(struct sim *s, struct sim_flow *f, __u64 len);

/* cases.c: all cases, in an array that lives as long as the program; rates in bits/s */
struct sim_case *sim_cases(__u32 *ret_n);
__attribute__((format(printf, 2, 3))) struct sim_case *sim_add(__u64 bits, const char *fmt, ...);
struct sim_group *sim_bulk(struct sim_case *c, __u32 flows, enum sim_cc cc, __u32 mss,
			   __u64 rtt_min, __u64 rtt_max);
const char *sim_rate_name(__u64 bits);

/* tree.c: cases of trees, what each leaf is to get of them, and what it got */
void sim_trees(void);
void sim_tree_exact(const struct sim_tree *t, __u32 phase, double *ret);
void sim_tree_build(struct sim *s);
void sim_tree_phase(struct sim *s);
void sim_tree_change(struct sim *s, __u32 which);
void sim_tree_judge(struct sim *s);

/* hard.c: the cases of tests/netns/hard.sh and many.sh */
void sim_hard(void);

/* judge.c: results of a run that is over, in TAP */
void sim_judge_phase(struct sim *s);
void sim_judge_tap(const struct sim *s);
void sim_judge_report(int pass, const char *what, const char *todo); /* a line of TAP */
int sim_judge_done(void);                                            /* the exit status */
__u64 sim_judge_epoch(const struct sim *s, const struct sim_case *c, __u32 phase);
