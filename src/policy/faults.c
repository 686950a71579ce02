// SPDX-License-Identifier: Apache-2.0
// Lines of faults, kept as one text.
#define _GNU_SOURCE
#include "policy/faults.h"
#include "base/base.h"

/* A list of a million wrong cgroups is not a million lines of log. */
enum { MAX_LINES = 16, MAX_LINE = 800 };

static void append(struct pp_faults *f, const char *line)
{
	size_t n = strlen(line);
	char *text = realloc(f->text, f->len + n + 2);

	if (!text) {
		f->failed = true;
		return;
	}
	f->text = text;
	if (f->len)
		text[f->len++] = '\n';
	memcpy(text + f->len, line, n + 1);
	f->len += n;
	f->n++;
}

void pp_faults_add(const char *line, void *arg)
{
	struct pp_faults *f = arg;

	if (f->n < MAX_LINES)
		append(f, line);
	else
		f->more++;
}

void pp_faults_end(struct pp_faults *f, const char *source)
{
	char line[400];

	if (f->more) {
		snprintf(line, sizeof(line), "%.300s: %zu more faults", source, f->more);
		append(f, line);
	}
	f->more = 0;
}

static bool has(const struct pp_faults *f, const char *line, size_t len)
{
	const char *end;

	for (const char *p = f->text; p; p = *end ? end + 1 : NULL) {
		end = strchrnul(p, '\n');
		if ((size_t)(end - p) == len && memcmp(p, line, len) == 0)
			return true;
	}
	return false;
}

void pp_faults_say(const struct pp_faults *f, const struct pp_faults *old, pp_fault_fn fn,
		   void *arg)
{
	char line[MAX_LINE];
	const char *end;

	for (const char *p = fn ? f->text : NULL; p; p = *end ? end + 1 : NULL) {
		end = strchrnul(p, '\n');
		if (has(old, p, (size_t)(end - p)))
			continue;
		snprintf(line, sizeof(line), "%.*s", (int)(end - p), p);
		fn(line, arg);
	}
}

void pp_faults_free(struct pp_faults *f)
{
	free(f->text);
	*f = (struct pp_faults){ 0 };
}
