// SPDX-License-Identifier: Apache-2.0
// cgroup v2: where it is mounted, and the way between a cgroup's path, its id and its network
// namespaces.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <mntent.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/base.h"
#include "kernel/cgroup.h"

/*
 * Type of a cgroup's file handle: its id and nothing else (FILEID_KERNFS,
 * include/linux/exportfs.h).
 */
#define FILEID_KERNFS 0xfe

int pp_cgroupfs_open(struct pp_cgroupfs *ret, struct pp_err *e)
{
	_cleanup_(pp_freep) char *best = NULL;
	char buf[PATH_MAX + 512];
	struct mntent m;
	FILE *f = setmntent("/proc/self/mounts", "re");
	int fd;

	if (!f)
		return pp_err_set(e, -errno, "/proc/self/mounts: %s", strerror(errno));
	while (getmntent_r(f, &m, buf, sizeof(buf))) {
		if (strcmp(m.mnt_type, "cgroup2") != 0 ||
		    (best && strlen(best) <= strlen(m.mnt_dir)))
			continue;
		free(best);
		best = strdup(m.mnt_dir);
		if (!best)
			break;
	}
	endmntent(f);
	if (!best)
		return pp_err_set(
			e, -ENOENT,
			"no cgroup v2 is mounted: mount one with "
			"'mount -t cgroup2 none /sys/fs/cgroup/unified', or boot with systemd.unified_cgroup_hierarchy=1");
	fd = open(best, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return pp_err_set(e, -errno, "%s: %s", best, strerror(errno));
	ret->mount = TAKE_PTR(best);
	ret->fd = fd;
	return 0;
}

void pp_cgroupfs_close(struct pp_cgroupfs *c)
{
	free(c->mount);
	if (c->mount && c->fd >= 0)
		close(c->fd);
	c->mount = NULL;
	c->fd = -1;
}

int pp_cgroup_normalize(const char *path, char **ret, struct pp_err *e)
{
	size_t len = strlen(path), n = 0;
	_cleanup_free_ char *out = malloc(len + 2);
	char shown[128];

	if (!out)
		return -ENOMEM;
	pp_err_escape(shown, sizeof(shown), path, len);
	if (path[0] != '/')
		return pp_err_set(
			e, -EINVAL,
			"target \"%s\": valid is the path of a cgroup below the cgroup2 mount, "
			"beginning with a slash (/system.slice/nginx.service)",
			shown);
	if (len >= PATH_MAX)
		return pp_err_set(e, -EINVAL, "target \"%s\": longer than %d bytes", shown,
				  PATH_MAX - 1);
	for (const char *p = path; *p;) {
		size_t part = strcspn(p + 1, "/");

		if ((part == 1 && p[1] == '.') || (part == 2 && p[1] == '.' && p[2] == '.'))
			return pp_err_set(e, -EINVAL,
					  "target \"%s\": \".\" and \"..\" are not allowed", shown);
		if (part) {
			memcpy(out + n, p, part + 1);
			n += part + 1;
		}
		p += part + 1;
	}
	if (!n)
		out[n++] = '/';
	out[n] = '\0';
	*ret = TAKE_PTR(out);
	return 0;
}

int pp_cgroup_below(const char *root, const char *path)
{
	size_t n = strlen(root);

	if (strcmp(root, "/") == 0)
		return 1;
	return strncmp(root, path, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

int pp_cgroup_open(const struct pp_cgroupfs *c, const char *path, int *ret_fd, uint64_t *ret_id,
		   struct pp_err *e)
{
	_cleanup_close_ int fd = -1;
	char shown[160];
	struct statfs fs;
	struct stat st;

	pp_err_escape(shown, sizeof(shown), path, strlen(path));
	fd = openat(c->fd, path[1] ? path + 1 : ".",
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return pp_err_set(e, -errno, "cgroup %s: %s below %s", shown,
				  errno == ENOENT || errno == ENOTDIR ? "there is no such cgroup"
								      : strerror(errno),
				  c->mount);
	if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0)
		return pp_err_set(e, -errno, "cgroup %s: %s", shown, strerror(errno));
	if (fs.f_type != CGROUP2_SUPER_MAGIC)
		return pp_err_set(e, -ENOENT, "cgroup %s: not on the cgroup2 file system at %s",
				  shown, c->mount);
	*ret_id = st.st_ino; /* kernfs: the inode number is the id that the BPF helpers speak of */
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int pp_cgroup_path(const struct pp_cgroupfs *c, uint64_t id, char **ret)
{
	union {
		struct file_handle h;
		char space[sizeof(struct file_handle) + sizeof(id)];
	} u = { .h = { .handle_bytes = sizeof(id), .handle_type = FILEID_KERNFS } };
	char link[64], path[PATH_MAX];
	size_t mount = strlen(c->mount);
	_cleanup_close_ int fd = -1;
	ssize_t n;

	memcpy(u.h.f_handle, &id, sizeof(id));
	fd = open_by_handle_at(c->fd, &u.h, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return -errno;
	path[n] = '\0';
	if (strncmp(path, c->mount, mount) != 0 || (size_t)n < mount)
		return -ENOENT;
	/* a removed cgroup may still have an inode: the link then says so */
	if (n > 10 && strcmp(path + n - 10, " (deleted)") == 0 &&
	    faccessat(AT_FDCWD, path, F_OK, 0) < 0)
		return -ESTALE;
	*ret = strdup(path[mount] ? path + mount : "/");
	return *ret ? 0 : -ENOMEM;
}

int pp_cgroup_level(const struct pp_cgroupfs *c, uint64_t id)
{
	_cleanup_free_ char *path = NULL;
	struct stat root;
	int level = 0;

	/* kernfs gives its root the first number */
	if (fstat(c->fd, &root) < 0 || root.st_ino != 1 || pp_cgroup_path(c, id, &path))
		return -1;
	/* "/" is the root itself */
	for (const char *p = path; p && p[1]; p = strchr(p + 1, '/'))
		level++;
	return level;
}

struct seen {
	ino_t *inos;
	size_t n;
	int (*fn)(int netns_fd, void *arg);
	void *arg;
};

static int visit_pid(struct seen *s, long pid)
{
	_cleanup_close_ int fd = -1;
	char path[64];
	struct stat st;
	ino_t *more;

	snprintf(path, sizeof(path), "/proc/%ld/ns/net", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return 0; /* gone, or a zombie */
	for (size_t i = 0; i < s->n; i++)
		if (s->inos[i] == st.st_ino)
			return 0;
	more = reallocarray(s->inos, s->n + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	s->inos = more;
	s->inos[s->n++] = st.st_ino;
	return s->fn(fd, s->arg);
}

/* A cgroup in the threaded part of a tree has its processes in cgroup.threads only. */
static int visit_file(struct seen *s, int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC), r = 0;
	_cleanup_fclose_ FILE *f = NULL;
	long pid;

	if (fd < 0)
		return -errno;
	f = fdopen(fd, "r");
	if (!f) {
		close(fd);
		return -ENOMEM;
	}
	while (!r && fscanf(f, "%ld", &pid) == 1)
		if (pid > 0)
			r = visit_pid(s, pid);
	return r ? r : ferror(f) ? -EOPNOTSUPP : 0;
}

/* Takes dir_fd. */
static int visit_tree(struct seen *s, int dir_fd, int depth)
{
	struct dirent *d;
	DIR *dir;
	int r;

	r = visit_file(s, dir_fd, "cgroup.procs");
	if (r == -EOPNOTSUPP)
		r = visit_file(s, dir_fd, "cgroup.threads");
	dir = fdopendir(dir_fd);
	if (!dir) {
		close(dir_fd);
		return -errno;
	}
	if (r == -ENOENT || r == -ENODEV || r == -EOPNOTSUPP)
		r = 0;
	while (!r && depth < 32 && (d = readdir(dir))) {
		int fd;

		if (d->d_type != DT_DIR || d->d_name[0] == '.')
			continue;
		fd = openat(dir_fd, d->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (fd >= 0)
			r = visit_tree(s, fd, depth + 1);
	}
	closedir(dir);
	return r;
}

int pp_cgroup_each_netns(const struct pp_cgroupfs *c, const char *path,
			 int (*fn)(int netns_fd, void *arg), void *arg)
{
	struct seen s = { .fn = fn, .arg = arg };
	int fd, r;

	fd = openat(c->fd, path[1] ? path + 1 : ".",
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = visit_tree(&s, fd, 0);
	free(s.inos);
	return r;
}
