// SPDX-License-Identifier: Apache-2.0
// inotify says that something changed near one of the paths, a scan says what. Watched is each
// cgroup on the way to one of them, as far as the way is there: what comes or goes does so in the
// last of them.
#include <limits.h>
#include <sys/inotify.h>

#include "agent/groups.h"
#include "base/base.h"

/* what inotify misses is found by then */
#define RESCAN_NS (30 * 1000000000ull)
/* a service that starts again makes several events */
#define SETTLE_NS 1000000ull

struct pp_groups {
	const struct pp_cgroupfs *cgroupfs;
	void (*changed)(void *arg);
	void *arg;
	int fd; /* inotify */
	struct pp_source *events, *timer;
	struct pp_group *list;
	size_t n;
	bool settling; /* a scan follows at once */
};

static void list_free(struct pp_group *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i].path);
	free(list);
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct pp_group *)a)->path, ((const struct pp_group *)b)->path);
}

/* One that is watched already stays so; one that is not there cannot be. */
static void watch(const struct pp_groups *g, const char *path, size_t len)
{
	char full[PATH_MAX];

	if ((size_t)snprintf(full, sizeof(full), "%s%.*s", g->cgroupfs->mount, (int)len, path) <
	    sizeof(full))
		inotify_add_watch(g->fd, full, IN_CREATE | IN_DELETE | IN_MOVE | IN_ONLYDIR);
}

bool pp_groups_scan(struct pp_groups *g)
{
	bool changed = false;

	for (size_t i = 0; i < g->n; i++) {
		struct pp_group *one = &g->list[i];
		uint64_t id = 0;
		int fd;

		/* first the watches: nothing comes in between */
		for (const char *slash = one->path; slash; slash = strchr(slash + 1, '/'))
			watch(g, one->path, (size_t)(slash - one->path));
		if (pp_cgroup_open(g->cgroupfs, one->path, &fd, &id, NULL) == 0)
			close(fd);
		changed |= id != one->id;
		one->id = id;
	}
	return changed;
}

int pp_groups_set(struct pp_groups *g, const char *const *paths, size_t n)
{
	struct pp_group *list = calloc(n + 1, sizeof(*list));
	size_t k = 0, each = 0;

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		int r = pp_cgroup_normalize(paths[i], &list[k].path, NULL);

		if (r == -ENOMEM) {
			list_free(list, k);
			return r;
		}
		k += r == 0;
	}
	qsort(list, k, sizeof(*list), by_path);
	for (size_t i = 0; i < k; i++)
		if (each && strcmp(list[each - 1].path, list[i].path) == 0)
			free(list[i].path);
		else
			list[each++] = list[i];
	list_free(g->list, g->n);
	g->list = list;
	g->n = each;
	pp_groups_scan(g);
	return 0;
}

const struct pp_group *pp_groups_list(const struct pp_groups *g, size_t *ret_n)
{
	*ret_n = g->n;
	return g->list;
}

/* --- events */

static void on_event(uint32_t events, void *arg)
{
	struct pp_groups *g = arg;
	char buf[16384];

	(void)events;
	while (read(g->fd, buf, sizeof(buf)) > 0)
		;
	if (!g->settling)
		pp_source_arm(g->timer, SETTLE_NS);
	g->settling = true;
}

static void on_timer(void *arg)
{
	struct pp_groups *g = arg;

	g->settling = false;
	pp_source_arm(g->timer, RESCAN_NS);
	if (pp_groups_scan(g))
		g->changed(g->arg);
}

int pp_groups_new(struct pp_loop *l, const struct pp_cgroupfs *c, void (*changed)(void *arg),
		  void *arg, struct pp_groups **ret, struct pp_err *e)
{
	struct pp_groups *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return -ENOMEM;
	*g = (struct pp_groups){ .cgroupfs = c, .changed = changed, .arg = arg };
	g->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (g->fd < 0)
		r = pp_err_set(e, -errno, "inotify: %s; the limit is fs.inotify.max_user_instances",
			       strerror(errno));
	else
		r = pp_source_io(l, g->fd, EPOLLIN, on_event, g, &g->events);
	if (!r)
		r = pp_source_timer(l, on_timer, g, &g->timer);
	if (r) {
		pp_groups_free(g);
		return r;
	}
	pp_source_arm(g->timer, RESCAN_NS);
	*ret = g;
	return 0;
}

void pp_groups_free(struct pp_groups *g)
{
	if (!g)
		return;
	pp_source_free(g->events);
	pp_source_free(g->timer);
	if (g->fd >= 0)
		close(g->fd);
	list_free(g->list, g->n);
	free(g);
}
