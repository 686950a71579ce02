// SPDX-License-Identifier: Apache-2.0
// What the agent of this node says, by HTTP.
#include <curl/curl.h>

#include "base/base.h"
#include "cli/ask.h"
#include "cli/cmd.h"

#define AGENT "127.0.0.1:9467"
#define SECONDS 10L
#define MAX_ANSWER (16u << 20)

struct answer {
	char *text;
	size_t n;
};

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
	struct answer *a = arg;
	char *more = a->n + size * n < MAX_ANSWER ? realloc(a->text, a->n + size * n + 1) : NULL;

	if (!more)
		return 0;
	memcpy(more + a->n, data, size * n);
	a->n += size * n;
	more[a->n] = '\0';
	a->text = more;
	return size * n;
}

static int get(const char *url, struct answer *a, struct pp_err *e)
{
	CURL *c = curl_easy_init();
	CURLcode r;

	if (!c)
		return -ENOMEM;
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, a);
	curl_easy_setopt(c, CURLOPT_TIMEOUT, SECONDS);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	r = curl_easy_perform(c);
	curl_easy_cleanup(c);
	if (!r)
		return 0;
	return pp_err_set(e, -EIO,
			  "no agent answers at %s: %s; valid is an agent that runs "
			  "(podpace agent), and --listen as it has it",
			  url, curl_easy_strerror(r));
}

static int url_of(const char *listen, const char *kind, const char *what, char *url, size_t size)
{
	CURL *c = curl_easy_init();
	char *escaped = c ? curl_easy_escape(c, what, 0) : NULL;
	int n = 0;

	if (escaped)
		n = snprintf(url, size, "http://%s%s/%s/%s", listen[0] == ':' ? "127.0.0.1" : "",
			     listen, kind, escaped);
	curl_free(escaped);
	curl_easy_cleanup(c);
	if (!escaped)
		return -ENOMEM;
	return n > 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

int pp_ask_agent(const char *listen, const char *kind, const char *what, json_t **ret,
		 struct pp_err *e)
{
	struct answer a = {};
	char url[8192];
	json_t *o = NULL;
	int r = url_of(listen ?: AGENT, kind, what, url, sizeof(url));

	if (!r)
		r = get(url, &a, e);
	if (!r && !(o = json_loadb(a.text ?: "", a.n, 0, NULL)))
		r = pp_err_set(e, -EIO, "%s: no agent of podpace answers there", url);
	if (!r && pp_said(o, "error"))
		r = pp_err_set(e, -ENOENT, "%s", pp_said(o, "error"));
	free(a.text);
	if (r)
		json_decref(o);
	else
		*ret = o;
	return r;
}
