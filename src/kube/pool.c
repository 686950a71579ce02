// SPDX-License-Identifier: Apache-2.0
// curl says which descriptors and which timeout it waits for; nothing of ours runs inside of it.

#include "base/base.h"
#include "kube/pool.h"

#define NS_PER_MS 1000000ull

struct socket {
	struct socket *next, **link;
	struct pp_pool *pool;
	struct pp_source *source;
	curl_socket_t fd;
};

struct pp_pool {
	CURLM *multi;
	struct pp_loop *loop;
	struct pp_source *timer;
	struct socket *sockets;
	void (*after)(void *arg);
	void *arg;
};

CURLM *pp_pool_multi(struct pp_pool *p)
{
	return p->multi;
}

/* curl may free the socket it is called for, and after() the pool. */
static void act(struct pp_pool *p, curl_socket_t fd, int mask)
{
	int running;

	curl_multi_socket_action(p->multi, fd, mask, &running);
	p->after(p->arg);
}

static void on_ready(uint32_t events, void *arg)
{
	struct socket *s = arg;
	int mask = 0;

	if (events & (EPOLLIN | EPOLLHUP))
		mask |= CURL_CSELECT_IN;
	if (events & EPOLLOUT)
		mask |= CURL_CSELECT_OUT;
	if (events & EPOLLERR)
		mask |= CURL_CSELECT_ERR;
	act(s->pool, s->fd, mask);
}

static void on_timeout(void *arg)
{
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static void free_socket(struct socket *s)
{
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	pp_source_free(s->source);
	free(s);
}

static int watch_socket(struct pp_pool *p, curl_socket_t fd, uint32_t events)
{
	struct socket *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->pool = p;
	s->fd = fd;
	r = pp_source_io(p->loop, fd, events, on_ready, s, &s->source);
	if (r) {
		free(s);
		return r;
	}
	s->next = p->sockets;
	s->link = &p->sockets;
	if (s->next)
		s->next->link = &s->next;
	p->sockets = s;
	curl_multi_assign(p->multi, fd, s);
	return 0;
}

/* CURLMOPT_SOCKETFUNCTION */
static int want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *data)
{
	struct pp_pool *p = arg;
	struct socket *s = data;
	uint32_t events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (s)
			free_socket(s);
		return 0;
	}
	if (what & CURL_POLL_IN)
		events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		events |= EPOLLOUT;
	if (s)
		return pp_source_io_set(s->source, events) ? -1 : 0;
	return watch_socket(p, fd, events) ? -1 : 0;
}

/* CURLMOPT_TIMERFUNCTION */
static int want_timeout(CURLM *multi, long ms, void *arg)
{
	struct pp_pool *p = arg;

	(void)multi;
	if (ms < 0)
		pp_source_disarm(p->timer);
	else
		pp_source_arm(p->timer, ms * NS_PER_MS);
	return 0;
}

int pp_pool_new(struct pp_loop *l, void (*after)(void *arg), void *arg, struct pp_pool **ret)
{
	struct pp_pool *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->loop = l;
	p->after = after;
	p->arg = arg;
	r = pp_source_timer(l, on_timeout, p, &p->timer);
	if (r) {
		free(p);
		return r;
	}
	p->multi = curl_multi_init();
	if (!p->multi) {
		pp_pool_free(p);
		return -ENOMEM;
	}
	curl_multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	curl_multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p);
	curl_multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, want_timeout);
	curl_multi_setopt(p->multi, CURLMOPT_TIMERDATA, p);
	curl_multi_setopt(p->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
	*ret = p;
	return 0;
}

void pp_pool_free(struct pp_pool *p)
{
	if (!p)
		return;
	if (p->multi)
		curl_multi_cleanup(p->multi);
	while (p->sockets)
		free_socket(p->sockets);
	pp_source_free(p->timer);
	free(p);
}
