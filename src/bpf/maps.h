/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The maps, and the record that each socket carries. */
#pragma once

/*
 * Sockets get callbacks even without a limit: the iterator cannot give them later on this kernel.
 */
const volatile __u8 pp_always = 0;

/* Length of the kernel's tick, ns: its timers count those. */
const volatile __u32 pp_tick = 10000000;

/* Bits of pp_path.rules. */
enum pp_path_rules {
	PP_HAS_RULES = 1,  /* it depends on the peer: a slot has rules */
	PP_TAKES_TURNS = 2, /* the socket has another peer with each packet */
	PP_HAD_TURN = 4,    /* and the pipes are those of its last one still */
	PP_IS_HANDSHAKE = 8, /* a listener's packets: whoever sends them may be nobody */
};

/* The pipes that a socket's packets cross in one direction, and what it did in each. */
struct pp_path {
	__u64 gen;      /* pp_state.gen that this belongs to; 0: none */
	__u64 identity; /* of the innermost cgroup that has one; 0: none */
	__u64 vt;       /* of what has no pace: its clock in the pipes of rules, ns */
	__u32 n;        /* pipes on the path */
	__u16 local;    /* both ends in this network namespace: not counted */
	__u16 parents;  /* how many of the pipes have members; each lies behind its member */
	__u16 near;     /* pipes for a peer on this node: those before the uplink's */
	__u16 all;      /* and for any other; n is one or the other */
	__u8 rules;     /* enum pp_path_rules */
	__u8 common;    /* pipes for every peer, before those of rules */
	__u16 port;     /* for which it was looked up, where the next packet's may be another */
	struct pp_local peer; /* likewise, the peer's address */
	__u32 pipe[PP_MAX_PATH];
	struct pp_share share[PP_MAX_PATH];
};

/*
 * What is known of one socket as a sender. Cloned from a listener to its children (BPF_F_CLONE): a
 * child has its path from birth, before it has sent anything; its accounts are cleared when it is
 * established.
 */
struct pp_flow {
	struct pp_path path;
	__u64 vt; /* own clock of a socket without a pace: when what it sent has left at its share,
		      ns */
	__u64 app_cap; /* SO_MAX_PACING_RATE the application asked for, bytes/s; 0: nothing */
	__u32 rate;    /* pace that was set on the socket, bytes/s; 0: none */
	__u32 window;  /* congestion window clamp that was set; 0: none */
	__u32 shrinks; /* it was told of congestion, to shrink its window to the clamp */
	__u8 control;  /* enum pp_control */
	__u8 opened;   /* its unpaced first segments are over */
	__u8 held;     /* its SYN is to be sent when its timer says so, not now */
	__u8 syncnt;   /* TCP_SYNCNT as it was before that; 0: it was not changed */
};

/* What is known of one socket as a receiver. */
struct pp_inflow {
	struct pp_path path;
	__u64 vt;         /* own clock of a socket whose sender nothing paces, ns */
	__u64 bytes;      /* received, L3 */
	__u64 hold_at;    /* its window was last computed, ns; 0: never */
	__u64 hold_bytes; /* value of bytes then */
	__u32 window;     /* receive window, in bytes, that its sender is held by; 0: none */
	__u32 ahead_us; /* what its sender may be ahead of its share before ACKs wait; 0: default */
	__u32 withheld; /* ACKs were, since the last data came */
	__u64 came;     /* when that was, ns */
	__u32 rtt_us;   /* as the handshake or, of a sender that does not hear, the window has it */
	__u32 pad;
	__u32 paced; /* its sender takes part: it hears the rate */
};

