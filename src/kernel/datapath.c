// SPDX-License-Identifier: Apache-2.0
// The datapath in the kernel: load and pin it, adopt what is pinned, take it out again. The pins
// are all its state.
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "base/base.h"
#include "kernel/datapath.h"
#include "kernel/pins.h"
#include "podpace.skel.h"

/* The maps, and where user space has them open; 0: it does not, or has them in memory. */
static const struct {
	const char *name;
	size_t fd;
} maps[] = {
	{ "pp_pipes", 0 },
	{ "pp_state", 0 },
	{ "pp_slots", offsetof(struct pp_datapath, slots_fd) },
	{ "pp_flows", 0 },
	{ "pp_inflows", 0 },
	{ "pp_links", 0 },
	{ "pp_prefixes", offsetof(struct pp_datapath, prefixes_fd) },
	{ "pp_locals", offsetof(struct pp_datapath, locals_fd) },
	{ "pp_matches", offsetof(struct pp_datapath, matches_fd) },
	{ "pp_groups", offsetof(struct pp_datapath, groups_fd) },
	{ "pp_parties", offsetof(struct pp_datapath, parties_fd) },
	{ "pp_blocks", offsetof(struct pp_datapath, blocks_fd) },
	{ "pp_pairs", offsetof(struct pp_datapath, pairs_fd) },
	{ "pp_names", offsetof(struct pp_datapath, names_fd) },
};

static int *fd_of(struct pp_datapath *d, size_t map)
{
	return (int *)((char *)d + maps[map].fd);
}

/* The programs. `attach` is BPF_CGROUP_*, or -1 for one that is not attached to a cgroup. */
static const struct {
	const char *name;
	int attach;
	bool optional;
} progs[] = {
	{ "pp_egress", BPF_CGROUP_INET_EGRESS, false },
	{ "pp_ingress", BPF_CGROUP_INET_INGRESS, false },
	{ "pp_sockops", BPF_CGROUP_SOCK_OPS, false },
	{ "pp_setsockopt", BPF_CGROUP_SETSOCKOPT, false },
	{ "pp_getsockopt", BPF_CGROUP_GETSOCKOPT, false },
	{ "pp_iter_tcp", -1, false },
	{ "pp_rmdir", -1, true }, /* user space frees the slots of removed cgroups too, later */
};

/* What libbpf said last at warning level: the only place where the reason of a failed load is. */
static char libbpf_said[160];

static int keep_message(enum libbpf_print_level level, const char *fmt, va_list args)
{
	char line[sizeof(libbpf_said)];
	size_t n;

	if (level != LIBBPF_WARN)
		return 0;
	vsnprintf(line, sizeof(line), fmt, args);
	n = strcspn(line, "\n");
	line[n] = '\0';
	/* the first line names the cause, later ones only what failed because of it */
	if (!libbpf_said[0] && strncmp(line, "libbpf: ", 8) == 0)
		snprintf(libbpf_said, sizeof(libbpf_said), "%.*s", (int)sizeof(libbpf_said) - 1,
			 line + 8);
	return 0;
}

void pp_datapath_unlock(struct pp_datapath *d)
{
	if (d->lock_fd >= 0)
		close(d->lock_fd);
	d->lock_fd = -1;
}

void pp_datapath_close(struct pp_datapath *d)
{
	if (d->pipes)
		munmap(d->pipes, sizeof(*d->pipes) * PP_ALL_PIPES);
	if (d->state)
		munmap(d->state, sysconf(_SC_PAGESIZE));
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++)
		if (maps[i].fd && *fd_of(d, i) >= 0)
			close(*fd_of(d, i));
	if (d->iter_fd >= 0)
		close(d->iter_fd);
	pp_cgroupfs_close(&d->cgroupfs);
	pp_datapath_unlock(d);
	free(d->root);
	free(d->dir);
	*d = PP_DATAPATH_INIT;
}

static int get_pin(const char *dir, const char *name)
{
	char path[PATH_MAX];
	int fd;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path))
		return -ENAMETOOLONG;
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

static int link_info(int fd, struct bpf_link_info *ret)
{
	__u32 len = sizeof(*ret);

	memset(ret, 0, sizeof(*ret));
	return bpf_obj_get_info_by_fd(fd, ret, &len) ? -errno : 0;
}

