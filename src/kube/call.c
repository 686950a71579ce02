// SPDX-License-Identifier: Apache-2.0
// A call is one curl transfer after another until there is an answer to give. curl only ever fills
// its buffer: what is called back is called after curl has returned, so that it may start and free
// calls.
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/base.h"
#include "kube/event.h"
#include "kube/session.h"

#define NS_PER_S 1000000000ull
#define NS_PER_MS 1000000ull
#define ANSWER_MAX (256u << 20) /* a list of all pods from a server that does not cut it in pages */
#define REASON_MAX (256u << 10) /* why a stream could not be opened */
#define MAX_TRIES 10
#define CONNECT_MS 15000l
#define DEAD_MS 30000 /* sent, and not acknowledged for so long: the connection is dead */
#define KEEPALIVE_S 15l

struct pp_call {
	struct pp_call *next, **link;
	struct pp_kube *kube;
	struct pp_call_spec spec; /* whose strings are owned */

	CURL *easy;
	struct curl_slist *headers, *connect_to;
	bool running;		 /* easy is in the pool */
	struct pp_source *timer; /* for the next try */
	uint64_t deadline;	 /* pp_loop_now(), 0: none */
	int tries;
	bool reauthenticated;
	bool given_up; /* by pp_kube_reconnect() */

	char *in; /* what has come and was not handed out */
	size_t len, size;
	bool stream; /* in belongs to spec.data */
	bool too_long;
	char error[CURL_ERROR_SIZE];
};

uint64_t pp_kube_last_heard(const struct pp_kube *k)
{
	return k->heard;
}

struct pp_loop *pp_kube_loop(const struct pp_kube *k)
{
	return k->loop;
}

int pp_call_status(const struct pp_call *c)
{
	long status = 0;

	curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

/* CURLOPT_WRITEFUNCTION */
static size_t receive(char *data, size_t one, size_t n, void *arg)
{
	struct pp_call *c = arg;
	size_t size = c->size ?: 4096;
	char *more;

	n *= one;
	c->kube->heard = pp_loop_now();
	c->stream = c->spec.data && pp_call_status(c) == 200;
	if (c->spec.data && !c->stream && c->len + n > REASON_MAX)
		return n;
	if (c->len + n > ANSWER_MAX) {
		c->too_long = true;
		return 0;
	}
	while (size < c->len + n + 1)
		size *= 2;
	if (size != c->size) {
		more = realloc(c->in, size);
		if (!more)
			return 0;
		c->in = more;
		c->size = size;
	}
	memcpy(c->in + c->len, data, n);
	c->len += n;
	c->in[c->len] = '\0';
	return n;
}

/* CURLOPT_SOCKOPTFUNCTION: a peer that vanished is noticed in DEAD_MS, not in 15 minutes. */
static int socket_options(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	unsigned int ms = DEAD_MS;

	(void)arg;
	if (purpose == CURLSOCKTYPE_IPCXN)
		setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
	return CURL_SOCKOPT_OK;
}

static void set_pem(CURL *easy, CURLoption file_option, const char *file, CURLoption blob_option,
		    const char *data)
{
	struct curl_blob blob = { (void *)data, data ? strlen(data) : 0, CURL_BLOB_NOCOPY };

	if (data)
		curl_easy_setopt(easy, blob_option, &blob);
	else if (file)
		curl_easy_setopt(easy, file_option, file);
}

static void set_security(CURL *easy, const struct pp_kube_config *config)
{
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
	/* a CA that was replaced counts for the next connection, not tomorrow */
	curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0l);
	set_pem(easy, CURLOPT_CAINFO, config->ca_file, CURLOPT_CAINFO_BLOB, config->ca_data);
	set_pem(easy, CURLOPT_SSLCERT, config->cert_file, CURLOPT_SSLCERT_BLOB, config->cert_data);
	set_pem(easy, CURLOPT_SSLKEY, config->key_file, CURLOPT_SSLKEY_BLOB, config->key_data);
	if (config->insecure) {
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0l);
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0l);
	}
	if (config->username) {
		curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
		curl_easy_setopt(easy, CURLOPT_USERNAME, config->username);
		curl_easy_setopt(easy, CURLOPT_PASSWORD, config->password ?: "");
	}
}

static void set_transport(struct pp_call *c)
{
	CURL *easy = c->easy;

	curl_easy_setopt(easy, CURLOPT_PRIVATE, c);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS);
	/* without TLS it is HTTP/1.1: who waits to share a watch's connection waits for its end */
	curl_easy_setopt(easy, CURLOPT_PIPEWAIT,
			 strncmp(c->kube->base, "https:", 6) == 0 ? 1l : 0l);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1l);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_S);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_S);
	curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, socket_options);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, c);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, c->error);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, c->kube->agent);
	if (c->kube->config.proxy)
		curl_easy_setopt(easy, CURLOPT_PROXY, c->kube->config.proxy);
}

