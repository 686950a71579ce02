// SPDX-License-Identifier: Apache-2.0
// Where a configuration comes from: the files of a kubeconfig, or what the kubelet puts in a pod.
#define _GNU_SOURCE
#include "base/base.h"
#include "base/file.h"
#include "kube/kubeconfig.h"

#define POD_DIR "/var/run/secrets/kubernetes.io/serviceaccount"
#define FILE_MAX (4u << 20)

int pp_kube_config_in_pod(const char *dir, struct pp_kube_config *ret, struct pp_err *e)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	const char *port = getenv("KUBERNETES_SERVICE_PORT");
	_cleanup_(pp_kube_config_close) struct pp_kube_config c = {};
	char file[512];
	size_t len;
	bool v6;

	if (!host || !*host || !port || !*port)
		return pp_err_set(
			e, -ENOENT,
			"KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is no pod; "
			"outside of pods a kubeconfig is needed");
	v6 = strchr(host, ':') && host[0] != '[';
	if (asprintf(&c.server, "https://%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", port) < 0 ||
	    asprintf(&c.token_file, "%s/token", dir) < 0 ||
	    asprintf(&c.ca_file, "%s/ca.crt", dir) < 0)
		return -ENOMEM;
	for (int i = 0; i < 2; i++) {
		const char *needed = i ? c.ca_file : c.token_file;

		if (access(needed, R_OK))
			return pp_err_set(e, -errno, "%s: %s; the pod's service account is not mounted",
					  needed, strerror(errno));
	}
	snprintf(file, sizeof(file), "%s/namespace", dir);
	if (pp_file_read(file, 256, &c.namespace, &len) == 0)
		c.namespace[strcspn(c.namespace, " \t\r\n")] = '\0';
	*ret = c;
	c = (struct pp_kube_config){};
	return 0;
}

/* Files of a list may be missing (as in $KUBECONFIG), a file that stands alone may not. */
static int load_files(const char *list, struct pp_kubeconfig *k, struct pp_err *e)
{
	bool single = !strchr(list, ':'), any = false;

	for (const char *p = list; *p;) {
		size_t n = strcspn(p, ":"), len;
		_cleanup_free_ char *file = strndup(p, n), *text = NULL;
		int r;

		if (!file)
			return -ENOMEM;
		p += n + (p[n] == ':');
		if (!n)
			continue;
		r = pp_file_read(file, FILE_MAX, &text, &len);
		if (r == -ENOENT && !single)
			continue;
		if (r)
			return pp_err_set(e, r, "%s: %s", file, strerror(-r));
		r = pp_kubeconfig_add(k, file, text, len, e);
		if (r)
			return r;
		any = true;
	}
	return any ? 0 : pp_err_set(e, -ENOENT, "%s: none of these files is there", list);
}

int pp_kube_config_load(const char *kubeconfig, const char *context, struct pp_kube_config *ret,
			struct pp_err *e)
{
	_cleanup_(pp_kubeconfig_freep) struct pp_kubeconfig *k = NULL;
	int r;

	if (!kubeconfig)
		return pp_kube_config_in_pod(POD_DIR, ret, e);
	r = pp_kubeconfig_new(&k);
	if (!r)
		r = load_files(kubeconfig, k, e);
	if (!r)
		r = pp_kubeconfig_resolve(k, context, ret, e);
	return r;
}

/* Secrets do not stay behind in freed memory. */
static void wipe(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

void pp_kube_config_close(struct pp_kube_config *c)
{
	free(c->server);
	free(c->server_name);
	free(c->proxy);
	free(c->namespace);
	free(c->ca_file);
	free(c->ca_data);
	free(c->cert_file);
	free(c->cert_data);
	free(c->key_file);
	wipe(c->key_data);
	free(c->token_file);
	wipe(c->token);
	free(c->username);
	wipe(c->password);
	*c = (struct pp_kube_config){};
}
