// SPDX-License-Identifier: Apache-2.0
// The bpf file system: where a datapath is pinned, by which names, and the lock on it.
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/base.h"
#include "bpf/abi.h"
#include "kernel/pins.h"

#define BPFFS	  "/sys/fs/bpf"
#define ROOT_NAME "host"

#define STRING_(x) #x
#define STRING(x)  STRING_(x)

/* One directory per ABI: commands that do not speak it do not see it. */
#define BASE BPFFS "/podpace"
#define HOME BASE "/v" STRING(PP_ABI)

int pp_pins_mount(struct pp_err *e)
{
	struct statfs fs;

	if (statfs(BPFFS, &fs) == 0 && fs.f_type == BPF_FS_MAGIC)
		return 0;
	if (mount("bpf", BPFFS, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0)
		return pp_err_set(
			e, -errno,
			BPFFS ": no bpf file system is mounted there, and mounting one failed: %s",
			strerror(errno));
	return 0;
}

int pp_pins_lock(struct pp_err *e)
{
	_cleanup_close_ int fd = open(BPFFS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		return pp_err_set(e, -errno, BPFFS ": %s", strerror(errno));
	return TAKE_FD(fd);
}

/*
 * The bpf file system allows no dots in names, and the name must lead back to the path: all but
 * letters, digits, - and _ becomes %XX. The host's root has a name that no encoded path can have,
 * since those begin with %2F.
 */
char *pp_pins_dir(const char *root)
{
	size_t len = strlen(root), n;
	char *dir = malloc(sizeof(HOME) + 1 + 3 * len + sizeof(ROOT_NAME));

	if (!dir)
		return NULL;
	n = snprintf(dir, sizeof(HOME) + 1, "%s/", HOME);
	if (strcmp(root, "/") == 0) {
		memcpy(dir + n, ROOT_NAME, sizeof(ROOT_NAME));
		return dir;
	}
	for (const char *p = root; *p; p++) {
		if (isalnum((unsigned char)*p) || *p == '-' || *p == '_')
			dir[n++] = *p;
		else
			n += snprintf(dir + n, 4, "%%%02X", (unsigned char)*p);
	}
	dir[n] = '\0';
	return dir;
}

static char *root_of(const char *name)
{
	char *root = malloc(strlen(name) + 2), *out = root;
	unsigned int byte;

	if (!root)
		return NULL;
	if (strcmp(name, ROOT_NAME) == 0) {
		memcpy(root, "/", 2);
		return root;
	}
	while (*name) {
		if (*name == '%' && sscanf(name + 1, "%2x", &byte) == 1) {
			*out++ = byte;
			name += 3;
		} else {
			*out++ = *name++;
		}
	}
	*out = '\0';
	return root;
}

int pp_pins_make(const char *dir)
{
	static const char *const parents[] = { BASE, HOME };

	for (size_t i = 0; i < ARRAY_SIZE(parents); i++)
		if (mkdir(parents[i], 0700) < 0 && errno != EEXIST)
			return -errno;
	return mkdir(dir, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int pp_pins_remove(const char *dir)
{
	struct dirent *d;
	DIR *open_dir = opendir(dir);
	int r = 0;

	if (!open_dir)
		return errno == ENOENT ? 0 : -errno;
	while ((d = readdir(open_dir)))
		if (d->d_name[0] != '.' && unlinkat(dirfd(open_dir), d->d_name, 0) < 0)
			r = -errno;
	closedir(open_dir);
	if (r < 0 || rmdir(dir) < 0)
		return r < 0 ? r : -errno;
	/* another datapath may live there: not an error */
	if (rmdir(HOME) == 0)
		rmdir(BASE);
	return 0;
}

int pp_pins_each(int (*fn)(const char *root, void *arg), void *arg)
{
	struct dirent *d;
	DIR *home = opendir(HOME);
	int r = 0;

	if (!home)
		return errno == ENOENT ? 0 : -errno;
	while (!r && (d = readdir(home))) {
		_cleanup_free_ char *root = NULL;

		if (d->d_name[0] == '.')
			continue;
		root = root_of(d->d_name);
		r = root ? fn(root, arg) : -ENOMEM;
	}
	closedir(home);
	return r;
}