static int set_request(struct pp_call *c)
{
	_cleanup_free_ char *url = NULL;

	if (asprintf(&url, "%s%s", c->kube->base, c->spec.path) < 0)
		return -ENOMEM;
	if (curl_easy_setopt(c->easy, CURLOPT_URL, url))
		return -ENOMEM;
	if (strcmp(c->spec.method, "GET") != 0)
		curl_easy_setopt(c->easy, CURLOPT_CUSTOMREQUEST, c->spec.method);
	if (c->spec.body)
		curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, c->spec.body);
	if (!c->kube->connect_to)
		return 0;
	c->connect_to = curl_slist_append(NULL, c->kube->connect_to);
	if (!c->connect_to)
		return -ENOMEM;
	curl_easy_setopt(c->easy, CURLOPT_CONNECT_TO, c->connect_to);
	return 0;
}

static int add_header(struct curl_slist **list, const char *name, const char *value)
{
	_cleanup_free_ char *line = NULL;
	struct curl_slist *longer;

	if (asprintf(&line, "%s%s", name, value) < 0)
		return -ENOMEM;
	longer = curl_slist_append(*list, line);
	if (!longer)
		return -ENOMEM;
	*list = longer;
	return 0;
}

/* For each try: the token may be another. */
static int set_headers(struct pp_call *c)
{
	const char *token = pp_kube_token(c->kube);
	struct curl_slist *list = NULL;
	int r = add_header(&list, "Accept: ", "application/json");

	if (!r)
		r = add_header(&list, "Expect:", "");
	if (!r && token)
		r = add_header(&list, "Authorization: Bearer ", token);
	if (!r && c->spec.type)
		r = add_header(&list, "Content-Type: ", c->spec.type);
	if (!r && c->kube->host_header)
		r = add_header(&list, c->kube->host_header, "");
	if (r) {
		curl_slist_free_all(list);
		return r;
	}
	curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, list);
	curl_slist_free_all(c->headers);
	c->headers = list;
	return 0;
}

static int start(struct pp_call *c)
{
	uint64_t now = pp_loop_now();
	uint64_t left_ns = c->deadline > now ? c->deadline - now : 1;
	int r = set_headers(c);

	if (r)
		return r;
	c->len = 0;
	c->stream = c->too_long = false;
	c->error[0] = '\0';
	if (c->deadline)
		curl_easy_setopt(c->easy, CURLOPT_TIMEOUT_MS, (long)(left_ns / NS_PER_MS) + 1);
	if (curl_multi_add_handle(pp_pool_multi(c->kube->pool), c->easy))
		return -ENOMEM;
	c->running = true;
	c->tries++;
	return 0;
}

static void stop(struct pp_call *c)
{
	if (c->running)
		curl_multi_remove_handle(pp_pool_multi(c->kube->pool), c->easy);
	c->running = false;
}

static void unlink_call(struct pp_call *c)
{
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	c->next = NULL;
	c->link = &c->next;
}

void pp_call_free(struct pp_call *c)
{
	if (!c)
		return;
	unlink_call(c);
	stop(c);
	curl_easy_cleanup(c->easy);
	curl_slist_free_all(c->headers);
	curl_slist_free_all(c->connect_to);
	pp_source_free(c->timer);
	free((char *)c->spec.method);
	free((char *)c->spec.path);
	free((char *)c->spec.type);
	free((char *)c->spec.body);
	free(c->in);
	free(c);
}

/* It may be large, and what was read of it even larger. */
static void drop_text(struct pp_call *c)
{
	free(TAKE_PTR(c->in));
	c->len = c->size = 0;
}

/* Tells how it ended, and frees it. */
static void answer(struct pp_call *c, int error, int status, uint64_t retry_after_ns)
{
	struct pp_err why = { "" };
	struct pp_kube_answer a = { .error = error, .status = status, .why = why.msg };

	if (!error && c->len)
		a.body = pp_json_read(c->in, c->len, NULL);
	if (error)
		pp_err_set(&why, 0, "%s: %s", c->kube->config.server,
			   c->error[0] ? c->error : strerror(-error));
	else if (status / 100 != 2 && !a.body && c->len && c->in[0] != '<')
		pp_err_set(&why, 0, "HTTP %d: %.*s", status, (int)strcspn(c->in, "\r\n"), c->in);
	else if (status / 100 != 2)
		pp_status_describe(a.body, status, &why);
	drop_text(c);
	unlink_call(c);
	if (c->spec.done)
		c->spec.done(&a, retry_after_ns, c->spec.arg);
	else
		c->spec.answered(&a, c->spec.arg);
	json_decref(a.body);
	pp_call_free(c);
}

