/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The law (law.h), first half: what follows from a pipe's state for one flow, its pace and its
 * window. Nothing here is written but a flow's share and the pipe's last turn.
 */
#pragma once

#include "abi.h"

#define PP_NSEC 1000000000ULL
#define PP_MSEC 1000000ULL
#define PP_USEC 1000ULL
/* vt counts ns << 8: at 400 Gbit/s a packet of 64 bytes is 1.28 ns */
#define PP_TICKS 8
/* how far the clock may lie in the past: what an idle moment may make up for */
#define PP_CREDIT (1 * PP_MSEC)
/* a turn that is this near has come */
#define PP_TURN_SLACK (PP_MSEC / 2)
/* segments in a packet of an opening flow, at most: half of its initial window is 5 */
#define PP_OPENING_MAX 10
/*
 * A connection that waits for admission waits so long at least: its SYN-ACK's timer is set to the
 * wait, and the kernel gives a handshake up after 63 of those; and at most, since its client asks
 * again after a second.
 */
#define PP_ADMIT_LEAST (12 * PP_MSEC)
#define PP_ADMIT_MOST (900 * PP_MSEC)
/* the queue that is let stand at most, beside two ticks */
#define PP_ADMIT_STANDS (40 * PP_MSEC)
/* under a slow limit a few segments are a long queue that says nothing */
#define PP_ADMIT_SEGMENTS 16
#define PP_OPEN_ROOM (40 * PP_MSEC)
#define PP_EPOCH_MIN (10 * PP_MSEC)
#define PP_EPOCH_MAX PP_NSEC
/* a packet up to this length says nothing of what its flow is going to send */
#define PP_SMALL 200
#define PP_MSS_DEFAULT 1500U
/* bytes/s: BPF sets SO_MAX_PACING_RATE in 4 bytes, of which all ones mean none */
#define PP_PACE_MAX 0xfffffffeULL
/* 1 Pbit/s */
#define PP_RATE_MAX 125000000000000ULL
/* how long flows may sleep by a pace that is gone; slower ones are few segments anyway */
#define PP_SLEEP_MOST (400 * PP_MSEC)
/* and one whose segment was refused with nothing in flight tries again after 200 ms */
#define PP_SLEEP_LEAST (220 * PP_MSEC)
/* of a share, what is made up for of what was too much, ns */
#define PP_SHARE_DEBT (100 * PP_MSEC)

/*
 * In the kernel, a function of its own that the verifier checks once: each comparison doubles what
 * it has to look at. Its pointers may be anything, and are checked for NULL.
 */
#ifdef __bpf__
#define PP_APART __attribute__((noinline))
#else
#define PP_APART static inline
#endif

static inline __u64 pp_min(__u64 a, __u64 b)
{
	return a < b ? a : b;
}
static inline __u64 pp_max(__u64 a, __u64 b)
{
	return a > b ? a : b;
}

/* The L3 size of a full segment of the pipe's flows. */
static inline __u64 pp_law_mss(const struct pp_pipe *p)
{
	__u64 m = pp_max(p->mss, p->mss_now);

	return m ? m : PP_MSS_DEFAULT;
}

/* The capacity as the law uses it: the limit, or less where a parent gives less; never 0. */
static inline __u64 pp_law_rate(const struct pp_pipe *p)
{
	__u64 C = p->rate;

	if (p->parent && p->cap && p->cap < C)
		C = p->cap;
	return pp_min(pp_max(C, 1), PP_RATE_MAX);
}

/*
 * x * now / was, where now is not above was and nothing above 2^51; at least 1. To a thousandth; by
 * a quotient where the ratio itself has few bits: a share may become a ten thousandth of what it
 * was, and a flow that is told a byte a second sends its next segment in half an hour.
 */
static inline __u64 pp_law_scale(__u64 x, __u64 now, __u64 was)
{
	__u64 ratio = now * 1024 / was;

	if (ratio >= 256)
		return pp_max(x * ratio / 1024, 1);
	now = pp_max(now, 1);
	return pp_max(x * 64 / ((was * 64 + now - 1) / now), 1);
}

