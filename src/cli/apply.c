// SPDX-License-Identifier: Apache-2.0
// podpace apply: the objects of these files, all of them and nothing else, without a daemon.
#include "agent/once.h"
#include "base/base.h"
#include "base/file.h"
#include "cli/files.h"

#define MAX_FILE (16u << 20)

static int take(struct pp_sources *s, const char *file, struct pp_err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = pp_file_read(file, MAX_FILE, &text, &len);

	if (r)
		return pp_err_set(e, r, "%s: %s", file,
				  r == -EFBIG ? "more than 16 MiB" : strerror(-r));
	return pp_sources_put(s, file, text, len, NULL, NULL);
}

static void say(const char *line, void *arg)
{
	(void)arg;
	fprintf(stderr, "podpace: %s\n", line);
}

static int apply(const struct pp_args *args, struct pp_sources *s, struct pp_err *e)
{
	struct pp_once done;
	int r = 0;

	for (size_t i = 0; i < args->n_files && !r; i++)
		r = take(s, args->files[i], e);
	if (!r)
		r = pp_agent_once(args->root, s, &done, say, NULL, e);
	if (r)
		return r;
	printf("%zu object%s, %zu limit%s in force", done.objects, done.objects == 1 ? "" : "s",
	       done.limits, done.limits == 1 ? " is" : "s are");
	if (done.missing)
		printf("; %zu cgroup%s not there", done.missing,
		       done.missing == 1 ? " is" : "s are");
	putchar('\n');
	return done.failed ? pp_err_set(e, -EIO, "not every limit is in force") : 0;
}

/* Files with faults change nothing. */
int pp_cmd_apply(const struct pp_args *args, struct pp_err *e)
{
	_cleanup_(pp_files_free) struct pp_files f = PP_FILES_INIT(f);
	struct pp_sources *s;
	int r = pp_files_read(&f, args, e);

	if (!r)
		r = pp_sources_new(&s);
	if (r)
		return r;
	r = apply(args, s, e);
	pp_sources_free(s);
	return r;
}
