/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The maps, and the record that each socket carries. */
#pragma once

/*
 * What is known of one socket. Cloned from a listener to its children (BPF_F_CLONE): a child has
 * its path from birth, before it has sent anything; its accounts are cleared when it is
 * established.
 */
struct pp_flow {
	__u64 gen; /* pp_state.gen that the path belongs to; 0: none */
	__u64 vt;  /* own clock of a socket without a pace: when what it sent has left at its share,
		      ns */
	__u64 app_cap; /* SO_MAX_PACING_RATE the application asked for, bytes/s; 0: nothing */
	__u32 rate;    /* pace that was set on the socket, bytes/s; 0: none */
	__u32 window;  /* congestion window clamp that was set; 0: none */
	__u32 shrinks; /* it was told of congestion, to shrink its window to the clamp */
	__u8 n;	      /* pipes on the path */
	__u8 control; /* enum pp_control */
	__u8 opened;  /* its unpaced first segments are over */
	__u8 local;   /* both ends in this network namespace: not counted */
	__u32 pipe[PP_MAX_PATH];
	struct pp_share share[PP_MAX_PATH];
};

enum pp_control {
	PP_FREE,  /* not TCP, or TCP that nothing paces: policed by its own clock */
	PP_HELD,  /* paced, and told the rate at every RTT sample */
	PP_FIXED, /* paced once, by the iterator */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PP_MAX_PIPES);
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

/* Stands in for the record of a socket that there was no memory for. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pp_flow);
} pp_scratch SEC(".maps");

static __always_inline struct pp_state *state(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&pp_state, &zero);
}

static __always_inline void event(enum pp_event e)
{
	struct pp_state *st = state();

	if (st)
		__sync_fetch_and_add(&st->event[e], 1);
}

/* Entry i of the flow's path, or NULL. */
static __always_inline struct pp_pipe *pipe_at(const struct pp_flow *f, __u32 i)
{
	__u32 k;

	if (i >= f->n || i >= PP_MAX_PATH)
		return NULL;
	k = f->pipe[i];
	return bpf_map_lookup_elem(&pp_pipes, &k);
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
