// SPDX-License-Identifier: Apache-2.0
// Test runs of both packet programs: which pipes a packet crosses.
#include <bpf/bpf.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "bpf/law.h"
#include "pipe.h"
#include "rig.h"
#include "tap.h"

static void test_no_limit(void)
{
	struct pp_pipe before = { 0 };
	struct pp_pipe *p;

	rig_clear();
	is_u64(rig_send(&(struct rig_packet){ .len = 1500 }), PASS, "no limit on the host: passes");

	rig_limit_queue(1, rig_cgroup("elsewhere"), SLOW, 60 * PP_NSEC);
	p = &rig.pipe[1];
	before = *p;
	rig_enter("a");
	is_u64(rig_send(&(struct rig_packet){ .len = 1500 }), PASS, "limit on a sibling: passes");
	is_untouched(p, &before, "limit on a sibling");

	rig_enter("");
	rig_clear();
	p = rig_limit_queue(1, rig_cgroup("a"), SLOW, 60 * PP_NSEC);
	before = *p;
	is_u64(rig_send(&(struct rig_packet){ .len = 1500 }), PASS, "limit on a child: passes");
	is_untouched(p, &before, "limit on a child");
	for (int i = 0; i < PP_N_EVENT; i++)
		is_u64(rig.state->event[i], 0, "event %d did not happen", i);
}

static void test_loopback(uint64_t a)
{
	struct pp_pipe before, *p;

	rig_clear();
	p = rig_limit_queue(1, a, SLOW, 60 * PP_NSEC);
	before = *p;
	is_u64(rig_send(&(struct rig_packet){ .len = 1500, .ifindex = 1 }), PASS,
	       "loopback: passes");
	is_untouched(p, &before, "loopback");
}

static void test_nested(void)
{
	uint64_t a = rig_cgroup("a"), b = rig_cgroup("a/b"), c = rig_cgroup("a/b/c"), vt[3];
	const uint64_t rate[3] = { 4 * SLOW, SLOW, 2 * SLOW };
	const uint64_t id[3] = { a, b, c };
	struct pp_pipe before, *p[3];

	rig_enter("a/b/c");
	rig_clear();
	for (int i = 0; i < 3; i++) {
		p[i] = rig_limit_queue(10 + i, id[i], rate[i], QUEUE / 10);
		vt[i] = p[i]->vt;
	}
	rig_limit_queue(20, rig_cgroup("a/b/d"), SLOW, 60 * PP_NSEC);
	before = rig.pipe[20];
	is_u64(rig_send(&(struct rig_packet){ .len = 1000 }), PASS, "nested: passes");
	for (int i = 0; i < 3; i++) {
		is_counted(p[i], 1, 1000, i == 0 ? "outer" : i == 1 ? "middle" : "inner");
		is_u64(p[i]->vt - vt[i], cost(1000, rate[i]), "nested %d: the clock", i);
	}
	is_untouched(&rig.pipe[20], &before, "nested: a cousin's");

	/* expired between two that hold */
	rig_clear();
	for (int i = 0; i < 3; i++)
		p[i] = rig_limit_queue(10 + i, id[i], rate[i], QUEUE / 10);
	p[0]->expires = rig_now() + 600 * PP_NSEC;
	p[1]->expires = rig_now() - 1;
	p[1]->vt = (rig_now() + 60 * PP_NSEC) << PP_TICKS;
	before = *p[1];
	is_u64(rig_send(&(struct rig_packet){ .len = 1000 }), PASS,
	       "expired: its queue holds nothing up");
	is_counted(p[0], 1, 1000, "expires later");
	is_untouched(p[1], &before, "expired");
	is_counted(p[2], 1, 1000, "inside an expired one");

	/* a refusal by one is counted in all */
	p[0]->vt = (rig_now() + 10 * PP_NSEC) << PP_TICKS;
	vt[2] = p[2]->vt;
	is_u64(rig_send(&(struct rig_packet){ .len = 28 + 2000, .gso_segs = 2, .gso_size = 1000 }),
	       REFUSE, "a queue in the outer one: refused");
	is_refused(p[0], PP_REFUSED_HARD, 2, 2056, "refusing");
	is_untouched(p[1], &before, "expired, refused");
	is_refused(p[2], PP_REFUSED_HARD, 2, 2056, "inside the refusing");
	is_u64(p[2]->vt, vt[2], "inside the refusing: the clock stands");
	is_u64(p[2]->packets, 1, "inside the refusing: packets");
}

static void test_freed(uint64_t a)
{
	struct pp_pipe before, *p;

	rig_clear();
	p = rig_limit_queue(1, a, SLOW, 60 * PP_NSEC);
	p->rate = 0;
	before = *p;
	is_u64(rig_send(&(struct rig_packet){ .len = 1000 }), PASS, "freed pipe: passes");
	is_untouched(p, &before, "freed pipe");
}

