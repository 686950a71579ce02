// SPDX-License-Identifier: Apache-2.0
// The control law: exact where it is exact, bounded where it is not, defined for every input. Built
// with sanitizers.

#include <stddef.h>

#include "bpf/law.h"
#include "tap.h"

typedef unsigned __int128 u128;

static const __u64 rates[] = { 125,         8000,          125000,         1250000,
			       12500000,    125000000,     1250000000,     12500000000,
			       50000000000, 1000000000000, 125000000000000 };
#define N_RATES (sizeof(rates) / sizeof(*rates))

static __u64 seed = 88172645463325252ULL;

/* xorshift64, so that every run sees the same numbers. */
static __u64 rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

static __u64 below(__u64 n)
{
	return rnd() % n;
}

/* Of any magnitude: as likely between 1 and 2 as between 2^63 and 2^64. */
static __u64 any(void)
{
	__u64 shift = below(64);

	return rnd() >> shift;
}

static struct pp_pipe pipe_of(__u64 rate, __u64 now)
{
	struct pp_pipe p = { .rate = rate };

	p.vt = (now - PP_CREDIT) << PP_TICKS;
	p.last = now;
	p.qmin = ~0ULL;
	return p;
}

/* What the law must never do to its state, whatever it was given. NULL, or what is wrong. */
static const char *broken(struct pp_pipe *p, __u64 now)
{
	__u64 C = pp_law_rate(p), R = pp_law_fair(p), T = pp_law_epoch(p);
	struct pp_share s = {};

	if (C < 1 || C > PP_RATE_MAX)
		return "the limit is out of bounds";
	if (!R || R > C + C / 16)
		return "R is 0 or above C + C/16";
	if (T < PP_EPOCH_MIN || T > PP_EPOCH_MAX)
		return "the epoch is out of bounds";
	if (!pp_law_pace(p, &s, now))
		return "a pace is 0";
	if (pp_law_queue(p, now) > 1ULL << 55)
		return "a queue is longer than half of the clock";
	return NULL;
}

static void test_sizes(void)
{
	is_u64(sizeof(struct pp_pipe), 576, "pp_pipe is nine cache lines");
	is_u64(offsetof(struct pp_pipe, vt), 64, "what every packet writes begins a cache line");
	is_u64(offsetof(struct pp_pipe, last), 128, "so does the control state");
	is_u64(offsetof(struct pp_pipe, turn), 192, "so do the counters");
	is_u64(sizeof(struct pp_share) % 8, 0,
	       "pp_share has no tail that a verifier would call uninitialised");
	ok(sizeof(struct pp_share) * PP_MAX_PATH < 1024, "a socket's record is below a kilobyte");
}

/* N packets at rate C move the clock by the sum of their costs, no more and no less, anywhere on
 * the clock. */
static void check_clock(__u64 rate, __u64 start)
{
	struct pp_pipe p = pipe_of(rate, start);
	__u64 now = start, vt, cost = 0, len, q;
	struct pp_share s = {};
	int wrong = 0;

	pp_law_arrive(&p, &s, now, 1500, 1500);
	vt = p.vt;
	for (int i = 0; i < 1000; i++) {
		len = 40 + below(65496);
		cost += (u128)len * PP_NSEC * 256 / rate;
		/* always behind what is queued: no credit is lost, none is won */
		q = pp_law_queue(&p, now);
		now += below(q + 1);
		q = (p.vt - (now << PP_TICKS)) >> PP_TICKS;
		q = (__s64)(p.vt - (now << PP_TICKS)) > 0 ? q : 0;
		wrong += pp_law_arrive(&p, &s, now, len, len) != q;
	}
	ok(p.vt - vt == cost && !wrong,
	   "1000 packets at %llu bytes/s from %llu ns: the clock and each queue are exact", rate,
	   start);
}

static void test_clock(void)
{
	__u64 wrap = 1ULL << (64 - PP_TICKS);

	for (size_t i = 0; i < N_RATES; i++) {
		check_clock(rates[i], 1000 * PP_NSEC);
		check_clock(rates[i], wrap - PP_MSEC / 2);
		check_clock(rates[i], wrap / 2 - PP_MSEC / 2);
	}
}

