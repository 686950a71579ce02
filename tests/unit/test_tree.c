// SPDX-License-Identifier: Apache-2.0
// Shares of a pipe: exact where they are exact, bounded for every input. Built with sanitizers.
// What traffic makes of them is the simulator's.

#include <stddef.h>

#include "bpf/tree.h"
#include "tap.h"

#define NOW (1000 * PP_NSEC)
#define C1G 125000000ULL

static __u64 seed = 88172645463325252ULL;

static __u64 rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

/* Of any magnitude. */
static __u64 any(void)
{
	__u64 shift = rnd() % 64;

	return rnd() >> shift;
}

static struct pp_pipe pipe_of(__u64 rate)
{
	return (struct pp_pipe){ .rate = rate, .vt = NOW << PP_TICKS, .last = NOW, .qmin = ~0ULL };
}

static struct pp_pipe member_of(__u32 weight, __u64 guarantee)
{
	struct pp_pipe m = pipe_of(PP_RATE_MAX);

	m.parent = 1;
	m.weight = weight;
	m.guarantee = guarantee;
	return m;
}

static void test_share(void)
{
	struct pp_pipe p = pipe_of(C1G), m = member_of(300, 0);

	p.members = 2;
	is_u64(pp_tree_share(&p, &m), C1G, "nothing is known: all, however much it weighs");
	p.C = C1G;
	p.R = C1G * PP_TREE_UNIT / 400;
	m.up_used = C1G;
	is_u64(pp_tree_share(&p, &m), C1G * 3 / 4, "300 of 400");
	m.guarantee = 1000000;
	is_u64(pp_tree_share(&p, &m), C1G * 3 / 4 + 1000000, "and a guarantee");
	p.whole = PP_TREE_WHOLE / 2;
	is_u64(pp_tree_share(&p, &m), C1G * 3 / 4 + 500000, "of which there is half");
	p.whole = 0;
	m.rate = C1G / 10;
	is_u64(pp_tree_share(&p, &m), C1G * 3 / 4 + 1000000, "a ceil changes no share");
	m.cap = pp_tree_share(&p, &m);
	is_u64(pp_law_rate(&m), C1G / 10, "and holds");
	m.guarantee = 2 * C1G;
	is_u64(pp_tree_share(&p, &m), C1G, "none is more than the whole");
	p.rate = C1G / 2;
	m.guarantee = 0;
	is_u64(pp_tree_share(&p, &m), C1G * 3 / 8, "half of the whole: half of the share, at once");
}

/* A member that used little may have four times that, or what weights give it of all that sent. */
static void test_use(void)
{
	struct pp_pipe p = pipe_of(C1G), m = member_of(100, 0);

	p.members = 5;
	p.C = C1G;
	p.R = C1G * PP_TREE_UNIT / 100; /* the one that is big may have all */
	p.born_prev = 500;
	is_u64(pp_tree_share(&p, &m), C1G / 5, "one that begins: a fifth, of five");
	m.up_used = C1G / 10;
	is_u64(pp_tree_share(&p, &m), C1G * 2 / 5, "one that used a tenth: four tenths");
	m.up_used = C1G / 2;
	is_u64(pp_tree_share(&p, &m), C1G, "one that used half: all");
}

/* Guarantees that are more than there is. */
static void test_reserve(void)
{
	struct pp_pipe p = pipe_of(C1G);

	is_u64(pp_tree_reserve(&p, C1G / 2, C1G), C1G / 2, "half of the whole is guaranteed");
	is_u64(p.whole, 0, "and given in full");
	is_u64(pp_tree_reserve(&p, 2 * C1G, C1G), C1G - C1G / 64,
	       "twice the whole: all but a sixty-fourth");
	is_u64(p.whole, (C1G - C1G / 64) * PP_TREE_WHOLE / (2 * C1G), "each gets as much less");
	is_u64(pp_tree_reserve(&p, 0, C1G) > C1G / 2, 1, "they are not forgotten in one epoch");
	is_u64(pp_tree_reserve(&p, 400 * (PP_RATE_MAX / 100), C1G), C1G - C1G / 64,
	       "four times 1 Pbit/s");
	ok(p.whole < 2, "of which next to nothing is given");
}

static const char *broken(const struct pp_pipe *p, const struct pp_pipe *m)
{
	__u64 C = pp_law_rate(p), share = pp_tree_share(p, m), T = pp_tree_epoch(p);

	if (!p->R)
		return "R is 0";
	if (!share || share > C)
		return "a share is nothing, or more than the whole";
	if (T < PP_TREE_EPOCH_MIN || T > PP_EPOCH_MAX)
		return "an epoch out of bounds";
	if (p->whole > PP_TREE_WHOLE)
		return "more than the whole of a guarantee";
	return NULL;
}

