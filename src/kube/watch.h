// SPDX-License-Identifier: Apache-2.0
// A kept copy of one collection: every object as it is, and what vanished. The rules are those of
// client-go's reflector (tools/cache/reflector.go).
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "kube/client.h"

struct pp_watch;

/* What a watch tells. Any may be NULL. None may free the watch. */
struct pp_watch_ops {
	/* The object is new or has changed; borrowed. Without metadata.managedFields. */
	void (*put)(json_t *object, void *arg);
	/*
	 * It is gone, or another with its name has taken its place (which then is put). ns is ""
	 * for what is in no namespace.
	 */
	void (*gone)(const char *ns, const char *name, const char *uid, void *arg);
	/*
	 * Everything there is has been put and everything else is gone: after the first list, and
	 * after each that had to be made anew.
	 */
	void (*synced)(void *arg);
	/* The stream could not be opened, broke, or said what is not understood: one line. */
	void (*failed)(const char *why, void *arg);
};

struct pp_watch_stats {
	uint64_t events;   /* objects and bookmarks received */
	uint64_t lists;	   /* initial lists, streamed or not */
	uint64_t restarts; /* streams opened again, for whatever reason */
	bool synced;	   /* there was a first list */
	bool connected;	   /* a stream is open: the server has answered 200 */
	int refused; /* HTTP status by which it was last refused; 0 if a list has ended since */
};

/*
 * Watches path ("/api/v1/pods") with query ("fieldSelector=spec.nodeName%3Dn1", or NULL) until it is
 * freed: first by a streamed list (sendInitialEvents), on servers that refuse it by list and watch.
 * 410 and ERROR in the stream, timeouts, dead connections and broken lines are dealt with inside;
 * objects are never forgotten because the server is away. 0, or -errno.
 */
int pp_watch_new(struct pp_kube *k, const char *path, const char *query,
		 const struct pp_watch_ops *ops, void *arg, struct pp_watch **ret);
void pp_watch_free(struct pp_watch *w);
void pp_watch_stats(const struct pp_watch *w, struct pp_watch_stats *ret);