/* An idle pipe's clock falls behind by PP_CREDIT and no more, before, at and after the wrap. */
static void test_credit(void)
{
	__u64 wrap = 1ULL << (64 - PP_TICKS);
	static const __s64 at[] = { -2000000000, -1000000, -999999, -1,        0,
				    1,           999999,   1000000, 2000000000 };

	for (size_t i = 0; i < sizeof(at) / sizeof(*at); i++) {
		__u64 now = wrap + at[i], cost = 1500 * (PP_NSEC << PP_TICKS) / 1250000;
		struct pp_pipe p = pipe_of(1250000, now - 100 * PP_MSEC);
		struct pp_share s = {};

		is_u64(pp_law_arrive(&p, &s, now, 1500, 1500), 0,
		       "idle for 100 ms, %lld ns from the wrap: no queue", at[i]);
		is_u64(p.vt, ((now - PP_CREDIT) << PP_TICKS) + cost, "and the credit is exact");
		is_u64(pp_law_queue(&p, now), (cost >> PP_TICKS) - PP_CREDIT,
		       "what stands is the packet less the credit");
	}
}

/* The arrival rate in the end of an epoch against 128-bit arithmetic: the products fit 64 bits at
 * every rate. */
static void test_measured(void)
{
	for (size_t i = 0; i < N_RATES; i++)
		for (int percent = 50; percent <= 400; percent *= 2) {
			__u64 now = 1000 * PP_NSEC, T, bytes;
			struct pp_pipe p = pipe_of(rates[i], now);

			p.R = p.C = rates[i];
			T = pp_law_epoch(&p);
			bytes = (u128)rates[i] * percent / 100 * T / PP_NSEC;
			p.bytes = bytes;
			p.last = now - T;
			pp_law_end_epoch(&p, now, T, rnd() % 2 ? any() : 0);
			is_u64(p.y, (u128)bytes * 1000000 / (T / 1000),
			       "%d %% of %llu bytes/s is measured as that", percent, rates[i]);
			ok(!broken(&p, now), "and leaves a sound state");
		}
}

/* Another limit: R follows in the same instant, before any epoch ends. */
static void test_change(void)
{
	for (size_t i = 0; i < N_RATES; i++)
		for (int n = 1; n <= 1000; n *= 10) {
			struct pp_pipe p = { .rate = rates[i],
					     .C = rates[i],
					     .R = pp_max(rates[i] / n, 1),
					     .n16 = n * 16 };
			__u64 R = p.R;

			is_u64(pp_law_fair(&p), R, "%d flows at %llu bytes/s: R as it was", n,
			       rates[i]);
			p.rate = pp_max(rates[i] / 10, 1);
			ok(pp_law_fair(&p) <= R / 10 + 1 &&
				   pp_law_fair(&p) >= R / 10 - R / 100 - (R > 10 ? 1 : 0),
			   "a tenth of the limit: a tenth of R at once, %llu of %llu",
			   pp_law_fair(&p), R);
			p.rate = rates[i];
			p.C = pp_max(rates[i] / 10, 1);
			p.R = pp_max(p.C / n, 1);
			ok(pp_law_fair(&p) >= p.R && pp_law_fair(&p) <= pp_max(p.rate / n, p.R),
			   "ten times the limit: R rises at once, not above the equal share");
		}
	struct pp_pipe p = { .rate = 1000 };

	is_u64(pp_law_fair(&p), 1000, "a new pipe begins with all of it");
	p.rate = ~0ULL;
	is_u64(pp_law_rate(&p), PP_RATE_MAX, "rates above 1 Pbit/s are 1 Pbit/s");
	p.rate = 0;
	is_u64(pp_law_rate(&p), 1, "0 is taken for 1: the caller does not ask for such");
}

/* A flow that ends within the epoch takes its count and its bytes with it; an epoch later there is
 * nothing to take. */
