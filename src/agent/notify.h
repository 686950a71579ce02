// SPDX-License-Identifier: Apache-2.0
// Tells systemd how the daemon is doing (sd_notify(3)), if it was started by it.
#pragma once

#include "base/loop.h"

struct pp_notify;

/*
 * Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID from the environment, and removes them. From
 * then on it feeds the watchdog from the loop: one that hangs is started anew. *ret is NULL where
 * there is nobody to tell. 0 or -errno.
 */
int pp_notify_new(struct pp_loop *l, struct pp_notify **ret);
void pp_notify_free(struct pp_notify *n);

/* Variables as sd_notify(3) has them: "READY=1", "STATUS=..."; n may be NULL. */
void pp_notify_say(struct pp_notify *n, const char *state);