/* Are all maps pinned? A command that was killed while it loaded may have left some of them. */
static int has_maps(const struct pp_datapath *d)
{
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
		_cleanup_close_ int fd = get_pin(d->dir, maps[i].name);

		if (fd < 0)
			return 0;
	}
	return 1;
}

/* Is everything pinned, and attached to the cgroup that is there now? */
static int whole(const struct pp_datapath *d)
{
	for (size_t i = 0; i < ARRAY_SIZE(progs); i++) {
		_cleanup_close_ int fd = get_pin(d->dir, progs[i].name);
		struct bpf_link_info info;

		if (fd < 0 && !progs[i].optional)
			return 0;
		if (fd < 0 || progs[i].attach < 0)
			continue;
		if (link_info(fd, &info) || info.cgroup.cgroup_id != d->root_id)
			return 0;
	}
	return has_maps(d);
}

static void *map_array(const char *dir, const char *name, size_t size)
{
	_cleanup_close_ int fd = get_pin(dir, name);
	void *p;

	if (fd < 0)
		return NULL;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

static int adopt(struct pp_datapath *d, struct pp_err *e)
{
	bool all = true;

	for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
		if (!maps[i].fd)
			continue;
		*fd_of(d, i) = get_pin(d->dir, maps[i].name);
		all &= *fd_of(d, i) >= 0;
	}
	d->iter_fd = get_pin(d->dir, "pp_iter_tcp");
	d->pipes = map_array(d->dir, "pp_pipes", sizeof(*d->pipes) * PP_ALL_PIPES);
	d->state = map_array(d->dir, "pp_state", sysconf(_SC_PAGESIZE));
	if (!all || !d->pipes || !d->state)
		return pp_err_set(e, -EIO, "%s: the pinned datapath cannot be opened: %s", d->dir,
				  strerror(errno));
	return 0;
}

/*
 * Does this kernel let the tcp iterator give a socket its callbacks? It does if it knows the
 * option's name.
 */
static bool iterator_gives_callbacks(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool found = false;

	for (__u32 id = 1; btf && !found && id < btf__type_cnt(btf); id++) {
		const struct btf_type *t = btf__type_by_id(btf, id);
		const struct btf_enum *v = btf_enum(t);

		if (!btf_is_enum(t) || t->name_off)
			continue;
		for (int i = 0; i < btf_vlen(t) && !found; i++)
			found = v[i].val == 1008 && strcmp(btf__name_by_offset(btf, v[i].name_off),
							   "TCP_BPF_SOCK_OPS_CB_FLAGS") == 0;
	}
	btf__free(btf);
	return found;
}

static int explain_load(int err, struct pp_err *e)
{
	if (access("/sys/kernel/btf/vmlinux", R_OK) < 0)
		return pp_err_set(e, -EOPNOTSUPP,
				  "this kernel has no BTF (/sys/kernel/btf/vmlinux): "
				  "podpace needs one built with CONFIG_DEBUG_INFO_BTF=y");
	if (err == -EPERM)
		return pp_err_set(
			e, err,
			"the kernel refused the programs: no permission; podpace needs root, or "
			"CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_SYS_ADMIN");
	return pp_err_set(e, err, "the kernel refused the programs: %s%s%s", strerror(-err),
			  libbpf_said[0] ? ": " : "", libbpf_said);
}

/* The programs of a repair go on with the maps that are there. */
static int reuse_maps(const struct pp_datapath *d, struct bpf_object *obj)
{
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
		_cleanup_close_ int fd = get_pin(d->dir, maps[i].name);
		int r = fd < 0 ? 0
			       : bpf_map__reuse_fd(bpf_object__find_map_by_name(obj, maps[i].name),
						   fd);

		if (r)
			return r;
	}
	return 0;
}

/* Length of the kernel's tick, ns: what its coarse clock goes on by. */
static __u32 tick(void)
{
	struct timespec ts;

	return clock_getres(CLOCK_MONOTONIC_COARSE, &ts) ? 10000000 : ts.tv_nsec;
}

