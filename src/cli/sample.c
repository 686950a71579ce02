// SPDX-License-Identifier: Apache-2.0
// Two readings of every pipe and what follows from them: rates, flows, the share of time a limit
// bound. For status and top.
#define _GNU_SOURCE
#include "base/base.h"
#include "bpf/law.h"
#include "cli/sample.h"
#include "kernel/pairs.h"

const char *pp_dir_name(enum pp_dir dir)
{
	static const char *const names[PP_N_DIR] = { "egress", "ingress" };

	return names[dir];
}

/* A cgroup may have several pipes of an agent's: beside its own, one of the uplink's, observed
 * ones. */
static int name_target(struct pp_sample *s, const struct pp_limit *l)
{
	const char *observed = l->name ? strstr(l->name, " observed by ") : NULL;
	int r;

	if (!l->path)
		r = asprintf(&s->target, "%s", l->name ? l->name : "(removed cgroup)");
	else
		r = asprintf(&s->target, "%s%s%s", l->path, l->uplink ? " at the uplink" : "",
			     observed ? observed : "");
	return r < 0 ? -ENOMEM : 0;
}

static int take_one(const struct pp_limit *l, void *arg)
{
	struct pp_samples *samples = arg;
	struct pp_sample *s = &samples->s[samples->n];

	*s = (struct pp_sample){ .limit = *l };
	s->limit.path = l->path ? strdup(l->path) : NULL;
	s->limit.name = l->name ? strdup(l->name) : NULL;
	s->limit.peer = l->peer ? strdup(l->peer) : NULL;
	samples->n++;
	if ((l->path && !s->limit.path) || (l->name && !s->limit.name) ||
	    (l->peer && !s->limit.peer))
		return -ENOMEM;
	return name_target(s, l);
}

int pp_samples_take(const struct pp_datapath *d, struct pp_samples *samples, struct pp_err *e)
{
	int r;

	samples->s = calloc(PP_MAX_PIPES, sizeof(*samples->s));
	if (!samples->s)
		return -ENOMEM;
	r = pp_limit_each(d, take_one, samples, e);
	for (size_t i = 0; i < samples->n; i++)
		samples->s[i].now = pp_pairs_sum(d, samples->s[i].limit.pipe);
	samples->at = pp_now();
	return r;
}

static void update(const struct pp_datapath *d, struct pp_sample *s, uint64_t now, uint64_t dt)
{
	struct pp_pipe was = s->now;
	bool idle;

	s->now = pp_pairs_sum(d, s->limit.pipe);
	/* all the sums of the epoch that is under way are in, so `bytes` lags behind by nothing */
	s->rate = (s->now.bytes - was.bytes) * PP_NSEC / dt;
	idle = pp_pipe_idle(&s->now, now);
	s->capacity = pp_law_rate(&s->now);
	s->shared = s->now.members > 0;
	s->flows = idle ? 0 : s->now.n16 / 16;
	s->fair = idle ? s->capacity : pp_law_fair(&s->now);
	s->fair = pp_min(s->fair, s->capacity);
	s->shared |= s->now.observe;
	s->limited = pp_min((s->now.busy_ns - was.busy_ns) * 1000 / dt, 1000);
	s->refused = 0;
	for (int why = 0; why < PP_N_REFUSAL; why++)
		s->refused += s->now.refused[why];
	s->ends_in = s->now.expires > now ? s->now.expires - now : 0;
	s->in_force = pp_limit_in_force(d, &s->limit, s->note, sizeof(s->note)) == 1;
	if (s->in_force && s->now.observe && !s->note[0])
		snprintf(s->note, sizeof(s->note), "observed only: nothing is held to it");
	if (s->in_force && s->now.kind == PP_KIND_PAIRS && !s->note[0])
		snprintf(s->note, sizeof(s->note), "a limit for each of %u pairs now",
			 pp_pairs_count(d, s->limit.pipe));
	if (s->in_force && s->now.unheard != was.unheard && !s->note[0])
		snprintf(s->note, sizeof(s->note), "senders that take no part, see podpace peers");
}

void pp_samples_again(const struct pp_datapath *d, struct pp_samples *samples)
{
	uint64_t now = pp_now(), dt = pp_max(now - samples->at, 1);

	for (size_t i = 0; i < samples->n; i++)
		update(d, &samples->s[i], now, dt);
	samples->at = now;
}

void pp_samples_free(struct pp_samples *samples)
{
	for (size_t i = 0; i < samples->n; i++) {
		free(samples->s[i].limit.path);
		free(samples->s[i].limit.name);
		free(samples->s[i].limit.peer);
		free(samples->s[i].target);
	}
	free(samples->s);
	*samples = (struct pp_samples){ 0 };
}
