/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The control law of a pipe: pure arithmetic on a struct pp_pipe and a flow's share of it, without
 * helpers and without a clock of its own, so that it compiles for the kernel, for unit tests and
 * for the simulator alike.
 *
 * An explicit-rate law of RCP's family (Dukkipati, "Rate Control Protocol", 2008). In each epoch a
 * pipe of capacity C measures the arrival rate y, the standing virtual queue q (its least value: a
 * burst of two segments at 1 Mbit/s is 23 ms of "queue" that no one stands in) and the number n of
 * big flows: those that used half of what they were allowed. goal = C - drain(q); R <- R * goal /
 * y, in half steps near the goal; then R is held above (goal - small) / n, where small is what all
 * flows that are not big sent. n flows at that rate cannot exceed the goal, so the floor is safe;
 * without it R dips far below the fair share after an overload and BBR forgets its bandwidth. R is
 * common to all flows: multiplicative steps keep it fair, only the sum needs control.
 *
 * A flow is young until the epoch after that of its first data. Young flows get an equal share that
 * counts all that were born with them; while a queue stands each takes a turn: turns are handed out
 * one after another, at rate C, from the moment the queue is gone, so that flows that open together
 * neither pile up nor march in step afterwards.
 *
 * Concurrency: vt, the sums and the counters are atomic. Everything else is written without a lock;
 * a lost race costs one sample of qmin, one count of n, or a pace that is one epoch old.
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
#define PP_EPOCH_MIN (10 * PP_MSEC)
#define PP_EPOCH_MAX PP_NSEC
/* a packet up to this length says nothing of what its flow is going to send */
#define PP_SMALL 200
#define PP_MSS_DEFAULT 1500U
/* bytes/s: BPF sets SO_MAX_PACING_RATE in 4 bytes, of which all ones mean none */
#define PP_PACE_MAX 0xfffffffeULL
/* 1 Pbit/s */
#define PP_RATE_MAX 125000000000000ULL

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