static int load_skeleton(const struct pp_datapath *d, struct podpace_bpf **ret, struct pp_err *e)
{
	struct rlimit memlock = { RLIM_INFINITY, RLIM_INFINITY };
	bool always;
	struct podpace_bpf *skel;
	int r;

	/* before 5.11 maps counted as locked memory */
	(void)setrlimit(RLIMIT_MEMLOCK, &memlock);
	libbpf_set_print(keep_message);
	always = !iterator_gives_callbacks();
	for (int attempt = 0; attempt < 2; attempt++) {
		libbpf_said[0] = '\0';
		skel = podpace_bpf__open();
		if (!skel)
			return explain_load(-errno, e);
		skel->rodata->pp_always = always;
		skel->rodata->pp_tick = tick();
		bpf_program__set_autoload(skel->progs.pp_rmdir, attempt == 0);
		r = reuse_maps(d, skel->obj);
		if (!r)
			r = podpace_bpf__load(skel);
		if (r == 0) {
			*ret = skel;
			return 0;
		}
		podpace_bpf__destroy(skel);
	}
	return explain_load(r, e);
}

static int attach_one(const struct pp_datapath *d, struct bpf_object *obj, size_t i, int root_fd,
		      struct pp_err *e)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(obj, progs[i].name);
	char path[PATH_MAX];
	struct bpf_link *link;
	int r;

	if (progs[i].optional && !bpf_program__autoload(prog))
		return 0;
	if (progs[i].attach >= 0)
		link = bpf_program__attach_cgroup(prog, root_fd);
	else if (bpf_program__expected_attach_type(prog) == BPF_TRACE_ITER)
		link = bpf_program__attach_iter(prog, NULL);
	else
		link = bpf_program__attach(prog);
	if (!link) {
		r = -errno;
		if (progs[i].optional)
			return 0;
		if (r == -EPERM)
			return pp_err_set(
				e, r,
				"cgroup %s: the kernel refused to attach %s; another program may be attached "
				"there, or above, in exclusive mode (bpftool cgroup tree)",
				d->root, progs[i].name);
		return pp_err_set(e, r, "cgroup %s: attaching %s failed: %s", d->root,
				  progs[i].name, strerror(-r));
	}
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", d->dir, progs[i].name) >= sizeof(path)) {
		r = -ENAMETOOLONG;
	} else {
		unlink(path); /* of the program that this one replaces */
		r = bpf_link__pin(link, path);
	}
	bpf_link__destroy(link);
	return r ? pp_err_set(e, r, "%s: pinning failed: %s", path, strerror(-r)) : 0;
}

/* Maps first, programs after: whoever is attached has its maps. */
static int pin_all(const struct pp_datapath *d, struct bpf_object *obj, int root_fd,
		   struct pp_err *e)
{
	char path[PATH_MAX];
	int r = pp_pins_make(d->dir);

	if (r)
		return pp_err_set(e, r, "%s: %s", d->dir, strerror(-r));
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(obj, maps[i].name);

		if ((size_t)snprintf(path, sizeof(path), "%s/%s", d->dir, maps[i].name) >=
		    sizeof(path))
			return pp_err_set(e, -ENAMETOOLONG,
					  "cgroup %s: its path is too long to pin", d->root);
		r = access(path, F_OK) == 0 ? 0 : bpf_map__pin(map, path);
		if (r)
			return pp_err_set(e, r, "%s: pinning failed: %s", path, strerror(-r));
	}
	for (size_t i = 0; i < ARRAY_SIZE(progs); i++) {
		r = attach_one(d, obj, i, root_fd, e);
		if (r)
			return r;
	}
	return 0;
}

static int load(struct pp_datapath *d, int root_fd, struct pp_err *e)
{
	struct podpace_bpf *skel = NULL;
	bool repair = has_maps(d);
	int r = load_skeleton(d, &skel, e);

	if (r)
		return r;
	r = pin_all(d, skel->obj, root_fd, e);
	podpace_bpf__destroy(skel);
	/* the limits of a damaged datapath are not thrown away: the next repair may succeed */
	if (r && !repair)
		pp_pins_remove(d->dir);
	return r;
}

struct rival {
	const struct pp_datapath *d;
	const char *root;
	struct pp_err *e;
};

