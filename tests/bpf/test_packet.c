// SPDX-License-Identifier: Apache-2.0
// Test runs of both packet programs: verdicts, and exactly what the pipes count. They differ in the
// verdict that refuses.
//
// A test run's socket has no protocol, so these packets are policed as all that is not TCP, and the
// headers of their super-packets count as UDP's. What needs a TCP socket is in test_socket.c and
// test_ingress.c.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "bpf/law.h"
#include "pipe.h"
#include "rig.h"
#include "tap.h"

/* A number below `end`: always the same ones. */
static uint64_t draw(uint64_t *seed, uint64_t end)
{
	*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (*seed >> 16) % end;
}

static void test_one_pipe(uint64_t a)
{
	struct pp_pipe *p;
	uint64_t vt, last;

	rig_clear();
	p = rig_limit_queue(1, a, SLOW, QUEUE);
	vt = p->vt, last = p->last;
	is_u64(rig_send(&(struct rig_packet){ .len = 1000 }), PASS, "one pipe: passes");
	is_counted(p, 1, 1000, "one pipe");
	is_u64(p->vt - vt, cost(1000, SLOW), "one pipe: the clock advances by the packet's cost");
	is_u64(p->bytes - p->bytes_was, 1000, "one pipe: bytes of the epoch");
	is_u64(p->mss_now, 1000, "one pipe: largest segment");
	is_u64(p->born, 1, "one pipe: a flow is born");
	is_u64(p->last, last, "one pipe: the epoch goes on");
	ok(p->qmin > 0 && p->qmin <= QUEUE, "one pipe: least queue");

	is_u64(rig_send(&(struct rig_packet){ .len = 60, .v6 = true }), PASS,
	       "a small packet: passes");
	is_counted(p, 2, 1060, "a small packet");
	is_u64(p->vt - vt, cost(1000, SLOW) + cost(60, SLOW), "a small packet: the clock");
	is_u64(p->mss_now, 1000, "a small packet: largest segment");
	is_u64(p->born, 1, "a small packet: no flow is born");
}

/*
 * A pipe as the command leaves it: its first packet begins an epoch, and its clock makes up for
 * PP_CREDIT of idleness.
 */
static void test_first_packet(uint64_t a)
{
	struct pp_pipe *p;

	rig_clear();
	p = rig_limit(1, a, SLOW);
	is_u64(rig_send(&(struct rig_packet){ .len = 1000 }), PASS, "first packet: passes");
	is_counted(p, 1, 1000, "first packet");
	is_u64(p->epoch_no, 1, "first packet: begins an epoch");
	is_u64(p->vt, ((p->last - PP_CREDIT) << PP_TICKS) + cost(1000, SLOW),
	       "first packet: the clock");
	is_u64(p->R, SLOW, "first packet: R is the limit");
	is_u64(p->C, SLOW, "first packet: R was computed for the limit");
	is_u64(p->bytes - p->bytes_was, 1000, "first packet: it belongs to the new epoch");
}

/*
 * A packet that ends an epoch notes its time in `last`, so the law, compiled natively, must come to
 * the same pipe from the same beginning, to the bit: clock, R, counts and all.
 */
static void test_epoch(uint64_t a)
{
	uint64_t seed = 1, rate, dt, now;
	struct rig_packet k = { 0 };
	int same = 0, ended = 0, n = 500;

	for (int i = 0; i < n; i++) {
		struct pp_pipe *p, want;
		struct pp_share s = { 0 };

		rig_clear();
		rate = 8000ULL << draw(&seed, 32);
		dt = PP_EPOCH_MAX + (PP_MSEC << draw(&seed, 14));
		k.len = 28 + draw(&seed, 1472);
		p = rig_limit_queue(1, a, rate, draw(&seed, 10 * PP_MSEC));
		p->last -= dt;
		p->R = rate / (1 + draw(&seed, 64));
		p->mss = 576 + draw(&seed, 60000);
		p->bytes = rate / (PP_NSEC / PP_USEC) * (dt / PP_USEC) / 100 * draw(&seed, 200);
		p->small_bytes = p->bytes / 100 * draw(&seed, 101);
		p->qmin = draw(&seed, 2) ? ~0ULL : draw(&seed, PP_NSEC);
		p->nbig = draw(&seed, 64);
		p->n16 = 16 + draw(&seed, 1024);
		p->born = draw(&seed, 10);
		p->young_big = draw(&seed, 2);
		p->turn = p->last + draw(&seed, 2 * dt);
		want = *p;
		if (rig_send(&k) != PASS)
			continue;
		now = p->last;
		ended += p->epoch_no == 2;
		pp_law_pace(&want, &s, now);
		pp_law_arrive(&want, &s, now, k.len, k.len);
		want.packets++;
		same += memcmp(p, &want, sizeof(want)) == 0;
	}
	is_u64(ended, n, "epoch: ended by each of %d packets", n);
	is_u64(same, n, "epoch: the pipe is what the law makes of it natively");
}

