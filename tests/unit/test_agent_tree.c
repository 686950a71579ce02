// SPDX-License-Identifier: Apache-2.0
// Pods' cgroups by name and by place: exact trees of kubelets that cannot all run here, made of
// plain directories, which the walk and inotify treat alike.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "agent/tree.h"
#include "base/base.h"
#include "tap.h"

#define A "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
#define A_ "0a1b2c3d_4e5f_6071_8293_a4b5c6d7e8f9"
#define B "11111111-2222-3333-4444-555555555555"
#define B_ "11111111_2222_3333_4444_555555555555"
#define HASH "0123456789abcdef0123456789abcdef"

static void test_names(void)
{
	static const struct {
		const char *name, *uid; /* NULL: no pod's */
	} pods[] = {
		{ "pod" A, A },
		{ "pod" HASH, HASH },
		{ "kubepods-pod" A_ ".slice", A },
		{ "kubepods-burstable-pod" A_ ".slice", A },
		{ "kubelet-kubepods-besteffort-pod" A_ ".slice", A },
		{ "kubepods-burstable-pod" HASH ".slice", HASH },
		{ "kubepods-pod0A1B2C3D_4E5F_6071_8293_A4B5C6D7E8F9.slice", A },
		{ "kubepods-burstable.slice", NULL },
		{ "burstable", NULL },
		{ "pod", NULL },
		{ "podman-" A, NULL },
		{ "pod" A "x", NULL },
		{ "pod0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f", NULL },
		{ "podg0000000000000000000000000000000", NULL },
		{ "xpod" A, NULL },
		{ "cri-containerd-" HASH ".scope", NULL },
		{ HASH, NULL },
		{ "", NULL },
		{ "pod0a1b2c3d44e5f-6071-8293-a4b5c6d7e8f9", NULL },
	};
	static const struct {
		const char *name;
		bool is;
	} roots[] = {
		{ "kubepods", true },
		{ "kubepods.slice", true },
		{ "kubelet-kubepods.slice", true },
		{ "a-b-kubepods.slice", true },
		{ "kubelet-kubepods", false },
		{ "mykubepods.slice", false },
		{ "kubepods-burstable.slice", false },
		{ "kubepod", false },
		{ "", false },
	};
	char uid[PP_POD_UID_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(pods); i++) {
		bool is = pp_tree_pod_uid(pods[i].name, uid);

		ok(is == !!pods[i].uid && (!is || strcmp(uid, pods[i].uid) == 0),
		       "uid of \"%s\"", pods[i].name);
	}
	for (size_t i = 0; i < ARRAY_SIZE(roots); i++)
		ok(pp_tree_is_kubepods(roots[i].name) == roots[i].is, "\"%s\" is %s kubepods",
		       roots[i].name, roots[i].is ? "a" : "no");
}

/* --- trees */

static char base[] = "/tmp/pp-tree-XXXXXX";

static void make(const char *path)
{
	char full[512], *p = full + sizeof(base);

	snprintf(full, sizeof(full), "%s%s", base, path);
	while ((p = strchr(p, '/'))) {
		*p = '\0';
		mkdir(full, 0755);
		*p++ = '/';
	}
	mkdir(full, 0755);
}

static void drop(const char *path)
{
	char full[512];

	snprintf(full, sizeof(full), "%s%s", base, path);
	rmdir(full);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *w)
{
	(void)st;
	(void)type;
	(void)w;
	return remove(path);
}

struct seen {
	struct pp_loop *loop;
	int changes;
};

static void changed(void *arg)
{
	struct seen *s = arg;

	s->changes++;
	pp_loop_stop(s->loop);
}

static void timeout(void *arg)
{
	pp_loop_stop(arg);
}

static bool has(const struct pp_tree *t, const char *uid, const char *path)
{
	size_t n;
	const struct pp_tree_pod *pods = pp_tree_pods(t, &n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(pods[i].uid, uid) == 0 && strcmp(pods[i].path, path) == 0)
			return true;
	return false;
}

static size_t count(const struct pp_tree *t)
{
	size_t n;

	pp_tree_pods(t, &n);
	return n;
}

