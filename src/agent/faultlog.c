// SPDX-License-Identifier: Apache-2.0
// Lines that have been logged are kept until a round does not have them.
#define _GNU_SOURCE
#include "agent/faultlog.h"
#include "base/base.h"
#include "base/log.h"

struct line {
	struct pp_table_item item; /* its key is text */
	unsigned int round;        /* that had it last */
	char text[];
};

void pp_faultlog_begin(struct pp_faultlog *l)
{
	l->round++;
}

static void add_line(struct pp_faultlog *l, const char *text, bool has_last_good)
{
	struct line *line = (struct line *)pp_table_find(&l->lines, text);
	size_t size = strlen(text) + 1;

	if (line) {
		line->round = l->round;
		return;
	}
	pp_log(PP_LOG_ERROR,
	       has_last_good ? "a fault in the configuration; what it said before stays"
			     : "a fault in the configuration",
	       "why", text, NULL);
	/* without memory it is logged again the next time */
	line = calloc(1, sizeof(*line) + size);
	if (!line)
		return;
	line->round = l->round;
	line->item.key = memcpy(line->text, text, size);
	if (pp_table_add(&l->lines, &line->item))
		free(line);
}

void pp_faultlog_add(const struct pp_problem *p, void *arg)
{
	char line[800];
	const char *end;

	for (const char *at = p->text; at; at = *end ? end + 1 : NULL) {
		end = strchrnul(at, '\n');
		snprintf(line, sizeof(line), "%.*s", (int)(end - at), at);
		add_line(arg, line, p->has_last_good);
	}
}

void pp_faultlog_end(struct pp_faultlog *l)
{
	struct pp_table_item *item, *next;

	for (item = pp_table_next(&l->lines, NULL); item; item = next) {
		next = pp_table_next(&l->lines, item);
		if (((struct line *)item)->round == l->round)
			continue;
		pp_table_remove(&l->lines, item);
		free(item);
	}
}

void pp_faultlog_close(struct pp_faultlog *l)
{
	pp_faultlog_begin(l);
	pp_faultlog_end(l);
	pp_table_close(&l->lines);
}
