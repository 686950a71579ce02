// SPDX-License-Identifier: Apache-2.0
// base64 (RFC 4648, section 4).
#pragma once

#include <stddef.h>

/*
 * Decodes text and ignores white space in it. *ret is freed by the caller and has a NUL behind its
 * *ret_len bytes. 0, -EINVAL or -ENOMEM.
 */
int pp_base64_decode(const char *text, char **ret, size_t *ret_len);
