// SPDX-License-Identifier: Apache-2.0
// inotify says that something changed, a scan says what: a scan of a node's kubepods is some
// thousand directory entries, and misses nothing.
//
// Watched are the mount's root, each kubepods cgroup and each cgroup right below it that is no
// pod's (the QoS classes). A watch is added before the directory is read, so that nothing comes in
// between.
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/inotify.h>

#include "agent/tree.h"
#include "base/base.h"

/* Kubelets are looked for this deep below the mount: those of kind run in containers. */
#define MAX_DEPTH 16
#define RESCAN_NS (60 * 1000000000ull)
/* while there is no kubepods at all, the kubelet has not started yet */
#define LOOK_NS (5 * 1000000000ull)
/* one pod makes several events */
#define SETTLE_NS 1000000ull

struct pp_tree {
	const struct pp_cgroupfs *cgroupfs;
	void (*changed)(void *arg);
	void *arg;
	int fd; /* inotify */
	struct pp_source *events, *timer;
	struct pp_tree_pod *pods;
	size_t n, room;
	bool found; /* there is a kubepods */
	bool settling; /* a scan follows at once: further events must not put it off */
};

/* --- names */

static const char *without_suffix(const char *name, const char *suffix, size_t *len)
{
	size_t n = strlen(name), m = strlen(suffix);

	*len = n > m && strcmp(name + n - m, suffix) == 0 ? n - m : n;
	return name;
}

bool pp_tree_is_kubepods(const char *name)
{
	static const char word[] = "kubepods";
	size_t len, n = sizeof(word) - 1;
	bool slice;

	without_suffix(name, ".slice", &len);
	slice = name[len] != '\0';
	if (len < n || strncmp(name + len - n, word, n) != 0)
		return false;
	return len == n || (slice && name[len - n - 1] == '-');
}

bool pp_tree_pod_uid(const char *name, char uid[static PP_POD_UID_SIZE])
{
	char found[PP_POD_UID_SIZE];
	const char *start = NULL;
	size_t len, n;

	without_suffix(name, ".slice", &len);
	for (const char *p = name; (p = strstr(p, "pod")); p++)
		if (p == name || p[-1] == '-')
			start = p + 3;
	if (!start || start > name + len)
		return false;
	n = name + len - start;
	if (n != 36 && n != 32)
		return false;
	for (size_t i = 0; i < n; i++) {
		bool dash = n == 36 && (i == 8 || i == 13 || i == 18 || i == 23);

		if (dash ? start[i] != '-' && start[i] != '_'
			 : !isxdigit((unsigned char)start[i]))
			return false;
		found[i] = dash ? '-' : tolower((unsigned char)start[i]);
	}
	found[n] = '\0';
	memcpy(uid, found, n + 1);
	return true;
}

/* --- the walk */

struct found {
	struct pp_tree_pod *pods;
	size_t n, room;
	bool kubepods;
};

static void found_free(struct found *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->pods[i].path);
	free(f->pods);
}

