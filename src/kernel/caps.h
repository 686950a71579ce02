// SPDX-License-Identifier: Apache-2.0
// Capabilities that a long-lived process holds for short steps only.
#pragma once

/*
 * Takes CAP_SYS_ADMIN and CAP_SYS_PTRACE out of the effective set, until pp_caps_raise(). For a
 * process that stays: code that is not in such a step cannot enter namespaces or look at other
 * processes. 0 or -errno.
 */
int pp_caps_lower(void);

/*
 * Begins a step that enters network namespaces of other processes; pp_caps_restore() ends it. They
 * do nothing in a process that has not lowered them.
 */
void pp_caps_raise(void);
void pp_caps_restore(void);
