// SPDX-License-Identifier: Apache-2.0
// The agent's end, by a signal. Limits outlive it, but where its DaemonSet is deleted.
#include <signal.h>
#include <sys/signalfd.h>

#include "agent/agent.h"
#include "base/base.h"
#include "base/log.h"

/* how long the end waits for the API's answers */
#define END_NS (5 * 1000000000ull)

/*
 * Limits outlive the agent, or a new version of it would free every pod for a moment. Only when its
 * DaemonSet is deleted they go too.
 */
static void remove_limits(struct pp_agent *a)
{
	struct pp_err e = { "" };
	int r = pp_apply_none(a->o.root, &e);

	if (r)
		pp_log(PP_LOG_ERROR, "limits could not be removed", "why",
		       e.msg[0] ? e.msg : strerror(-r), NULL);
	else
		pp_log(PP_LOG_INFO, "the DaemonSet is deleted: all its limits are removed", NULL);
}

static void on_daemonset(const struct pp_kube_answer *answer, void *arg)
{
	struct pp_agent *a = arg;
	const json_t *meta = json_object_get(answer->body, "metadata");

	if (answer->status == 404 ||
	    (answer->status == 200 && json_object_get(meta, "deletionTimestamp")))
		remove_limits(a);
	else if (answer->status != 200)
		pp_log(PP_LOG_WARN, "limits stay: it is not known whether the DaemonSet is deleted",
		       "why", answer->why, NULL);
	pp_loop_stop(a->loop);
}

static void on_end_timer(void *arg)
{
	struct pp_agent *a = arg;

	pp_log(PP_LOG_WARN, "limits stay: the API did not tell whether the DaemonSet is deleted",
	       NULL);
	pp_loop_stop(a->loop);
}

/* The Lease is another's to take. */
static void on_released(void *arg)
{
	struct pp_agent *a = arg;
	const char *slash = a->o.daemonset ? strchr(a->o.daemonset, '/') : NULL;
	char path[600];

	if (!slash) {
		pp_loop_stop(a->loop);
		return;
	}
	snprintf(path, sizeof(path), "/apis/apps/v1/namespaces/%.*s/daemonsets/%s",
		 (int)(slash - a->o.daemonset), a->o.daemonset, slash + 1);
	if (pp_kube_request(a->kube, "GET", path, NULL, NULL, on_daemonset, a))
		pp_loop_stop(a->loop);
}

static void on_signal(uint32_t events, void *arg)
{
	struct signalfd_siginfo info;
	struct pp_agent *a = arg;

	(void)events;
	if (read(a->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	/* a second signal is somebody in a hurry */
	if (a->ending) {
		pp_loop_stop(a->loop);
		return;
	}
	pp_log(PP_LOG_INFO, "ends; limits stay in force", NULL);
	pp_notify_stopping(a->notify);
	a->ending = true;
	pp_source_disarm(a->apply_timer);
	pp_source_arm(a->end_timer, END_NS);
	if (a->leader)
		pp_leader_release(a->leader, on_released, a);
	else
		on_released(a);
}

int pp_agent_open_end(struct pp_agent *a)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	a->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (a->signal_fd < 0)
		return -errno;
	return pp_source_timer(a->loop, on_end_timer, a, &a->end_timer)
		       ?: pp_source_io(a->loop, a->signal_fd, EPOLLIN, on_signal, a, &a->signals);
}
