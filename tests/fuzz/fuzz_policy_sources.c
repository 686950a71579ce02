// SPDX-License-Identifier: Apache-2.0
// Any puts and removes, of few sources and few objects so that they meet: what is in force is
// valid, sorted and each once; a store that was never shown anything but the last texts agrees, if
// these are without faults.
//
// The input is instructions: which source, and which objects follow; 0xff begins a text as it
// stands, up to the next 0xff.

#include "base/base.h"
#include "policy/sources.h"

enum { N_SOURCES = 4, MAX_TEXT = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char last[N_SOURCES][MAX_TEXT];
static bool there[N_SOURCES];

/* assert() would depend on NDEBUG. */
static void must(bool holds)
{
	if (!holds)
		abort();
}

static const char *source_name(unsigned int i)
{
	static const char *const names[N_SOURCES] = { "a.yaml", "b.yaml", "BandwidthPolicy a/web",
						      "\x01" };

	return names[i];
}

static void check(const char *line, void *arg)
{
	++*(size_t *)arg;
	for (; *line; line++)
		must((unsigned char)*line >= 0x20 && (unsigned char)*line <= 0x7e);
}

static void check_problem(const struct pp_problem *p, void *arg)
{
	size_t *faults = arg;
	const char *line = p->text;

	must(p->text[0] != '\0');
	must(!p->name || p->kind < PP_N_KINDS);
	/* that another has it is no fault of its own */
	while (line) {
		const char *end = strchr(line, '\n'), *stands = strstr(line, ": stands in ");

		*faults += !stands || (end && stands > end);
		line = end ? end + 1 : NULL;
	}
}

static int compare(const struct pp_object *a, const struct pp_object *b)
{
	int r;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	r = strcmp(a->namespace ? a->namespace : "", b->namespace ? b->namespace : "");
	return r ? r : strcmp(a->name, b->name);
}

static void check_all(struct pp_sources *s)
{
	size_t n, faults = 0;
	const struct pp_object *const *o = pp_sources_objects(s, &n);

	for (size_t i = 0; i < n; i++) {
		must(o[i]->valid && (!i || compare(o[i - 1], o[i]) < 0));
		pp_selector_matches(&o[i]->pods, NULL, 0);
		for (unsigned int k = 0; k < N_SOURCES; k++)
			pp_sources_problem(s, source_name(k), o[i]->kind, o[i]->namespace,
					   o[i]->name);
	}
	pp_sources_problems(s, check_problem, &faults);
}

/* One of few objects, some of them with faults. */
static size_t add_object(char *text, size_t n, uint8_t code)
{
	static const char *const kinds[] = { "BandwidthClass", "BandwidthPolicy", "Bandwidth" };
	static const char *const names[] = { "a", "b", "c", "NO" };
	static const char *const ceils[] = { "1M", "2M", "x", "3M, guarantee: 4M" };

	n += (size_t)snprintf(
		text + n, MAX_TEXT - n,
		"---\napiVersion: podpace.io/v1alpha1\nkind: %s\nmetadata: {name: %s, "
		"generation: %d}\nspec: {egress: {ceil: %s}%s}\n",
		kinds[code % 3], names[code / 3 % 4], code % 10, ceils[code / 12 % 4],
		code % 3 == 1 ? ", podSelector: {}" : "");
	return n < MAX_TEXT ? n : MAX_TEXT - 1;
}

static void put(struct pp_sources *s, unsigned int i)
{
	size_t faults = 0;

	must(pp_sources_put(s, source_name(i), last[i], strlen(last[i]), check, &faults) == 0);
	there[i] = true;
	check_all(s);
	/* the same again says nothing new */
	faults = 0;
	must(pp_sources_put(s, source_name(i), last[i], strlen(last[i]), check, &faults) == 0);
	must(!faults);
}

static const uint8_t *instruction(struct pp_sources *s, const uint8_t *p, const uint8_t *end)
{
	unsigned int i = *p % N_SOURCES, objects = *p / N_SOURCES % 8;
	const uint8_t *stop;
	size_t n = 0;

	if (*p++ >= 0xf0) {
		pp_sources_remove(s, source_name(i));
		there[i] = false;
		check_all(s);
		return p;
	}
	last[i][0] = '\0';
	if (p < end && *p == 0xff) {
		p++;
		stop = memchr(p, 0xff, (size_t)(end - p));
		n = (size_t)((stop ? stop : end) - p);
		snprintf(last[i], MAX_TEXT, "%.*s", (int)n, (const char *)p);
		p += n + !!stop;
	} else {
		for (n = 0; objects-- && p < end; p++)
			n = add_object(last[i], n, *p);
	}
	put(s, i);
	return p;
}

static void check_again(struct pp_sources *s)
{
	size_t n, m, faults = 0;
	const struct pp_object *const *o, *const *q;
	struct pp_sources *again = NULL;

	must(pp_sources_new(&again) == 0);
	for (unsigned int i = N_SOURCES; i-- > 0;)
		if (there[i])
			put(again, i);
	pp_sources_problems(again, check_problem, &faults);
	o = pp_sources_objects(s, &n);
	q = pp_sources_objects(again, &m);
	must(faults || n == m);
	for (size_t i = 0; i < n && !faults; i++)
		must(compare(o[i], q[i]) == 0 && strcmp(o[i]->file, q[i]->file) == 0 &&
		     o[i]->line == q[i]->line && o[i]->generation == q[i]->generation);
	pp_sources_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = data + size;
	struct pp_sources *s = NULL;

	memset(there, 0, sizeof(there));
	must(pp_sources_new(&s) == 0);
	while (data < end)
		data = instruction(s, data, end);
	check_again(s);
	pp_sources_free(s);
	return 0;
}
