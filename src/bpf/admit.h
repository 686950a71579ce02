/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The law (law.h), third part: which connections may open while more come than a pipe lets through.
 */
#pragma once

#include "pace.h"

/* A connection has opened whose handshake took so long: a wait for admission has to outlast it. */
static inline void pp_law_far(struct pp_pipe *p, __u32 us)
{
	if (us > p->far_us)
		p->far_us = us;
}

/*
 * A connection opens: how long is it to wait, in ns? What it sends first nothing paces, so that a
 * storm of short ones goes past any rate. While a queue stands they are admitted one after another,
 * each when what those before it send first has left. Their waits are made by a timer of the
 * kernel's, with the given tick: the queue that is let stand is what leaves during the shortest.
 *
 * The timer goes on to run while the handshake is on its way: at the end that accepts, for 63 waits
 * until it is given up. The end that connects sends its SYN again after each (connects): there a
 * wait is longer than the round trip.
 */
static inline __u64 pp_law_admit(struct pp_pipe *p, __u64 now, __u64 tick, int connects)
{
	__u64 far = connects ? 2 * PP_USEC * p->far_us : PP_USEC * p->far_us / 32;
	__u64 least = pp_min(pp_max(pp_max(PP_ADMIT_LEAST, 2 * tick), far), PP_ADMIT_MOST);
	__u64 segment = pp_law_mss(p) * PP_NSEC / pp_law_rate(p);
	__u64 stands =
		pp_max(pp_min(least, PP_ADMIT_STANDS) + 2 * tick, PP_ADMIT_SEGMENTS * segment);
	__u64 q = pp_law_queue(p, now), was = p->admit, one, at;

	if (q <= stands && (__s64)(was - now) <= 0)
		return 0;
	one = p->opens ? p->open_ns * 256 / p->opens : segment;
	/*
	 * while some wait others pass by to fill a gap, but not all that come: each promises a part
	 * of its time, most of which the queue sees soon
	 */
	at = (__s64)(p->promised - now) > 0 ? p->promised : now;
	if (pp_max(q, at - now) <= stands / 2) {
		p->promised = at + one / 4;
		return 0;
	}
	/*
	 * What is not known of them the queue corrects, by little: it is seen by those that are
	 * told to wait, and they open a whole wait later. With 200 that send 10 kB each, and spaces
	 * of up to four times what one takes, the pipe is overrun and idle in turns, at 88 % of the
	 * limit on average; so, 99 %.
	 */
	at = pp_min(pp_max(q * 7 / stands, 7), 10);
	at = was + one * at / 8;
	if ((__s64)(at - now) < (__s64)least)
		at = now + least;
	if (at - now > PP_ADMIT_MOST)
		at = now + PP_ADMIT_MOST;
	/* a lost race lets two in at once */
	__sync_val_compare_and_swap(&p->admit, was, at);
	return at - now;
}
