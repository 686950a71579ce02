// SPDX-License-Identifier: Apache-2.0
// The prefixes of addresses whose hosts take part in feedback.
#define _GNU_SOURCE
#include <bpf/bpf.h>

#include "base/base.h"
#include "kernel/prefixes.h"
#include "kernel/sockets.h"

struct entry {
	struct pp_cidr c;
	enum pp_owner owner;
};

struct entries {
	struct entry *e;
	size_t n;
};

static void entries_free(struct entries *all)
{
	free(all->e);
}

static struct pp_prefix key_of(const struct pp_cidr *c)
{
	struct pp_prefix key = { .len = c->len };

	memcpy(key.addr, c->addr, sizeof(key.addr));
	return key;
}

static int by_prefix(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int r = memcmp(x->c.addr, y->c.addr, sizeof(x->c.addr));

	return r ? r : (int)x->c.len - (int)y->c.len;
}

static int entries_read(const struct pp_datapath *d, struct entries *all)
{
	struct pp_prefix key, *at = NULL;
	size_t room = 0;

	while (bpf_map_get_next_key(d->prefixes_fd, at, &key) == 0) {
		struct pp_prefix_info info = {};
		struct entry *more;

		at = &key;
		if (all->n == PP_MAX_PREFIXES)
			break; /* it is being changed under our hands */
		if (all->n == room) {
			room = room ? 2 * room : 16;
			more = reallocarray(all->e, room, sizeof(*more));
			if (!more)
				return -ENOMEM;
			all->e = more;
		}
		bpf_map_lookup_elem(d->prefixes_fd, &key, &info);
		all->e[all->n].owner = info.owner;
		all->e[all->n].c.len = key.len;
		memcpy(all->e[all->n].c.addr, key.addr, sizeof(key.addr));
		all->n++;
	}
	if (all->n)
		qsort(all->e, all->n, sizeof(*all->e), by_prefix);
	return 0;
}

static struct entry *entries_find(const struct entries *all, const struct pp_cidr *c)
{
	struct entry key = { .c = *c };

	return all->n ? bsearch(&key, all->e, all->n, sizeof(key), by_prefix) : NULL;
}

/*
 * The programs look at no prefix while nprefixes is 0: it is never less than there are, wherever
 * the command is killed, and it is what there are after a recount.
 */
static int recount(struct pp_datapath *d)
{
	_cleanup_(entries_free) struct entries all = {};
	int r = entries_read(d, &all);

	if (!r)
		__atomic_store_n(&d->state->nprefixes, (__u32)all.n, __ATOMIC_SEQ_CST);
	return r;
}

static int put(struct pp_datapath *d, const struct pp_cidr *c, enum pp_owner owner,
	       struct pp_err *e)
{
	struct pp_prefix key = key_of(c);
	struct pp_prefix_info info = { .owner = owner };
	char text[PP_CIDR_TEXT];
	int r;

	__atomic_fetch_add(&d->state->nprefixes, 1, __ATOMIC_SEQ_CST);
	if (!bpf_map_update_elem(d->prefixes_fd, &key, &info, BPF_ANY))
		return 0;
	r = -errno;
	return pp_err_set(e, r, "%s: %s", pp_cidr_format(text, c),
			  r == -ENOSPC ? "all 32768 prefixes of this host are in use"
				       : strerror(-r));
}

static int not_removed(const struct pp_cidr *c, int r, struct pp_err *e)
{
	char text[PP_CIDR_TEXT];

	return pp_err_set(e, r, "%s is %s", pp_cidr_format(text, c),
			  r == -ENOENT ? "not among the peers" : strerror(-r));
}

static int take_out(struct pp_datapath *d, const struct pp_cidr *c, struct pp_err *e)
{
	struct pp_prefix key = key_of(c);

	return bpf_map_delete_elem(d->prefixes_fd, &key) ? not_removed(c, -errno, e) : 0;
}

int pp_prefix_add(struct pp_datapath *d, const struct pp_cidr *c, enum pp_owner owner,
		  struct pp_err *e)
{
	int r = put(d, c, owner, e), count = recount(d);

	return r ? r : count;
}

int pp_prefix_find(const struct pp_datapath *d, const struct pp_cidr *c, struct pp_err *e)
{
	_cleanup_(entries_free) struct entries all = {};
	int r = entries_read(d, &all);

	if (!r && !entries_find(&all, c))
		r = -ENOENT;
	return r ? not_removed(c, r, e) : 0;
}

int pp_prefix_remove(struct pp_datapath *d, const struct pp_cidr *c, struct pp_err *e)
{
	int r = take_out(d, c, e);

	return r ? r : recount(d);
}

int pp_prefix_each(const struct pp_datapath *d,
		   int (*fn)(const struct pp_cidr *c, enum pp_owner owner, void *arg), void *arg,
		   struct pp_err *e)
{
	_cleanup_(entries_free) struct entries all = {};
	int r = entries_read(d, &all);

	if (r)
		return pp_err_set(e, r, "%s", strerror(-r));
	for (size_t i = 0; i < all.n && !r; i++)
		r = fn(&all.e[i].c, all.e[i].owner, arg);
	return r;
}

/*
 * Adds what is missing and marks, in old, those of owner that stay: all of them, also after one
 * that could not be added. Returns how many were added, or -errno.
 */
static int add_missing(struct pp_datapath *d, const struct pp_cidr *c, size_t n,
		       enum pp_owner owner, struct entries *old, struct pp_err *e)
{
	int r = 0, added = 0;

	for (size_t i = 0; i < n; i++) {
		struct entry *was = entries_find(old, &c[i]);

		/* somebody else's stays theirs */
		if (was && was->owner == owner)
			was->owner = PP_N_OWNER;
		if (was || r)
			continue;
		r = put(d, &c[i], owner, e);
		added += !r;
	}
	return r ? r : added;
}

int pp_prefixes_set(struct pp_datapath *d, const struct pp_cidr *c, size_t n, enum pp_owner owner,
		    bool only, struct pp_err *e)
{
	_cleanup_(entries_free) struct entries old = {};
	int r = entries_read(d, &old), added, dropped = 0, counted;

	if (r)
		return r;
	added = add_missing(d, c, n, owner, &old, e);
	/* what did not find room may find it when these are gone: the next time */
	for (size_t i = 0; !r && only && i < old.n; i++) {
		if (old.e[i].owner != owner)
			continue;
		r = take_out(d, &old.e[i].c, e);
		dropped++;
	}
	/* once: there may be thousands */
	counted = recount(d);
	if (added < 0)
		return added;
	return r ? r : counted ? counted : added + dropped;
}

int pp_prefixes_sync(struct pp_datapath *d, struct pp_err *e)
{
	struct pp_socket_count sockets;

	return pp_sockets_sync(d, d->root, &sockets, e);
}