/* R for the limit as it is now, which may have changed since the last epoch. */
static inline __u64 pp_law_fair(const struct pp_pipe *p)
{
	__u64 C = pp_law_rate(p), R = p->R, was = p->C;

	if (!R || !was)
		return C;
	if (C == was)
		return R;
	if (C > was)
		return pp_max(R, C * 16 / pp_max(p->n16, 16));
	return pp_law_scale(R, C, was);
}

/*
 * Length of an epoch in ns: time for two bursts of a flow at R and eight of the pipe, a burst being
 * the two segments that TCP sends at least. Shorter epochs see the bursts instead of the rate. So
 * they do of flows that nothing paces, which send a window at a time: time for two of those too, or
 * n would be the number of those that happen to send. And for two round trips of senders that are
 * far away: R moves by what came, not by what came of the R before.
 */
static inline __u64 pp_law_epoch(const struct pp_pipe *p)
{
	__u64 burst = 2 * pp_law_mss(p) * PP_NSEC;
	__u64 T = pp_max(2 * burst / pp_law_fair(p), 8 * burst / pp_law_rate(p));

	T = pp_max(T, 2 * PP_USEC * p->lull);

	return pp_min(pp_max(T, PP_EPOCH_MIN), PP_EPOCH_MAX);
}

/* Standing virtual queue at time now, in ns. */
static inline __u64 pp_law_queue(const struct pp_pipe *p, __u64 now)
{
	__u64 ahead = p->vt - (now << PP_TICKS);

	return (__s64)ahead > 0 ? ahead >> PP_TICKS : 0;
}

/*
 * Has the flow sent data since the pipe was last idle? After a pause, also one of the whole
 * machine, all flows start together and are as new: what was known of their number is not true any
 * more.
 */
static inline int pp_law_born(const struct pp_pipe *p, const struct pp_share *s)
{
	return s->first && (__s32)(s->first - p->era) > 0;
}

static inline int pp_law_young(const struct pp_pipe *p, const struct pp_share *s)
{
	return !pp_law_born(p, s) || p->epoch_no + 1 - s->first < 2;
}

/*
 * Take a turn behind all that were given before and behind the queue q. A turn is one segment long:
 * that is what TCP sends at once with the small window of a young flow.
 */
static inline void pp_law_take_turn(struct pp_pipe *p, struct pp_share *s, __u64 now, __u64 q,
				    __u64 C)
{
	__u64 cost = pp_law_mss(p) * PP_NSEC / C, old = p->turn, start = now + q;

	/*
	 * those born just now are not done: TCP paces none of its first segments, of which some six
	 * get through
	 */
	if (!s->turn)
		start = now + pp_max(q, pp_min(4 * q, 6 * cost * p->born));
	if ((__s64)(old - start) > 0)
		start = old;
	/* a lost race gives two flows the same turn */
	__sync_val_compare_and_swap(&p->turn, old, start + cost);
	s->turn = start;
	s->armed = 0;
}

static inline int pp_law_waits(const struct pp_share *s, __u64 now)
{
	return (__s64)(s->turn - now) > (__s64)PP_TURN_SLACK;
}

/*
 * A packet of the flow has just been charged to its pace: it is that charge which makes the flow
 * wait for its turn. From now on it shall have the pace of the time after, or its next packet would
 * be charged with the wait a second time.
 */
static inline void pp_law_charged(struct pp_share *s, __u64 now)
{
	if (pp_law_waits(s, now))
		s->armed = 1;
}

/*
 * Flows of the same pace keep their phases: where they began together they go on sending in a
 * bunch, once a round, and any 100 ms may hold one bunch more than they should. A flow whose
 * packets find a longer queue than the average is late in the bunch and is slowed a little, one
 * that finds a shorter queue is hastened, until all are spread over the round.
 */
static inline __u64 pp_law_spread(const struct pp_pipe *p, const struct pp_share *s, __u64 r,
				  __u64 C)
{
	__u64 round, q = s->queue * PP_USEC, off;

	if (p->n16 < 32 || !s->bytes)
		return r;
	round = pp_law_mss(p) * (p->n16 / 16) * PP_NSEC / C;
	if (round < PP_MSEC)
		return r;
	off = pp_min(q > p->qmean ? q - p->qmean : p->qmean - q, round / 2) * 256 / round;
	return q > p->qmean ? r - r * off / 1024 : r + r * off / 1024;
}

