// SPDX-License-Identifier: Apache-2.0
// A folder of objects, followed on a real loop through all that editors, people and kubelets do to
// it. Built with sanitizers.
#define _GNU_SOURCE
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "agent/confdir.h"
#include "base/base.h"
#include "base/file.h"
#include "tap.h"

#define MS 1000000ull

static char base[] = "/tmp/pp-confdir-XXXXXX";
static char dir[64], log_file[64];
static struct pp_loop *loop;
static struct pp_source *timer;
static struct pp_sources *sources;
static struct pp_confdir *conf;
static int changes;

/* --- what happens to the folder */

static const char *at(const char *name)
{
	static char paths[4][200];
	static unsigned int i;
	char *path = paths[i++ % 4];

	snprintf(path, 200, "%s/%s", dir, name);
	return path;
}

/* In place, as a shell's > does. */
static void put(const char *name, const char *text)
{
	int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		abort();
	close(fd);
}

static void put_class(const char *file, const char *name, const char *ceil)
{
	char text[300];

	snprintf(text, sizeof(text),
		 "apiVersion: podpace.io/v1alpha1\nkind: BandwidthClass\n"
		 "metadata: {name: %s}\nspec: {egress: {ceil: %s}}\n",
		 name, ceil);
	put(file, text);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_all(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- what comes of it */

/* "gold 10 silver 20": names, and ceils in Mbit/s. */
static const char *in_force(void)
{
	static char text[2000];
	size_t n;
	const struct pp_object *const *o = pp_sources_objects(sources, &n);

	text[0] = '\0';
	for (size_t i = 0; i < n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s %u", i ? " " : "",
			 o[i]->name, (unsigned int)(o[i]->share[PP_WAY_EGRESS].ceil * 8 / 1000000));
	return text;
}

static void on_changed(void *arg)
{
	changes++;
	pp_loop_stop(arg);
}

static void on_timer(void *arg)
{
	pp_loop_stop(arg);
}

static void run_ms(uint64_t ms)
{
	uint64_t end = pp_loop_now() + ms * MS;

	while (pp_loop_now() < end) {
		pp_source_arm(timer, end - pp_loop_now());
		pp_loop_run(loop);
	}
}

/* Runs until that is in force, or for 5 s. */
__attribute__((format(printf, 2, 3))) static void becomes(const char *want, const char *fmt, ...)
{
	uint64_t begin = pp_loop_now(), now = begin;
	char name[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	while (strcmp(in_force(), want) != 0 && now < begin + 5000 * MS) {
		pp_source_arm(timer, 100 * MS);
		pp_loop_run(loop);
		now = pp_loop_now();
	}
	is_str(in_force(), want, "%s", name);
	printf("# after %u ms\n", (unsigned int)((now - begin) / MS));
}

static void add_problem(const struct pp_problem *p, void *arg)
{
	char *text = arg;

	snprintf(text + strlen(text), 2000 - strlen(text), "%s%s|", p->text,
		 p->has_last_good ? " (last good stays)" : "");
}

static const char *problems(void)
{
	static char text[2000];

	text[0] = '\0';
	pp_confdir_problems(conf, add_problem, text);
	return text;
}

/* How many lines of the log have this? */
static unsigned int logged(const char *what)
{
	_cleanup_free_ char *text = NULL;
	unsigned int n = 0;
	size_t len;

	if (pp_file_read(log_file, 1 << 20, &text, &len))
		abort();
	for (const char *p = text; (p = strstr(p, what)); p++)
		n++;
	return n;
}

/* --- tests */

static void test_files(void)
{
	int before;

	put_class("a.yaml", "gold", "11M");
	becomes("gold 11", "a file changed in place");
	put_class("b.yml", "silver", "2M");
	put_class("c.json", "bronze", "1M");
	put_class(".hidden.yaml", "hidden", "1M");
	put_class("readme.txt", "readme", "1M");
	mkdir(at("folder.yaml"), 0755);
	becomes("bronze 1 gold 11 silver 2", "files that come, and others that are not for us");
	put_class("new", "silver", "3M");
	rename(at("new"), at("b.yml"));
	becomes("bronze 1 gold 11 silver 3", "a file renamed over another, as editors do");
	unlink(at("c.json"));
	becomes("gold 11 silver 3", "a file deleted");
	rename(at("b.yml"), at("d.yml"));
	run_ms(200);
	is_str(in_force(), "gold 11 silver 3", "a file renamed");
	is_str(problems(), "", "no problem in all that");
	put_class("d.yml", "gold", "11M");
	put_class("a.yaml", "silver", "3M");
	run_ms(200);
	put_class("a.yaml", "gold", "11M");
	put_class("d.yml", "silver", "3M");
	run_ms(200);
	is_str(in_force(), "gold 11 silver 3", "objects that change places");
	ok(logged("stands in") == 0, "no fault is seen on the way");
	before = changes;
	put_class("a.yaml", "gold", "11M");
	run_ms(200);
	ok(changes == before, "the same text again is no change");
	for (int i = 0; i < 50; i++)
		put_class("a.yaml", "gold", i % 2 ? "12M" : "13M");
	becomes("gold 12 silver 3", "a burst");
	ok(changes - before <= 2, "is one change or two: %d", changes - before);
}

static void test_faults(void)
{
	put("a.yaml", "{");
	run_ms(200);
	is_str(in_force(), "gold 12 silver 3", "a file that is no YAML keeps the last good");
	ok(logged("a.yaml:2: not YAML") == 1, "that is logged");
	put("a.yaml", "{");
	run_ms(200);
	put("a.yaml", "{ ");
	run_ms(200);
	ok(logged("a.yaml:2: not YAML") == 1, "once");
	put_class("a.yaml", "gold", "x");
	run_ms(200);
	is_str(in_force(), "gold 12 silver 3", "so does an object with a fault");
	ok(logged("gold: spec.egress.ceil: ") == 1, "that is logged");
	put_class("a.yaml", "gold", "14M");
	becomes("gold 14 silver 3", "mended");
}

static void test_unreadable(void)
{
	int fd;

	fd = open(at("d.yml"), O_WRONLY);
	if (fd < 0 || ftruncate(fd, (16 << 20) + 1))
		abort();
	close(fd);
	run_ms(200);
	is_str(in_force(), "gold 14 silver 3", "a file that is too large keeps the last good");
	ok(strstr(problems(), "d.yml: more than 16 MiB (last good stays)|"), "and is a problem: %s",
	   problems());
	ok(logged("more than 16 MiB") == 1, "that is logged once");
	put_class("d.yml", "silver", "4M");
	becomes("gold 14 silver 4", "mended");
	is_str(problems(), "", "then it is no problem");
	mkfifo(at("pipe.yaml"), 0600);
	run_ms(200);
	ok(strstr(problems(), "pipe.yaml: valid is a file, or a link to one|"), "a pipe: %s",
	   problems());
	unlink(at("pipe.yaml"));
	run_ms(200);
	is_str(problems(), "", "gone with it");
}

/* As the kubelet mounts a ConfigMap: a.yaml -> ..data/a.yaml, ..data -> ..1, and ..data moves. */
static void test_links(void)
{
	unlink(at("a.yaml"));
	mkdir(at("..1"), 0755);
	mkdir(at("..2"), 0755);
	put_class("..1/a.yaml", "gold", "21M");
	put_class("..2/a.yaml", "gold", "22M");
	if (symlink("..1", at("..data")) || symlink("..data/a.yaml", at("a.yaml")))
		abort();
	becomes("gold 21 silver 4", "a link to a file");
	if (symlink("..2", at("..tmp")) || rename(at("..tmp"), at("..data")))
		abort();
	remove_all(at("..1"));
	becomes("gold 22 silver 4", "the link on the way changed, as the kubelet does");
	is_str(problems(), "", "no problem in that");
	remove_all(at("..2"));
	put_class("e.yaml", "iron", "1M");
	becomes("gold 22 iron 1 silver 4", "a link to nothing keeps the last good");
	ok(strstr(problems(), "a.yaml: No such file or directory (last good stays)|"),
	   "and is a problem: %s", problems());
	unlink(at("a.yaml"));
	becomes("iron 1 silver 4", "a link deleted");
	is_str(problems(), "", "is no problem");
}

static void test_folder(void)
{
	char away[80];

	remove_all(dir);
	run_ms(1300);
	is_str(in_force(), "iron 1 silver 4", "the folder removed: all stays");
	ok(strstr(problems(), "No such file or directory (last good stays)|"),
	   "and is a problem: %s", problems());
	mkdir(dir, 0755);
	put_class("a.yaml", "gold", "31M");
	becomes("gold 31", "the folder is back");
	is_str(problems(), "", "without a problem");
	put_class("a.yaml", "gold", "32M");
	becomes("gold 32", "and is followed again");
	snprintf(away, sizeof(away), "%s/away", base);
	rename(dir, away);
	mkdir(dir, 0755);
	put_class("a.yaml", "gold", "33M");
	becomes("gold 33", "another folder in its place");
	put_class("a.yaml", "gold", "34M");
	becomes("gold 34", "is followed");
	ok(logged("is read again") >= 1, "the log says that it is back");
}

static void test_begin(void)
{
	struct pp_err e = { "" };
	char missing[80];

	snprintf(missing, sizeof(missing), "%s/missing", base);
	ok(pp_confdir_new(loop, missing, sources, on_changed, loop, &conf, &e) == -ENOENT,
	   "a folder that is not there is an error");
	ok(strstr(e.msg, "/missing: No such file or directory; valid is a folder"), "%s", e.msg);
	ok(!conf, "and nothing is left behind");
	put_class("a.yaml", "gold", "10M");
	put("b.yaml", "{");
	ok(!pp_confdir_new(loop, dir, sources, on_changed, loop, &conf, &e),
	   "one with a faulty file is none %s", e.msg);
	is_str(in_force(), "gold 10", "what is there is read at once");
	ok(changes == 0, "without a callback");
	unlink(at("b.yaml"));
}

int main(void)
{
	int log, saved = dup(STDERR_FILENO);

	if (!mkdtemp(base) || pp_loop_new(&loop) || pp_sources_new(&sources) ||
	    pp_source_timer(loop, on_timer, loop, &timer))
		abort();
	snprintf(dir, sizeof(dir), "%s/conf", base);
	snprintf(log_file, sizeof(log_file), "%s/log", base);
	mkdir(dir, 0755);
	log = open(log_file, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (log < 0 || dup2(log, STDERR_FILENO) < 0)
		abort();
	close(log);
	test_begin();
	test_files();
	test_faults();
	test_unreadable();
	test_links();
	test_folder();
	pp_confdir_free(conf);
	is_str(in_force(), "gold 34", "the sources stay when it is closed");
	dup2(saved, STDERR_FILENO);
	close(saved);
	pp_sources_free(sources);
	pp_source_free(timer);
	pp_loop_free(loop);
	remove_all(base);
	return done_testing();
}
