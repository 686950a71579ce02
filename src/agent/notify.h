// SPDX-License-Identifier: Apache-2.0
// What a service says to the manager that started it, as sd_notify(3) describes the protocol.
#pragma once

#include "base/err.h"
#include "base/loop.h"

struct pp_notify;

/*
 * Reads NOTIFY_SOCKET, and WATCHDOG_USEC and WATCHDOG_PID: from now on the loop says twice in each
 * such time that it is alive. *ret is NULL, for which all below does nothing, where nobody asked to
 * be told. 0, or -errno with a message.
 */
int pp_notify_new(struct pp_loop *l, struct pp_notify **ret, struct pp_err *e);
void pp_notify_free(struct pp_notify *n);

/* Once: what the service is for is done from now on. */
void pp_notify_ready(struct pp_notify *n);

/* One line for people, as `systemctl status` shows it; cut at 200 bytes. */
void pp_notify_status(struct pp_notify *n, const char *text);

/* Once: the end has begun. */
void pp_notify_stopping(struct pp_notify *n);
