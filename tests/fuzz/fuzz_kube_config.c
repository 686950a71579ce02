// SPDX-License-Identifier: Apache-2.0
// Feeds any text as a kubeconfig, alone, behind a good one and inside of one: what is accepted has
// a server, what is refused has a message of one line, and nothing leaks.

#include "base/base.h"
#include "kube/kubeconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char good[] = "current-context: c\n"
			   "contexts: [{name: c, context: {cluster: k, user: u}}]\n"
			   "clusters: [{name: k, cluster: {server: 'https://h:6443'}}]\n";

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check(const char *first, size_t first_len, const char *second, size_t second_len)
{
	_cleanup_(pp_kubeconfig_freep) struct pp_kubeconfig *k = NULL;
	_cleanup_(pp_kube_config_close) struct pp_kube_config c = {};
	struct pp_err e = { "" };
	int r = pp_kubeconfig_new(&k);

	if (!r)
		r = pp_kubeconfig_add(k, "/a/first", first, first_len, &e);
	if (!r)
		r = pp_kubeconfig_add(k, "second", second, second_len, &e);
	if (!r)
		r = pp_kubeconfig_resolve(k, NULL, &c, &e);
	if (!r) {
		must(c.server && strncmp(c.server, "http", 4) == 0 && strstr(c.server, "://"));
		must(!c.ca_file || !c.ca_data);
		must(!c.ca_data || strstr(c.ca_data, "-----BEGIN "));
		return;
	}
	must(r == -ENOMEM || (e.msg[0] && strlen(e.msg) < sizeof(e.msg)));
	for (const char *p = e.msg; *p; p++)
		must((unsigned char)*p >= 0x20 && *p != 0x7f);
	must(!c.server);
}

/* A file with the text where the keys of a cluster or a user are. */
static void check_inside(const char *before, const uint8_t *data, size_t size)
{
	size_t len = strlen(before);
	_cleanup_free_ char *text = malloc(len + size + 4);

	must(text != NULL);
	memcpy(text, before, len);
	memcpy(text + len, data, size);
	memcpy(text + len + size, "}}]\n", 4);
	check(good, sizeof(good) - 1, text, len + size + 4);
	check(text, len + size + 4, good, sizeof(good) - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check((const char *)data, size, "", 0);
	check(good, sizeof(good) - 1, (const char *)data, size);
	check_inside("users: [{name: u, user: {", data, size);
	check_inside("users: [{name: u}]\nclusters: [{name: k, cluster: {", data, size);
	return 0;
}
