// SPDX-License-Identifier: Apache-2.0
// kubeconfig files and service accounts: what is taken from them, and every message.
#define _GNU_SOURCE
#include <sys/stat.h>

#include "base/base.h"
#include "kube/kubeconfig.h"
#include "tap.h"

#define PEM "LS0tLS1CRUdJTiBYLS0tLS0K" /* "-----BEGIN X-----\n" */
#define CONTEXT "current-context: c\ncontexts:\n- {name: c, context: {cluster: k, user: u, namespace: n}}\n"
#define CLUSTER "clusters: [{name: k, cluster: {server: 'https://h:6443'}}]\n"
#define USER "users: [{name: u, user: {token: t}}]\n"

static char dir[] = "/tmp/podpace-test-XXXXXX";

static char *path_of(const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		abort();
	return path;
}

static void write_file(const char *name, const char *text)
{
	_cleanup_free_ char *path = path_of(name);
	_cleanup_fclose_ FILE *f = fopen(path, "w");

	if (!f || fputs(text, f) < 0)
		abort();
}

/* The names given in a list, below the directory. */
static int load(const char *names, const char *context, struct pp_kube_config *ret,
		struct pp_err *e)
{
	_cleanup_free_ char *list = NULL, *copy = strdup(names);
	char *state = NULL;
	size_t size;
	FILE *f = open_memstream(&list, &size);

	for (char *n = strtok_r(copy, ":", &state); n; n = strtok_r(NULL, ":", &state))
		fprintf(f, "%s%s/%s", ftell(f) > 0 ? ":" : "", dir, n);
	fclose(f);
	return pp_kube_config_load(list, context, ret, e);
}

static void test_all_keys(void)
{
	struct pp_kube_config c = {};
	struct pp_err e = { "" };

	write_file("all", "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
			  "contexts:\n- name: other\n  context: {cluster: none, user: none}\n"
			  "- name: c\n  context:\n    cluster: k\n    user: u\n    namespace: team\n"
			  "clusters:\n- name: k\n  cluster:\n    server: https://[::1]:6443/k8s/x/\n"
			  "    certificate-authority: ca.pem\n    tls-server-name: api.example\n"
			  "    proxy-url: http://proxy:3128\n    insecure-skip-tls-verify: true\n"
			  "users:\n- name: u\n  user:\n    client-certificate-data: " PEM "\n"
			  "    client-key: /etc/key.pem\n    tokenFile: sub/token\n    token: t\n"
			  "    username: me\n    password: ''\n");
	if (!ok(load("all", NULL, &c, &e) == 0, "a file with every key"))
		printf("# %s\n", e.msg);
	is_str(c.server, "https://[::1]:6443/k8s/x", "server");
	is_str(c.server_name, "api.example", "tls-server-name");
	is_str(c.proxy, "http://proxy:3128", "proxy-url");
	is_str(c.namespace, "team", "namespace");
	is_str(c.ca_file + strlen(dir), "/ca.pem", "certificate-authority, relative to its file");
	is_str(c.cert_data, "-----BEGIN X-----\n", "client-certificate-data");
	ok(!c.cert_file && !c.key_data && !c.ca_data, "nothing that is not there");
	is_str(c.key_file, "/etc/key.pem", "client-key, absolute");
	is_str(c.token_file + strlen(dir), "/sub/token", "tokenFile");
	is_str(c.token, "t", "token");
	is_str(c.username, "me", "username");
	ok(!c.password && c.insecure, "an empty password is none; insecure");
	pp_kube_config_close(&c);
	is_u64(-load("all", "other", &c, &e), ENOENT, "another context");
	ok(!c.server, "untouched on failure");
}

