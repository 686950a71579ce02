// SPDX-License-Identifier: Apache-2.0
// inotify says that something changed, a scan says what: a file is read again if its size, times or
// place have changed. A folder mounted from a ConfigMap changes by one link (..data), which is an
// event too.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "agent/confdir.h"
#include "base/base.h"
#include "base/file.h"
#include "base/log.h"
#include "base/table.h"

#define MAX_FILE (16u << 20)
/* an editor makes several events */
#define SETTLE_NS 20000000ull
/* what inotify misses is found by then; while there is no folder it is looked for */
#define RESCAN_NS (30 * 1000000000ull)
#define LOOK_NS (2 * 1000000000ull)

struct file {
	struct pp_table_item item; /* first: its key is the path */
	struct stat was;
	bool seen; /* by the scan under way */
};

struct pp_confdir {
	char *dir;
	struct pp_sources *store;
	void (*changed)(void *arg);
	void *arg;
	int fd; /* inotify */
	int watch;
	struct pp_source *events, *timer;
	struct pp_table files;
	char why[240];
	bool settling; /* a scan follows at once */
	bool begun;    /* it was there when the agent began; else that is told otherwise */
};

static bool is_object_file(const char *name)
{
	static const char *const ends[] = { ".yaml", ".yml", ".json" };
	size_t n = strlen(name);

	for (size_t i = 0; name[0] != '.' && i < ARRAY_SIZE(ends); i++)
		if (n > strlen(ends[i]) && strcmp(name + n - strlen(ends[i]), ends[i]) == 0)
			return true;
	return false;
}

/* --- one file */

static void say(const char *line, void *arg)
{
	(void)arg;
	pp_log(PP_LOG_WARN, "an object is not valid; what it said before stays", "why", line, NULL);
}

static void file_free(struct file *f)
{
	free((char *)f->item.key);
	free(f);
}

static struct file *file_of(struct pp_confdir *c, const char *path)
{
	struct file *f = (struct file *)pp_table_find(&c->files, path);

	if (f)
		return f;
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->item.key = strdup(path);
	if (f->item.key && pp_table_add(&c->files, &f->item) == 0)
		return f;
	file_free(f);
	return NULL;
}

static bool is_as_it_was(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Whether it has been read anew. */
static bool read_file(struct pp_confdir *c, const char *path)
{
	_cleanup_free_ char *text = NULL;
	struct file *f = file_of(c, path);
	struct stat now = {};
	char why[400];
	size_t len;
	int r = 0;

	if (!f)
		return false;
	f->seen = true;
	if (stat(path, &now))
		r = -errno;
	else if (!S_ISREG(now.st_mode))
		return false;
	if (is_as_it_was(&now, &f->was))
		return false;
	f->was = now;
	if (!r)
		r = pp_file_read(path, MAX_FILE, &text, &len);
	if (!r) {
		pp_sources_put(c->store, path, text, len, say, NULL);
		return true;
	}
	snprintf(why, sizeof(why), "%.300s: %s", path,
		 r == -EFBIG ? "more than 16 MiB" : strerror(-r));
	pp_log(PP_LOG_WARN, "a file cannot be read; what it said before stays", "why", why, NULL);
	return false;
}

/* --- the folder */

static bool forget_unseen(struct pp_confdir *c)
{
	struct pp_table_item *t, *next;
	bool any = false;

	for (t = pp_table_next(&c->files, NULL); t; t = next) {
		struct file *f = (struct file *)t;

		next = pp_table_next(&c->files, t);
		if (f->seen)
			continue;
		pp_sources_remove(c->store, f->item.key);
		pp_table_remove(&c->files, t);
		file_free(f);
		any = true;
	}
	return any;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_wanted(const struct dirent *d)
{
	return is_object_file(d->d_name);
}

/* A folder that went and came back is another one. Without it what it said last stays. */
static bool scan(struct pp_confdir *c)
{
	struct dirent **names = NULL;
	bool changed = false;
	char path[PATH_MAX];
	int n;

	/* first the watch: nothing comes in between */
	c->watch = inotify_add_watch(c->fd, c->dir,
				     IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVE | IN_ATTRIB |
					     IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);
	n = scandir(c->dir, &names, is_wanted, by_name);
	if (n < 0) {
		char why[sizeof(c->why)];

		snprintf(why, sizeof(why), "%.160s: %s", c->dir, strerror(errno));
		if (c->begun && strcmp(why, c->why) != 0)
			pp_log(PP_LOG_ERROR,
			       "the folder of objects cannot be read; limits stay as they are",
			       "why", why, NULL);
		memcpy(c->why, why, sizeof(why));
		return false;
	}
	if (c->why[0])
		pp_log(PP_LOG_INFO, "the folder of objects is read again", "folder", c->dir, NULL);
	c->why[0] = '\0';
	for (struct pp_table_item *t = NULL; (t = pp_table_next(&c->files, t));)
		((struct file *)t)->seen = false;
	for (int i = 0; i < n; i++) {
		if ((size_t)snprintf(path, sizeof(path), "%s/%s", c->dir, names[i]->d_name) <
		    sizeof(path))
			changed |= read_file(c, path);
		free(names[i]);
	}
	free(names);
	return forget_unseen(c) || changed;
}

const char *pp_confdir_why(const struct pp_confdir *c)
{
	return c->why;
}

static void on_timer(void *arg)
{
	struct pp_confdir *c = arg;

	c->settling = false;
	if (scan(c))
		c->changed(c->arg);
	pp_source_arm(c->timer, c->why[0] ? LOOK_NS : RESCAN_NS);
}

static void on_event(uint32_t events, void *arg)
{
	struct pp_confdir *c = arg;
	char buf[16384];

	(void)events;
	while (read(c->fd, buf, sizeof(buf)) > 0)
		;
	if (!c->settling)
		pp_source_arm(c->timer, SETTLE_NS);
	c->settling = true;
}

int pp_confdir_new(struct pp_loop *l, const char *dir, struct pp_sources *store,
		   void (*changed)(void *arg), void *arg, struct pp_confdir **ret, struct pp_err *e)
{
	struct pp_confdir *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	*c = (struct pp_confdir){ .store = store, .changed = changed, .arg = arg };
	c->dir = strdup(dir);
	c->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (!c->dir)
		r = -ENOMEM;
	else if (c->fd < 0)
		r = pp_err_set(e, -errno, "inotify: %s; the limit is fs.inotify.max_user_instances",
			       strerror(errno));
	else
		r = pp_source_io(l, c->fd, EPOLLIN, on_event, c, &c->events);
	if (!r)
		r = pp_source_timer(l, on_timer, c, &c->timer);
	if (!r)
		scan(c);
	if (!r && c->why[0])
		r = pp_err_set(e, -ENOENT, "--config %s; valid is a folder of objects", c->why);
	if (r) {
		pp_confdir_free(c);
		return r;
	}
	c->begun = true;
	pp_source_arm(c->timer, RESCAN_NS);
	*ret = c;
	return 0;
}

void pp_confdir_free(struct pp_confdir *c)
{
	struct pp_table_item *t, *next;

	if (!c)
		return;
	pp_source_free(c->events);
	pp_source_free(c->timer);
	if (c->fd >= 0)
		close(c->fd);
	for (t = pp_table_next(&c->files, NULL); t; t = next) {
		next = pp_table_next(&c->files, t);
		pp_table_remove(&c->files, t);
		file_free((struct file *)t);
	}
	pp_table_close(&c->files);
	free(c->dir);
	free(c);
}
