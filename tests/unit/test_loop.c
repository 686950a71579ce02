// SPDX-License-Identifier: Apache-2.0
// The loop: order of timers, level triggering, sources that are freed while others are ready.

#include "base/base.h"
#include "base/loop.h"
#include "tap.h"

#define MS 1000000ull

struct world {
	struct pp_loop *loop;
	struct pp_source *a, *b, *stop;
	int fds[2], calls, reads;
	uint32_t events;
	char order[16];
};

static void note(struct world *w, char c)
{
	w->order[strlen(w->order)] = c;
}

static void on_a(void *arg)
{
	note(arg, 'a');
}

static void on_b(void *arg)
{
	note(arg, 'b');
}

static void on_stop(void *arg)
{
	struct world *w = arg;

	note(w, '.');
	pp_loop_stop(w->loop);
}

static void begin(struct world *w)
{
	*w = (struct world){ .fds = { -1, -1 } };
	if (pp_loop_new(&w->loop) || pp_source_timer(w->loop, on_a, w, &w->a) ||
	    pp_source_timer(w->loop, on_b, w, &w->b) ||
	    pp_source_timer(w->loop, on_stop, w, &w->stop) || pipe(w->fds))
		abort();
}

static void end(struct world *w)
{
	pp_source_free(w->a);
	pp_source_free(w->b);
	pp_source_free(w->stop);
	pp_loop_free(w->loop);
	close(w->fds[0]);
	close(w->fds[1]);
}

static void test_timers(void)
{
	uint64_t begun = pp_loop_now();
	struct world w;

	begin(&w);
	pp_source_arm(w.stop, 60 * MS);
	pp_source_arm(w.a, 30 * MS);
	pp_source_arm(w.b, 10 * MS);
	is_u64(-pp_loop_run(w.loop), 0, "the loop ends well");
	is_str(w.order, "ba.", "timers come by time, each once");
	ok(pp_loop_now() - begun >= 60 * MS, "not too early");

	w.order[0] = w.order[1] = w.order[2] = '\0';
	pp_source_arm(w.a, 5 * MS);
	pp_source_arm(w.b, 5 * MS);
	pp_source_disarm(w.b);
	pp_source_arm(w.a, 0);
	pp_source_arm(w.stop, 20 * MS);
	pp_loop_run(w.loop);
	is_str(w.order, "a.", "a second arm replaces the first, zero is at once, disarmed is silent");
	end(&w);
}

static void on_pipe(uint32_t events, void *arg)
{
	struct world *w = arg;
	char c;

	w->events |= events;
	/* left unread twice: level triggering brings it back */
	if (++w->calls < 3 || !(events & EPOLLIN))
		return;
	w->reads += read(w->fds[0], &c, 1) == 1;
	if (w->reads == 2)
		pp_loop_stop(w->loop);
}

static void test_io(void)
{
	struct pp_source *s = NULL;
	struct world w;

	begin(&w);
	if (write(w.fds[1], "xy", 2) != 2 ||
	    pp_source_io(w.loop, w.fds[0], EPOLLIN, on_pipe, &w, &s))
		abort();
	pp_loop_run(w.loop);
	is_u64(w.calls, 4, "called for as long as something is there");
	is_u64(w.events, EPOLLIN, "with what is ready");
	is_u64(-pp_source_io_set(s, 0), 0, "other events");
	if (write(w.fds[1], "z", 1) != 1)
		abort();
	pp_source_arm(w.stop, 10 * MS);
	pp_loop_run(w.loop);
	is_u64(w.calls, 4, "not called for what is not asked for");
	pp_source_free(s);
	s = NULL;
	is_u64(-pp_source_io(w.loop, -1, EPOLLIN, on_pipe, &w, &s), EBADF, "no descriptor");
	ok(!s, "the result is untouched");
	end(&w);
}

/* Both timers are ready: the first frees the other, and itself. */
static void on_free(void *arg)
{
	struct world *w = arg;

	note(w, 'f');
	pp_source_free(w->a);
	pp_source_free(w->b);
	w->a = w->b = NULL;
}

static void test_free(void)
{
	struct world w;

	begin(&w);
	pp_source_free(w.a);
	pp_source_free(w.b);
	w.a = w.b = NULL;
	if (pp_source_timer(w.loop, on_free, &w, &w.a) ||
	    pp_source_timer(w.loop, on_free, &w, &w.b))
		abort();
	pp_source_arm(w.a, 0);
	pp_source_arm(w.b, 0);
	usleep(2000);
	pp_source_arm(w.stop, 10 * MS);
	pp_loop_run(w.loop);
	is_str(w.order, "f.", "a freed source calls back no more, though it was ready");
	end(&w);
}

int main(void)
{
	test_timers();
	test_io();
	test_free();
	pp_source_free(NULL);
	pp_loop_free(NULL);
	return done_testing();
}