/* A connection with a host that takes part in feedback, or may: its address is in pp_prefixes. */
struct pp_link {
	__u64 identity;  /* of the pod at the other end; 0: it has not said */
	__u64 told;      /* rate it has told us, bytes/s; 0: nothing, ~0: no limit */
	__u64 told_at;   /* when that was last said, or last doubled, ns */
	__u8 takes_part; /* the other end has said hello */
	__u8 hellos;     /* that we have still to say */
	__u8 ends;       /* times that we have still to say that there is no limit */
	__u8 fresh;      /* what it has told came with its hello: from before our first data */
	__u16 port;      /* its own, which NAT may have made another; network order; 0: not said */
	__u8 accepted;   /* it is this end that was connected to */
	__u8 pad;
};

/* Which handshake. */
struct pp_handshake {
	__u32 address; /* last 32 bits of the other end's, network order */
	__u32 ports;   /* of the other end, of this one: network order */
};

/* What its SYN-ACK shall say. */
struct pp_greeting {
	__u64 identity;
	__u64 rate; /* as pp_wire.rate */
};

/* The SYN that this CPU has just received: its SYN-ACK has no socket. */
struct pp_syn {
	__u64 at; /* ns */
	struct pp_handshake of;
	struct pp_greeting says;
	__u64 wait;   /* for admission, ns */
	__u32 pipe;   /* which makes it wait */
	__u32 limits; /* something limits what it receives */
	__u32 held;   /* its SYN-ACK is to be sent when its timer says so, not now */
};

union pp_record {
	struct pp_flow flow;
	struct pp_inflow inflow;
};

enum pp_control {
	PP_FREE,  /* not TCP, or TCP that nothing paces: policed by its own clock */
	PP_HELD,  /* paced, and told the rate at every RTT sample */
	PP_FIXED, /* paced once, by the iterator */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PP_ALL_PIPES);
	__type(key, __u32);
	__type(value, struct pp_pipe);
} pp_pipes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pp_state);
} pp_state SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PP_MAX_SLOTS);
	__type(key, __u64);
	__type(value, struct pp_slot);
} pp_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct pp_flow);
} pp_flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct pp_inflow);
} pp_inflows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct pp_link);
} pp_links SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, PP_MAX_PREFIXES);
	__type(key, struct pp_prefix);
	__type(value, struct pp_prefix_info);
} pp_prefixes SEC(".maps");

/* Addresses and identities on this node. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, PP_MAX_LOCALS);
	__type(key, struct pp_local);
	__type(value, __u32);
} pp_locals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PP_MAX_MATCHES);
	__type(key, __u32);
	__type(value, struct pp_match);
} pp_matches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PP_MAX_GROUPS);
	__type(key, __u32);
	__type(value, struct pp_group_in);
} pp_groups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, PP_MAX_PARTIES);
	__type(key, struct pp_local);
	__type(value, struct pp_party_info);
} pp_parties SEC(".maps");

/* The groups of addresses that are nobody's in pp_parties. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, PP_MAX_BLOCKS);
	__type(key, struct pp_prefix);
	__type(value, __u32);
} pp_blocks SEC(".maps");

/* Of a rule with a pipe for each pair, and a peer. */
struct pp_pair {
	__u32 of; /* the rule's pipe */
	__u32 pad;
	struct pp_local peer;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, PP_MAX_PAIRS);
	__type(key, struct pp_pair);
	__type(value, __u32);
} pp_pairs SEC(".maps");

/* Of user space: what the pipe, or the match, with this key limits. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, PP_MAX_PIPES + PP_MAX_MATCHES);
	__type(key, __u64);
	__type(value, char[PP_MAX_NAME]);
} pp_names SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pp_syn);
} pp_syns SEC(".maps");

/* what waits beyond these says nothing in its SYN-ACK */
#define PP_MAX_WAITING 4096

/* Of those whose SYN-ACK waits: it will be sent by a timer. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, PP_MAX_WAITING);
	__type(key, struct pp_handshake);
	__type(value, struct pp_greeting);
} pp_waiting SEC(".maps");

/* Stands in for the record of a socket that there was no memory for, either kind. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, union pp_record);
} pp_scratch SEC(".maps");

static __always_inline struct pp_state *state(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&pp_state, &zero);
}

/* What the other end lets this one send: ~0 for no limit. */
static __always_inline __u64 told(const struct pp_link *l)
{
	return l && l->told ? l->told : ~0ULL;
}