static void test_merge(void)
{
	_cleanup_free_ char *sub = path_of("sub");
	struct pp_kube_config c = {};
	struct pp_err e = { "" };

	write_file("one", "current-context: c\nusers: [{name: u, user: {token: first}}]\n");
	mkdir(sub, 0700);
	write_file("sub/two", CONTEXT "clusters: [{name: k, cluster: {server: 'https://h', "
				      "certificate-authority: ca}}]\nusers: [{name: u, user: {token: second}}]\n");
	is_u64(-load("absent:one:sub/two", NULL, &c, &e), 0, "a list, one file of it absent");
	is_str(c.token, "first", "the first has it");
	is_str(c.server, "https://h", "the second completes it");
	is_str(c.ca_file + strlen(dir), "/sub/ca", "paths are relative to the file they stand in");
	pp_kube_config_close(&c);
	is_u64(-load("sub/two:one", NULL, &c, &e), 0, "the other way round");
	is_str(c.token, "second", "the first has it again");
	pp_kube_config_close(&c);
}

static void test_json(void)
{
	struct pp_kube_config c = {};
	struct pp_err e = { "" };

	write_file("json", "{\"current-context\":\"c\",\"contexts\":[{\"name\":\"c\",\"context\":"
			   "{\"cluster\":\"k\",\"user\":\"u\"}}],\"clusters\":[{\"name\":\"k\",\"cluster\":"
			   "{\"server\":\"http://h\"}}],\"users\":[{\"name\":\"u\",\"user\":null}]}");
	is_u64(-load("json", NULL, &c, &e), 0, "JSON, and a user of nothing");
	ok(!c.token && !c.namespace && !strcmp(c.server, "http://h"), "is anonymous");
	pp_kube_config_close(&c);
}

