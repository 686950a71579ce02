// SPDX-License-Identifier: Apache-2.0
// The agents of a cluster, asked through its API server: one request after another, as a command
// that ends when it has its answers.
#pragma once

#include <jansson.h>

#include "cli/cmd.h"
#include "kube/client.h"

/* An agent: the pod of one node. */
struct pp_remote_agent {
	char *namespace, *name, *node;
	int port;
	json_t *answer; /* to pp_remote_ask_all(); NULL: none */
	char why[200];  /* then */
};

struct pp_remote {
	struct pp_loop *loop;
	struct pp_kube *kube;
	char *namespace; /* of the kubeconfig's context, or "default" */
	struct pp_remote_agent *agents;
	size_t n;
};

/*
 * By args' --kubeconfig, else $KUBECONFIG, else ~/.kube/config. 0, or -errno with a message; to be
 * closed in both cases.
 */
int pp_remote_open(const struct pp_args *args, struct pp_remote *ret, struct pp_err *e);
void pp_remote_close(struct pp_remote *r);

/*
 * One request; body may be NULL, and is sent as a merge patch otherwise. *ret is the answer's body,
 * to be freed. 0, -ENOENT (404), or -EIO, with a message.
 */
int pp_remote_request(struct pp_remote *r, const char *method, const char *path, const char *body,
		      json_t **ret, struct pp_err *e);

/* Finds the agents that run; none is an error that says so. 0 or -errno with a message. */
int pp_remote_find(struct pp_remote *r, struct pp_err *e);

/* Asks every agent for a page, some at a time: answers and reasons are theirs. 0 or -ENOMEM. */
int pp_remote_ask_all(struct pp_remote *r, const char *page);

/* Asks the agent of a node for a page. As pp_remote_request(). */
int pp_remote_ask(struct pp_remote *r, const char *node, const char *page, json_t **ret,
		  struct pp_err *e);
