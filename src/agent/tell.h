// SPDX-License-Identifier: Apache-2.0
// What the log, and events on pods, say of an apply.
#pragma once

#include "agent/agent.h"

/* Of each limit whose state is new; and how long it took until it was in force. */
void pp_agent_tell(struct pp_agent *a);

/* What limits do without: told once, and when it is there again. It is a->unmet from now on. */
void pp_agent_tell_unmet(struct pp_agent *a, const struct pp_unmet *now);
