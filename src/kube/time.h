// SPDX-License-Identifier: Apache-2.0
// The time of day as objects have it (RFC 3339, UTC).
#pragma once

/* Now, as a Time: "2026-11-24T09:30:00Z". Returns buf. */
const char *pp_time_now(char buf[static 32]);

/* Now, as a MicroTime: "2026-11-24T09:30:00.123456Z". Returns buf. */
const char *pp_time_now_micro(char buf[static 32]);
