// SPDX-License-Identifier: Apache-2.0
// inotify says that something changed, a scan says what. A file is read when its times or its inode
// say so, and put when its text is another one; what inotify cannot see, the target of a link, is
// seen by a scan every half minute.
//
// Whoever writes in place has written a part of the text for a while. A scan waits for 20 ms
// without an event, so it meets that part only if the writer pauses; only a rename leaves no such
// moment.
#define _GNU_SOURCE
#include <dirent.h>
#include <stdarg.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>

#include "agent/confdir.h"
#include "agent/faultlog.h"
#include "base/base.h"
#include "base/file.h"
#include "base/log.h"
#include "base/table.h"

#define MS 1000000ull
#define SETTLE_NS (20 * MS)
/* somebody who writes all the time is not waited for any longer */
#define SETTLE_MAX_NS (200 * MS)
#define RESCAN_NS (30000 * MS)
/* while there is no folder */
#define LOOK_NS (1000 * MS)
#define MAX_FILE (16u << 20)

#define EVENTS                                                                                     \
	(IN_CLOSE_WRITE | IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |        \
	 IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)

struct file {
	char *path;
	struct stat is;  /* when it was read last */
	bool settled;    /* its times were old enough to tell of the next change */
	bool put;        /* it is in the sources */
	bool seen;       /* by this scan */
	uint64_t hash;   /* of the text that was put */
	char error[300]; /* why it cannot be read; "": it can */
};

struct pp_confdir {
	char *dir;
	struct pp_sources *sources;
	void (*changed)(void *arg);
	void *arg;
	int fd, watch; /* inotify; watch is -1 while the folder is not watched */
	struct pp_source *events, *timer;
	struct file **files; /* sorted by path */
	size_t n, room;
	struct pp_faultlog log;
	bool waiting;    /* for the end of a burst of events */
	bool dirty;      /* the sources have changed in this scan */
	uint64_t since;  /* pp_loop_now() of the first event of the burst */
	char error[300]; /* of the folder; "": all is well */
};

/* --- what is wrong */

/* The sources may have other ones. */
static void say_ours(const struct pp_problem *p, void *arg)
{
	struct pp_confdir *c = arg;
	size_t len = strlen(c->dir);

	if (strncmp(p->source, c->dir, len) == 0 && p->source[len] == '/')
		pp_faultlog_add(p, &c->log);
}

/* Only after a scan: a file that is read before another may seem to repeat it. */
static void say_new(struct pp_confdir *c)
{
	pp_faultlog_begin(&c->log);
	pp_confdir_problems(c, pp_faultlog_add, &c->log);
	pp_sources_problems(c->sources, say_ours, c);
	pp_faultlog_end(&c->log);
}

__attribute__((format(printf, 3, 4))) static void set_error(char *error, size_t size,
							    const char *fmt, ...)
{
	char raw[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	pp_err_escape(error, size, raw, strlen(raw));
}

static void clear_error(char *error, const char *path)
{
	if (error[0])
		pp_log(PP_LOG_INFO, "configuration is read again", "path", path, NULL);
	error[0] = '\0';
}

/* --- files */

static bool is_wanted(const char *name)
{
	const char *dot = strrchr(name, '.');

	return name[0] != '.' && dot &&
	       (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0 || strcmp(dot, ".json") == 0);
}

static void file_free(struct file *f)
{
	free(f->path);
	free(f);
}

static struct file *find_file(const struct pp_confdir *c, const char *path, size_t *ret_i)
{
	size_t low = 0, high = c->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int r = strcmp(path, c->files[mid]->path);

		if (r == 0)
			return c->files[mid];
		if (r < 0)
			high = mid;
		else
			low = mid + 1;
	}
	*ret_i = low;
	return NULL;
}

