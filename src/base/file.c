// SPDX-License-Identifier: Apache-2.0
// Reads a file whole, up to a size.
#define _GNU_SOURCE
#include <fcntl.h>

#include "base/base.h"
#include "base/file.h"

#define STEP 4096

int pp_file_read(const char *path, size_t max, char **ret, size_t *ret_len)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *buf = NULL;
	size_t len = 0, size = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	for (;;) {
		if (size - len < 2) {
			char *more = realloc(buf, size = size ? size * 2 : STEP);

			if (!more)
				return -ENOMEM;
			buf = more;
		}
		n = read(fd, buf + len, size - len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += n;
		if (len > max)
			return -EFBIG;
	}
	buf[len] = '\0';
	*ret = TAKE_PTR(buf);
	*ret_len = len;
	return 0;
}