/*
 * Another datapath above or below this one? What is left of one whose cgroup is gone is removed on
 * the way.
 */
static int refuse_rival(const char *root, void *arg)
{
	struct rival *r = arg;

	if (strcmp(root, r->root) == 0)
		return 0;
	if (faccessat(r->d->cgroupfs.fd, root[1] ? root + 1 : ".", F_OK, 0) < 0) {
		/* its programs went with its cgroup */
		_cleanup_free_ char *dir = pp_pins_dir(root);

		return dir ? pp_pins_remove(dir) : -ENOMEM;
	}
	if (!pp_cgroup_below(root, r->root) && !pp_cgroup_below(r->root, root))
		return 0;
	return pp_err_set(
		r->e, -EBUSY,
		"podpace is loaded at cgroup %s already: it cannot be at %s too, one below the other; "
		"use --root %s, or 'podpace --root %s unload' first",
		root, r->root, root, root);
}

static int open_locked(struct pp_datapath *d, enum pp_open how, struct pp_err *e)
{
	_cleanup_close_ int root_fd = -1;
	int r;

	r = pp_cgroup_open(&d->cgroupfs, d->root, &root_fd, &d->root_id, e);
	if (r) {
		/* what was attached to it went with it */
		pp_pins_remove(d->dir);
		return r;
	}
	if (how == PP_REPAIR && !has_maps(d))
		pp_pins_remove(d->dir); /* what a command left that was killed while it loaded */
	if (how != PP_LOAD && !has_maps(d))
		return pp_err_set(e, -ENOENT, "podpace is not loaded at cgroup %s", d->root);
	if (how != PP_ADOPT && !whole(d)) {
		struct rival rival = { .d = d, .root = d->root, .e = e };

		r = pp_pins_each(refuse_rival, &rival);
		if (!r)
			r = load(d, root_fd, e);
		if (r)
			return r;
	}
	return adopt(d, e);
}

int pp_datapath_open(const char *root, enum pp_open how, struct pp_datapath *ret, struct pp_err *e)
{
	_cleanup_(pp_datapath_close) struct pp_datapath d = PP_DATAPATH_INIT;
	int r;

	if (geteuid() != 0)
		return pp_err_set(e, -EPERM,
				  "podpace needs root: the limits are kept in the kernel");
	d.root = strdup(root);
	d.dir = pp_pins_dir(root);
	if (!d.root || !d.dir)
		return -ENOMEM;
	r = pp_cgroupfs_open(&d.cgroupfs, e);
	if (r)
		return r;
	r = pp_pins_mount(e);
	if (r)
		return r;
	d.lock_fd = r = pp_pins_lock(e);
	if (r < 0)
		return r;
	r = open_locked(&d, how, e);
	if (r)
		return r;
	*ret = d;
	d = PP_DATAPATH_INIT;
	return 0;
}

int pp_datapath_remove(struct pp_datapath *d, struct pp_err *e)
{
	int r = pp_pins_remove(d->dir);

	return r ? pp_err_set(e, r, "%s: %s", d->dir, strerror(-r)) : 0;
}

static bool effective(int cgroup_fd, int attach, __u32 prog_id)
{
	__u32 ids[64], n = ARRAY_SIZE(ids);

	if (bpf_prog_query(cgroup_fd, attach, BPF_F_QUERY_EFFECTIVE, NULL, ids, &n))
		return false;
	for (__u32 i = 0; i < n; i++)
		if (ids[i] == prog_id)
			return true;
	return false;
}

int pp_datapath_runs(const struct pp_datapath *d, int cgroup_fd, char *why, size_t size)
{
	for (size_t i = 0; i < ARRAY_SIZE(progs); i++) {
		_cleanup_close_ int fd = -1;
		struct bpf_link_info info;

		if (progs[i].attach < 0)
			continue;
		fd = get_pin(d->dir, progs[i].name);
		if (fd < 0 || link_info(fd, &info)) {
			snprintf(why, size, "%s is not pinned any more", progs[i].name);
			return 0;
		}
		if (!effective(cgroup_fd, progs[i].attach, info.prog_id)) {
			snprintf(why, size, "%s does not run for this cgroup: it was detached",
				 progs[i].name);
			return 0;
		}
	}
	return 1;
}
