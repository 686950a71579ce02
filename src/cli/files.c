// SPDX-License-Identifier: Apache-2.0
// Reads every file, even if one is broken: whoever wrote them sees all at once.
#include "cli/files.h"

#include "base/base.h"
#include "base/file.h"

#define MAX_FILE (16u << 20)

void pp_files_say(const char *line, void *arg)
{
	(void)arg;
	fprintf(stderr, "podpace: %s\n", line);
}

static int read_file(struct pp_files *f, const char *file, size_t *broken)
{
	_cleanup_free_ char *text = NULL;
	struct pp_err e = { "" };
	char shown[160];
	size_t len;
	int r = pp_file_read(file, MAX_FILE, &text, &len);

	if (r == -ENOMEM)
		return r;
	pp_err_escape(shown, sizeof(shown), file, strlen(file));
	if (r)
		pp_err_set(&e, r, "%s: %s", shown, r == -EFBIG ? "more than 16 MiB" : strerror(-r));
	else
		r = pp_values_parse(shown, text, len, &f->values[f->n], &e);
	if (r == -ENOMEM)
		return r;
	if (r) {
		pp_files_say(e.msg, NULL);
		++*broken;
		return 0;
	}
	return pp_objects_add(&f->objects, f->values[f->n++], pp_files_say, NULL);
}

int pp_files_read(struct pp_files *f, const struct pp_args *args, struct pp_err *e)
{
	size_t broken = 0;
	int r = 0;

	f->values = calloc(args->n_files, sizeof(struct pp_values *));
	if (!f->values)
		return -ENOMEM;
	for (size_t i = 0; i < args->n_files && !r; i++)
		r = read_file(f, args->files[i], &broken);
	if (!r && broken)
		r = pp_err_set(e, -EINVAL, "%zu of %zu files could not be read", broken,
			       args->n_files);
	else if (!r && f->objects.invalid)
		r = pp_err_set(e, -EINVAL, "%zu of %zu objects are not valid", f->objects.invalid,
			       f->objects.n);
	return r;
}

void pp_files_free(struct pp_files *f)
{
	pp_objects_free(&f->objects);
	for (size_t i = 0; i < f->n; i++)
		pp_values_free(f->values[i]);
	free(f->values);
	*f = PP_FILES_INIT(*f);
}
