// SPDX-License-Identifier: Apache-2.0
// Objects made true in the kernel once, as the agent would.
#define _GNU_SOURCE
#include <limits.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent/compile.h"
#include "agent/once.h"
#include "agent/rules.h"
#include "base/base.h"
#include "base/table.h"

/* The name of a socket that nobody sends to: the kernel gives it up with its process. */
int pp_agent_claim(const char *root)
{
	static const uint64_t secret[2] = { 0x706f647061636500ULL, 0 };
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int n;

	if (fd < 0)
		return -errno;
	n = snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "podpace-agent-%016llx",
		     (unsigned long long)pp_table_hash(secret, root, strlen(root)));
	if (bind(fd, (struct sockaddr *)&a,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n))) {
		n = -errno;
		close(fd);
		return n;
	}
	return fd;
}

static void nothing(void *arg)
{
	(void)arg;
}

static int apply(struct pp_agent *a, struct pp_err *e)
{
	_cleanup_free_ struct pp_local *locals = NULL;
	struct pp_wanted w = { .complete = true, .thorough = true };
	struct pp_unmet unmet = {};
	int r = pp_agent_name_groups(a);

	if (!r)
		r = pp_agent_compile(a);
	if (!r)
		r = pp_agent_match(a);
	if (!r)
		r = pp_agent_locals(a, &locals, &w.n_locals);
	if (r)
		return r;
	w.plan = a->plan;
	w.places = a->places;
	w.n_places = a->n_places;
	w.parties = a->parties;
	w.locals = locals;
	return pp_apply(a->o.root, &w, &a->d, &a->in_kernel, &unmet, e);
}

static void say_notes(const struct pp_plan *plan, pp_fault_fn fn, void *arg)
{
	for (size_t i = 0; i < plan->n_notes; i++) {
		const struct pp_plan_note *n = &plan->notes[i];
		char line[900];

		snprintf(line, sizeof(line), "note: %.300s%s%.200s%s%s", n->object ? n->object : "",
			 n->object ? ": " : "", n->subject ? n->subject : "",
			 n->subject ? ": " : "", n->text);
		fn(line, arg);
	}
}

static void tell(const struct pp_agent *a, struct pp_once *ret, pp_fault_fn fn, void *arg)
{
	const struct pp_group *groups;
	size_t n;

	say_notes(a->plan, fn, arg);
	groups = pp_groups_list(a->groups, &n);
	for (size_t i = 0; i < n; i++)
		ret->missing += groups[i].id == 0;
	for (size_t i = 0; i < a->plan->n_pipes; i++)
		ret->limits += a->in_kernel.pipe[i] != 0;
	for (size_t i = 0; i < a->n_places * PP_N_DIR; i++) {
		const struct pp_place *p = &a->places[i / PP_N_DIR];
		char line[PATH_MAX + 300];

		if (!p->why[i % PP_N_DIR][0])
			continue;
		snprintf(line, sizeof(line), "cgroup %s: %s: not in force: %s", p->path,
			 pp_agent_dirs[i % PP_N_DIR], p->why[i % PP_N_DIR]);
		fn(line, arg);
		ret->failed++;
	}
}

int pp_agent_once(const char *root, struct pp_sources *objects, struct pp_once *ret, pp_fault_fn fn,
		  void *arg, struct pp_err *e)
{
	char host[HOST_NAME_MAX + 1] = "";
	struct pp_agent a = { .o = { .root = root, .node = host },
			      .said = objects,
			      .d = PP_DATAPATH_INIT,
			      .cgroupfs = { .fd = -1 } };
	_cleanup_close_ int claim = pp_agent_claim(root);
	int r;

	if (claim == -EADDRINUSE)
		return pp_err_set(e, -EBUSY,
				  "an agent keeps the limits at cgroup %s; valid is to put the files "
				  "into its folder",
				  root);
	*ret = (struct pp_once){};
	gethostname(host, sizeof(host) - 1);
	r = pp_loop_new(&a.loop);
	if (!r)
		r = pp_cgroupfs_open(&a.cgroupfs, e);
	if (!r)
		r = pp_groups_new(a.loop, &a.cgroupfs, nothing, NULL, &a.groups, e);
	if (!r)
		r = apply(&a, e);
	if (!r) {
		pp_sources_objects(objects, &ret->objects);
		tell(&a, ret, fn, arg);
	}
	pp_groups_free(a.groups);
	pp_plan_free(a.plan);
	pp_parties_free(a.parties);
	pp_applied_free(&a.in_kernel);
	free(a.places);
	pp_datapath_close(&a.d);
	pp_cgroupfs_close(&a.cgroupfs);
	pp_loop_free(a.loop);
	return r;
}
