// SPDX-License-Identifier: Apache-2.0
// kubeconfig files, parsed one by one and then asked as if they were one. No I/O.
// Format: client-go, tools/clientcmd/api/v1/types.go.
#pragma once

#include "kube/config.h"

struct pp_kubeconfig;

int pp_kubeconfig_new(struct pp_kubeconfig **ret);
void pp_kubeconfig_free(struct pp_kubeconfig *k);
static inline void pp_kubeconfig_freep(struct pp_kubeconfig **k)
{
	pp_kubeconfig_free(*k);
}

/* Adds the text of a file after those that are there; what they have wins. 0 or -errno, message. */
int pp_kubeconfig_add(struct pp_kubeconfig *k, const char *file, const char *text, size_t len,
		      struct pp_err *e);

/* As pp_kube_config_load(). */
int pp_kubeconfig_resolve(const struct pp_kubeconfig *k, const char *context,
			  struct pp_kube_config *ret, struct pp_err *e);
