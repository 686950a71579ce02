// SPDX-License-Identifier: Apache-2.0
// libmicrohttpd without threads: it has an epoll of its own, which is one descriptor of our loop.
#include <microhttpd.h>
#include <netdb.h>
#include <sys/socket.h>

#include "agent/http.h"
#include "base/base.h"

#define MAX_CONNECTIONS 32u
#define IDLE_SECONDS 15u

struct pp_http {
	struct MHD_Daemon *daemon;
	struct pp_source *io, *timer;
	const struct pp_page *pages;
	void *arg;
};

static enum MHD_Result reply(struct MHD_Connection *c, int status, const char *type, char *body,
			     size_t size)
{
	/* the response owns the body from here on */
	struct MHD_Response *r = MHD_create_response_from_buffer(size, body, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result done;

	if (!r) {
		free(body);
		return MHD_NO;
	}
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	done = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return done;
}

static enum MHD_Result reply_text(struct MHD_Connection *c, int status, const char *text)
{
	char *body = strdup(text);

	return body ? reply(c, status, "text/plain; charset=utf-8", body, strlen(body)) : MHD_NO;
}

/* What follows the page's path; NULL if this is another page. */
static const char *is_below(const char *path, const char *url)
{
	size_t n = strlen(path);

	if (n > 1 && path[n - 1] == '/')
		return strncmp(path, url, n) == 0 ? url + n : NULL;
	return strcmp(path, url) == 0 ? "" : NULL;
}

static enum MHD_Result answer(void *arg, struct MHD_Connection *c, const char *url,
			      const char *method, const char *version, const char *data,
			      size_t *size, void **state)
{
	static const char begun;
	struct pp_http *h = arg;
	const struct pp_page *page = h->pages;
	const char *rest = NULL;
	char *body = NULL;
	size_t n = 0;
	int status;
	FILE *f;

	(void)version;
	(void)data;
	/* called once for the head, then for the end of the request */
	if (*state != &begun) {
		*state = (void *)&begun;
		return MHD_YES;
	}
	*size = 0;
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return reply_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
	while (page->path && !(rest = is_below(page->path, url)))
		page++;
	if (!page->path)
		return reply_text(c, MHD_HTTP_NOT_FOUND, "no such page\n");
	f = open_memstream(&body, &n);
	if (!f)
		return MHD_NO;
	status = page->write(f, rest, h->arg);
	if (fclose(f)) {
		free(body);
		return MHD_NO;
	}
	return reply(c, status, page->type, body, n);
}

static void run(struct pp_http *h)
{
	MHD_UNSIGNED_LONG_LONG ms;

	MHD_run(h->daemon);
	if (MHD_get_timeout(h->daemon, &ms) == MHD_YES)
		pp_source_arm(h->timer, ms * 1000000ull);
	else
		pp_source_disarm(h->timer);
}

static void on_io(uint32_t events, void *arg)
{
	(void)events;
	run(arg);
}

static void on_timer(void *arg)
{
	run(arg);
}

/* Splits "ADDRESS:PORT" and looks it up. */
static int resolve(const char *addr, struct addrinfo **ret, struct pp_err *e)
{
	const char *colon = strrchr(addr, ':'), *host = addr;
	struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
				  .ai_family = AF_UNSPEC,
				  .ai_socktype = SOCK_STREAM };
	_cleanup_free_ char *name = NULL;
	char shown[80];
	size_t n;

	pp_err_escape(shown, sizeof(shown), addr, strlen(addr));
	if (!colon)
		goto invalid;
	n = colon - addr;
	if (n >= 2 && addr[0] == '[' && addr[n - 1] == ']') {
		host++;
		n -= 2;
	}
	/* without an address: all of both families */
	name = n ? strndup(host, n) : strdup("::");
	if (!name)
		return -ENOMEM;
	if (colon[1] && getaddrinfo(name, colon + 1, &hints, ret) == 0)
		return 0;
	/* a machine without IPv6 */
	if (!n && colon[1] && getaddrinfo("0.0.0.0", colon + 1, &hints, ret) == 0)
		return 0;
invalid:
	return pp_err_set(e, -EINVAL,
			  "--listen \"%s\": valid is ADDRESS:PORT, [IPV6]:PORT or :PORT", shown);
}

static int start(struct pp_http *h, const struct addrinfo *a)
{
	unsigned int flags = MHD_USE_EPOLL;

	if (a->ai_family == AF_INET6)
		flags |= MHD_USE_DUAL_STACK;
	h->daemon = MHD_start_daemon(flags, 0, NULL, NULL, answer, h, MHD_OPTION_SOCK_ADDR,
				     a->ai_addr, MHD_OPTION_CONNECTION_LIMIT, MAX_CONNECTIONS,
				     MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS,
				     MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
	return h->daemon ? 0 : errno ? -errno : -EIO;
}

int pp_http_new(struct pp_loop *l, const char *addr, const struct pp_page *pages, void *arg,
		struct pp_http **ret, struct pp_err *e)
{
	struct pp_http *h = calloc(1, sizeof(*h));
	const union MHD_DaemonInfo *info;
	struct addrinfo *a = NULL;
	int r;

	if (!h)
		return -ENOMEM;
	h->pages = pages;
	h->arg = arg;
	r = resolve(addr, &a, e);
	if (!r) {
		errno = 0;
		r = start(h, a);
		if (r)
			pp_err_set(e, r, "--listen %s: %s", addr, strerror(-r));
		freeaddrinfo(a);
	}
	if (!r) {
		info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
		r = info ? pp_source_io(l, info->epoll_fd, EPOLLIN, on_io, h, &h->io) : -EIO;
	}
	if (!r)
		r = pp_source_timer(l, on_timer, h, &h->timer);
	if (r) {
		pp_http_free(h);
		return r;
	}
	*ret = h;
	return 0;
}

void pp_http_free(struct pp_http *h)
{
	if (!h)
		return;
	pp_source_free(h->io);
	pp_source_free(h->timer);
	if (h->daemon)
		MHD_stop_daemon(h->daemon);
	free(h);
}
