// SPDX-License-Identifier: Apache-2.0
// podpace check: are the objects in these files valid? Everything that is wrong, a line each.
#include "base/base.h"
#include "base/file.h"
#include "cli/cmd.h"
#include "policy/object.h"

#define MAX_FILE (16u << 20)

static void say(const char *line, void *arg)
{
	(void)arg;
	fprintf(stderr, "podpace: %s\n", line);
}

struct check {
	struct pp_objects objects;
	struct pp_values **values; /* of each file; NULL of one that could not be read */
	size_t broken;             /* files that could not be read */
};

static int check_file(struct check *c, size_t i, const char *file)
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
		r = pp_values_parse(shown, text, len, &c->values[i], &e);
	if (r == -ENOMEM)
		return r;
	if (r) {
		say(e.msg, NULL);
		c->broken++;
		return 0;
	}
	return pp_objects_add(&c->objects, c->values[i], say, NULL);
}

static void check_free(struct check *c, size_t n)
{
	pp_objects_free(&c->objects);
	for (size_t i = 0; i < n && c->values; i++)
		pp_values_free(c->values[i]);
	free(c->values);
}

int pp_cmd_check(const struct pp_args *args, struct pp_err *e)
{
	struct check c = { .objects = PP_OBJECTS_INIT(c.objects) };
	int r = 0;

	c.values = calloc(args->n_files, sizeof(struct pp_values *));
	if (!c.values)
		return -ENOMEM;
	for (size_t i = 0; i < args->n_files && !r; i++)
		r = check_file(&c, i, args->files[i]);
	if (!r && c.broken)
		r = pp_err_set(e, -EINVAL, "%zu of %zu files could not be read", c.broken,
			       args->n_files);
	else if (!r && c.objects.invalid)
		r = pp_err_set(e, -EINVAL, "%zu of %zu objects are not valid", c.objects.invalid,
			       c.objects.n);
	else if (!r)
		printf("%zu object%s valid\n", c.objects.n, c.objects.n == 1 ? " is" : "s are");
	check_free(&c, args->n_files);
	return r;
}
