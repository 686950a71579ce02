// SPDX-License-Identifier: Apache-2.0
// Admission of connections: who waits, for how long, and that no state makes it wait for ever.

#include <stddef.h>

#include "bpf/law.h"
#include "tap.h"

#define NOW (1000 * PP_NSEC)
#define TICK (4 * PP_MSEC)
#define C100M 12500000ULL

static struct pp_pipe pipe_of(__u64 rate, __u64 queue)
{
	struct pp_pipe p = { .rate = rate, .C = rate, .R = rate, .last = NOW, .qmin = ~0ULL };

	p.vt = (NOW + queue) << PP_TICKS;
	return p;
}

static void test_passes(void)
{
	struct pp_pipe p = pipe_of(C100M, 0);

	is_u64(pp_law_admit(&p, NOW, TICK, 0), 0, "no queue: no wait");
	p = pipe_of(C100M, 20 * PP_MSEC);
	is_u64(pp_law_admit(&p, NOW, TICK, 0), 0, "what leaves during the least wait may stand");
	p = pipe_of(125000, 150 * PP_MSEC);
	is_u64(pp_law_admit(&p, NOW, TICK, 0), 0, "at 1M so may 16 segments: 192 ms");
	p = pipe_of(125000, 200 * PP_MSEC);
	ok(pp_law_admit(&p, NOW, TICK, 0) >= PP_ADMIT_LEAST, "and no more");
}

static void test_one_after_another(void)
{
	struct pp_pipe p = pipe_of(C100M, 24 * PP_MSEC);
	__u64 first, second, one = PP_MSEC;

	/* ten connections begin in an epoch of 10 ms: a millisecond each */
	p.open_ns = 10 * PP_MSEC;
	p.opens = 10 * 256;
	first = pp_law_admit(&p, NOW, TICK, 0);
	is_u64(first, PP_ADMIT_LEAST, "the first to wait waits the least");
	second = pp_law_admit(&p, NOW, TICK, 0);
	is_u64(second - first, one, "the next so much longer as the first takes");
	p.vt = (NOW + 80 * PP_MSEC) << PP_TICKS;
	is_u64(pp_law_admit(&p, NOW, TICK, 0) - second, 10 * one / 8,
	       "and a quarter longer while the queue is long: who is told so opens a wait later");
	p.vt = (NOW + 12 * PP_MSEC) << PP_TICKS;
	ok(pp_law_admit(&p, NOW, TICK, 0) > 0, "while some wait nobody passes by");
	p.vt = (NOW + 10 * PP_MSEC) << PP_TICKS;
	for (int i = 0; i <= 40; i++)
		is_u64(pp_law_admit(&p, NOW, TICK, 0), 0,
		       "but when the pipe is about to run dry: as many as fill 10 ms, by a quarter each");
	ok(pp_law_admit(&p, NOW, TICK, 0) > 0, "no more");
	is_u64(pp_law_admit(&p, NOW + PP_MSEC, TICK, 0), 0, "until the first have been sent");
}

static void test_bounds(void)
{
	struct pp_pipe p = pipe_of(C100M, 50 * PP_MSEC);
	__u64 wait = 0;

	p.open_ns = 10 * PP_MSEC;
	p.opens = 256;
	for (int i = 0; i < 1000; i++)
		wait = pp_law_admit(&p, NOW, TICK, 0);
	is_u64(wait, PP_ADMIT_MOST, "1000 of 10 ms each: no longer than a client waits");
	p = pipe_of(C100M, 50 * PP_MSEC);
	is_u64(pp_law_admit(&p, NOW, 10 * PP_MSEC, 0), 20 * PP_MSEC, "HZ=100: two ticks");
	p = pipe_of(C100M, 200 * PP_MSEC);
	pp_law_far(&p, 1600000);
	is_u64(pp_law_admit(&p, NOW, TICK, 0), 50 * PP_MSEC,
	       "clients 1.6 s away: 1/32 of that, or the kernel gives up before they answer");
}

/* The end that connects sends its SYN again when the wait is over, and after as long again. */
static void test_connects(void)
{
	struct pp_pipe p = pipe_of(C100M, 60 * PP_MSEC);

	is_u64(pp_law_admit(&p, NOW, TICK, 1), PP_ADMIT_LEAST, "to connect: the same wait");
	p = pipe_of(C100M, 60 * PP_MSEC);
	pp_law_far(&p, 100000);
	is_u64(pp_law_admit(&p, NOW, TICK, 1), 200 * PP_MSEC,
	       "where some are 100 ms away twice that, or there would be two SYNs");
	p = pipe_of(C100M, 60 * PP_MSEC);
	pp_law_far(&p, 2000000);
	is_u64(pp_law_admit(&p, NOW, TICK, 1), PP_ADMIT_MOST, "as long as any, and no longer");
	p = pipe_of(C100M, 48 * PP_MSEC);
	pp_law_far(&p, 100000);
	is_u64(pp_law_admit(&p, NOW, TICK, 1), 0,
	       "the queue that is let stand does not grow so far");
}

/* Epochs in which opening flows are refused, or not, at 10 ms each. */
static void test_room(void)
{
	struct pp_pipe p = pipe_of(C100M, 0);

	for (int i = 0; i < 10; i++) {
		p.refused[PP_REFUSED_OPENING]++;
		pp_law_make_room_to_open(&p, PP_MSEC, 10 * PP_MSEC);
	}
	is_u64(p.room, 5 * PP_MSEC, "refusals for 100 ms: 5 ms, that no 100 ms see more");
	for (int i = 0; i < 1000; i++) {
		p.refused[PP_REFUSED_OPENING]++;
		pp_law_make_room_to_open(&p, PP_MSEC, 10 * PP_MSEC);
	}
	is_u64(p.room, PP_OPEN_ROOM, "and it ends");
	p.born_prev = 1;
	pp_law_make_room_to_open(&p, PP_MSEC, 10 * PP_MSEC);
	is_u64(p.room, PP_OPEN_ROOM, "it stays while connections begin and a queue stands");
	for (int i = 0; i < 1000; i++)
		pp_law_make_room_to_open(&p, 0, 10 * PP_MSEC);
	is_u64(p.room, 0, "and goes with the queue");
}

static void test_fuzz(void)
{
	__u64 seed = 88172645463325252ULL;
	int wrong = 0;

	for (int i = 0; i < 100000; i++) {
		struct pp_pipe p;
		__u64 *word = (__u64 *)&p, now, wait;

		for (size_t k = 0; k < sizeof(p) / sizeof(*word); k++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			word[k] = seed >> (seed % 64);
		}
		now = seed >> 1;
		wait = pp_law_admit(&p, now, seed % (20 * PP_MSEC), seed & 1);
		wrong += wait > PP_ADMIT_MOST;
	}
	is_u64(wrong, 0, "100000 random states: no wait is longer than the longest");
}

int main(void)
{
	test_passes();
	test_one_after_another();
	test_bounds();
	test_connects();
	test_room();
	test_fuzz();
	return done_testing();
}
