// SPDX-License-Identifier: Apache-2.0
// sim [CASE...]: run the cases whose names match a shell pattern, or all, and print TAP.
// sim --list: their names. sim --csv CASE: a line an epoch and pipe, to plot.

#include <fnmatch.h>

#include "sim.h"

static int wanted(const struct sim_case *c, int n, char **patterns)
{
	for (int i = 0; i < n; i++)
		if (!fnmatch(patterns[i], c->name, 0))
			return 1;
	return !n;
}

static int csv(const struct sim_case *c, __u32 n, const char *name)
{
	struct sim s;

	for (__u32 i = 0; i < n; i++) {
		if (strcmp(c[i].name, name))
			continue;
		sim_run(&s, &c[i], 1);
		sim_free(&s);
		return 0;
	}
	fprintf(stderr, "sim: no case %s; sim --list names them\n", name);
	return 1;
}

int main(int argc, char **argv)
{
	__u64 events = 0, cases = 0;
	struct sim_case *c;
	struct sim s;
	__u32 n;

	setlinebuf(stdout);
	c = sim_cases(&n);
	if (argc == 2 && !strcmp(argv[1], "--list")) {
		for (__u32 i = 0; i < n; i++)
			printf("%s\n", c[i].name);
		return 0;
	}
	if (argc == 3 && !strcmp(argv[1], "--csv"))
		return csv(c, n, argv[2]);
	if (argc > 1 && argv[1][0] == '-') {
		fprintf(stderr, "usage: sim [CASE...] | --list | --csv CASE\n");
		return 2;
	}
	for (__u32 i = 0; i < n; i++) {
		if (!wanted(&c[i], argc - 1, argv + 1))
			continue;
		sim_run(&s, &c[i], 0);
		if (!c[i].tree)
			sim_judge_tap(&s);
		events += s.events;
		cases++;
		sim_free(&s);
	}
	printf("# %llu cases, %llu events\n", cases, events);
	return sim_judge_done();
}
