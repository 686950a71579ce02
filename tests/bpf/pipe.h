// SPDX-License-Identifier: Apache-2.0
// What a test asserts of a pipe, besides its single fields.
#pragma once

#include "bpf/abi.h"
#include "bpf/law.h"
#include "rig.h"
#include "tap.h"

#define PASS 1
/* at egress TCP is told that its packet was not sent, at ingress there is nobody to be told */
#define REFUSE (rig.dir == PP_EGRESS ? 2 : 0)

/*
 * Slow enough that an epoch takes its longest, 1 s, and that a queue of 1 s is not too long:
 * whatever the machine is busy with between a pipe's set-up and the packet, the packet finds both
 * as they were.
 */
#define SLOW 8000
#define QUEUE PP_NSEC

/* A packet's cost in ticks of the pipe's clock. */
static inline uint64_t cost(uint64_t bytes, uint64_t rate)
{
	return bytes * (PP_NSEC << PP_TICKS) / rate;
}

static inline uint64_t all_refused(const struct pp_pipe *p)
{
	uint64_t n = 0;

	for (int i = 0; i < PP_N_REFUSAL; i++)
		n += p->refused[i];
	return n;
}

static inline void is_counted(const struct pp_pipe *p, uint64_t packets, uint64_t bytes,
			      const char *name)
{
	is_u64(p->packets, packets, "%s: packets", name);
	is_u64(p->bytes, bytes, "%s: bytes", name);
	ok(all_refused(p) == 0 && p->refused_bytes == 0, "%s: none refused", name);
}

static inline void is_refused(const struct pp_pipe *p, enum pp_refusal why, uint64_t packets,
			      uint64_t bytes, const char *name)
{
	is_u64(p->refused[why], packets, "%s: refused, in segments", name);
	is_u64(all_refused(p), packets, "%s: refused for this reason only", name);
	is_u64(p->refused_bytes, bytes, "%s: bytes refused", name);
}

/* No field of the pipe has changed. */
static inline void is_untouched(const struct pp_pipe *p, const struct pp_pipe *before,
				const char *name)
{
	ok(memcmp(p, before, sizeof(*p)) == 0, "%s: pipe untouched", name);
}