/* The folder has this name. 0 or -ENOMEM. */
static int see(struct pp_confdir *c, const char *name)
{
	_cleanup_free_ char *path = NULL;
	struct file *f;
	size_t i = 0;

	if (asprintf(&path, "%s/%s", c->dir, name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	f = find_file(c, path, &i);
	if (!f) {
		if (c->n == c->room) {
			size_t room = c->room ? 2 * c->room : 16;
			struct file **more = reallocarray(c->files, room, sizeof(*more));

			if (!more)
				return -ENOMEM;
			c->files = more;
			c->room = room;
		}
		f = calloc(1, sizeof(*f));
		if (!f)
			return -ENOMEM;
		f->path = TAKE_PTR(path);
		memmove(c->files + i + 1, c->files + i, (c->n - i) * sizeof(*c->files));
		c->files[i] = f;
		c->n++;
	}
	f->seen = true;
	return 0;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       memcmp(&a->st_mtim, &b->st_mtim, sizeof(a->st_mtim)) == 0 &&
	       memcmp(&a->st_ctim, &b->st_ctim, sizeof(a->st_ctim)) == 0;
}

/* The kernel's clock of files ticks every 4 to 10 ms: two writes in one tick look the same. */
static bool is_settled(const struct stat *is)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec > is->st_mtim.tv_sec + 1 && now.tv_sec > is->st_ctim.tv_sec + 1;
}

static void read_file(struct pp_confdir *c, struct file *f)
{
	static const uint64_t secret[2] = { 0 };
	_cleanup_free_ char *text = NULL;
	uint64_t hash;
	size_t len;
	int r = pp_file_read(f->path, MAX_FILE, &text, &len);

	if (r) {
		set_error(f->error, sizeof(f->error), "%s: %s", f->path,
			  r == -EFBIG ? "more than 16 MiB" : strerror(-r));
		return;
	}
	hash = pp_table_hash(secret, text, len);
	if (!f->put || hash != f->hash) {
		c->dirty = true;
		r = pp_sources_put(c->sources, f->path, text, len, NULL, NULL);
		if (r) {
			set_error(f->error, sizeof(f->error), "%s: %s", f->path, strerror(-r));
			return;
		}
		f->put = true;
		f->hash = hash;
	}
	clear_error(f->error, f->path);
}

static void look_at(struct pp_confdir *c, struct file *f)
{
	struct stat is, link;

	if (stat(f->path, &is) < 0) {
		int error = errno;

		/* a link to nothing is no file that has gone */
		if (error == ENOENT && lstat(f->path, &link) < 0)
			f->seen = false;
		else
			set_error(f->error, sizeof(f->error), "%s: %s", f->path, strerror(error));
		return;
	}
	if (S_ISDIR(is.st_mode)) {
		f->seen = false;
		return;
	}
	if (!S_ISREG(is.st_mode)) {
		set_error(f->error, sizeof(f->error), "%s: valid is a file, or a link to one",
			  f->path);
		return;
	}
	if (f->put && f->settled && !f->error[0] && is_same(&is, &f->is))
		return;
	f->is = is;
	f->settled = is_settled(&is);
	read_file(c, f);
}

/* --- the folder */

static int list(struct pp_confdir *c)
{
	DIR *dir = opendir(c->dir);
	struct dirent *d;
	int r = 0;

	if (!dir)
		return -errno;
	for (size_t i = 0; i < c->n; i++)
		c->files[i]->seen = false;
	while (!r && (errno = 0, d = readdir(dir)))
		if (is_wanted(d->d_name))
			r = see(c, d->d_name);
	if (!r && errno)
		r = -errno;
	closedir(dir);
	return r;
}

static void remove_unseen(struct pp_confdir *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++) {
		struct file *f = c->files[i];

		if (f->seen) {
			c->files[n++] = f;
			continue;
		}
		if (f->put) {
			pp_sources_remove(c->sources, f->path);
			c->dirty = true;
		}
		file_free(f);
	}
	c->n = n;
}

/*
 * Watches what is at the path now. *fresh: it is another folder than the one before. 0; -ENOSPC: it
 * is not watched; else -errno.
 */
static int watch(struct pp_confdir *c, bool *fresh)
{
	int watch = inotify_add_watch(c->fd, c->dir, EVENTS | IN_ONLYDIR), r = -errno;

	*fresh = watch >= 0 && watch != c->watch;
	if (watch != c->watch && c->watch >= 0)
		inotify_rm_watch(c->fd, c->watch);
	c->watch = watch;
	return watch < 0 ? r : 0;
}

static int scan(struct pp_confdir *c)
{
	int r = list(c);

	if (r) {
		set_error(c->error, sizeof(c->error), "%s: %s", c->dir, strerror(-r));
		return r;
	}
	/* what has gone goes first: it may be here again by another name */
	remove_unseen(c);
	for (size_t i = 0; i < c->n; i++)
		look_at(c, c->files[i]);
	remove_unseen(c);
	return 0;
}