static void test_leave(void)
{
	struct pp_pipe p = pipe_of(12500000, 1000 * PP_NSEC);
	struct pp_share s[3] = {};
	__u64 now = 1000 * PP_NSEC;

	p.R = p.C = p.rate;
	for (int i = 0; i < 3; i++)
		for (int k = 0; k < 40; k++)
			pp_law_arrive(&p, &s[i], now + k, 2 * 1500, 1500);
	is_u64(p.nbig, 3, "three big flows");
	is_u64(p.small_bytes, 0, "and all of their bytes");
	pp_law_leave(&p, &s[1]);
	is_u64(p.nbig, 2, "one leaves");
	is_u64(p.small_bytes, 40 * 3000, "its bytes are of no big one");
	is_u64(p.bytes, 3 * 40 * 3000, "which arrived all the same");
	pp_law_leave(&p, &s[1]);
	is_u64(p.nbig, 2, "it leaves once");
	is_u64(p.left, 1, "and is counted once");
	p.epoch_no++;
	pp_law_leave(&p, &s[0]);
	is_u64(p.nbig, 2, "a flow that was big in another epoch takes nothing");
	is_u64(p.left, 2, "but it has left those of the epoch before");
	p.epoch_no += 2;
	pp_law_leave(&p, &s[2]);
	is_u64(p.left, 2, "one that was big long ago was counted out already");
	memset(s, 0, sizeof(s));
	pp_law_leave(&p, &s[2]);
	is_u64(p.nbig, 2, "nor does one take anything that sent nothing");
	is_u64(p.left, 2, "or leave");
}

#define is_about(got, want, ...)                                                                   \
	({                                                                                         \
		__u64 _got = (got), _want = (want);                                                \
		if (!ok(_got > _want - _want / 100 && _got < _want + _want / 100, __VA_ARGS__))    \
			printf("#   %llu, not about %llu\n", _got, _want);                         \
	})

/* Another CPU has ended the epoch at a time after that of this packet: nothing was idle. */
static void test_two_clocks(void)
{
	__u64 C = 12500000, t = 1000 * PP_NSEC;
	struct pp_pipe p = { .rate = C, .C = C, .R = C / 8, .n16 = 128, .epoch_no = 7, .last = t };
	struct pp_share s = {};

	for (__u64 ago = 1; ago < PP_NSEC; ago *= 10) {
		pp_law_arrive(&p, &s, t - ago, 1500, 1500);
		ok(p.R == C / 8 && p.epoch_no == 7 && p.last == t,
		   "a packet from %llu ns before the epoch does not end it", ago);
	}
	pp_law_arrive(&p, &s, t + pp_law_epoch(&p), 1500, 1500);
	is_u64(p.epoch_no, 8, "one from its end ends it");
}

/* R after an epoch in which ten flows sent, of which `young` are new, after one of ten, and `left`
 * others have ended. */
static __u64 rate_after(__u32 young, __u32 left, __u32 now_big)
{
	__u64 C = 12500000, t = 1000 * PP_NSEC;
	struct pp_pipe p = pipe_of(C, t);
	struct pp_share s = {};

	p.C = C;
	p.R = C / 8;
	p.n16 = 10 * 16;
	p.nbig = now_big;
	p.young_big = young;
	p.left = left;
	p.last = t - 20 * PP_MSEC;
	p.bytes = C / 50;
	p.small_bytes = C / 100;
	pp_law_arrive(&p, &s, t, 1500, 1500);
	is_u64(p.left, 0, "%u young, %u left, now %u: none has left in the next epoch", young, left,
	       now_big);
	return p.R;
}

/* New flows reset R to the equal share of what big ones may have (half of all here, or C / 20), but
 * where as many end they do not. */
static void test_come_and_go(void)
{
	const __u64 C = 12500000;

	is_about(rate_after(0, 0, 10), C / 8, "none new: R stays");
	is_about(rate_after(3, 0, 10), C / 20, "three new: the equal share");
	is_about(rate_after(3, 3, 10), C / 8, "three for three: R stays");
	is_about(rate_after(3, 3, 12), C / 8 * 10 / 12, "two more than before: less by that");
	is_about(rate_after(30, 1, 40), C / 32, "thirty more: a quarter");
	is_about(rate_after(300, 1, 400), C / 320, "three hundred more: an equal share");
}