static void test_path_full(void)
{
	uint64_t id[PP_MAX_PATH + 1];
	char path[64] = "";
	int n = 0;

	rig_clear();
	for (int i = 0; i <= PP_MAX_PATH; i++) {
		n += snprintf(path + n, sizeof(path) - n, "%sd%d", i ? "/" : "", i);
		id[i] = rig_enter(path);
	}
	for (int i = 1; i <= PP_MAX_PATH; i++)
		rig_limit_queue(1 + i, id[i], SLOW, 0);
	is_u64(rig_send(&(struct rig_packet){ .len = 1000 }), PASS, "path with %d pipes: passes",
	       PP_MAX_PATH);
	for (int i = 1; i <= PP_MAX_PATH; i++)
		is_u64(rig.pipe[1 + i].bytes, 1000, "path with %d pipes: pipe %d", PP_MAX_PATH, i);
	is_u64(rig.state->event[PP_EVENT_PATH_FULL], 0, "path with %d pipes: is not too long",
	       PP_MAX_PATH);

	rig_limit_queue(1, id[0], SLOW, 0);
	is_u64(rig_send(&(struct rig_packet){ .len = 1000 }), PASS, "path with one more: passes");
	is_u64(rig.state->event[PP_EVENT_PATH_FULL], 1, "path with one more: event");
	is_u64(rig.pipe[1].bytes, 0, "path with one more: the outermost is left out");
	for (int i = 1; i <= PP_MAX_PATH; i++)
		is_u64(rig.pipe[1 + i].bytes, 2000, "path with one more: pipe %d", i);
	rig_enter("");
}

/* What changes while one socket sends: a second thread changes it, then interrupts the run. */
struct change {
	pthread_t runner;
	uint64_t id;
	uint64_t stale; /* packets counted in pipe 2 while the generation was still the old one */
	uint64_t left;  /* packets in pipe 1 once pipe 2 has begun to count */
	bool done;
};

static bool wait_for(const struct pp_pipe *p, uint64_t packets)
{
	uint64_t end = rig_now() + 20 * PP_NSEC;

	while (__atomic_load_n(&p->packets, __ATOMIC_RELAXED) < packets)
		if (rig_now() > end)
			return false;
	return true;
}

static void *change(void *arg)
{
	struct change *c = arg;

	c->done = wait_for(&rig.pipe[1], 1000);
	rig_slot(c->id, 2);
	c->done = c->done && wait_for(&rig.pipe[1], rig.pipe[1].packets + 1000);
	c->stale = rig.pipe[2].packets;
	__atomic_fetch_add(&rig.state->gen, 1, __ATOMIC_SEQ_CST);
	c->done = c->done && wait_for(&rig.pipe[2], 1);
	c->left = rig.pipe[1].packets;
	c->done = c->done && wait_for(&rig.pipe[2], 1000);
	pthread_kill(c->runner, SIGUSR1);
	return NULL;
}

static void interrupted(int sig)
{
	(void)sig;
}

static void test_generation(uint64_t a)
{
	struct change c = { .runner = pthread_self(), .id = a };
	struct rig_result r;
	pthread_t changer;

	sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = interrupted }, NULL);
	rig_clear();
	rig_limit(1, a, PP_RATE_MAX);
	rig.pipe[2].rate = PP_RATE_MAX;
	if (pthread_create(&changer, NULL, change, &c))
		rig_die("thread");
	r = rig_run(&(struct rig_packet){ .len = 100 }, UINT32_MAX >> 1);
	pthread_join(changer, NULL);
	ok(r.err == -EINTR && c.done, "generation: the socket sent until it was stopped (%d)",
	   r.err);
	is_u64(c.stale, 0, "generation: while it stands, the socket keeps its path");
	is_u64(rig.pipe[1].packets, c.left,
	       "generation: once it has changed, no packet takes the old path");
	ok(rig.pipe[2].packets >= 1000, "generation: all take the new one");
	is_u64(rig.pipe[1].bytes, rig.pipe[1].packets * 100, "generation: bytes of the old path");
	is_u64(rig.pipe[2].bytes, rig.pipe[2].packets * 100, "generation: bytes of the new path");
}

static int tests(void)
{
	uint64_t a;

	for (int dir = 0; dir < PP_N_DIR; dir++) {
		rig_use(dir);
		test_no_limit();
		a = rig_enter("a");
		test_loopback(a);
		test_freed(a);
		test_generation(a);
		test_nested();
		test_path_full();
	}
	return done_testing();
}

int main(void)
{
	return rig_main(tests, RIG_PACKETS);
}