static int add_pod(struct found *f, const char *uid, uint64_t id, const char *path)
{
	if (f->n == f->room) {
		size_t room = f->room ? 2 * f->room : 64;
		struct pp_tree_pod *more = reallocarray(f->pods, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		f->pods = more;
		f->room = room;
	}
	memcpy(f->pods[f->n].uid, uid, PP_POD_UID_SIZE);
	f->pods[f->n].id = id;
	f->pods[f->n].path = strdup(path);
	return f->pods[f->n++].path ? 0 : -ENOMEM;
}

/* A cgroup that cannot be watched is still found by the next scan. */
static void watch(struct pp_tree *t, int dir_fd)
{
	char link[64];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", dir_fd);
	inotify_add_watch(t->fd, link, IN_CREATE | IN_DELETE | IN_ONLYDIR);
}

struct walk {
	struct pp_tree *t;
	struct found found;
};

/* Where a directory lies: nowhere special, is a kubepods, is right below one. */
enum place {
	OUTSIDE,
	KUBEPODS,
	CLASS,
};

static int walk_dir(struct walk *w, int dir_fd, const char *path, enum place place, int depth);

static int walk_entry(struct walk *w, int dir_fd, const char *path, const struct dirent *entry,
		      enum place place, int depth)
{
	const char *name = entry->d_name;
	enum place next = place == KUBEPODS ? CLASS : OUTSIDE;
	char uid[PP_POD_UID_SIZE], sub[PATH_MAX];
	int fd;

	if (snprintf(sub, sizeof(sub), "%s/%s", path, name) >= (int)sizeof(sub))
		return 0; /* no kubelet makes such paths */
	/* kernfs: the inode number is the id that the programs know it by */
	if (place != OUTSIDE && pp_tree_pod_uid(name, uid))
		return add_pod(&w->found, uid, entry->d_ino, sub);
	/* below a class there are pods and nothing else */
	if (place == CLASS)
		return 0;
	if (pp_tree_is_kubepods(name))
		next = KUBEPODS;
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? 0 : walk_dir(w, fd, sub, next, depth + 1);
}

/* Takes dir_fd. Directories that vanish meanwhile are left out. */
static int walk_dir(struct walk *w, int dir_fd, const char *path, enum place place, int depth)
{
	struct dirent *d;
	DIR *dir;
	int r = 0;

	if (place != OUTSIDE || depth == 0)
		watch(w->t, dir_fd);
	w->found.kubepods |= place == KUBEPODS;
	dir = fdopendir(dir_fd);
	if (!dir) {
		close(dir_fd);
		return -errno;
	}
	while (!r && depth < MAX_DEPTH && (d = readdir(dir)))
		if (d->d_type == DT_DIR && d->d_name[0] != '.')
			r = walk_entry(w, dir_fd, path, d, place, depth);
	closedir(dir);
	return r;
}

static int by_uid(const void *a, const void *b)
{
	const struct pp_tree_pod *x = a, *y = b;
	int r = strcmp(x->uid, y->uid);

	return r ? r : strcmp(x->path, y->path);
}

int pp_tree_scan(struct pp_tree *t)
{
	_cleanup_(found_free) struct found old = {};
	struct walk w = { .t = t };
	int fd, r;

	fd = openat(t->cgroupfs->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = walk_dir(&w, fd, "", OUTSIDE, 0);
	if (r) {
		found_free(&w.found);
		return r;
	}
	if (w.found.n)
		qsort(w.found.pods, w.found.n, sizeof(*w.found.pods), by_uid);
	old = (struct found){ t->pods, t->n, t->room, t->found };
	t->pods = w.found.pods;
	t->n = w.found.n;
	t->room = w.found.room;
	t->found = w.found.kubepods;
	return 0;
}

const struct pp_tree_pod *pp_tree_pods(const struct pp_tree *t, size_t *ret_n)
{
	*ret_n = t->n;
	return t->pods;
}

/* --- events */

/* The queue may have overflowed: whatever was in it, a scan follows. */
static void on_event(uint32_t events, void *arg)
{
	struct pp_tree *t = arg;
	char buf[16384];

	(void)events;
	while (read(t->fd, buf, sizeof(buf)) > 0)
		;
	if (!t->settling)
		pp_source_arm(t->timer, SETTLE_NS);
	t->settling = true;
}

static void on_timer(void *arg)
{
	struct pp_tree *t = arg;

	t->settling = false;
	pp_tree_scan(t);
	pp_source_arm(t->timer, t->found ? RESCAN_NS : LOOK_NS);
	t->changed(t->arg);
}

int pp_tree_new(struct pp_loop *l, const struct pp_cgroupfs *c, void (*changed)(void *arg),
		void *arg, struct pp_tree **ret, struct pp_err *e)
{
	struct pp_tree *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->cgroupfs = c;
	t->changed = changed;
	t->arg = arg;
	t->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (t->fd < 0)
		r = pp_err_set(e, -errno, "inotify: %s; the limit is fs.inotify.max_user_instances",
			       strerror(errno));
	else
		r = pp_source_io(l, t->fd, EPOLLIN, on_event, t, &t->events);
	if (!r)
		r = pp_source_timer(l, on_timer, t, &t->timer);
	if (!r)
		r = pp_tree_scan(t);
	if (r) {
		pp_tree_free(t);
		return r;
	}
	pp_source_arm(t->timer, t->found ? RESCAN_NS : LOOK_NS);
	*ret = t;
	return 0;
}

void pp_tree_free(struct pp_tree *t)
{
	if (!t)
		return;
	pp_source_free(t->events);
	pp_source_free(t->timer);
	if (t->fd >= 0)
		close(t->fd);
	found_free(&(struct found){ t->pods, t->n, t->room, t->found });
	free(t);
}