/* Flows that share the pipe now: of the last epoch, and new ones, without those that ended. */
static inline __u64 pp_law_expected(const struct pp_pipe *p)
{
	__u64 n = pp_max(p->n16 / 16 + p->born, p->born + p->born_prev), left = p->left;

	return n > left ? n - left : 1;
}

/* The flow's equal share, bytes/s: R, or less while it is young. At most R. */
static inline __u64 pp_law_equal(const struct pp_pipe *p, const struct pp_share *s)
{
	__u64 C = pp_law_rate(p), R = pp_law_fair(p), r = R;

	if (!pp_law_born(p, s))
		r = C / 16;
	else if (pp_law_young(p, s))
		r = C / pp_law_expected(p);
	return pp_max(pp_min(r, R), 1);
}

/*
 * What the flow may send now, bytes/s. Hands out a turn to a flow that opens while a queue stands.
 */
static inline __u64 pp_law_pace(struct pp_pipe *p, struct pp_share *s, __u64 now)
{
	__u64 C = pp_law_rate(p), R = pp_law_fair(p), r = pp_law_equal(p, s), q;

	if (pp_law_born(p, s) && pp_law_young(p, s)) {
		q = pp_law_queue(p, now);
		q = q > p->room ? q - p->room : 0;
		if (!pp_law_waits(s, now) && q > pp_max(PP_MSEC, 4 * pp_law_mss(p) * PP_NSEC / C))
			pp_law_take_turn(p, s, now, q, C);
	}
	/*
	 * The wait is made by the packet that is charged next: a segment, which carries less than
	 * its L3 size (7/8 of that makes the wait long enough), or, of a connection that was there
	 * before its limit and has a large window still, a super-packet like the last one.
	 */
	if (pp_law_waits(s, now) && !s->armed) {
		__u64 size = s->size * 256, mss = pp_law_mss(p);

		size = size > PP_OPENING_MAX * mss ? size : mss;
		r = pp_min(r, size * (PP_NSEC * 7 / 8) / (s->turn - now));
	}
	s->pace = pp_max(pp_law_spread(p, s, pp_min(r, R), C), 1);
	return s->pace;
}

/*
 * Congestion window, in segments, that a flow paced at r needs at this RTT. A larger one only makes
 * bursts: with an RTT under half a millisecond TCP builds full super-packets whatever its pace
 * (tcp_tso_autosize), BBR then measures tens of Gbit/s, and epochs no longer see every flow. TCP
 * fills at most half of its window with one super-packet: with 3 slow flows send single segments,
 * which is smooth, and there is one more than a delayed ACK waits for.
 *
 * A delayed ACK waits for a second segment, so that a slow flow's RTT samples contain its own
 * pauses: up to two of them are left out. They need no window, since the flow sends nothing
 * meanwhile.
 *
 * Twice the RTT, as BBR has it: with one RTT's worth each small step down of R stops a flow of a
 * long RTT until what is in flight has shrunk, and one BBR flow over 100 ms gets 87 %. Only where
 * the pace cannot hold the flow the window must.
 */
static inline __u32 pp_law_window(__u64 r, __u64 srtt_us, __u64 min_rtt_us, __u32 mss, int young)
{
	__u64 pause_us, us, w;

	if (!mss)
		mss = PP_MSS_DEFAULT;
	r = pp_min(pp_max(r, 1), 125000000000ULL);
	srtt_us = pp_min(srtt_us, 10000000);
	pause_us = 2 * mss * 1000000ULL / r;
	us = pp_max(srtt_us > pause_us ? srtt_us - pause_us : 0, pp_min(min_rtt_us, srtt_us));
	us = r > PP_PACE_MAX ? us : 2 * us + 2000;
	w = r * us / (1000000ULL * mss);
	return pp_min(w, 1000000) + (young ? 2 : 3);
}
