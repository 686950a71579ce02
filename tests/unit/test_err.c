// SPDX-License-Identifier: Apache-2.0
// Error messages: codes, context, truncation, and that any byte can be shown.

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/base.h"
#include "base/err.h"
#include "tap.h"

static void test_set(void)
{
	struct pp_err e = {};

	ok(pp_err_set(&e, -EINVAL, "weight %d", 1001) == -EINVAL, "set returns the code");
	is_str(e.msg, "weight 1001", "set formats");
	ok(pp_err_set(NULL, -ENOENT, "x %d", 1) == -ENOENT, "set without a place for the message");
	pp_err_set(&e, -EINVAL, "a\nb\033[31m\x7f\t");
	is_str(e.msg, "a?b?[31m??", "control characters are disarmed");
	pp_err_set(&e, -EINVAL, "caf\xc3\xa9");
	is_str(e.msg, "caf\xc3\xa9", "UTF-8 is kept");
}

static void test_wrap(void)
{
	struct pp_err e = {};

	pp_err_set(&e, -ERANGE, "too high");
	ok(pp_err_wrap(&e, -ERANGE, "file %s", "a.yaml") == -ERANGE, "wrap returns the code");
	is_str(e.msg, "file a.yaml: too high", "wrap prefixes");
	pp_err_wrap(&e, -EINVAL, "check");
	is_str(e.msg, "check: file a.yaml: too high", "wrap twice");
	e.msg[0] = '\0';
	pp_err_wrap(&e, -ENOENT, "/no/such");
	is_str(e.msg, "/no/such: No such file or directory", "wrap of a bare code names it");
	ok(pp_err_wrap(NULL, -EIO, "x") == -EIO, "wrap without a place for the message");
}

static void test_truncate(void)
{
	struct pp_err e = {};
	char text[301] = "";

	memset(text, 'a', 239);
	pp_err_set(&e, -EINVAL, "%s", text);
	is_str(e.msg, text, "239 bytes fit");

	memset(text, 'a', 240);
	pp_err_set(&e, -EINVAL, "%s", text);
	is_u64(strlen(e.msg), 239, "240 bytes are cut to 239");
	is_str(e.msg + 235, "a...", "a cut message says so");

	memset(text, 'a', 300);
	memcpy(text + 235, "\xc3\xa9", 2);
	pp_err_set(&e, -EINVAL, "%s", text);
	is_u64(strlen(e.msg), 238, "no cut inside a UTF-8 sequence");
	is_str(e.msg + 234, "a...", "the sequence is gone whole");

	pp_err_wrap(&e, -EINVAL, "context");
	ok(!strncmp(e.msg, "context: aaa", 12), "context survives before a long message");
	is_str(e.msg + 236, "...", "wrapped message is cut");
	pp_err_wrap(&e, -EINVAL, "%s", text);
	is_u64(strlen(e.msg), 238, "context longer than the message");

	memset(text, 0x80, 300);
	pp_err_set(&e, -EINVAL, "%s", text);
	is_str(e.msg, "...", "nothing but continuation bytes");
}

static void test_escape(void)
{
	char buf[64], tiny[8];

	is_str(pp_err_escape(buf, sizeof(buf), "a b/c", 5), "a b/c", "plain text stays");
	is_str(pp_err_escape(buf, sizeof(buf), "", 0), "", "empty text");
	is_str(pp_err_escape(buf, sizeof(buf), "a\n\"\xff\0z", 6), "a\\x0a\\x22\\xff\\x00z",
	       "others are escaped");
	is_str(pp_err_escape(buf, sizeof(buf), "abcdef", 3), "abc", "no more than len");
	is_str(pp_err_escape(tiny, sizeof(tiny), "1234567", 7), "1234567", "just fits");
	is_str(pp_err_escape(tiny, sizeof(tiny), "12345678", 8), "1234...", "one more is cut");
	is_str(pp_err_escape(tiny, sizeof(tiny), "123\n", 4), "123\\x0a", "an escape just fits");
	is_str(pp_err_escape(tiny, sizeof(tiny), "1234\n", 5), "1234...", "an escape is cut whole");
	is_str(pp_err_escape(tiny, sizeof(tiny), "\n\n", 2), "\\x0a...", "between two escapes");
	is_str(pp_err_escape(tiny, sizeof(tiny), "1\n45", 4), "1\\x0a45", "mixed fits");
	is_str(pp_err_escape(tiny, sizeof(tiny), "1\n456", 5), "1...", "mixed is cut");
	is_str(pp_err_escape(tiny, 4, "1234", 4), "...", "the smallest buffer");
}

static void test_ownership(void)
{
	char *from = strdup("x");
	_cleanup_free_ char *to = TAKE_PTR(from);
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int copy = fd;

	ok(!from && to, "TAKE_PTR moves");
	{
		_cleanup_close_ int gone = TAKE_FD(fd);

		ok(fd == -1 && gone == copy, "TAKE_FD moves");
		errno = EEXIST;
	}
	is_u64(errno, EEXIST, "cleanup keeps errno");
	ok(fcntl(copy, F_GETFD) == -1 && errno == EBADF, "cleanup closes");
	{
		_cleanup_fclose_ FILE *f = fopen("/dev/null", "re");
		_cleanup_fclose_ FILE *none = NULL;
		_cleanup_close_ int no_fd = -1;

		copy = fileno(f);
		(void)none;
		(void)no_fd;
	}
	ok(fcntl(copy, F_GETFD) == -1, "cleanup closes files");
}

int main(void)
{
	test_set();
	test_wrap();
	test_truncate();
	test_escape();
	test_ownership();
	return done_testing();
}