/* A young flow's equal share is one of those that are there: not of those that ended. */
static void test_expected(void)
{
	struct pp_pipe p = pipe_of(12500000, 1000 * PP_NSEC);

	p.n16 = 8 * 16;
	is_u64(pp_law_expected(&p), 8, "eight of the last epoch");
	p.born = 4;
	is_u64(pp_law_expected(&p), 12, "and four new ones");
	p.born_prev = 9;
	is_u64(pp_law_expected(&p), 13, "or those that are young");
	p.left = 5;
	is_u64(pp_law_expected(&p), 8, "without those that ended");
	p.left = 50;
	is_u64(pp_law_expected(&p), 1, "at least one");
}

/* Turns come one after another, a segment's time at rate C apart, and none before the queue is
 * gone. */
static void test_turns(void)
{
	for (size_t i = 1; i < N_RATES - 1; i++) {
		__u64 now = 1000 * PP_NSEC, C = rates[i], q = 200 * PP_MSEC, last = 0, apart;
		struct pp_pipe p = pipe_of(C, now);
		int early = 0, close = 0;

		p.R = p.C = C;
		p.mss = 1500;
		p.born = 100;
		p.vt = (now + q) << PP_TICKS;
		apart = 1500 * PP_NSEC / C;
		for (int k = 0; k < 100; k++) {
			struct pp_share s = { .first = p.epoch_no + 1 };

			pp_law_take_turn(&p, &s, now, q, C);
			early += s.turn < now + q;
			close += last && s.turn < last + apart;
			last = s.turn;
			now += below(apart + 2);
		}
		ok(!early && !close,
		   "100 turns at %llu bytes/s: %d before the queue is gone, %d too close", C, early,
		   close);
	}
}

/* The charge at the pace that a flow is told makes it wait until about its turn; once charged it is
 * not told again. */
static void test_wait(void)
{
	__u64 now = 1000 * PP_NSEC, pace, until;
	struct pp_pipe p = pipe_of(12500000, now);
	struct pp_share s = { .first = 1 };

	p.R = p.C = p.rate;
	p.mss = 1500;
	p.born = 10;
	p.vt = (now + 50 * PP_MSEC) << PP_TICKS;
	pace = pp_law_pace(&p, &s, now);
	until = now + 1448 * PP_NSEC / pace;
	ok(s.turn > now + 50 * PP_MSEC - PP_TURN_SLACK, "a young flow behind a queue has a turn");
	ok(until >= s.turn && until < s.turn + (s.turn - now) / 4,
	   "a full segment's charge makes it wait for it");
	pp_law_charged(&s, now);
	ok(s.armed, "it has been charged");
	ok(pp_law_pace(&p, &s, now) > 4 * pace, "and gets the pace of the time after");
	s.turn = now + PP_TURN_SLACK;
	ok(!pp_law_waits(&s, now), "a turn that is near has come");
}

static void test_window(void)
{
	int low = 0, high = 0, falls = 0;

	for (int i = 0; i < 200000; i++) {
		__u64 r = any(), srtt = any(), min_rtt = any();
		__u32 mss = any(), w = pp_law_window(r, srtt, min_rtt, mss, 0);
		int young = pp_law_window(r, srtt, min_rtt, mss, 1);

		low += w < 3 || young < 2;
		high += w > 1000003;
		/* above PP_PACE_MAX the window is another one: there it holds the flow alone */
		r %= PP_PACE_MAX / 2;
		srtt %= 1000000;
		falls += pp_law_window(2 * r, srtt, srtt, mss, 0) + 1 <
			 pp_law_window(r, srtt, srtt, mss, 0);
	}
	ok(!low, "windows are at least 3 segments, 2 for the young");
	ok(!high, "and at most a million");
	ok(!falls, "a higher rate needs no smaller window");
	ok(pp_law_window(1250000, 100000, 100000, 1448, 0) >= 1250000 / 10 / 1448,
	   "a window holds rate times RTT");
	ok(pp_law_window(3000, 500000, 100, 1448, 0) <= 4,
	   "a slow flow's own pauses do not widen it");
}

/* One flow that sends as it is told, and n that send a fixed multiple: R stays within its bounds
 * all the way. */
