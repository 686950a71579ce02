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
 * without it R dips far below the fair share after an overload and BBR forgets its bandwidth. Where
 * small flows are ever new connections, they leave half of the goal to the big ones: admission
 * (pp_law_admit) makes them fewer. R is common to all flows: multiplicative steps keep it fair,
 * only the sum needs control.
 *
 * A flow is young until the epoch after that of its first data. Young flows get an equal share that
 * counts all that were born with them; while a queue stands each takes a turn: turns are handed out
 * one after another, at rate C, from the moment the queue is gone, so that flows that open together
 * neither pile up nor march in step afterwards.
 *
 * Cost: a packet of a big flow makes three atomic additions and one division in each pipe. What is
 * compared with the epoch's length is compared first with the least that it can be, PP_EPOCH_MIN;
 * the sums are of the few, small flows' bytes, not of the many.
 *
 * Concurrency: vt, the sums and the counters are atomic. Everything else is written without a lock;
 * a lost race costs one sample of qmin, one count of n, or a pace that is one epoch old.
 */
#pragma once

#include "admit.h"
#include "pace.h"

/*
 * A flow that sends here and there by turns is back. It is as one that has sent all the while: not
 * born again each time, unless the pipe was idle meanwhile.
 */
static inline void pp_law_return(const struct pp_pipe *p, struct pp_share *s)
{
	__u32 first = p->epoch_no - 1;

	if ((__s32)(first - p->era) <= 0)
		return;
	s->first = first;
	s->epoch = p->epoch_no;
}

/* A flow that nothing paces was silent for so long, or one that hears R is so far away. */
static inline void pp_law_silent(struct pp_pipe *p, __u64 ns)
{
	__u32 us = pp_min(ns, PP_EPOCH_MAX / 2) / PP_USEC;

	if (us > p->lull_now)
		p->lull_now = us;
}

/*
 * Has the flow sent half of what it was told, or of R, in this epoch? *T is the epoch's length, or
 * 0 if it is not known yet: then it is if it mattered. q: the queue that the packet found.
 */
static inline int pp_law_is_big(const struct pp_pipe *p, const struct pp_share *s, __u64 q,
				__u64 *T)
{
	__u64 mine = s->pace && s->pace < p->R ? s->pace : p->R, C;

	/* not in the shortest of epochs, nor is there a queue for what is below */
	if (q <= PP_EPOCH_MIN / 4 && s->bytes * (2 * PP_NSEC / PP_EPOCH_MIN) <= mine)
		return 0;
	if (!*T)
		*T = pp_law_epoch(p);
	C = pp_law_rate(p);
	/*
	 * more than an epoch's worth has come already: R may be so far above what so many can send
	 * that none of them comes near half of it
	 */
	if (q > *T / 4 && p->bytes - p->bytes_was > C * (*T / PP_USEC) / 800000)
		mine = pp_min(mine, C / 16);
	return s->bytes * 2 > mine * (*T / PP_USEC) / 1000000;
}

/* Count the flow's packet: is the flow new, is it big? T and q as above. */
static inline void pp_law_count(struct pp_pipe *p, struct pp_share *s, __u64 len, __u64 q, __u64 T)
{
	__u64 C = pp_law_rate(p);
	__u32 e = p->epoch_no, n;

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
		if (len <= PP_SMALL && s->bytes < 2 * pp_law_mss(p)) {
			__sync_fetch_and_add(&p->small_bytes, len);
			return;
		}
		s->first = e + 1;
		__sync_fetch_and_add(&p->born, 1);
	}
	if (s->big)
		return;
	if (!pp_law_is_big(p, s, q, &T)) {
		__sync_fetch_and_add(&p->small_bytes, len);
		return;
	}
	s->big = 1;
	__sync_fetch_and_add(&p->small_bytes, len - s->bytes);
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

/*
 * Have flows gone, or paused, while those that stay take all that they are told? Then R alone holds
 * the pipe back. Where y is low for other reasons, as in slow start, a R that runs ahead of the
 * flows makes them overshoot together. It is not for connections that come and go all the time
 * either: n follows the peaks of their number, and R would overshoot at each.
 */