static void scramble(struct pp_pipe *p)
{
	for (size_t i = 0; i < sizeof(*p); i++)
		((__u8 *)p)[i] = rnd();
	/* what user space and the law promise of what they left there */
	p->rate = 125 + any() % PP_RATE_MAX;
	p->cap = any() % PP_RATE_MAX;
	p->C = rnd() % 2 ? pp_law_rate(p) : 125 + any() % PP_RATE_MAX;
	p->R = rnd() % 8 ? 1 + any() % ((p->C + p->C / 16) * PP_TREE_UNIT) : 0;
	p->n16 = any() % (1 << 28);
	p->weight = PP_WEIGHT_MIN + rnd() % PP_WEIGHT_MAX;
	p->guarantee = any() % PP_RATE_MAX;
	p->up_used = any() % PP_RATE_MAX;
	p->lull = any() % (PP_EPOCH_MAX / PP_USEC);
	p->reserved = any() % (PP_RATE_MAX * 100);
	p->told = any() % ((p->C + p->C / 16) * PP_TREE_UNIT);
	p->whole = rnd() % (PP_TREE_WHOLE + 1);
	p->big_guarantees = any() % (PP_RATE_MAX * 100);
	p->nbig = any() % (1 << 24);
	p->born = p->born_prev = any() % (1 << 24);
}

/* Random states and random packets: no undefined arithmetic, and every promise holds. */
static void test_fuzz(void)
{
	const char *what = NULL;
	struct pp_pipe p, m[3];
	__u64 now, rounds = 0;

	for (; rounds < 20000 && !what; rounds++) {
		scramble(&p);
		for (int i = 0; i < 3; i++)
			scramble(&m[i]);
		now = any() >> 1;
		if (rnd() % 2)
			p.last = now - any() % (20 * PP_NSEC);
		for (int k = 0; k < 20 && !what; k++) {
			struct pp_pipe *one = &m[rnd() % 3];
			__u64 len = 1 + any() % 131072;

			now += any() % (2 * PP_NSEC);
			pp_tree_arrive(&p, rnd() % 16 ? one : NULL, now, len, any() % 65536);
			one->bytes += len;
			if (!p.R) /* as it was set, and no epoch has ended */
				continue;
			what = broken(&p, one);
		}
	}
	ok(!what, "%llu random states, 20 packets each: %s", rounds, what ? what : "sound");
}

static void test_scale(void)
{
	/* a share that becomes a thousandth, and a ten thousandth, of what it was */
	for (__u64 by = 1; by <= 1000000; by *= 10) {
		__u64 scaled = pp_law_scale(1000000000, 125000000 / by, 125000000);

		ok(scaled >= 1000000000 / by - 20000000 / by &&
			   scaled <= 1000000000 / by + 20000000 / by,
		   "R scaled down by %llu: %llu", by, scaled);
	}
	ok(pp_law_scale(1, 1, PP_RATE_MAX) == 1 &&
		   pp_law_scale(PP_RATE_MAX * 16, PP_RATE_MAX - 1, PP_RATE_MAX) > PP_RATE_MAX * 15,
	   "and at both ends");
}

/* A parent of 1 Gbit/s that two big members share, 300 and 100, and one of them. */
static struct pp_pipe shared(struct pp_pipe *m, __u32 weight)
{
	struct pp_pipe p = pipe_of(C1G);

	p.members = 2;
	p.C = C1G;
	p.epoch_no = 100;
	p.n16 = 400 * 16;
	p.R = C1G * PP_TREE_UNIT / 400;
	*m = member_of(weight, 0);
	m->up_joined = 1;
	m->up_epoch = m->up_big = 100;
	pp_tree_adopt(&p, m, NOW);
	m->cap = pp_tree_share(&p, m);
	return p;
}

static int is_near(__u64 a, __u64 b)
{
	return a <= b && a >= b - b / 200;
}