static void test_bounds(void)
{
	for (size_t i = 0; i < N_RATES; i++)
		for (int load = 0; load <= 300; load += 50) {
			__u64 now = 1000 * PP_NSEC, step = pp_max(1500 * PP_NSEC / rates[i], 1000);
			struct pp_pipe p = pipe_of(rates[i], now);
			struct pp_share s[16] = {};
			const char *what = NULL;

			for (int k = 0; k < 5000 && !what; k++, now += step) {
				__u64 len = rates[i] * step / PP_NSEC * load / 100;

				pp_law_arrive(&p, &s[below(16)], now, pp_min(len, 65535), 1500);
				pp_law_pace(&p, &s[below(16)], now);
				what = broken(&p, now);
			}
			ok(!what, "5000 packets at %d %% of %llu bytes/s: %s", load, rates[i],
			   what ? what : "sound");
		}
}

static void scramble(struct pp_pipe *p, struct pp_share *s)
{
	__u8 *b = (__u8 *)p;

	for (size_t i = 0; i < sizeof(*p); i++)
		b[i] = rnd();
	for (size_t i = 0; i < sizeof(*s); i++)
		((__u8 *)s)[i] = rnd();
	p->rate = 125 + any() % PP_RATE_MAX;
	/* the law's own promises about what it left there; everything else may be anything */
	p->C = below(2) ? pp_law_rate(p) : 125 + any() % PP_RATE_MAX;
	p->R = below(8) ? 1 + any() % (p->C + p->C / 16) : 0;
	p->n16 = any() % (1 << 24);
	p->mss = any() % 65536;
	p->mss_now = any() % 65536;
}

/* Random states and random packets: no undefined arithmetic, and every promise holds after each
 * step. */
static void test_fuzz(void)
{
	const char *what = NULL;
	struct pp_share s[4];
	struct pp_pipe p;
	__u64 now, len, rounds = 0;

	for (; rounds < 20000 && !what; rounds++) {
		memset(s, 0, sizeof(s));
		scramble(&p, &s[0]);
		now = any() >> 1;
		if (below(2))
			p.last = now - any() % (20 * PP_NSEC);
		for (int k = 0; k < 20 && !what; k++) {
			struct pp_share *f = &s[below(4)];

			now += any() % (10 * PP_NSEC);
			pp_law_pace(&p, f, now);
			len = 1 + any() % 131072;
			pp_law_arrive(&p, f, now, len, any() % 65536);
			pp_law_charged(f, now);
			if (!below(8))
				pp_law_leave(&p, f);
			if (!below(16))
				p.rate = 125 + any() % PP_RATE_MAX;
			what = broken(&p, now);
		}
	}
	ok(!what, "%llu random states, 20 packets each: %s", rounds, what ? what : "sound");
	if (what)
		printf("#   rate %llu C %llu R %llu n16 %u mss %u\n", p.rate, p.C, p.R, p.n16,
		       p.mss);
}

/*
 * Flows that all think they are alone, and of which none can send half of the pipe: they are
 * counted, and R comes down, before the epoch is over.
 */
static void test_many_alone(void)
{
	__u64 rate = 625000000, now = 1000 * PP_NSEC, end = now + PP_EPOCH_MIN - PP_USEC;
	struct pp_pipe p = pipe_of(rate, now);
	struct pp_share s[8] = {};

	p.C = p.R = rate;
	p.epoch_no = 9;
	for (int i = 0; i < 8; i++) {
		/* old enough not to be young */
		s[i].first = 3;
		s[i].pace = rate;
	}
	/* three times the limit: a super-packet every 35 us */
	for (int i = 0; now < end; i = (i + 1) % 8, now += 35 * PP_USEC)
		pp_law_arrive(&p, &s[i], now, 65536, 1500);
	is_u64(p.epoch_no, 9, "still the same epoch");
	is_u64(p.n16, 8 * 16, "8 flows at three times the limit are counted in one epoch");
	is_u64(p.R, rate / 8, "and share it equally");
}

int main(void)
{
	test_sizes();
	test_clock();
	test_credit();
	test_measured();
	test_change();
	test_leave();
	test_two_clocks();
	test_come_and_go();
	test_expected();
	test_many_alone();
	test_turns();
	test_wait();
	test_window();
	test_bounds();
	test_fuzz();
	return done_testing();
}