/* The limit as the law uses it: never 0. */
static inline __u64 pp_law_rate(const struct pp_pipe *p)
{
	return pp_min(pp_max(p->rate, 1), PP_RATE_MAX);
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
	return pp_max(R * (C * 1024 / was) / 1024, 1);
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

/* A flow that nothing paces was silent for so long, or one that hears R is so far away. */
static inline void pp_law_silent(struct pp_pipe *p, __u64 ns)
{
	__u32 us = pp_min(ns, PP_EPOCH_MAX / 2) / PP_USEC;

	if (us > p->lull_now)
		p->lull_now = us;
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
	__u64 round = pp_law_mss(p) * (p->n16 / 16) * PP_NSEC / C, q = s->queue * PP_USEC, off;

	if (p->n16 < 32 || round < PP_MSEC || !s->bytes)
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

/* Count the flow's packet: is the flow new, is it big? */
static inline void pp_law_count(struct pp_pipe *p, struct pp_share *s, __u64 len, __u64 q, __u64 T)
{
	__u32 e = p->epoch_no, n;
	__u64 C = pp_law_rate(p), mine;

	if (s->epoch != e) {
		s->epoch = e;
		s->bytes = 0;
		s->big = 0;
	}
	s->bytes += len;
	/*
	 * a flow is born with its first real packet, or with as much in small ones: handshakes and
	 * probes are none
	 */
	if (!pp_law_born(p, s)) {
		if (len <= PP_SMALL && s->bytes < 2 * pp_law_mss(p))
			return;
		s->first = e + 1;
		__sync_fetch_and_add(&p->born, 1);
	}
	if (s->big) {
		__sync_fetch_and_add(&p->big_bytes, len);
		return;
	}
	mine = s->pace && s->pace < p->R ? s->pace : p->R;
	/*
	 * more than an epoch's worth has come already: R may be so far above what so many can send
	 * that none of them comes near half of it
	 */
	if (q > T / 4 && p->win_bytes > C * (T / PP_USEC) / 800000)
		mine = pp_min(mine, C / 16);
	if (s->bytes * 2 <= mine * (T / PP_USEC) / 1000000)
		return;
	s->big = 1;
	__sync_fetch_and_add(&p->big_bytes, s->bytes);
	__sync_fetch_and_add(&p->nbig, 1);
	if (pp_law_young(p, s))
		__sync_fetch_and_add(&p->young_big, 1);
	/*
	 * more flows than thought, and a queue: the equal share at once, not at the end of the
	 * epoch
	 */
	n = p->nbig;
	if (q > T / 4 && n * 16 > p->n16) {
		p->n16 = n * 16;
		/* R still belongs to the old limit until this epoch ends, where it is scaled */
		if (p->C == C && p->R > C / n)
			p->R = C / n;
	}
}

/* Bytes in dt ns as bytes/s. 8 s at 1 Pbit/s are 1e15 bytes: a factor of a million does not fit. */
static inline __u64 pp_law_per_second(__u64 bytes, __u64 dt)
{
	__u64 us = dt / PP_USEC;

	if (bytes > ~0ULL / 1000000)
		return bytes / pp_max(us / 1000, 1) * 1000;
	return bytes * 1000000 / us;
}

/* R * goal / y in bounded steps: at most x1.5, at least x0.25, half of it near the goal. */
static inline __u64 pp_law_step(__u64 R, __u64 goal, __u64 y)
{
	__u64 ratio = goal * 1024 / pp_max(y, 1);

	ratio = pp_min(pp_max(ratio, 256), 1536);
	if (ratio > 900)
		ratio = 512 + ratio / 2;
	return R * ratio / 1024;
}

/*
 * R, if young flows have turned out big in this epoch: all start again from the equal share, low.
 * Where all are small there is none left for big ones, and half of it keeps R from falling to
 * nothing. But where others end meanwhile R is right already, for as many as there were (was16): if
 * there are more now it is less by that.
 */
static inline __u64 pp_law_make_room(__u64 R, __u64 low, __u64 goal, __u32 was16, __u32 n16,
				     __u32 left)
{
	__u64 most = pp_max(low, goal * 8 / pp_max(n16, 16));

	if (left)
		most = pp_max(most, R * (was16 * 4096ULL / pp_max(n16, 1)) / 4096);
	return pp_min(R, most);
}

/*
 * End the epoch if it is over: a new R. dt is bounded first, so that no product overflows at 1
 * Pbit/s.
 */
static inline void pp_law_end_epoch(struct pp_pipe *p, __u64 now, __u64 T)
{
	__u64 last = p->last, dt = now - last, C = pp_law_rate(p);
	__u64 bytes, big, q, y, small, goal, low, R;
	__u32 n16, was16, nbig, young, left;
	int waited;

	if (dt < T || __sync_val_compare_and_swap(&p->last, last, now) != last)
		return;
	bytes = __sync_lock_test_and_set(&p->win_bytes, 0);
	big = __sync_lock_test_and_set(&p->big_bytes, 0);
	q = __sync_lock_test_and_set(&p->qmin, ~0ULL);
	nbig = __sync_lock_test_and_set(&p->nbig, 0);
	young = __sync_lock_test_and_set(&p->young_big, 0);
	left = __sync_lock_test_and_set(&p->left, 0);
	p->born_prev = __sync_lock_test_and_set(&p->born, 0);
	p->mss = __sync_lock_test_and_set(&p->mss_now, 0);
	p->lull = pp_max(p->lull_now, p->lull - p->lull / 8);
	if (p->lull < PP_MSEC / PP_USEC)
		p->lull = 0;
	p->lull_now = 0;
	p->epoch_no++;
	if (dt > 8 * T || p->C != C || !p->R) {
		/*
		 * idle, or another limit: begin anew; flows that go on are counted again within
		 * this epoch
		 */
		p->R = dt > 8 * T ? C : pp_law_fair(p);
		p->n16 = dt > 8 * T ? 0 : p->n16;
		p->era = dt > 8 * T ? p->epoch_no : p->era;
		p->C = C;
		p->y = dt > 8 * T ? 0 : pp_law_per_second(bytes, dt);
		return;
	}
	/*
	 * flows that waited for their turns sent less than R or nothing: no reason to raise it, or
	 * to count them out
	 */
	waited = (__s64)(p->turn - last) > 0;
	n16 = was16 = p->n16;
	n16 = nbig * 16 >= n16 ? nbig * 16 : waited ? n16 : n16 - (n16 - nbig * 16 + 3) / 4;
	p->n16 = n16;
	if (q == ~0ULL)
		q = 0;
	p->y = y = pp_law_per_second(bytes, dt);
	small = bytes > big ? pp_law_per_second(bytes - big, dt) : 0;
	goal = C - C * pp_min(q * 64 / T, 64) / 256;
	low = (goal > small ? goal - small : 0) * 16 / pp_max(n16, 16);
	R = pp_min(pp_law_step(p->R, goal, y), C + C / 16);
	if (waited)
		R = pp_min(R, p->R);
	if (young)
		R = pp_law_make_room(R, low, goal, was16, n16, left || p->left_prev);
	p->left_prev = left > 0;
	R = pp_max(R, low);
	p->R = pp_max(R, pp_min(C, pp_law_mss(p) / 2));
	if (y >= C - C / 16)
		p->busy_ns += dt;
}

/*
 * A packet of len L3 bytes of flow s has been accepted: advance the clock, count, end the epoch
 * when it is over. mss: L3 size of a full segment of the flow, 0 if unknown. Returns the queue in
 * ns that the packet found.
 */
static inline __u64 pp_law_arrive(struct pp_pipe *p, struct pp_share *s, __u64 now, __u64 len,
				  __u32 mss)
{
	__u64 C = pp_law_rate(p), T, old, vt, q = 0, t = now << PP_TICKS;
	__u64 cost = len * (PP_NSEC << PP_TICKS) / C;

	for (int i = 0; i < 4; i++) {
		old = vt = p->vt;
		if ((__s64)(t - (PP_CREDIT << PP_TICKS) - vt) > 0)
			vt = t - (PP_CREDIT << PP_TICKS);
		q = (__s64)(vt - t) > 0 ? (vt - t) >> PP_TICKS : 0;
		if (__sync_val_compare_and_swap(&p->vt, old, vt + cost) == old)
			break;
		if (i == 3)
			__sync_fetch_and_add(&p->vt, cost);
	}
	if (q < p->qmin)
		p->qmin = q;
	p->qmean = p->qmean - p->qmean / 32 + q / 32;
	s->queue = pp_min(q / PP_USEC, ~0U);
	s->size = pp_min(len / 256, 0xffff);
	if (mss > p->mss_now)
		p->mss_now = mss;
	/* a packet after the end of an epoch belongs to the next one: the first after a pause is
	 * not old */
	T = pp_law_epoch(p);
	pp_law_end_epoch(p, now, T);
	__sync_fetch_and_add(&p->win_bytes, len);
	pp_law_count(p, s, len, q, T);
	return q;
}

/*
 * The flow has ended. What it sent in this epoch counts as small: else a storm of short flows
 * drives R to nothing.
 */
static inline void pp_law_leave(struct pp_pipe *p, struct pp_share *s)
{
	__u32 age = p->epoch_no - s->epoch;

	if (!pp_law_born(p, s))
		return;
	if (pp_law_young(p, s) || (s->big && age <= 1))
		__sync_fetch_and_add(&p->left, 1);
	if (s->big && !age) {
		__sync_fetch_and_add(&p->nbig, -1);
		__sync_fetch_and_add(&p->big_bytes, -s->bytes);
	}
	/* its last ACK, still to come, is no new flow */
	s->bytes = 0;
	s->first = 0;
	s->big = 0;
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
