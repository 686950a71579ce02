// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The datapath: everything that podpace runs in the kernel.
 *
 * A limit is a pipe (abi.h), an entry of the mmapable array pp_pipes. pp_slots leads from a
 * cgroup's id to its pipes. The programs are attached once, at the root, and inherited by every
 * cgroup below, now or later:
 *
 *   tree.h      shares a pipe's capacity among pipes: guarantees, weights, borrowing
 *   egress.h    counts each packet that is sent in the pipes of its path and runs the law (law.h);
 *               holds what has no pace
 *   ingress.h   the same for each packet that is received
 *   tcp.h       tells each TCP connection its rate, at every RTT sample; the iterator does so for
 *               those already there
 *   end.h       a connection's end, in the pipes of its path
 *   feedback.h  tells the sender at the other end its rate, and hears what the other end tells
 *   window.h    holds a sender that does not hear
 *   syn.h       lets connections wait for admission while more open than the limit lets through
 *   sockopt.h   keeps an application from lifting the pace, and honours what it asked for
 *
 * Who writes what. User space: configuration of a pipe, pp_slots, pp_prefixes, pp_state.gen,
 * nlimits and nprefixes. The packet programs: clocks, sums and counters of pipes, atomically, from
 * every CPU; control state of a pipe from the one CPU that wins the end of an epoch; the shares in
 * a socket's record, under the socket's lock for TCP that is sent, without one for the rest, where
 * a lost race costs a packet's worth of accounting. sockops and the iterator: the rest of a
 * socket's records, under the socket's lock. A path that is one generation old costs at most the
 * packets in flight between the change and the next packet.
 */
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/tcp.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "abi.h"
#include "tree.h"
#include "wire.h"
#include "kern.h"
#include "maps.h"
#include "party.h"
#include "path.h"
#include "lookup.h"
#include "packet.h"
#include "syn.h"
#include "ingress.h"
#include "window.h"
#include "egress.h"
#include "feedback.h"
#include "end.h"
#include "tcp.h"
#include "sockopt.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* What is the cgroup's alone. */
static __noinline int free_pipe(__u32 k, __u64 cgroup_id)
{
	struct pp_pipe *p = k ? bpf_map_lookup_elem(&pp_pipes, &k) : NULL, *above;
	__u32 parent;

	if (!p || p->cgroup_id != cgroup_id)
		return 0;
	p->rate = 0;
	parent = p->parent;
	above = parent ? bpf_map_lookup_elem(&pp_pipes, &parent) : NULL;
	if (above)
		__sync_fetch_and_add(&above->members, -1);
	return 1;
}

/*
 * A cgroup goes: so do its limits, without an agent. User space cleans up by itself where this does
 * not load.
 */
SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(pp_rmdir, struct cgroup *cg)
{
	__u64 id = cg->kn->id;
	struct pp_slot *slot = bpf_map_lookup_elem(&pp_slots, &id);
	struct pp_state *st = state();
	struct pp_slot was;
	int limited = 0;

	if (!slot || !st)
		return 0;
	was = *slot;
	if (bpf_map_delete_elem(&pp_slots, &id))
		return 0;
	for (int dir = 0; dir < PP_N_DIR; dir++) {
		if (!(was.pipe[dir] | was.uplink[dir] | was.cap[dir][0] | was.rule[dir][0].pipe))
			continue;
		free_pipe(was.pipe[dir], id);
		free_pipe(was.own[dir], id);
		free_pipe(was.uplink[dir], id);
		for (int i = 0; i < PP_MAX_CAPS; i++)
			free_pipe(was.cap[dir][i], id);
		for (int i = 0; i < PP_SLOT_RULES; i++)
			free_pipe(was.rule[dir][i].pipe, id);
		if (was.rule[dir][0].pipe)
			__sync_fetch_and_add(&st->nrules[dir], -1);
		limited = 1;
		__sync_fetch_and_add(&st->nlimits[dir], -1);
	}
	/* an identity alone: nobody's path has changed */
	if (!limited)
		return 0;
	__sync_fetch_and_add(&st->gen, 1);
	event(PP_EVENT_SLOT_FREED);
	return 0;
}
