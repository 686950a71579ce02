/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A pipe, as the programs and user space share it: part of abi.h. */
#pragma once

#include <linux/types.h>

enum pp_weights { PP_WEIGHT_MIN = 1, PP_WEIGHT_DEFAULT = 100, PP_WEIGHT_MAX = 1000 };

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

/* What an entry is. */
enum pp_pipe_kind {
	PP_KIND_LIMIT,
	/* on no path: it adds up what others did that are gone, of a class for example */
	PP_KIND_LEDGER,
	/* of what goes to, or comes from, those of a match (match.h) */
	PP_KIND_RULE,
	/* the same, where each has a pipe like it of its own; those that found none are in it */
	PP_KIND_PAIRS,
	/* such a pipe of one of them: made by the programs */
	PP_KIND_PAIR,
	/* it was one; no path is to lead to it any more */
	PP_KIND_GONE,
};

/*
 * What one flow did in one pipe. Lives in the socket's record; written under the socket's lock for
 * TCP.
 */
struct pp_share {
	__u64 bytes; /* sent in epoch `epoch` */
	__u64 pace;  /* what the flow was last told it may send, bytes/s; 0: nothing yet */
	__u64 turn;  /* a young flow's turn: it sends nothing before, ns */
	__u32 epoch;
	__u32 first; /* epoch of the first data, plus one; 0: no data yet */
	__u32 queue; /* that its last packet found, us */
	__u16 size;  /* of its last packet, in 256 bytes */
	__u8 big;
	__u8 armed; /* the wait for the turn is in TCP's pacing clock already */
};

/*
 * One enforced limit. An array slot of pp_pipes, nine cache lines by who writes them.
 * Rates are bytes/s, times ns of CLOCK_MONOTONIC, sizes bytes of L3 packets.
 */
struct pp_pipe {
	/* configuration: written by user space, read by the programs */
	__u64 rate;      /* the limit C; 0: the entry is free */
	__u64 cgroup_id; /* whose limit it is; 0: that of many, or a ledger */
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
	/* till then flows may sleep by what they were told before the capacity rose, ns; or 0 */
	__u64 awake;

	/* its place in a tree (tree.h): configuration, and state of a member */
	__u64 guarantee; /* of a member */
	__u32 weight;    /* of a member, PP_WEIGHT_MIN to PP_WEIGHT_MAX */
	__u32 parent;    /* index of the pipe that it is a member of; 0: none */
	__u32 members;   /* pipes whose parent it is; with any, weights count where flows did */
	__u32 up_epoch;  /* of the parent, in which it sent last */
	__u64 cap;       /* its capacity by its parent; 0: not known yet */
	__u64 up_was;    /* value of bytes when it first sent in up_epoch */
	__u64 up_used;   /* what it used of it lately */
	__u32 up_big;    /* epoch of the parent in which it was big last, plus one */
	__u32 up_joined; /* it has sent since it has this parent */
	__u64 missed_ns; /* total length of epochs in which it wanted its guarantee and had less */

	/* state of a parent */
	__u64 big_guarantees; /* of the members that are big in this epoch */
	__u64 reserved;       /* the same, of the last epochs */
	__u64 told;           /* most that R came to for a big member in this epoch */
	__u32 whole;          /* of guarantees as much is given, in 65536ths; 0: all */
	__u32 least;          /* least weight of the members that sent in this epoch; 0: none did */
	__u16 own;            /* 1: of what a cgroup sends whose pipe has members; configuration */
	__u16 uplink;         /* 1: of what has its other end off the node; likewise */
	__u32 observe;        /* 1: it measures and limits nothing; likewise */
	/* of a member, as its parent has taken them into account: the configuration may be newer */
	__u64 up_guarantee;
	__u64 up_rate;
	__u32 up_weight; /* 0: it has not sent since it has this parent */
	__u32 far_us; /* the longest round trip of a handshake, of the last minute or so */

	/* of user space alone */
	__u64 key;         /* names it, in pp_names; 0: it was set by hand */
	__u64 ledger;      /* key of the pipe that adds up what this one did, when it goes; or 0 */
	__u64 ledger_from; /* value of bytes when it came under that ledger */
	__u64 ledger_busy; /* likewise, of busy_ns */
	__u64 ledger_missed; /* and of missed_ns */
	__u32 kind; /* enum pp_pipe_kind */
	__u32 of;   /* of a rule's, its match; of a pair's, the pipe that it is made like */
	__u8 peer[16]; /* of a pair's, as pp_local */

	/*
	 * of a rule's or a pair's, written by the programs: what sockets that have another peer
	 * with each packet did in it, all as one flow, while they are with another; and their
	 * clock, ns
	 */
	struct pp_share turns;
	__u64 turns_vt;
	__u64 pad[2];
};

_Static_assert(sizeof(struct pp_pipe) == 576, "pp_pipe is nine cache lines");
