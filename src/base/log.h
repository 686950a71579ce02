// SPDX-License-Identifier: Apache-2.0
// The daemon's log: logfmt lines on stderr. Libraries do not log, they return messages.
#pragma once

enum pp_log_level {
	PP_LOG_ERROR,
	PP_LOG_WARN,
	PP_LOG_INFO,
};

/*
 * Writes one line: ts=... level=... msg="..." and then, pair by pair until a NULL, KEY="VALUE" with
 * what is not printable ASCII escaped; a pair whose value is "" is left out.
 */
void pp_log(enum pp_log_level level, const char *msg, ...) __attribute__((sentinel));
