// SPDX-License-Identifier: Apache-2.0
// The life of a pair's pipe: the programs take a free entry, fill it in and enter it in pp_pairs;
// here it first leaves pp_pairs, then every path, and only then is it free again.
#include <bpf/bpf.h>

#include "base/base.h"
#include "kernel/limits.h"
#include "kernel/pairs.h"
#include "kernel/slots.h"

/* Long enough for every packet that was under way when paths changed. */
#define LEAVE_NS 1000000000ULL

/* As maps.h has it. */
struct pair_key {
	__u32 of, pad;
	__u8 peer[16];
};

static struct pair_key key_of(const struct pp_pipe *p)
{
	struct pair_key key = { .of = p->of };

	memcpy(key.peer, p->peer, sizeof(key.peer));
	return key;
}

/* Is it still as its rule wants it? An index may be another rule's by now. */
static bool follows(const struct pp_datapath *d, const struct pp_pipe *p)
{
	const struct pp_pipe *like = &d->pipes[p->of % PP_MAX_PIPES];

	return like->rate && like->kind == PP_KIND_PAIRS && like->since == p->since &&
	       like->cgroup_id == p->cgroup_id && like->dir == p->dir;
}

static void copy_limit(const struct pp_datapath *d, struct pp_pipe *p)
{
	const struct pp_pipe *like = &d->pipes[p->of % PP_MAX_PIPES];

	p->observe = like->observe;
	p->expires = like->expires;
	if (p->rate != like->rate)
		__atomic_store_n(&p->rate, like->rate, __ATOMIC_SEQ_CST);
}

static void add(__u64 *to, uint64_t more)
{
	__atomic_fetch_add(to, more, __ATOMIC_RELAXED);
}

static void add_counters(struct pp_pipe *to, const struct pp_pipe *p)
{
	add(&to->bytes, p->bytes);
	add(&to->packets, p->packets);
	add(&to->busy_ns, p->busy_ns);
	add(&to->refused_bytes, p->refused_bytes);
	add(&to->unheard, p->unheard);
	add(&to->delayed, p->delayed);
	for (int why = 0; why < PP_N_REFUSAL; why++)
		add(&to->refused[why], p->refused[why]);
	__atomic_fetch_add(&to->marked, p->marked, __ATOMIC_RELAXED);
}

/* What it did its rule goes on to count; of the rule's own epoch that is no arrival. */
static void set_free(struct pp_datapath *d, struct pp_pipe *p)
{
	struct pp_pipe *like = &d->pipes[p->of % PP_MAX_PIPES];
	uint32_t kind = p->kind;

	if (follows(d, p)) {
		add(&like->bytes_was, p->bytes);
		add_counters(like, p);
	}
	*p = (struct pp_pipe){ .kind = kind };
	__atomic_store_n(&p->kind, PP_KIND_LIMIT, __ATOMIC_SEQ_CST);
}

bool pp_pairs_sweep(struct pp_datapath *d)
{
	uint64_t now = pp_now();
	bool changed = false, more = false;

	for (uint32_t k = PP_MAX_PIPES; k < PP_ALL_PIPES; k++) {
		struct pp_pipe *p = &d->pipes[k];
		struct pair_key key;

		if (p->kind == PP_KIND_GONE) {
			if (now - p->grace > LEAVE_NS)
				set_free(d, p);
			else
				more = true;
			continue;
		}
		/* one without a rate is being made this moment */
		if (p->kind != PP_KIND_PAIR || !p->rate)
			continue;
		if (follows(d, p) && (now < p->last || now - p->last < PP_PAIR_IDLE_NS)) {
			copy_limit(d, p);
			continue;
		}
		key = key_of(p);
		bpf_map_delete_elem(d->pairs_fd, &key);
		p->grace = now;
		__atomic_store_n(&p->kind, PP_KIND_GONE, __ATOMIC_SEQ_CST);
		changed = more = true;
	}
	if (changed)
		pp_paths_changed(d);
	return more;
}

uint32_t pp_pairs_count(const struct pp_datapath *d, uint32_t of)
{
	uint32_t n = 0;

	for (uint32_t k = PP_MAX_PIPES; k < PP_ALL_PIPES; k++)
		n += d->pipes[k].kind == PP_KIND_PAIR && d->pipes[k].of == of;
	return n;
}

struct pp_pipe pp_pairs_sum(const struct pp_datapath *d, uint32_t k)
{
	struct pp_pipe sum = d->pipes[k];
	uint64_t now = pp_now();

	if (sum.kind != PP_KIND_PAIRS)
		return sum;
	for (uint32_t i = PP_MAX_PIPES; i < PP_ALL_PIPES; i++) {
		const struct pp_pipe *p = &d->pipes[i];

		if ((p->kind != PP_KIND_PAIR && p->kind != PP_KIND_GONE) || p->of != k ||
		    !follows(d, p))
			continue;
		add_counters(&sum, p);
		if (pp_pipe_idle(p, now))
			continue;
		sum.n16 += p->n16;
		sum.y += p->y;
		sum.last = p->last > sum.last ? p->last : sum.last;
	}
	return sum;
}
