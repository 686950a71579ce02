// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The datapath: everything that podpace runs in the kernel.
 *
 * A limit is a pipe (abi.h), an entry of the mmapable array pp_pipes. pp_slots leads from a
 * cgroup's id to its pipes. The programs are attached once, at the root, and inherited by every
 * cgroup below, now or later:
 *
 *   egress.h   counts each packet in the pipes of its path and runs the law (law.h); holds what has
 * no pace tcp.h      tells each TCP connection its rate, at every RTT sample; the iterator does so
 * for those already there sockopt.h  keeps an application from lifting the pace, and honours what
 * it asked for
 *
 * Who writes what. User space: configuration of a pipe, pp_slots, pp_state.gen and nslots. The
 * egress program: clocks, sums and counters of pipes, atomically, from every CPU; control state of
 * a pipe from the one CPU that wins the end of an epoch; the shares in a socket's record, under the
 * socket's lock for TCP, without one for UDP, where a lost race costs a packet's worth of
 * accounting. sockops and the iterator: the rest of a socket's record, under the socket's lock. A
 * path that is one generation old costs at most the packets in flight between the change and the
 * next packet.
 */
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/in.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "abi.h"
#include "law.h"
#include "kern.h"
#include "maps.h"
#include "path.h"
#include "egress.h"
#include "tcp.h"
#include "sockopt.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

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
	struct pp_pipe *p;

	if (!slot || !st)
		return 0;
	for (int dir = 0; dir < PP_N_DIR; dir++) {
		__u32 k = slot->pipe[dir];

		if (k && (p = bpf_map_lookup_elem(&pp_pipes, &k)))
			p->rate = 0;
	}
	if (!bpf_map_delete_elem(&pp_slots, &id))
		__sync_fetch_and_add(&st->nslots, -1);
	__sync_fetch_and_add(&st->gen, 1);
	event(PP_EVENT_SLOT_FREED);
	return 0;
}
