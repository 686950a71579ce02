/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel programs and user space share: the layout of the pinned maps. The only header
 * both sides include.
 */
#pragma once

#include <linux/types.h>

/* Part of the pin path: programs and commands that disagree on this file never meet. */
#define PP_ABI 5

enum pp_limits {
	PP_MAX_PIPES = 8192, /* 1000 pods, two directions, tenants, pairs; 0 is never used */
	PP_MAX_SLOTS = 4096, /* cgroups with at least one pipe */
	PP_MAX_PATH = 8,     /* pipes that one flow crosses */
	PP_MAX_DEPTH = 32,   /* levels of the cgroup tree, from the root, that can have slots */
	/* prefixes of hosts that take part in feedback: four for each of 5000 nodes, and room */
	PP_MAX_PREFIXES = 32768,
};

enum pp_dir { PP_EGRESS, PP_INGRESS, PP_N_DIR };

/* Who set a limit, and so who may take it away again unasked. */
enum pp_owner { PP_OWNER_COMMAND, PP_OWNER_AGENT, PP_N_OWNER };

/* Why a packet was not sent. Indexes pp_pipe.refused. */
enum pp_refusal {
	PP_REFUSED_SHARE, /* no paced TCP (UDP and the rest): its socket was beyond its share */
	PP_REFUSED_QUEUE, /* no paced TCP: the queue was too long for anything without a pace */
	/* a new connection's unpaced first segments: TCP keeps them and sends them paced */
	PP_REFUSED_OPENING,
	/* while the queue stood beyond the last line: TCP keeps the data and tries again */
	PP_REFUSED_HARD,
	PP_N_REFUSAL,
};

/* What happened that is nobody's drop, for the whole datapath. Indexes pp_state.event. */
enum pp_event {
	/* no memory for a socket's record: the packet was held by its pipes' queues alone */
	PP_EVENT_NO_STORAGE,
	/* more than PP_MAX_PATH limits above one socket: the outermost do not bind it */
	PP_EVENT_PATH_FULL,
	PP_EVENT_NO_PACE,    /* the kernel refused to set a pace on a TCP socket: it is policed */
	PP_EVENT_SLOT_FREED, /* a removed cgroup gave its slot back */
	PP_N_EVENT,
};

/*
 * One enforced limit. An array slot of pp_pipes, five cache lines by who writes them.
 * Rates are bytes/s, times ns of CLOCK_MONOTONIC, sizes bytes of L3 packets.
 */
struct pp_pipe {
	/* configuration: written by user space, read by the programs */
	__u64 rate;      /* the limit C; 0: the entry is free */
	__u64 cgroup_id; /* whose limit it is */
	__u64 expires;   /* after this time the pipe limits nothing; 0: never */
	__u32 dir;       /* enum pp_dir */
	__u32 fixed;     /* sockets paced at a fixed rate; written by the tcp iterator */
	__u64 since;     /* when it was set, CLOCK_REALTIME */
	__u64 grace;     /* until then TCP without a pace passes: the iterator is coming */
	__u16 owner;     /* enum pp_owner */
	__u16 left_prev; /* did flows end in the last epoch? */
	__u32 left;      /* flows that ended in this epoch and sent in it or the one before */
	__u32 lull;      /* how long senders take to follow, or are silent between two bursts, us */
	__u32 lull_now;  /* the longest of this epoch; these four are written by the programs */

	/* the clock, this epoch's sums and two counters: every packet, atomically */
	__u64 vt;      /* when all that was accepted has left at rate C, in 1/256 ns, modulo 2^64 */
	__u64 bytes;   /* that passed; a counter, from which the epoch's sum is computed */
	__u64 packets; /* a counter */
	__u64 small_bytes; /* arrived in this epoch from flows that are not big */
	__u64 qmin; /* least standing queue seen in this epoch, ns; a lost race costs one sample */
	__u32 nbig; /* big flows seen in this epoch */
	__u32 born; /* flows that sent their first data in this epoch */
	__u32 young_big; /* flows that were young and big in this epoch */
	__u32 mss_now;   /* largest packet of a segment seen in this epoch */
	__u64 qmean;     /* moving average of the queue that packets find, ns; not atomic */

	/* control state: written by the one CPU that ends an epoch */
	__u64 last; /* start of this epoch */
	__u64 R;    /* the fair rate */
	__u64 y;    /* arrival rate of the last epoch, for people */
	__u64 C;    /* the rate that R was computed for */
	__u32 epoch_no;
	__u32 n16; /* estimate of the number of big flows, in sixteenths */
	__u32 born_prev;
	__u32 mss;     /* largest packet of a segment, of the last epoch */
	__u64 busy_ns; /* total length of the epochs in which at least 15/16 of the limit arrived */
	__u32 era;     /* epoch in which the pipe was last found idle: older flows are new again */
	__u32 marked;  /* packets that were marked (ECN) on their way; a counter */

	/* seldom written; counters are monotonic */
	__u64 turn;      /* when the last turn given to an opening flow ends, ns */
	__u64 bytes_was; /* value of bytes at the epoch's start; what is no arrival is added */
	__u64 refused[PP_N_REFUSAL];
	__u64 refused_bytes;
	__u64 unheard; /* of packets: TCP data from senders that do not hear the rate (ingress) */

	/* admission of connections */
	__u64 admit;       /* when the last one that was told to wait may open, ns */
	__u64 delayed;     /* connections whose handshake waited; a counter */
	__u64 open_ns;     /* an epoch in which connections begin takes so long at rate C, ns */
	__u64 opens;       /* and so many begin in it, in 256ths; averages */
	__u64 room;        /* queue that opening flows may find beside, ns */
	__u64 refused_was; /* value of refused[PP_REFUSED_OPENING] at the epoch's start */
	__u64 promised;    /* when what those that passed them by will send has left, ns */
	__u32 far_us;      /* the longest round trip of a handshake, of the last minute or so */
	__u32 pad;
};

_Static_assert(sizeof(struct pp_pipe) == 320, "pp_pipe is five cache lines");

/* Value of pp_slots; the key is a cgroup id. Pipe 0 stands for none. */
struct pp_slot {
	__u32 pipe[PP_N_DIR];
	__u64 identity; /* first 64 bits of the pod's UID; 0: none, or unknown */
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

/* The one entry of pp_state. */
struct pp_state {
	__u64 gen; /* changed whenever any path may have changed: sockets look theirs up again */
	__u32 nlimits[PP_N_DIR]; /* pipes in slots, at least; 0: every packet passes at once */
	__u32 nprefixes;         /* 0: no feedback with anybody */
	__u32 counting; /* the tcp iterator only counts sockets that it cannot give callbacks, in
			   pp_pipe.fixed */
	__u64 event[PP_N_EVENT];
	__u32 pipes_end; /* no pipe at this index or above was ever used; written by user space */
	__u32 levels;    /* of the cgroup tree, a bit each, that may have slots; likewise */
};

/* What the tcp iterator did to a socket: it prints one of these characters for each. */
enum pp_iter_mark {
	PP_MARK_HELD = 'h',   /* under control, with callbacks */
	PP_MARK_FIXED = 'x',  /* paced at a fixed rate: the kernel can give it no callbacks */
	PP_MARK_FREED = 'f',  /* released */
	PP_MARK_FAILED = '!', /* could not be paced: policed in the egress program */
};
