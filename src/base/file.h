// SPDX-License-Identifier: Apache-2.0
// Small files that are read whole.
#pragma once

#include <stddef.h>

/*
 * Reads all of path, which may be a pipe. *ret is freed by the caller and has a NUL behind its
 * *ret_len bytes. 0, -EFBIG if there is more than max, or -errno.
 */
int pp_file_read(const char *path, size_t max, char **ret, size_t *ret_len);