/* Whether to look again soon: there is no folder. */
static bool follow(struct pp_confdir *c)
{
	bool fresh;
	int r = watch(c, &fresh);

	/* it may be filled at this moment */
	if (fresh) {
		pp_source_arm(c->timer, SETTLE_NS);
		return true;
	}
	if (r && r != -ENOSPC) {
		set_error(c->error, sizeof(c->error), "%s: %s", c->dir, strerror(-r));
	} else if (!scan(c)) {
		if (r)
			set_error(c->error, sizeof(c->error),
				  "%s: changes are seen after half a minute: inotify has no watch "
				  "left; the limit is fs.inotify.max_user_watches",
				  c->dir);
		else
			clear_error(c->error, c->dir);
	}
	pp_source_arm(c->timer, r && r != -ENOSPC ? LOOK_NS : RESCAN_NS);
	return false;
}

/* --- events */

/* The queue may have overflowed: whatever was in it, a scan follows. */
static void on_event(uint32_t events, void *arg)
{
	struct pp_confdir *c = arg;
	uint64_t now = pp_loop_now();
	char buf[4096];

	(void)events;
	while (read(c->fd, buf, sizeof(buf)) > 0)
		;
	if (!c->waiting)
		c->since = now;
	if (!c->waiting || now - c->since < SETTLE_MAX_NS)
		pp_source_arm(c->timer, SETTLE_NS);
	c->waiting = true;
}

static void on_timer(void *arg)
{
	struct pp_confdir *c = arg;

	c->waiting = follow(c);
	if (c->waiting)
		c->since = pp_loop_now();
	else
		say_new(c);
	if (c->dirty && c->changed)
		c->changed(c->arg);
	c->dirty = false;
}

static int begin(struct pp_confdir *c, struct pp_loop *l, struct pp_err *e)
{
	bool fresh;
	int r;

	c->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (c->fd < 0)
		return pp_err_set(e, -errno,
				  "inotify: %s; the limit is fs.inotify.max_user_instances",
				  strerror(errno));
	r = pp_source_io(l, c->fd, EPOLLIN, on_event, c, &c->events);
	if (!r)
		r = pp_source_timer(l, on_timer, c, &c->timer);
	if (r)
		return r;
	r = watch(c, &fresh);
	if (!r || r == -ENOSPC)
		r = scan(c);
	if (r)
		return pp_err_set(e, r,
				  "%s: %s; valid is a folder with files *.yaml, *.yml, *.json",
				  c->dir, strerror(-r));
	say_new(c);
	return 0;
}

int pp_confdir_new(struct pp_loop *l, const char *dir, struct pp_sources *sources,
		   void (*changed)(void *arg), void *arg, struct pp_confdir **ret, struct pp_err *e)
{
	struct pp_confdir *c = calloc(1, sizeof(*c));
	size_t len = strlen(dir);
	int r = -ENOMEM;

	if (!c)
		return -ENOMEM;
	while (len > 1 && dir[len - 1] == '/')
		len--;
	c->fd = c->watch = -1;
	c->sources = sources;
	c->changed = changed;
	c->arg = arg;
	c->dir = strndup(dir, len);
	if (c->dir)
		r = begin(c, l, e);
	if (r) {
		pp_confdir_free(c);
		return r;
	}
	/* a first scan that could not watch says so in the second */
	pp_source_arm(c->timer, c->watch < 0 ? SETTLE_NS : RESCAN_NS);
	c->dirty = false;
	*ret = c;
	return 0;
}

void pp_confdir_free(struct pp_confdir *c)
{
	if (!c)
		return;
	pp_source_free(c->events);
	pp_source_free(c->timer);
	if (c->fd >= 0)
		close(c->fd);
	for (size_t i = 0; i < c->n; i++)
		file_free(c->files[i]);
	pp_faultlog_close(&c->log);
	free(c->files);
	free(c->dir);
	free(c);
}

void pp_confdir_problems(const struct pp_confdir *c, pp_problem_fn fn, void *arg)
{
	struct pp_problem p = { .source = c->dir, .kind = PP_N_KINDS, .text = c->error };

	for (size_t i = 0; i < c->n; i++)
		p.has_last_good |= c->files[i]->put;
	if (c->error[0])
		fn(&p, arg);
	for (size_t i = 0; i < c->n; i++) {
		const struct file *f = c->files[i];

		p = (struct pp_problem){ .source = f->path,
					 .kind = PP_N_KINDS,
					 .text = f->error,
					 .has_last_good = f->put };
		if (f->error[0])
			fn(&p, arg);
	}
}
