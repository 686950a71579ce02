// SPDX-License-Identifier: Apache-2.0
// Hard weather: the cases of tests/netns/hard.sh and many.sh that the law alone decides.

#include "sim.h"

static const char *const kind_name[] = { "cubic", "bbr" };
static const __u64 rates[] = { 10 * MBIT, 100 * MBIT, GBIT, 10 * GBIT };

/*
 * Flows that all pause, and go on, at the same moment, beside two that do not: those are to take
 * what is left.
 */
static void pulses(__u64 bits, enum sim_cc k)
{
	struct sim_case *c = sim_add(bits, "pulse-%s-2+8-%s", sim_rate_name(bits), kind_name[k]);
	struct sim_group *g;

	sim_bulk(c, 2, k, 1448, LAN);
	g = sim_bulk(c, 8, k, 1448, LAN);
	g->app = SIM_ONOFF;
	g->at_once = 1;
	g->on = 20;
	g->off = 30;
	g->alike = 0;
	c->checks = SIM_NO_SETTLE;
	c->epochs = 250;
}

/* A sender that is let on a processor for 20 of 100 ms: it gets that part, and no more. */
static void throttled(__u64 bits, enum sim_cc k)
{
	struct sim_case *c = sim_add(bits, "throttled-%s-4-%s", sim_rate_name(bits), kind_name[k]);
	struct sim_group *g = sim_bulk(c, 4, k, 1448, LAN);

	g->app = SIM_ONOFF;
	g->at_once = 1;
	g->on = 2;
	g->off = 8;
	g->alike = 0;
	c->checks = SIM_NO_SETTLE | SIM_NO_FILL;
	c->epochs = 200;
}

/* Two elephants, and two thousand that send 100 bytes a second. */
static void mice(__u64 bits, enum sim_cc k)
{
	struct sim_case *c = sim_add(bits, "mice-%s-2+2000-%s", sim_rate_name(bits), kind_name[k]);
	struct sim_group *g = sim_bulk(c, 2, k, 1448, LAN);

	g = sim_bulk(c, 2000, k, 100, LAN);
	g->app = SIM_DEMAND;
	g->demand = 100 + SIM_HEADERS;
	g->alike = 0;
	c->group[0].want = bits / 8 - g->flows * g->demand;
	c->checks = SIM_NO_SETTLE;
}

/* Less than the limit passes as it comes. */
static void stream(__u64 bits, enum sim_cc k)
{
	struct sim_case *c = sim_add(bits, "stream-%s-90%%-%s", sim_rate_name(bits), kind_name[k]);
	struct sim_group *g = sim_bulk(c, 1, k, 1448, LAN);

	g->app = SIM_DEMAND;
	g->demand = g->want = bits / 8 * 9 / 10;
	c->checks = SIM_NO_FILL;
	c->epochs = 200;
}

static void changing(__u64 bits, enum sim_cc k)
{
	struct sim_case *c = sim_add(bits, "changing-%s-4-%s", sim_rate_name(bits), kind_name[k]);

	sim_bulk(c, 4, k, 1448, LAN);
	c->flip = bits / 8 * 4;
	c->flip_every = 100 * PP_MSEC;
	c->checks = SIM_NO_SETTLE;
	c->epochs = 400;
}

/* Clients that ask again when they have been answered, all from the same moment on. */
static void kept(__u64 bits, __u32 kb, enum sim_cc k)
{
	struct sim_case *c =
		sim_add(bits, "kept-%s-1000x%ukB-%s", sim_rate_name(bits), kb, kind_name[k]);
	struct sim_group *g = sim_bulk(c, 1000, k, 1448, LAN);

	g->app = SIM_KEPT;
	g->at_once = 1;
	g->size = kb * 1000;
	c->checks = SIM_NO_SETTLE;
}

void sim_hard(void)
{
	for (enum sim_cc k = SIM_CUBIC; k <= SIM_BBR; k++) {
		for (__u32 r = 0; r < sizeof(rates) / sizeof(*rates); r++) {
			pulses(rates[r], k);
			throttled(rates[r], k);
			stream(rates[r], k);
			changing(rates[r], k);
			if (rates[r] > 10 * MBIT)
				mice(rates[r], k);
		}
		kept(100 * MBIT, 1, k);
		kept(100 * MBIT, 10, k);
		kept(GBIT, 10, k);
	}
}