/* Each pod's cgroup is found where a kubelet of that kind makes it, and nothing else is. */
static void test_kinds(struct pp_tree *t)
{
	static const struct {
		const char *what, *path, *uid, *container;
	} kinds[] = {
		{ "cgroupfs, guaranteed", "/kubepods/pod" A, A, HASH },
		{ "cgroupfs, burstable", "/kubepods/burstable/pod" A, A, HASH },
		{ "cgroupfs, besteffort, CRI-O", "/kubepods/besteffort/pod" A, A, "crio-" HASH },
		{ "systemd, guaranteed", "/kubepods.slice/kubepods-pod" A_ ".slice", A,
		  "cri-containerd-" HASH ".scope" },
		{ "systemd, burstable, CRI-O",
		  "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" A_ ".slice", A,
		  "crio-" HASH ".scope" },
		{ "systemd, besteffort, Docker",
		  "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" A_ ".slice",
		  A, "docker-" HASH ".scope" },
		{ "static pod, cgroupfs", "/kubepods/burstable/pod" HASH, HASH, HASH },
		{ "static pod, systemd",
		  "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" HASH ".slice",
		  HASH, "cri-containerd-" HASH ".scope" },
		{ "kind, systemd",
		  "/system.slice/docker-" HASH ".scope/kubelet.slice/kubelet-kubepods.slice/"
		  "kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod" A_ ".slice",
		  A, "cri-containerd-" HASH ".scope" },
		{ "kind, cgroupfs", "/docker/" HASH "/kubelet/kubepods/besteffort/pod" A, A, HASH },
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		char container[512];

		snprintf(container, sizeof(container), "%s/%s", kinds[i].path, kinds[i].container);
		make(container);
		ok(!pp_tree_scan(t) && has(t, kinds[i].uid, kinds[i].path), "%s",
		       kinds[i].what);
	}
	ok(count(t) == ARRAY_SIZE(kinds), "each is found once");
	make("/system.slice/pod" A);
	make("/kubepods/besteffort/cri/pod" B);
	pp_tree_scan(t);
	ok(count(t) == ARRAY_SIZE(kinds), "no pod's cgroup elsewhere");
}

/* Waits for a change, at most 5 s. */
static bool wait_change(struct seen *s, struct pp_source *timer)
{
	int before = s->changes;

	pp_source_arm(timer, 5000000000ull);
	pp_loop_run(s->loop);
	pp_source_disarm(timer);
	return s->changes > before;
}

static void test_events(struct pp_tree *t, struct seen *s)
{
	struct pp_source *timer = NULL;

	pp_source_timer(s->loop, timeout, s->loop, &timer);
	make("/kubepods/burstable/pod" B);
	ok(wait_change(s, timer) && has(t, B, "/kubepods/burstable/pod" B),
	       "a new cgroup of a class is told");
	drop("/kubepods/burstable/pod" B);
	ok(wait_change(s, timer) && !has(t, B, "/kubepods/burstable/pod" B),
	       "its end is told");
	make("/kubepods.slice/kubepods-pod" B_ ".slice");
	ok(wait_change(s, timer) && has(t, B, "/kubepods.slice/kubepods-pod" B_ ".slice"),
	       "a new guaranteed one is told");
	make("/other-kubepods.slice/other-kubepods-pod" B_ ".slice");
	ok(wait_change(s, timer) &&
		       has(t, B, "/other-kubepods.slice/other-kubepods-pod" B_ ".slice"),
	       "a new kubepods is found");
	make("/other-kubepods.slice/other-kubepods-burstable.slice/pod" A);
	ok(wait_change(s, timer) &&
		       has(t, A, "/other-kubepods.slice/other-kubepods-burstable.slice/pod" A),
	       "a new class below it is found");
	pp_source_free(timer);
}

int main(void)
{
	struct pp_cgroupfs c = { .fd = -1 };
	struct pp_tree *t = NULL;
	struct seen s = {};

	test_names();
	if (!mkdtemp(base))
		return 1;
	c.mount = base;
	c.fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ok(!pp_loop_new(&s.loop), "a loop");
	ok(!pp_tree_new(s.loop, &c, changed, &s, &t, NULL) && count(t) == 0,
	       "an empty tree has no pods");
	test_kinds(t);
	test_events(t, &s);
	pp_tree_free(t);
	pp_loop_free(s.loop);
	close(c.fd);
	nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return done_testing();
}
