// SPDX-License-Identifier: Apache-2.0
// The server's address, the credentials, and plain requests.
#define _GNU_SOURCE
#include <signal.h>

#include "base/base.h"
#include "base/file.h"
#include "kube/session.h"

#define NS_PER_S 1000000000ull
#define TOKEN_AGE_NS (60 * NS_PER_S)
#define TOKEN_MAX 65536
#define REQUEST_NS (30 * NS_PER_S)

static int copy_config(const struct pp_kube_config *from, struct pp_kube_config *to)
{
	static const size_t texts[] = {
		offsetof(struct pp_kube_config, server),
		offsetof(struct pp_kube_config, server_name),
		offsetof(struct pp_kube_config, proxy),
		offsetof(struct pp_kube_config, namespace),
		offsetof(struct pp_kube_config, ca_file),
		offsetof(struct pp_kube_config, ca_data),
		offsetof(struct pp_kube_config, cert_file),
		offsetof(struct pp_kube_config, cert_data),
		offsetof(struct pp_kube_config, key_file),
		offsetof(struct pp_kube_config, key_data),
		offsetof(struct pp_kube_config, token_file),
		offsetof(struct pp_kube_config, token),
		offsetof(struct pp_kube_config, username),
		offsetof(struct pp_kube_config, password),
	};

	to->insecure = from->insecure;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const char *s = *(char *const *)((const char *)from + texts[i]);
		char **copy = (char **)((char *)to + texts[i]);

		if (s && !(*copy = strdup(s)))
			return -ENOMEM;
	}
	return 0;
}

/* What goes into a header: a token with a line break would be a second header. */
static bool is_token(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] <= ' ' || s[i] > '~')
			return false;
	return len > 0;
}

static int read_token(struct pp_kube *k)
{
	_cleanup_free_ char *text = NULL;
	size_t len, begin;
	int r;

	k->token_read = pp_loop_now();
	r = pp_file_read(k->config.token_file, TOKEN_MAX, &text, &len);
	if (r)
		return r;
	begin = strspn(text, " \t\r\n");
	while (len > begin && strchr(" \t\r\n", text[len - 1]))
		len--;
	if (!is_token(text + begin, len - begin))
		return -EBADMSG;
	memmove(text, text + begin, len - begin);
	text[len - begin] = '\0';
	free(k->token);
	k->token = TAKE_PTR(text);
	return 0;
}

const char *pp_kube_token(struct pp_kube *k)
{
	if (!k->config.token_file)
		return k->config.token;
	if (!k->token || pp_loop_now() - k->token_read > TOKEN_AGE_NS)
		read_token(k);
	return k->token;
}

bool pp_kube_token_changed(struct pp_kube *k)
{
	_cleanup_free_ char *old = k->token ? strdup(k->token) : NULL;

	return k->config.token_file && read_token(k) == 0 && (!old || strcmp(old, k->token) != 0);
}

/*
 * curl takes the name to ask for and to verify from the URL. If it is not the host's, the URL has
 * it, and where to connect to is said apart.
 */
static int address(struct pp_kube *k)
{
	const char *server = k->config.server, *name = k->config.server_name;
	const char *host = strstr(server, "://") + 3, *prefix = host + strcspn(host, "/");
	const char *bracket = memchr(host, ']', prefix - host) ?: host;
	const char *port = memchr(bracket, ':', prefix - bracket) ?: prefix;
	bool v6;

	if (!name) {
		k->base = strdup(server);
		return k->base ? 0 : -ENOMEM;
	}
	v6 = strchr(name, ':');
	if (asprintf(&k->base, "%.*s%s%s%s%s", (int)(host - server), server, v6 ? "[" : "", name,
		     v6 ? "]" : "", port) < 0 ||
	    asprintf(&k->connect_to, "::%.*s%s", (int)(prefix - host), host,
		     port == prefix ? ":" : "") < 0 ||
	    asprintf(&k->host_header, "Host: %.*s", (int)(prefix - host), host) < 0)
		return -ENOMEM;
	return 0;
}

static int prepare(struct pp_kube *k, const struct pp_kube_config *config, const char *agent,
		   struct pp_err *e)
{
	int r = copy_config(config, &k->config);

	if (r)
		return r;
	if (!config->server || !strstr(config->server, "://"))
		return pp_err_set(e, -EINVAL, "no server to talk to");
	k->agent = strdup(agent);
	if (!k->agent)
		return -ENOMEM;
	if (config->token_file) {
		r = read_token(k);
		if (r)
			return pp_err_set(e, r, "%s: %s", config->token_file,
					  r == -EBADMSG ? "holds no token" : strerror(-r));
	} else if (config->token && !is_token(config->token, strlen(config->token))) {
		return pp_err_set(e, -EINVAL, "the token has a space or a control character");
	}
	return address(k);
}

int pp_kube_new(struct pp_loop *l, const struct pp_kube_config *config, const char *agent,
		struct pp_kube **ret, struct pp_err *e)
{
	struct pp_kube *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return -ENOMEM;
	k->loop = l;
	k->heard = pp_loop_now();
	if (curl_global_init(CURL_GLOBAL_DEFAULT)) {
		free(k);
		return -ENOMEM;
	}
	/* OpenSSL writes to connections that are closed, even at cleanup */
	signal(SIGPIPE, SIG_IGN);
	r = prepare(k, config, agent, e);
	if (!r)
		r = pp_pool_new(l, pp_call_dispatch, k, &k->pool);
	if (r) {
		if (e && !e->msg[0])
			pp_err_set(e, r, "API client: %s", strerror(-r));
		pp_kube_free(k);
		return r;
	}
	*ret = k;
	return 0;
}

void pp_kube_free(struct pp_kube *k)
{
	if (!k)
		return;
	while (k->calls)
		pp_call_free(k->calls);
	pp_pool_free(k->pool);
	pp_kube_config_close(&k->config);
	if (k->token)
		explicit_bzero(k->token, strlen(k->token));
	free(k->token);
	free(k->agent);
	free(k->base);
	free(k->connect_to);
	free(k->host_header);
	free(k);
	curl_global_cleanup();
}

int pp_kube_request(struct pp_kube *k, const char *method, const char *path, const char *type,
		    const char *body, void (*fn)(const struct pp_kube_answer *a, void *arg),
		    void *arg)
{
	struct pp_call_spec spec = {
		.method = method,
		.path = path,
		.type = type,
		.body = body,
		.timeout_ns = REQUEST_NS,
		.answered = fn,
		.arg = arg,
	};

	return pp_call_new(k, &spec, NULL);
}