/*
 * A socket's record, new if there is none, or NULL. Two CPUs that make the first record of a socket
 * at once stand in each other's way (bpf_local_storage_alloc): one of them has to try again.
 */
#define RECORD_OF(map, sk)                                                                         \
	({                                                                                         \
		void *__r = bpf_sk_storage_get(map, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);           \
		__r ? __r : bpf_sk_storage_get(map, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);           \
	})

static __always_inline void event(enum pp_event e)
{
	struct pp_state *st = state();

	if (st)
		__sync_fetch_and_add(&st->event[e], 1);
}

/* Entry i of the path, or NULL. */
static __always_inline struct pp_pipe *pipe_at(const struct pp_path *path, __u32 i)
{
	__u32 k;

	if (i >= path->n || i >= PP_MAX_PATH)
		return NULL;
	k = path->pipe[i];
	return bpf_map_lookup_elem(&pp_pipes, &k);
}

/* The pipe before entry i, if i is its parent; or NULL. */
static __always_inline struct pp_pipe *member_at(const struct pp_path *path, __u32 i)
{
	struct pp_pipe *m;

	if (i < 1 || i >= PP_MAX_PATH)
		return NULL;
	m = pipe_at(path, i - 1);
	return m && m->parent == path->pipe[i] ? m : NULL;
}

/*
 * Do flows keep to it? Of a parent they have their members' shares, and what only observes limits
 * nothing.
 */
static __always_inline int paces(const struct pp_pipe *p)
{
	return !p->members && !p->observe;
}

/* Does the pipe limit anything at this time? */
static __always_inline int in_force(const struct pp_pipe *p, __u64 now)
{
	return p->rate && (!p->expires || now < p->expires);
}

/*
 * The law's entries as global functions: the verifier checks each once, for any arguments, instead
 * of once for each of the eight pipes of each path of each caller.
 */
__noinline __u64 pp_pace_in(struct pp_pipe *p, struct pp_share *s, __u64 now)
{
	return p && s ? pp_law_pace(p, s, now) : ~0ULL;
}

/* For a flow that is not paced: it takes no turns. */
__noinline __u64 pp_equal_in(struct pp_pipe *p, struct pp_share *s)
{
	if (!p || !s)
		return ~0ULL;
	return s->pace = pp_law_equal(p, s);
}

__noinline __u64 pp_epoch_of(struct pp_pipe *p)
{
	return p ? pp_law_epoch(p) : 0;
}

__noinline int pp_arrive_in(struct pp_pipe *p, struct pp_share *s, __u64 now, __u64 len, __u32 mss)
{
	if (p && s)
		pp_law_arrive(p, s, now, len, mss);
	return 0;
}

/* m may be NULL. Returns the queue that the packet found, ns. */
__noinline __u64 pp_tree_arrive_in(struct pp_pipe *p, struct pp_pipe *m, __u64 now, __u64 len,
				   __u32 mss)
{
	return p ? pp_tree_arrive(p, m, now, len, mss) : 0;
}

/* Where no packet does so: each member's capacity by its parent, from the outermost in. */
__noinline int pp_refresh(struct pp_path *path, __u64 now)
{
	if (!path)
		return 0;
	for (__u32 j = 0; j < PP_MAX_PATH - 1; j++) {
		__u32 i = PP_MAX_PATH - 1 - j;
		struct pp_pipe *p = pipe_at(path, i), *m;

		if (!p || !p->members || !(m = member_at(path, i)))
			continue;
		pp_tree_adopt(p, m, now);
		m->cap = in_force(p, now) ? pp_tree_share(p, m) : 0;
	}
	return 0;
}
