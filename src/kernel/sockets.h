// SPDX-License-Identifier: Apache-2.0
// TCP connections that are there already: brought under their limits, or released, by the tcp
// iterator.
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "kernel/datapath.h"

/* How many sockets the iterator changed, by what it did (enum pp_iter_mark). */
struct pp_socket_count {
	uint64_t held;
	uint64_t fixed;
	uint64_t freed;
	uint64_t failed;
};

/*
 * Brings every TCP socket in the network namespaces of the processes in cgroup `path` and below,
 * and of this process, to what the limits say now. Needs CAP_SYS_ADMIN for setns(2) and a process
 * with one thread. 0, or -errno with a message.
 */
int pp_sockets_sync(const struct pp_datapath *d, const char *path, struct pp_socket_count *ret,
		    struct pp_err *e);