/* What user space changes of a member, and what R is with it. */
static void test_adopt(void)
{
	struct pp_pipe m, p = shared(&m, 100);

	is_u64(p.R, C1G * PP_TREE_UNIT / 400, "a member that is as it was changes nothing");
	m.weight = 500;
	pp_tree_adopt(&p, &m, NOW);
	is_u64(p.n16, 800 * 16, "a weight of 100 becomes 500: 800 in all");
	ok(is_near(p.R, C1G * PP_TREE_UNIT / 800), "R is less, at once: %llu", p.R);
	pp_tree_adopt(&p, &m, NOW);
	is_u64(p.n16, 800 * 16, "and once");
	m.weight = 100;
	p.told = 5;
	pp_tree_adopt(&p, &m, NOW);
	is_u64(p.n16, 400 * 16, "100 again");
	ok(is_near(p.R, C1G * PP_TREE_UNIT / 400), "R is what it was: %llu", p.R);
	is_u64(p.told, 0, "what it came to before bounds it no more");
	m.guarantee = C1G / 2;
	pp_tree_adopt(&p, &m, NOW);
	ok(is_near(p.R, C1G / 2 * PP_TREE_UNIT / 400), "half is guaranteed: %llu", p.R);
	m.guarantee = 0;
	pp_tree_adopt(&p, &m, NOW);
	ok(is_near(p.R, C1G * PP_TREE_UNIT / 400), "and is not: %llu", p.R);

	p = shared(&m, 100);
	m.up_big = 80;
	m.weight = 500;
	pp_tree_adopt(&p, &m, NOW);
	is_u64(p.n16, 900 * 16, "one that was small is taken to use what it may have more");
	p = shared(&m, 100);
	m.up_epoch = m.up_big = 100 - PP_TREE_AWAY - 1;
	m.weight = 500;
	pp_tree_adopt(&p, &m, NOW);
	is_u64(p.n16, 400 * 16, "one that sends nothing is not");

	/* held by its ceil at 1 Mbit/s it left the rest to the other */
	p = shared(&m, 100);
	m.rate = C1G / 1000;
	pp_tree_adopt(&p, &m, NOW);
	p.R = C1G * PP_TREE_UNIT / 300;
	m.cap = pp_tree_share(&p, &m);
	m.rate = C1G;
	pp_tree_adopt(&p, &m, NOW);
	ok(is_near(p.R, C1G * PP_TREE_UNIT / 400), "a ceil is lifted: R is what all can have: %llu",
	   p.R);

	p = shared(&m, 100);
	p.n16 = 0;
	m.weight = 200;
	pp_tree_adopt(&p, &m, NOW);
	ok(p.R >= C1G * PP_TREE_UNIT / 1000, "of none that are big nothing is scaled: %llu", p.R);
}

/* A pipe whose flows were told a few kbit/s has all at once. */
static void test_wake(void)
{
	struct pp_share s = { .first = 1, .epoch = 50 };
	struct pp_pipe p = pipe_of(C1G / 1000);
	__u64 q;

	p.mss = 1500;
	p.epoch_no = 50;
	p.n16 = 4 * 16;
	p.C = C1G / 1000;
	p.R = p.C / 4;
	p.vt = (NOW + 100 * PP_MSEC) << PP_TICKS;
	p.rate = C1G;
	p.last = NOW - 20 * PP_MSEC;
	s.pace = p.R;
	pp_law_end_epoch(&p, NOW, 10 * PP_MSEC, s.pace);
	q = pp_law_queue(&p, NOW);
	ok(q >= 99 * PP_USEC && q <= 101 * PP_USEC,
	   "what stood for 100 ms leaves a thousand times earlier: %llu ns", q);
	ok(p.R >= C1G / 4 - C1G / 400 && p.R <= C1G / 4 + C1G / 400, "four have a quarter each: %llu",
	   p.R);
	ok(p.awake > NOW + PP_SLEEP_LEAST, "those that sleep by what they were told are waited for");
	for (__u64 now = NOW + 10 * PP_MSEC; now < NOW + 150 * PP_MSEC; now += 10 * PP_MSEC) {
		/* one of the four is up, and sends what it is told */
		p.bytes += C1G / 400;
		p.nbig = 1;
		pp_law_end_epoch(&p, now, 10 * PP_MSEC, p.R);
	}
	is_u64(p.n16, 4 * 16, "they are counted meanwhile");
	ok(p.R <= C1G / 4 + C1G / 100, "and R is not the one's that is up: %llu", p.R);

	/* nothing for 300 ms: idle, unless who ends it was told so little */
	p = pipe_of(C1G);
	p.C = C1G;
	p.R = C1G / 4;
	p.n16 = 4 * 16;
	p.last = NOW - 300 * PP_MSEC;
	pp_law_end_epoch(&p, NOW, 10 * PP_MSEC, 8000);
	ok(p.n16 && p.R <= C1G / 4, "a segment in 190 ms is no idleness");
	p.last = NOW - 300 * PP_MSEC;
	p.awake = 0;
	pp_law_end_epoch(&p, NOW, 10 * PP_MSEC, C1G / 4);
	is_u64(p.R, C1G, "a pause of a fast flow is: all begin anew");
}

int main(void)
{
	test_wake();
	test_adopt();
	test_share();
	test_use();
	test_reserve();
	test_fuzz();
	test_scale();
	return done_testing();
}
