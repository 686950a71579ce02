// SPDX-License-Identifier: Apache-2.0
// By what agents know a pod wherever it is.
#pragma once

#include <stdint.h>

/* The first 64 bits of a uid; 0: it does not begin with 16 hexadecimal digits, dashes apart. */
uint64_t pp_identity_of(const char *uid);