static void test_gso(uint64_t a)
{
	static const struct {
		const char *name;
		struct rig_packet k;
		uint64_t segs, bytes, mss;
	} cases[] = {
		/* clang-format off */
		{ "no super-packet", { 1028, .gso_segs = 0 }, 1, 1028, 1028 },
		{ "gso_segs 1", { 1028, .gso_segs = 1, .gso_size = 1000 }, 1, 1028, 1028 },
		{ "v4, 3 full segments", { 3028, .gso_segs = 3, .gso_size = 1000 }, 3, 3084, 1028 },
		{ "v4, last one short", { 2029, .gso_segs = 3, .gso_size = 1000 }, 3, 2085, 1028 },
		{ "v4, 40 bytes of options",
		  { 3068, .options = 40, .gso_segs = 3, .gso_size = 1000 }, 3, 3204, 1068 },
		{ "v6", { 3048, .v6 = true, .gso_segs = 3, .gso_size = 1000 }, 3, 3144, 1048 },
		{ "v6, 128 segments",
		  { 1328, .v6 = true, .gso_segs = 128, .gso_size = 10 }, 128, 48 * 128 + 1280, 58 },
		/* from outside the number of segments may be missing */
		{ "3 not counted", { 3028, .gso_size = 1000 }, 3, 3084, 1028 },
		{ "v6, 3 not counted", { 3048, .v6 = true, .gso_size = 1000 }, 3, 3144, 1048 },
		{ "not counted, last one short", { 2029, .gso_size = 1000 }, 3, 2085, 1028 },
		{ "not counted, the only one full", { 1028, .gso_size = 1000 }, 1, 1028, 1028 },
		{ "not counted, the only one short", { 500, .gso_size = 1000 }, 1, 500, 500 },
		{ "not counted, no payload", { 28, .gso_size = 1000 }, 1, 28, 28 },
		{ "not counted, shorter than its headers", { 24, .gso_size = 1 }, 1, 24, 24 },
		/* clang-format on */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pp_pipe *p;
		uint64_t vt;

		rig_clear();
		p = rig_limit_queue(1, a, SLOW, QUEUE);
		vt = p->vt;
		is_u64(rig_send(&cases[i].k), PASS, "%s: passes", cases[i].name);
		is_counted(p, cases[i].segs, cases[i].bytes, cases[i].name);
		is_u64(p->vt - vt, cost(cases[i].bytes, SLOW), "%s: the clock", cases[i].name);
		is_u64(p->mss_now, cases[i].mss, "%s: largest segment", cases[i].name);
	}
}

/* Refused beyond max(20 ms, two epochs) of queue, by another name beyond max(100 ms, eight). */
static void test_queue(uint64_t a)
{
	static const struct {
		const char *name;
		uint64_t queue;
		bool refused;
		enum pp_refusal why;
	} cases[] = {
		{ "queue below two epochs", PP_NSEC * 19 / 10, false, 0 },
		{ "queue of three epochs", 3 * PP_NSEC, true, PP_REFUSED_QUEUE },
		{ "queue of eight epochs", 8 * PP_NSEC, true, PP_REFUSED_QUEUE },
		{ "queue of eleven epochs", 11 * PP_NSEC, true, PP_REFUSED_HARD },
	};
	struct rig_packet k = { .len = 28 + 900, .gso_segs = 3, .gso_size = 300 };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pp_pipe *p, before;

		rig_clear();
		p = rig_limit_queue(1, a, SLOW, cases[i].queue);
		before = *p;
		is_u64(rig_send(&k), cases[i].refused ? REFUSE : PASS, "%s: verdict", cases[i].name);
		if (!cases[i].refused) {
			is_counted(p, 3, 984, cases[i].name);
			continue;
		}
		is_refused(p, cases[i].why, 3, 984, cases[i].name);
		before.refused[cases[i].why] = 3;
		before.refused_bytes = 984;
		is_untouched(p, &before, cases[i].name);
	}
}