static void test_bad(void)
{
	static const struct {
		const char *text, *msg; /* after the directory's name */
		int code;
	} cases[] = {
		{ "", "/bad: has no current-context", ENOENT },
		{ "a: [1\nb: 2\n", "/bad:2: not YAML: did not find expected ',' or ']'", EINVAL },
		{ "a: \x01", "/bad: not YAML: control characters are not allowed at byte 3", EINVAL },
		{ "just text", "/bad:1: not a kubeconfig: expected clusters, users and contexts", EINVAL },
		{ "\nkind: Pod\n", "/bad:2: kind: expected Config", EINVAL },
		{ "current-context: [c]", "/bad:1: current-context: expected text", EINVAL },
		{ "current-context: x\n", "/bad: no context \"x\"", ENOENT },
		{ CONTEXT, "/bad:3: cluster \"k\": there is none of this name", ENOENT },
		{ "current-context: c\ncontexts: {c: {}}\n", "/bad:2: contexts: expected a list", EINVAL },
		{ "current-context: c\ncontexts: [{name: c}]", "/bad:2: context \"c\": is empty", EINVAL },
		{ "current-context: c\ncontexts: [{name: c, context: k}]", "/bad:2: context \"c\": expected a mapping", EINVAL },
		{ "current-context: c\ncontexts: [{name: c, context: {user: u}}]", "/bad:2: the context has no cluster", EINVAL },
		{ CONTEXT CLUSTER, "/bad:3: user \"u\": there is none of this name", ENOENT },
		{ CONTEXT "clusters: [{name: k, cluster: {x: y}}]", "/bad:4: the cluster has no server", EINVAL },
		{ CONTEXT "clusters: [{name: k, cluster: {server: 'h:6443'}}]", "/bad:4: server: expected a URL (https://10.0.0.1:6443)", EINVAL },
		{ CONTEXT "clusters: [{name: k, cluster: {server: 'https://'}}]", "/bad:4: server: expected a URL (https://10.0.0.1:6443)", EINVAL },
		{ CONTEXT "clusters: [{name: k, cluster: {server: 'https://h h'}}]",
		  "/bad:4: server: a URL with a space, or with ?, # or @", EINVAL },
		{ CONTEXT "clusters: [{name: k, cluster: {server: \"https://h\\0\"}}]", "/bad:4: server: has a NUL", EINVAL },
		{ CONTEXT "clusters: [{name: k, cluster: {server: 'https://h', certificate-authority-data: '*'}}]",
		  "/bad:4: certificate-authority-data: not base64", EINVAL },
		{ CONTEXT "clusters: [{name: k, cluster: {server: 'https://h', certificate-authority-data: Zm9v}}]",
		  "/bad:4: certificate-authority-data: base64, but not of PEM", EINVAL },
		{ CONTEXT "clusters: [{name: k, cluster: {server: 'https://h', insecure-skip-tls-verify: maybe}}]",
		  "/bad:4: insecure-skip-tls-verify: expected true or false", EINVAL },
		{ CONTEXT CLUSTER "users:\n- name: u\n  user:\n    exec: {command: aws}\n",
		  "/bad:8: user \"u\": exec is not supported; valid are a token, a tokenFile, a client certificate, or "
		  "username and password", EOPNOTSUPP },
		{ CONTEXT CLUSTER "users:\n- name: u\n  user: {token: t, as: root}\n",
		  "/bad:7: user \"u\": as is not supported; valid are a token, a tokenFile, a client certificate, or "
		  "username and password", EOPNOTSUPP },
		{ CONTEXT CLUSTER "users: [{name: u, user: {client-key: k}}]",
		  "/bad:5: user \"u\": client-certificate and client-key go together", EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pp_kube_config c = {};
		struct pp_err e = { "" };

		write_file("bad", cases[i].text);
		is_u64(-load("bad", NULL, &c, &e), cases[i].code, "code of bad file %zu", i);
		is_str(strncmp(e.msg, dir, strlen(dir)) == 0 ? e.msg + strlen(dir) : e.msg,
		       cases[i].msg, "message of bad file %zu", i);
		ok(!c.server, "result untouched by bad file %zu", i);
	}
}

static void test_files(void)
{
	struct pp_kube_config c = {};
	struct pp_err e = { "" };

	is_u64(-load("absent", NULL, &c, &e), ENOENT, "a file that is not there");
	is_str(e.msg + strlen(dir), "/absent: No such file or directory", "and its message");
	is_u64(-load("absent:gone", NULL, &c, &e), ENOENT, "none of two files");
	ok(strstr(e.msg, "none of these files is there"), "and its message");
	is_u64(-load(".", NULL, &c, &e), EISDIR, "a directory");
	write_file("good", CONTEXT CLUSTER USER);
	is_u64(-load("good", "nope", &c, &e), ENOENT, "a context that is not there");
	is_str(e.msg + strlen(dir), "/good: no context \"nope\"", "and its message");
}

static void test_pod(void)
{
	_cleanup_free_ char *pod = path_of("pod");
	struct pp_kube_config c = {};
	struct pp_err e = { "" };

	mkdir(pod, 0700);
	unsetenv("KUBERNETES_SERVICE_HOST");
	is_u64(-pp_kube_config_in_pod(pod, &c, &e), ENOENT, "not in a pod");
	ok(strstr(e.msg, "KUBERNETES_SERVICE_HOST"), "says why");
	setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
	setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	is_u64(-pp_kube_config_in_pod(pod, &c, &e), ENOENT, "no service account");
	ok(strstr(e.msg, "/pod/token: No such file"), "names the file");
	write_file("pod/token", "t");
	write_file("pod/ca.crt", "x");
	is_u64(-pp_kube_config_in_pod(pod, &c, &e), 0, "in a pod");
	is_str(c.server, "https://[fd00::1]:443", "IPv6 in brackets");
	ok(!c.namespace && c.token_file && c.ca_file && !c.insecure, "token and CA by their files");
	pp_kube_config_close(&c);
	write_file("pod/namespace", "kube-system\n");
	setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
	is_u64(-pp_kube_config_in_pod(pod, &c, &e), 0, "with a namespace");
	is_str(c.server, "https://10.0.0.1:443", "IPv4 as it is");
	is_str(c.namespace, "kube-system", "the namespace without its line's end");
	pp_kube_config_close(&c);
}

int main(void)
{
	char remove[64];

	if (!mkdtemp(dir))
		abort();
	test_all_keys();
	test_merge();
	test_json();
	test_bad();
	test_files();
	test_pod();
	snprintf(remove, sizeof(remove), "rm -r %s", dir);
	if (pclose(popen(remove, "r")))
		printf("# %s stays\n", dir);
	return done_testing();
}
