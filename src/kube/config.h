// SPDX-License-Identifier: Apache-2.0
// Where the API server is and how to prove who we are: from a pod's service account or a
// kubeconfig.
#pragma once

#include <stdbool.h>

#include "base/err.h"

/* Strings are owned; NULL where there is none. Files are read again whenever they are used. */
struct pp_kube_config {
	char *server;	   /* https://host:port, without a slash at the end */
	char *server_name; /* to be found in the server's certificate, if not the host */
	char *proxy;
	char *namespace;
	/* each as a file or as PEM text */
	char *ca_file, *ca_data;
	char *cert_file, *cert_data;
	char *key_file, *key_data;
	char *token_file, *token; /* the file wins */
	char *username, *password;
	bool insecure; /* the server's certificate is not checked */
};

/*
 * kubeconfig: path of the file (a list of paths separated by colons, merged as kubectl does), or
 * NULL for the service account of the pod this process runs in. context: name in the kubeconfig,
 * NULL for its current one. 0, or -errno with a message that names the file and what is wrong;
 * exec plugins are refused with a message. *ret is untouched on failure.
 */
int pp_kube_config_load(const char *kubeconfig, const char *context, struct pp_kube_config *ret,
			struct pp_err *e);

/* The same for the pod this process runs in; dir is where its service account is mounted. */
int pp_kube_config_in_pod(const char *dir, struct pp_kube_config *ret, struct pp_err *e);
void pp_kube_config_close(struct pp_kube_config *c);
