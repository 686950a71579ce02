// SPDX-License-Identifier: Apache-2.0
// Makes ownership visible (cleanup attributes, TAKE_*) and bans the calls we refuse.
//
// Include it after the system headers: what is poisoned here must not occur in them later.
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* f is called with the address of the variable when it goes out of scope. */
#define _cleanup_(f) __attribute__((cleanup(f)))
#define _cleanup_free_ _cleanup_(pp_freep)
#define _cleanup_close_ _cleanup_(pp_closep)
#define _cleanup_fclose_ _cleanup_(pp_fclosep)

/* Hands a pointer (or fd) to a new owner and leaves nothing behind for the cleanup. */
#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__typeof__(p) *_from = &(p);                                                       \
		__typeof__(p) _taken = *_from;                                                     \
		*_from = NULL;                                                                     \
		_taken;                                                                            \
	})

#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int *_from = &(fd);                                                                \
		int _taken = *_from;                                                               \
		*_from = -1;                                                                       \
		_taken;                                                                            \
	})

static inline void pp_freep(void *p)
{
	free(*(void **)p);
}

/* These two run on error paths, so they keep errno. */
static inline void pp_closep(const int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static inline void pp_fclosep(FILE **f)
{
	int saved = errno;

	if (*f)
		fclose(*f);
	errno = saved;
}

/* Some are macros where _FORTIFY_SOURCE is on. */
#undef strcpy
#undef strcat
#undef sprintf
#pragma GCC poison strcpy strcat sprintf atoi strtok system gets