/* Marked beyond half of the queue that refuses, if its sender understands that; and counted. */
static void test_mark(uint64_t a)
{
	static const struct {
		const char *name;
		uint64_t queue;
		bool v6;
		uint32_t ecn, want;
		uint64_t marked;
	} cases[] = {
		{ "a short queue", PP_NSEC / 2, false, 2, 2, 0 },
		{ "no ECN", PP_NSEC * 19 / 10, false, 0, 0, 0 },
		{ "ECT(0)", PP_NSEC * 19 / 10, false, 2, 3, 3 },
		{ "ECT(1)", PP_NSEC * 19 / 10, false, 1, 3, 3 },
		{ "ECT(0), IPv6", PP_NSEC * 19 / 10, true, 2, 3, 3 },
		{ "marked before", PP_NSEC * 19 / 10, false, 3, 3, 3 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig_packet k = { .len = (cases[i].v6 ? 48 : 28) + 900,
					.gso_segs = 3,
					.gso_size = 300,
					.v6 = cases[i].v6,
					.ecn = cases[i].ecn };
		struct rig_result r;
		struct pp_pipe *p;

		rig_clear();
		p = rig_limit_queue(1, a, SLOW, cases[i].queue);
		r = rig_run(&k, 1);
		is_u64(r.verdict, PASS, "mark, %s: passes", cases[i].name);
		is_u64(r.ecn, cases[i].want, "mark, %s: the field", cases[i].name);
		is_u64(p->marked, cases[i].marked, "mark, %s: counted", cases[i].name);
	}
}

/*
 * A socket's first packet is charged at a sixteenth of the limit: 1000 bytes are 2 s, far beyond a
 * burst of 10 ms.
 */
static void test_share(uint64_t a)
{
	struct rig_packet k = { .len = 1000 };
	struct rig_result r;
	struct pp_pipe *p;

	rig_clear();
	p = rig_limit_queue(1, a, SLOW, 0);
	r = rig_run(&k, 5);
	is_u64(r.verdict, REFUSE, "one socket, 5 packets: the last is refused");
	is_u64(p->packets, 1, "one socket, 5 packets: the first is not");
	is_refused(p, PP_REFUSED_SHARE, 4, 4000, "one socket, 5 packets");
	is_u64(p->bytes - p->bytes_was, 1000, "one socket, 5 packets: bytes of the epoch");
	is_u64(p->born, 1, "one socket, 5 packets: flows");

	rig_clear();
	p = rig_limit_queue(1, a, SLOW, 0);
	for (int i = 0; i < 5; i++)
		is_u64(rig_send(&k), PASS, "5 sockets, a packet each: %d passes", i);
	is_counted(p, 5, 5000, "5 sockets");
	is_u64(p->born, 5, "5 sockets: flows");
}

#define RACERS 2
#define RACE 200000

static void *race(void *arg)
{
	struct rig_packet k = { .len = 28 + 200, .gso_segs = 2, .gso_size = 100 };
	struct rig_result r = rig_run(&k, RACE);

	*(int *)arg = r.err;
	return NULL;
}

/*
 * Two sockets on two CPUs: no packet is counted twice or not at all. The second limit makes for
 * refusals as well.
 */
static void test_race(uint64_t a)
{
	static const uint64_t rates[] = { PP_RATE_MAX, 20000000 };

	for (size_t i = 0; i < 2; i++) {
		int err[RACERS] = { 0 };
		pthread_t thread[RACERS];
		struct pp_pipe *p;

		rig_clear();
		p = rig_limit(1, a, rates[i]);
		for (int t = 0; t < RACERS; t++)
			if (pthread_create(&thread[t], NULL, race, &err[t]))
				rig_die("thread");
		for (int t = 0; t < RACERS; t++)
			pthread_join(thread[t], NULL);
		ok(!err[0] && !err[1], "race %zu: ran", i);
		is_u64(p->packets + all_refused(p), RACERS * RACE * 2, "race %zu: packets", i);
		is_u64(p->bytes, p->packets / 2 * 256, "race %zu: bytes", i);
		is_u64(p->refused_bytes, all_refused(p) / 2 * 256, "race %zu: bytes refused", i);
		ok((all_refused(p) > 0) == (i > 0), "race %zu: %" PRIu64 " of %d refused", i,
		   all_refused(p), RACERS * RACE * 2);
	}
}

static int tests(void)
{
	uint64_t a = rig_enter("a");

	for (int dir = 0; dir < PP_N_DIR; dir++) {
		rig_use(dir);
		test_one_pipe(a);
		test_first_packet(a);
		test_epoch(a);
		test_gso(a);
		test_queue(a);
		test_mark(a);
		test_share(a);
		test_race(a);
	}
	return done_testing();
}

int main(void)
{
	return rig_main(tests, RIG_PACKETS);
}