static inline int pp_law_have_gone(__u64 R, __u64 bulk, __u32 nbig, __u32 was16)
{
	return nbig && nbig * 20 <= was16 && bulk / nbig >= R - R / 4;
}

/*
 * R * goal / y in bounded steps: at least x0.25, half of it near the goal and above, where it is at
 * most x1.25; but x2 where flows have gone: with x1.25 two that are left by eight take 70 ms.
 */
PP_APART __u64 pp_law_step(__u64 R, __u64 goal, __u64 y, int gone)
{
	__u64 ratio = goal * 1024 / pp_max(y, 1);

	ratio = pp_min(pp_max(ratio, 256), gone ? 2048 : 1536);
	if (ratio > 900 && !(gone && ratio > 1280))
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

/* Bytes since this was last asked. A packet that passes by may be in the sum by half. */
static inline __u64 pp_law_arrived(struct pp_pipe *p)
{
	__u64 is = p->bytes, was = p->bytes_was;

	p->bytes_was = is;
	return (__s64)(is - was) > 0 ? is - was : 0;
}

/*
 * How long the pipe takes for what a connection sends first: all that came, over those that began.
 * Long flows beside them make it too much; but where those are, and can yield, there is no queue.
 */
static inline void pp_law_note_opening(struct pp_pipe *p, __u64 y, __u64 dt, __u64 C)
{
	__u64 took = pp_min(y * 1024 / C, 4096) * (dt / 1024);

	if (!p->born_prev)
		return;
	p->open_ns += ((__s64)took - (__s64)p->open_ns) >> 3;
	p->opens += ((__s64)p->born_prev * 256 - (__s64)p->opens) >> 3;
}

/*
 * Opening flows wait for their own ACKs while a queue stands. Where they come and go all the time
 * the queue never ends, and they would all wait: it is for admission to shorten it. So they may
 * find a longer one the longer that goes on, by so little at a time that no window of time sees
 * much of it.
 */
static inline void pp_law_make_room_to_open(struct pp_pipe *p, __u64 q, __u64 dt)
{
	__u64 refused = p->refused[PP_REFUSED_OPENING], step = dt / 20;

	if (refused != p->refused_was) {
		p->room = pp_min(p->room + step, PP_OPEN_ROOM);
	} else if (!p->born_prev || !q) {
		step /= 8;
		p->room = p->room > step ? p->room - step : 0;
	}
	p->refused_was = refused;
}

/* The epoch is over: what its sums say of flows, and of how far they are away, belongs to it. */
PP_APART int pp_law_next_epoch(struct pp_pipe *p)
{
	if (!p)
		return 0;
	p->born_prev = __sync_lock_test_and_set(&p->born, 0);
	p->mss = __sync_lock_test_and_set(&p->mss_now, 0);
	p->lull = pp_max(p->lull_now, p->lull - p->lull / 8);
	if (p->lull < PP_MSEC / PP_USEC)
		p->lull = 0;
	p->far_us -= p->far_us >> 13;
	p->lull_now = 0;
	p->epoch_no++;
	return 0;
}

/*
 * There is more capacity than when flows were told this rate. They hear of it when they send next,
 * and have timed that by what they were told: some are up before others, and R is not theirs alone.
 */
static inline void pp_law_wake(struct pp_pipe *p, __u64 now, __u64 rate)
{
	__u64 pause = 2 * pp_law_mss(p) * PP_NSEC / pp_max(rate, 1);

	if (pause <= PP_EPOCH_MIN)
		return;
	pause = pp_min(pp_max(pause, PP_SLEEP_LEAST), PP_SLEEP_MOST);
	p->awake = pp_max(p->awake, now + pause + 2 * PP_EPOCH_MIN);
}

/* There is more capacity: what stands in the pipe leaves so much earlier. */
static inline void pp_law_widen(struct pp_pipe *p, __u64 now, __u64 C)
{
	__u64 q = pp_law_queue(p, now), vt = p->vt;

	if (q)
		__sync_val_compare_and_swap(&p->vt, vt,
					    (now + pp_law_scale(q, p->C, C)) << PP_TICKS);
	if (C / 4 > p->C)
		pp_law_wake(p, now, p->R);
}

/*
 * The capacity has changed, as that which a parent gives does all the time: R, and what arrived,
 * are taken as they would have been with the new one. Returns y.
 */
PP_APART __u64 pp_law_rescale(struct pp_pipe *p, __u64 now, __u64 C, __u64 y)
{
	__u64 was;

	if (!p)
		return y;
	if (C > p->C)
		pp_law_widen(p, now, C);
	was = pp_max(p->R, 1);
	p->R = pp_law_fair(p);
	p->C = C;
	y = pp_min(y, PP_RATE_MAX);
	if (p->R <= was)
		return pp_law_scale(y, p->R, was);
	return y * pp_min(p->R * 1024 / was, 65536) / 1024;
}

/*
 * Was it idle for so long that flows are as new? It was not if it was so slow itself before its
 * capacity rose, or if the flow that ends the silence was told so little, pace, that it is its own.
 */
static inline int pp_law_was_idle(struct pp_pipe *p, __u64 now, __u64 dt, __u64 T, __u64 pace)
{
	__u64 burst = 2 * pp_law_mss(p) * PP_NSEC;

	if (!p->R)
		return 1;
	if (dt <= 8 * T)
		return 0;
	if (pace && dt / 4 < burst / pace) {
		pp_law_wake(p, now, pace);
		return 0;
	}
	T = pp_max(2 * burst / p->R, 8 * burst / pp_max(p->C, 1));
	return dt > 8 * pp_min(T, PP_EPOCH_MAX) && (!p->awake || dt > 2 * PP_SLEEP_MOST);
}

/* After idleness. */
static inline void pp_law_begin_anew(struct pp_pipe *p, __u64 C)
{
	p->R = C;
	p->n16 = 0;
	p->era = p->epoch_no;
	p->awake = 0;
	p->y = 0;
	p->C = C;
}

PP_APART int pp_law_note_openings(struct pp_pipe *p, __u64 y, __u64 q, __u64 dt)
{
	if (!p)
		return 0;
	pp_law_note_opening(p, y, dt, pp_law_rate(p));
	pp_law_make_room_to_open(p, q, dt);
	return 0;
}

/* A member with flows that take all they are told, and less than its guarantee comes of it. */
static inline void pp_law_note_missed(struct pp_pipe *p, __u64 y, __u32 nbig, __u64 dt)
{
	if (p->parent && p->guarantee && nbig && y < p->guarantee - p->guarantee / 16 &&
	    pp_law_rate(p) < p->guarantee)
		p->missed_ns += dt;
}

/*
 * End the epoch if it is over: a new R. pace: what the flow whose packet ends it was told, or 0.
 * dt is bounded first, so that no product overflows at 1 Pbit/s.
 */
PP_APART int pp_law_end_epoch(struct pp_pipe *p, __u64 now, __u64 T, __u64 pace)
{
	__u64 last, dt, C, bytes, q, y, small, goal, low, R;
	__u32 n16, was16, nbig, young, left;
	int waited, gone;

	if (!p)
		return 0;
	last = p->last;
	dt = now - last;
	C = pp_law_rate(p);
	/* another CPU may have ended it at a time that is later than now */
	if ((__s64)dt < (__s64)T || __sync_val_compare_and_swap(&p->last, last, now) != last)
		return 0;
	bytes = pp_law_arrived(p);
	small = __sync_lock_test_and_set(&p->small_bytes, 0);
	q = __sync_lock_test_and_set(&p->qmin, ~0ULL);
	nbig = __sync_lock_test_and_set(&p->nbig, 0);
	young = __sync_lock_test_and_set(&p->young_big, 0);
	left = __sync_lock_test_and_set(&p->left, 0);
	pp_law_next_epoch(p);
	y = pp_law_per_second(bytes, dt);
	pp_law_note_missed(p, y, nbig, dt);
	if (pp_law_was_idle(p, now, dt, T, pace)) {
		pp_law_begin_anew(p, C);
		return 0;
	}
	if (p->C != C)
		y = pp_law_rescale(p, now, C, y);
	/*
	 * flows that waited for their turns sent less than R or nothing: no reason to raise it, or
	 * to count them out
	 */
	waited = (__s64)(p->turn - last) > 0 || p->awake;
	if ((__s64)(p->awake - now) <= 0)
		p->awake = 0;
	n16 = was16 = p->n16;
	n16 = nbig * 16 >= n16 ? nbig * 16 : waited ? n16 : n16 - (n16 - nbig * 16 + 3) / 4;
	p->n16 = n16;
	if (q == ~0ULL)
		q = 0;
	p->y = y;
	pp_law_note_openings(p, y, q, dt);
	/* the bytes of one that turned out big may be of the epoch before */
	small = (__s64)small > 0 ? pp_law_per_second(pp_min(small, bytes), dt) : 0;
	goal = C - C * pp_min(q * 64 / T, 64) / 256;
	gone = !young && pp_law_have_gone(p->R, y - pp_min(small, y), nbig, was16);
	small = pp_min(small, p->born_prev ? goal / 2 : goal);
	low = (goal - small) * 16 / pp_max(n16, 16);
	R = pp_min(pp_law_step(p->R, goal, y, gone), C + C / 16);
	if (waited)
		R = pp_min(R, p->R);
	if (young)
		R = pp_law_make_room(R, low, goal, was16, n16, left || p->left_prev);
	p->left_prev = left > 0;
	R = pp_max(R, low);
	p->R = pp_max(R, pp_min(C, pp_law_mss(p) / 2));
	if (y >= C - C / 16)
		p->busy_ns += dt;
	return 0;
}

/* A packet of len L3 bytes advances the clock. Returns the queue in ns that it found. */
static inline __u64 pp_law_charge(struct pp_pipe *p, __u64 now, __u64 len)
{
	__u64 old, vt, q = 0, t = now << PP_TICKS;
	__u64 cost = len * (PP_NSEC << PP_TICKS) / pp_law_rate(p);

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
	return q;
}

/*
 * Is what stands in a pipe that its parent holds below its ceil too much to be made up for? What
 * was in flight when a share became a thousandth of what it was would be minutes of it, and the
 * share may be all again in the next second: no more than PP_SHARE_DEBT, and eight segments, are.
 * The parent makes up for it.
 */
static inline int pp_law_forgives(const struct pp_pipe *p, __u64 q)
{
	if (!p->parent || !p->cap || p->cap >= p->rate || q < PP_SHARE_DEBT)
		return 0;
	return q >= PP_SHARE_DEBT + 8 * pp_law_mss(p) * PP_NSEC / pp_law_rate(p);
}

/*
 * A packet of len L3 bytes of flow s has been accepted: advance the clock, count, end the epoch
 * when it is over. mss: L3 size of a full segment of the flow, 0 if unknown. Returns the queue in
 * ns that the packet found.
 */
static inline __u64 pp_law_arrive(struct pp_pipe *p, struct pp_share *s, __u64 now, __u64 len,
				  __u32 mss)
{
	__u64 T = 0, q = pp_law_queue(p, now);

	if (!pp_law_forgives(p, q))
		q = pp_law_charge(p, now, len);
	else if (q < p->qmin)
		p->qmin = q;
	p->qmean = p->qmean - p->qmean / 32 + q / 32;
	s->queue = pp_min(q / PP_USEC, ~0U);
	s->size = pp_min(len / 256, 0xffff);
	if (mss > p->mss_now)
		p->mss_now = mss;
	/* a packet after the end of an epoch belongs to the next one: the first after a pause is
	 * not old */
	if ((__s64)(now - p->last) >= (__s64)PP_EPOCH_MIN) {
		T = pp_law_epoch(p);
		pp_law_end_epoch(p, now, T, s->pace);
	}
	__sync_fetch_and_add(&p->bytes, len);
	pp_law_count(p, s, len, q, T);
	return q;
}

/* A packet passes that shall be counted and leave no trace in the law. */
static inline void pp_law_pass_by(struct pp_pipe *p, __u64 len)
{
	__sync_fetch_and_add(&p->bytes, len);
	__sync_fetch_and_add(&p->bytes_was, len);
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
		__sync_fetch_and_add(&p->small_bytes, s->bytes);
	}
	/* its last ACK, still to come, is no new flow */
	s->bytes = 0;
	s->first = 0;
	s->big = 0;
}