static void on_timer(void *arg)
{
	struct pp_call *c = arg;
	int r = c->given_up ? -ETIMEDOUT : start(c);

	if (r)
		answer(c, r, 0, 0);
}

static int copy_text(const char *from, const char **to)
{
	*to = from ? strdup(from) : NULL;
	return from && !*to ? -ENOMEM : 0;
}

int pp_call_new(struct pp_kube *k, const struct pp_call_spec *spec, struct pp_call **ret)
{
	struct pp_call *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->kube = k;
	c->next = k->calls;
	c->link = &k->calls;
	if (c->next)
		c->next->link = &c->next;
	k->calls = c;
	c->spec = *spec;
	c->spec.method = c->spec.path = c->spec.type = c->spec.body = NULL;
	c->deadline = spec->timeout_ns ? pp_loop_now() + spec->timeout_ns : 0;
	c->easy = curl_easy_init();
	r = c->easy ? pp_source_timer(k->loop, on_timer, c, &c->timer) : -ENOMEM;
	if (!r)
		r = copy_text(spec->method, &c->spec.method);
	if (!r)
		r = copy_text(spec->path, &c->spec.path);
	if (!r)
		r = copy_text(spec->type, &c->spec.type);
	if (!r)
		r = copy_text(spec->body, &c->spec.body);
	if (!r)
		r = set_request(c);
	if (!r) {
		set_transport(c);
		set_security(c->easy, &k->config);
		r = start(c);
	}
	if (r)
		pp_call_free(c);
	else if (ret)
		*ret = c;
	return r;
}

static int error_of(const struct pp_call *c, CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_WRITE_ERROR:
		return c->too_long ? -EMSGSIZE : -ENOMEM;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return -EHOSTUNREACH;
	case CURLE_COULDNT_CONNECT:
		return -ECONNREFUSED;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_PEER_FAILED_VERIFICATION:
		return -EPROTO;
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return -ECONNRESET;
	default:
		return -EIO;
	}
}

/* Whether the call goes on with another try. */
static bool again(struct pp_call *c, int status, uint64_t retry_after_ns)
{
	if (status == 401 && !c->reauthenticated && pp_kube_token_changed(c->kube)) {
		c->reauthenticated = true;
		pp_source_arm(c->timer, 0);
		return true;
	}
	if ((status != 429 && status / 100 != 5) || !retry_after_ns || !c->deadline ||
	    c->tries >= MAX_TRIES || pp_loop_now() + retry_after_ns >= c->deadline)
		return false;
	pp_source_arm(c->timer, retry_after_ns);
	return true;
}

static void finish(struct pp_call *c, CURLcode code)
{
	int error = error_of(c, code);
	curl_off_t retry_s = 0;
	int status = pp_call_status(c);

	curl_easy_getinfo(c->easy, CURLINFO_RETRY_AFTER, &retry_s);
	stop(c);
	if (error == -EMSGSIZE)
		snprintf(c->error, sizeof(c->error), "an answer longer than %u MiB",
			 ANSWER_MAX >> 20);
	else if (error && !c->error[0])
		snprintf(c->error, sizeof(c->error), "%s", curl_easy_strerror(code));
	if (!error && again(c, status, retry_s * NS_PER_S))
		return;
	/* of an answer that was cut the status is no news */
	answer(c, error, error ? 0 : status, retry_s * NS_PER_S);
}

static struct pp_call *find_fed(const struct pp_kube *k)
{
	struct pp_call *c = k->calls;

	while (c && (!c->stream || !c->len))
		c = c->next;
	return c;
}

void pp_call_dispatch(void *kube)
{
	struct pp_kube *k = kube;
	struct pp_call *c;
	CURLMsg *m;
	int left;

	while ((c = find_fed(k))) {
		_cleanup_free_ char *in = TAKE_PTR(c->in);
		size_t len = c->len;

		c->len = c->size = 0;
		c->spec.data(in, len, c->spec.arg);
	}
	while ((m = curl_multi_info_read(pp_pool_multi(k->pool), &left))) {
		CURL *easy = m->easy_handle;
		CURLcode code = m->data.result;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&c);
		finish(c, code);
	}
}

void pp_kube_reconnect(struct pp_kube *k)
{
	struct pp_pool *fresh;

	if (pp_pool_new(k->loop, pp_call_dispatch, k, &fresh))
		return;
	for (struct pp_call *c = k->calls; c; c = c->next) {
		if (!c->running)
			continue;
		stop(c);
		c->given_up = true;
		snprintf(c->error, sizeof(c->error), "the connection was given up: it is silent");
		pp_source_arm(c->timer, 0);
	}
	pp_pool_free(k->pool);
	k->pool = fresh;
}
