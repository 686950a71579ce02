// SPDX-License-Identifier: Apache-2.0
// Feeds any bytes as a watch's stream, whole and in pieces: both give the same events, and each
// event is complete or refused with a message of one line.

#include "base/base.h"
#include "kube/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	struct pp_store store;
	uint64_t lines, sum;
	long known; /* objects that were put and are not gone */
};

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check_message(const struct pp_err *e)
{
	size_t len = strnlen(e->msg, sizeof(e->msg));

	must(len > 0 && len < sizeof(e->msg));
	for (size_t i = 0; i < len; i++)
		must((unsigned char)e->msg[i] >= 0x20 && e->msg[i] != 0x7f);
}

static void on_gone(const char *ns, const char *name, const char *uid, void *arg)
{
	struct seen *seen = arg;

	must(ns && *name && *uid);
	seen->known--;
}

static void keep(struct seen *seen, const struct pp_event *event)
{
	enum pp_change change;

	must(event->id.ns && *event->id.name && *event->id.uid && *event->id.version);
	if (event->type == PP_EVENT_DELETED) {
		must(!pp_store_delete(&seen->store, &event->id, on_gone, seen));
		return;
	}
	must(seen->store.table.n == (size_t)seen->known);
	must(!pp_store_put(&seen->store, &event->id, on_gone, seen, &change));
	seen->known = seen->store.table.n;
	must(!pp_store_put(&seen->store, &event->id, on_gone, seen, &change) && change == PP_SAME);
}

static int on_line(const char *line, size_t len, void *arg)
{
	struct pp_event event;
	struct seen *seen = arg;
	struct pp_err e = { "" };

	seen->lines++;
	for (size_t i = 0; i < len; i++)
		seen->sum = seen->sum * 31 + (unsigned char)line[i];
	must(!memchr(line, '\n', len));
	if (pp_event_parse(line, len, &event, &e)) {
		check_message(&e);
		return 0;
	}
	must(json_is_object(event.object));
	if (event.type == PP_EVENT_ERROR) {
		pp_status_read(event.object, 0);
		pp_status_describe(event.object, 0, &e);
		check_message(&e);
	} else if (event.type == PP_EVENT_BOOKMARK) {
		must(event.id.version[0]);
	} else {
		keep(seen, &event);
	}
	pp_event_close(&event);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pp_lines whole_lines = {}, piece_lines = {};
	struct seen whole = {}, pieces = {};
	size_t step = size ? 1 + data[0] % 7 : 1;

	must(pp_lines_feed(&whole_lines, (const char *)data, size, on_line, &whole) == 0);
	for (size_t at = 0; at < size; at += step)
		must(pp_lines_feed(&piece_lines, (const char *)data + at,
				   size - at < step ? size - at : step, on_line, &pieces) == 0);
	must(whole.lines == pieces.lines && whole.sum == pieces.sum);
	must(whole_lines.len == piece_lines.len && whole.store.table.n == pieces.store.table.n);
	pp_store_begin(&whole.store);
	pp_store_end(&whole.store, on_gone, &whole);
	must(whole.store.table.n == 0 && whole.known == 0);
	pp_store_close(&whole.store);
	pp_store_close(&pieces.store);
	pp_lines_close(&whole_lines);
	pp_lines_close(&piece_lines);
	return 0;
}
