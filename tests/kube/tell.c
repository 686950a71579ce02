// SPDX-License-Identifier: Apache-2.0
// Says of objects what stdin has, as the agent of a node does, and tries to lead, until stdin ends.
// Prints whether it leads.
//
//   tell KUBECONFIG NAMESPACE NODE
//
// KIND NAMESPACE NAME GENERATION PODS ENFORCED REASON PROBLEM, "-" for none: an object
// ready, or not WHY: says those that stood before, and no others
#define _GNU_SOURCE
#include <fcntl.h>

#include "agent/leader.h"
#include "agent/report.h"
#include "base/base.h"

#define MAX 64

struct tell {
	struct pp_loop *loop;
	struct pp_source *input, *poll;
	struct pp_report *report;
	struct pp_leader *leader;
	char text[8192];
	size_t len;
	struct pp_report_object objects[MAX];
	char *lines[MAX];
	size_t n;
	bool led;
};

static void on_done(void *arg)
{
	struct tell *t = arg;

	pp_loop_stop(t->loop);
}

static const char *none(const char *word)
{
	return word && strcmp(word, "-") != 0 ? word : NULL;
}

/* The texts stay in the line. */
static void add(struct tell *t, char *line)
{
	char *state = NULL, *word[8];
	int kind = 0;

	for (size_t i = 0; i < ARRAY_SIZE(word); i++)
		word[i] = strtok_r(i ? NULL : line, i == 7 ? "" : " ", &state) ?: "";
	while (kind < PP_N_KINDS && strcmp(pp_kind_name((enum pp_kind)kind), word[0]) != 0)
		kind++;
	if (kind == PP_N_KINDS || t->n == MAX) {
		fprintf(stderr, "tell: what is %s?\n", word[0]);
		exit(2);
	}
	t->lines[t->n] = line;
	t->objects[t->n++] = (struct pp_report_object){
		.kind = (enum pp_kind)kind,
		.namespace = none(word[1]),
		.name = word[2],
		.generation = strtoll(word[3], NULL, 10),
		.pods = strtoul(word[4], NULL, 10),
		.enforced = strtoul(word[5], NULL, 10),
		.reason = none(word[6]),
		.problem = none(word[7]),
	};
}

static void say(struct tell *t, const char *line)
{
	bool ready = strcmp(line, "ready") == 0;

	if (pp_report_set(t->report, t->objects, t->n, ready, ready ? NULL : line + 4))
		abort();
	while (t->n)
		free(t->lines[--t->n]);
}

static void on_input(uint32_t events, void *arg)
{
	struct tell *t = arg;
	ssize_t n = read(0, t->text + t->len, sizeof(t->text) - 1 - t->len);
	char *end;

	(void)events;
	if (n <= 0) {
		pp_source_io_set(t->input, 0);
		pp_source_free(TAKE_PTR(t->input));
		pp_leader_release(t->leader, on_done, t);
		return;
	}
	t->len += (size_t)n;
	t->text[t->len] = '\0';
	while ((end = strchr(t->text, '\n'))) {
		*end = '\0';
		if (strcmp(t->text, "ready") == 0 || strncmp(t->text, "not ", 4) == 0)
			say(t, t->text);
		else
			add(t, strdup(t->text));
		t->len -= (size_t)(end + 1 - t->text);
		memmove(t->text, end + 1, t->len + 1);
	}
}

static void on_poll(void *arg)
{
	struct tell *t = arg;
	struct pp_leader_state s;

	pp_leader_state(t->leader, &s);
	if (s.leads != t->led)
		printf(s.leads ? "leads\n" : "does not lead\n");
	t->led = s.leads;
	fflush(stdout);
	pp_source_arm(t->poll, 100000000);
}

int main(int argc, char **argv)
{
	struct pp_kube_config config = {};
	struct pp_kube *k = NULL;
	struct pp_err e = { "" };
	struct tell t = {};
	char me[80];

	if (argc != 4) {
		fprintf(stderr, "usage: tell KUBECONFIG NAMESPACE NODE\n");
		return 2;
	}
	snprintf(me, sizeof(me), "%s_%d", argv[3], (int)getpid());
	if (pp_loop_new(&t.loop) || pp_kube_config_load(argv[1], NULL, &config, &e) ||
	    pp_kube_new(t.loop, &config, "podpace/test", &k, &e) ||
	    pp_report_new(k, argv[3], "test", NULL, &t.report) ||
	    pp_leader_new(k, argv[2], me, NULL, NULL, &t.leader) ||
	    pp_source_timer(t.loop, on_poll, &t, &t.poll) ||
	    pp_source_io(t.loop, 0, EPOLLIN, on_input, &t, &t.input)) {
		fprintf(stderr, "tell: %s\n", e.msg);
		return 1;
	}
	pp_source_arm(t.poll, 0);
	pp_loop_run(t.loop);
	pp_source_free(t.poll);
	pp_source_free(t.input);
	pp_report_free(t.report);
	pp_leader_free(t.leader);
	pp_kube_free(k);
	pp_kube_config_close(&config);
	pp_loop_free(t.loop);
	while (t.n)
		free(t.lines[--t.n]);
	return 0;
}
