// SPDX-License-Identifier: Apache-2.0
// One thread, one epoll: descriptors and timers that call back, one callback at a time.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct pp_loop;
struct pp_source; /* one descriptor or one timer */

/* 0 or -errno. Sources must be freed before their loop. */
int pp_loop_new(struct pp_loop **ret);
void pp_loop_free(struct pp_loop *l);
static inline void pp_loop_freep(struct pp_loop **l)
{
	pp_loop_free(*l);
}

/* Runs callbacks until one calls pp_loop_stop(). 0, or -errno when epoll fails. */
int pp_loop_run(struct pp_loop *l);
void pp_loop_stop(struct pp_loop *l);

/*
 * Calls fn(events, arg) whenever the descriptor is ready for one of `events` (EPOLLIN, EPOLLOUT;
 * EPOLLERR and EPOLLHUP come unasked), level triggered. The descriptor stays the caller's, and must
 * stay open until the source is freed. 0 or -errno.
 */
int pp_source_io(struct pp_loop *l, int fd, uint32_t events, void (*fn)(uint32_t events, void *arg),
		 void *arg, struct pp_source **ret);

/* Waits for other events from now on. 0 or -errno. */
int pp_source_io_set(struct pp_source *s, uint32_t events);

/* A timer, not armed yet. 0 or -errno. */
int pp_source_timer(struct pp_loop *l, void (*fn)(void *arg), void *arg, struct pp_source **ret);

/* Calls back once, after delay_ns of CLOCK_MONOTONIC; another call replaces it. */
void pp_source_arm(struct pp_source *s, uint64_t delay_ns);
void pp_source_disarm(struct pp_source *s);

/* CLOCK_MONOTONIC, in ns. */
uint64_t pp_loop_now(void);

/* May be called from its own callback or any other: a freed source calls back no more. */
void pp_source_free(struct pp_source *s);
static inline void pp_source_freep(struct pp_source **s)
{
	pp_source_free(*s);
}
