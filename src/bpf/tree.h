/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Pipes above pipes: guarantees, weighted shares and borrowing, without a queue. Pure arithmetic,
 * as law.h, which it continues one level up.
 *
 * A pipe with members is a parent. Its members are pipes, and weights count where flows count
 * below: its R is a rate for each unit of weight, and a member's capacity is
 *
 *     min(its ceil, the parent's capacity, guarantee + weight * R)
 *
 * What members do not use others may: R rises until the parent is full. In each epoch the parent
 * measures what arrives (y), the standing queue (q), what members that are not big sent (small)
 * and, of the big ones, the sums of weights W and of guarantees G. With goal = C - drain(q)
 *
 *     R <- R * (goal - small - G) / (y - small - G), in bounded steps,
 *     not below (goal - small - G) / W, nor above C / the least weight.
 *
 * A member is big if it sent at least half of guarantee + weight * R. Its ceil is no part of that:
 * one that its own ceil holds far below its share is small, and counts in no W.
 *
 * Guarantees of big members that come to more than the parent has are all scaled by one factor. A
 * sixty-fourth is left to weights: members without a guarantee would stand still.
 *
 * R says what a member may have that uses all it gets; one that does not yet may have four times
 * what it used lately, or the share that weights give it of all who sent lately, whichever is more.
 * So R may be high while few are big, and a thousand members that begin together do not all begin
 * with it.
 *
 * An epoch lasts two of the members', on average: they have answered the last R when it is looked
 * at.
 * Parents may be members of others; the root's capacity is its limit.
 *
 * Concurrency: as law.h. A member's state of this epoch is written by the CPU that wins it.
 */
#pragma once

#include "law.h"

/* R of a parent counts sixteenths of a byte/s: the share of one unit of weight can be small */
#define PP_TREE_UNIT 16ULL
#define PP_TREE_EPOCH_MIN (2 * PP_EPOCH_MIN)
/* epochs without a packet after which it is forgotten what a member used */
#define PP_TREE_AWAY 16
/*
 * What was too much is made up for by less afterwards, but for so much: flows that open in many
 * members at once are over before the shares of all are known
 */
#define PP_TREE_DEBT (100 * PP_MSEC)
/* pp_pipe.whole of guarantees that are given in full */
#define PP_TREE_WHOLE 65536ULL

static inline __u64 pp_tree_epoch(const struct pp_pipe *p)
{
	return pp_min(pp_max(2 * PP_USEC * p->lull, PP_TREE_EPOCH_MIN), PP_EPOCH_MAX);
}

/* R for the capacity as it is now, which may have changed since the last epoch. */
static inline __u64 pp_tree_fair(const struct pp_pipe *p)
{
	__u64 C = pp_law_rate(p), R = p->R, was = p->C;

	if (!R || !was)
		return C * PP_TREE_UNIT;
	if (C == was)
		return R;
	if (C > was)
		return pp_max(R, (C - C / 64) * PP_TREE_UNIT * 16 / pp_max(p->n16, 16));
	return pp_law_scale(R, C, was);
}

/* What weights share among them of so much: all but guarantees, and a sixty-fourth at least. */
static inline __u64 pp_tree_rest(__u64 goal, __u64 guarantees)
{
	return goal - pp_min(guarantees, goal - goal / 64);
}

/* What the member may send now by its parent, bytes/s; its own ceil is not looked at. */
static inline __u64 pp_tree_share(const struct pp_pipe *p, const struct pp_pipe *m)
{
	__u64 C = pp_law_rate(p), g = m->guarantee, mine, seen;

	if (p->whole && p->whole < PP_TREE_WHOLE)
		g = pp_min(g, PP_RATE_MAX) * p->whole / PP_TREE_WHOLE;
	mine = m->weight * pp_tree_fair(p) / PP_TREE_UNIT;
	if (mine > 4 * m->up_used) {
		seen = pp_max(pp_max(p->born, p->born_prev), pp_max(p->n16 / 16, 1));
		seen = m->weight * pp_tree_rest(C, p->reserved) / pp_max(seen, m->weight);
		mine = pp_min(mine, pp_max(seen, 4 * m->up_used));
	}
	return pp_max(pp_min(g + mine, C), 1);
}

/* Was the member big in this epoch of the parent's, or the last? */
static inline int pp_tree_was_big(const struct pp_pipe *p, const struct pp_pipe *m)
{
	return m->up_big && p->epoch_no + 1 - m->up_big <= 1;
}

/* R, with so many weights (sixteenths) and so much rest in the place of what there was. */
static inline __u64 pp_tree_shift(__u64 R, __u64 n16, __u64 was16, __u64 rest, __u64 rest_was)
{
	if (was16 <= n16)
		R = pp_law_scale(R, was16, n16);
	else
		R = pp_max(R, (R >> 8) * pp_min((was16 << 8) / n16, 1 << 20));
	if (rest <= rest_was)
		return pp_law_scale(R, rest, rest_was);
	return pp_max(R, (R >> 8) * pp_min((rest << 8) / rest_was, 1 << 14));
}

/* What changed of a member since its parent last looked. */
struct pp_tree_news {
	__u64 guarantee; /* as it was, bytes/s */
	__u32 weight;    /* as it was; 0: the parent has not known the member */
	__u16 changed;   /* its weight or guarantee is another */
	__u16 raised;    /* it may have more, by one of them or by its ceil */
};

/* Each change is seen by one CPU, the one whose exchange wins. */
static inline void pp_tree_look(struct pp_pipe *m, struct pp_tree_news *n)
{
	__u64 g = pp_min(m->guarantee, PP_RATE_MAX), ceil = m->rate, was = m->up_rate;
	__u32 w = m->weight;

	n->weight = m->up_weight;
	n->guarantee = m->up_guarantee;
	n->changed = n->raised = 0;
	if (w != n->weight &&
	    __sync_val_compare_and_swap(&m->up_weight, n->weight, w) == n->weight) {
		n->changed = 1;
		n->raised = w > n->weight;
	}
	if (g != n->guarantee &&
	    __sync_val_compare_and_swap(&m->up_guarantee, n->guarantee, g) == n->guarantee) {
		n->changed = 1;
		n->raised |= g > n->guarantee;
	}
	if (ceil != was && __sync_val_compare_and_swap(&m->up_rate, was, ceil) == was)
		n->raised |= ceil > was && was < m->cap;
}

/* The sums of big members', with the member as it is now. */
static inline void pp_tree_recount(struct pp_pipe *p, const struct pp_pipe *m,
				   const struct pp_tree_news *n, int big)
{
	__u64 g = pp_min(m->guarantee, PP_RATE_MAX), was16 = 16 * (__u64)n->weight;

	if (!big) {
		p->n16 += 16 * m->weight;
		p->reserved += g;
		return;
	}
	p->n16 = pp_max(p->n16, was16) - was16 + 16 * m->weight;
	p->reserved = pp_max(p->reserved, n->guarantee) - n->guarantee + g;
	if (m->up_big == p->epoch_no + 1) {
		__sync_fetch_and_add(&p->nbig, m->weight - n->weight);
		__sync_fetch_and_add(&p->big_guarantees, g - n->guarantee);
	}
}

/*
 * User space has changed what a member may have, and R belongs to what it was: until the epoch ends
 * all together would have more than the whole, or less. R is moved by as much as the member weighs
 * more among those that share. One that may have more, and sends at all, is taken to use it.
 */
PP_APART int pp_tree_adopt(struct pp_pipe *p, struct pp_pipe *m, __u64 now)
{
	__u64 C, rest_was, was16, rest, R, low;
	struct pp_tree_news n;
	int big;

	if (!p || !m || (m->weight == m->up_weight && m->guarantee == m->up_guarantee &&
			 m->rate == m->up_rate))
		return 0;
	pp_tree_look(m, &n);
	big = pp_tree_was_big(p, m);
	if (!n.weight || !(big ? n.changed | n.raised : n.raised) || !m->up_joined ||
	    p->epoch_no - m->up_epoch > PP_TREE_AWAY)
		return 0;
	C = pp_law_rate(p);
	was16 = p->n16;
	rest_was = pp_tree_rest(C, p->reserved);
	pp_tree_recount(p, m, &n, big);
	rest = pp_tree_rest(C, p->reserved);
	low = pp_max(rest * PP_TREE_UNIT * 16 / pp_max(p->n16, 1), 1);
	/* what is not big takes its part too, as far as it shows in R */
	R = was16 < 16 ? low : pp_tree_shift(p->R, pp_max(p->n16, 1), was16, rest, rest_was);
	R = pp_min(pp_max(R, low / 8 + 1), low);
	if (n.raised) {
		pp_law_wake(m, now, m->cap * 16 / pp_max(m->n16, 16));
		p->R = pp_min(p->R, R);
	} else if (m->cap <= m->rate && R > p->R) {
		/* what it came to for others before does not bound it */
		p->R = R;
		p->told = 0;
	}
	return 0;
}

/* What the member used lately, bytes/s: in the epoch that it sent in last, or less the longer ago.
 */
static inline __u64 pp_tree_used(const struct pp_pipe *p, const struct pp_pipe *m, __u32 ago)
{
	__u64 sent = pp_law_per_second(m->bytes - m->up_was, pp_tree_epoch(p));

	return ago > PP_TREE_AWAY ? 0 : pp_max(sent, m->up_used - m->up_used / 4) >> (ago / 2);
}

/* The member sends, in this epoch for the first time. */
static inline void pp_tree_join(struct pp_pipe *p, struct pp_pipe *m)
{
	__u32 e = p->epoch_no, was = m->up_epoch;

	if (was == e && m->up_joined)
		return;
	if (__sync_val_compare_and_swap(&m->up_epoch, was, e) != was)
		return;
	m->up_used = m->up_joined ? pp_tree_used(p, m, e - was) : 0;
	m->up_joined = 1;
	m->up_was = m->bytes;
	if (!p->least || m->weight < p->least)
		p->least = m->weight;
	__sync_fetch_and_add(&p->born, m->weight);
}

/*
 * Is what a member sent in this epoch half of its share, bytes/s? Of one that was not big in the
 * last an eighth is enough where a queue stands: others have had what it now takes.
 */
static inline int pp_tree_is_big(const struct pp_pipe *p, __u64 share, __u64 sent, __u64 q,
				 int newly)
{
	__u64 us = pp_tree_epoch(p) / PP_USEC, C = pp_law_rate(p);

	if (newly && q > us * PP_USEC / 16 && sent > (share >> 8) * us / (8 * 3906))
		return 1;
	/* more than an epoch's worth has come already: shares may be far above what so many can
	 * send */
	if (q > us * PP_USEC / 4 && p->bytes - p->bytes_was > (C >> 8) * us / 3906)
		share = pp_min(share, C / 16);
	/* a million us are 3906 * 256: no product overflows */
	return sent > (share >> 8) * us / (2 * 3906);
}

/* One that was not big is, and there is a queue: the others make room at once. */
static inline void pp_tree_welcome(struct pp_pipe *p, struct pp_pipe *m)
{
	__u64 C = pp_law_rate(p), most = 16 * (__u64)pp_max(p->born, p->born_prev);
	__u64 n16 = pp_min(p->n16 + 16 * m->weight, pp_max(most, 16));
	__u64 rest = pp_tree_rest(C, p->reserved + pp_min(m->guarantee, PP_RATE_MAX));

	if (n16 > p->n16)
		p->n16 = n16;
	if (p->C == C)
		p->R = pp_min(p->R, pp_max(rest * PP_TREE_UNIT * 16 / pp_max(p->n16, 16), 1));
}

/* Count the member's packet. q: the queue that it found. */
static inline void pp_tree_count(struct pp_pipe *p, struct pp_pipe *m, __u64 len, __u64 q)
{
	__u64 sent = m->bytes - m->up_was, C = pp_law_rate(p), told, us;
	__u32 e = p->epoch_no, was = m->up_big, W;

	if (was == e + 1)
		return;
	if (!pp_tree_is_big(p, m->cap, sent + len, q, was != e)) {
		__sync_fetch_and_add(&p->small_bytes, len);
		return;
	}
	if (__sync_val_compare_and_swap(&m->up_big, was, e + 1) != was)
		return;
	__sync_fetch_and_add(&p->small_bytes, -sent);
	__sync_fetch_and_add(&p->nbig, m->weight);
	if (was != e && q > pp_tree_epoch(p) / 16)
		pp_tree_welcome(p, m);
	told = (m->cap - pp_min(m->cap, m->guarantee)) * PP_TREE_UNIT / pp_max(m->weight, 1);
	if (told > p->told)
		p->told = told;
	__sync_fetch_and_add(&p->big_guarantees, m->guarantee);
	/* how long it takes to answer counts by what it has of the whole */
	us = (m->members ? pp_tree_epoch(m) : pp_law_epoch(m)) / PP_USEC;
	__sync_fetch_and_add(&p->lull_now, us * (pp_min(m->cap, C) * 256 / C) / 256);
	W = p->nbig;
	if (q > pp_tree_epoch(p) / 4 && W * 16 > p->n16) {
		p->n16 = W * 16;
		if (p->C == C)
			p->R = pp_min(p->R,
				      pp_tree_rest(C, pp_max(p->reserved, p->big_guarantees)) *
					      PP_TREE_UNIT / W);
	}
}

/* After idleness: any member may have all. */
static inline void pp_tree_begin_anew(struct pp_pipe *p, __u64 C)
{
	p->R = C * PP_TREE_UNIT;
	p->n16 = 0;
	p->reserved = 0;
	p->whole = 0;
	p->y = 0;
	p->C = C;
	p->epoch_no += PP_TREE_AWAY;
}

/* Guarantees that big members have had lately, all together; what is given of each. */
static inline __u64 pp_tree_reserve(struct pp_pipe *p, __u64 G, __u64 goal)
{
	__u64 most = goal - goal / 64, was = p->reserved;

	p->reserved = G = G >= was ? G : was - (was - G + 3) / 4;
	if (G <= most) {
		p->whole = 0;
		return G;
	}
	/* in steps that no product overflows in: 2^47 is above PP_RATE_MAX */
	p->whole = G < 1ULL << 47 ? most * PP_TREE_WHOLE / G : most / pp_max(G >> 16, 1);
	return most;
}

/* Is so much, bytes/s for a time of dt, more than bursts of segments make of little? */
static inline int pp_tree_is_much(const struct pp_pipe *p, __u64 over, __u64 dt)
{
	return (over >> 8) * (dt / PP_USEC) / 3906 > 32 * pp_law_mss(p);
}

/* End the epoch if it is over: a new R. */
PP_APART int pp_tree_end_epoch(struct pp_pipe *p, __u64 now)
{
	__u64 last, dt, T, C, bytes, q, y, small, goal, G, rest, used, low, told, R;
	__u32 W, was16, n16, least;
	int gone;

	if (!p)
		return 0;
	last = p->last;
	dt = now - last;
	T = pp_tree_epoch(p);
	C = pp_law_rate(p);
	if ((__s64)dt < (__s64)T || __sync_val_compare_and_swap(&p->last, last, now) != last)
		return 0;
	bytes = pp_law_arrived(p);
	small = __sync_lock_test_and_set(&p->small_bytes, 0);
	q = __sync_lock_test_and_set(&p->qmin, ~0ULL);
	W = __sync_lock_test_and_set(&p->nbig, 0);
	G = __sync_lock_test_and_set(&p->big_guarantees, 0);
	least = __sync_lock_test_and_set(&p->least, 0);
	told = __sync_lock_test_and_set(&p->told, 0);
	pp_law_next_epoch(p);
	y = pp_law_per_second(bytes, dt);
	pp_law_note_missed(p, y, W, dt);
	if (dt > 8 * T) {
		pp_tree_begin_anew(p, C);
		return 0;
	}
	/* above what it came to for any of them it says nothing */
	p->R = told ? pp_min(pp_tree_fair(p), told) : pp_tree_fair(p);
	p->C = C;
	p->y = y;
	n16 = was16 = p->n16;
	p->n16 = n16 = W * 16 >= n16 ? W * 16 : n16 - (n16 - W * 16 + 3) / 4;
	if (q == ~0ULL)
		q = 0;
	goal = C - C * pp_min(q * 64 / T, 64) / 256;
	small = (__s64)small > 0 ? pp_law_per_second(pp_min(small, bytes), dt) : 0;
	G = pp_tree_reserve(p, G, goal);
	rest = pp_tree_rest(goal, small + G);
	used = y - pp_min(y, small + G);
	gone = pp_law_have_gone(p->R, used * PP_TREE_UNIT, W, was16);
	R = pp_law_step(p->R, rest, used, gone);
	R = pp_min(R, (C + C / 16) * PP_TREE_UNIT / pp_max(least, 1));
	low = rest * PP_TREE_UNIT * 16 / pp_max(n16, 16);
	/* one that was held by less than R until now takes no part in the step, and too much is
	 * to end */
	if (used > rest + rest / 8 && (W * 16 > was16 || pp_tree_is_much(p, used - rest, dt)))
		R = pp_min(R, low);
	p->R = pp_max(pp_max(R, low), 1);
	if (y >= C - C / 16)
		p->busy_ns += dt;
	return 0;
}

/*
 * So much more came in this epoch than leaves that its end is not waited for: R falls to what is
 * safe if all that were big lately are.
 */
static inline void pp_tree_relieve(struct pp_pipe *p, __u64 now, __u64 q)
{
	__u64 C = pp_law_rate(p), T = pp_tree_epoch(p), fits, low;

	if (q < PP_TREE_EPOCH_MIN / 4 || q < T / 4 || p->C != C)
		return;
	fits = (C >> 8) * ((now - p->last + T / 16) / PP_USEC) / 3906;
	if (p->bytes - p->bytes_was <= fits)
		return;
	low = pp_tree_rest(C, p->reserved) * PP_TREE_UNIT * 16 / pp_max(p->n16, 16);
	if (p->R > low)
		p->R = pp_max(low, 1);
}

/*
 * A packet of len L3 bytes of member m has been accepted; m may be NULL, of what is no member's.
 * The member's capacity follows. Returns the queue in ns that the packet found.
 */
static inline __u64 pp_tree_arrive(struct pp_pipe *p, struct pp_pipe *m, __u64 now, __u64 len,
				   __u32 mss)
{
	__u64 q = pp_law_queue(p, now);

	if (q < PP_TREE_DEBT)
		q = pp_law_charge(p, now, len);
	else if (q < p->qmin)
		p->qmin = q;
	if (mss > p->mss_now)
		p->mss_now = mss;
	if ((__s64)(now - p->last) >= (__s64)PP_TREE_EPOCH_MIN)
		pp_tree_end_epoch(p, now);
	__sync_fetch_and_add(&p->bytes, len);
	if (!m) {
		__sync_fetch_and_add(&p->small_bytes, len);
		return q;
	}
	pp_tree_join(p, m);
	pp_tree_adopt(p, m, now);
	m->cap = pp_tree_share(p, m);
	pp_tree_count(p, m, len, q);
	pp_tree_relieve(p, now, q);
	return q;
}
