// SPDX-License-Identifier: Apache-2.0
// A plan as text: subjects, the pipes of each direction, as trees and by rules, objects, notes.
#include <inttypes.h>

#include "base/base.h"
#include "base/qty.h"
#include "policy/print.h"

static void put(FILE *f, const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s >= 0x20 && (unsigned char)*s <= 0x7e)
			fputc(*s, f);
		else
			fprintf(f, "\\x%02x", (unsigned char)*s);
}

static void put_from(FILE *f, const char *from)
{
	fputs(" (", f);
	put(f, from);
	fputc(')', f);
}

static void print_subject(FILE *f, const struct pp_plan_subject *s)
{
	static const char *const ways[] = { "egress", "ingress" };

	fputs("  ", f);
	put(f, s->namespace ? s->namespace : "");
	fputs(s->namespace ? "/" : "", f);
	put(f, s->name);
	if (s->class) {
		fputs(": class ", f);
		put(f, s->class);
		put_from(f, s->class_from);
	}
	fputc('\n', f);
	for (int way = 0; way < PP_N_WAYS; way++)
		for (int i = 0; i < PP_PLAN_CAPS && s->cap[way][i]; i++) {
			fprintf(f, "    beside: %s ", ways[way]);
			put(f, s->cap[way][i]->name);
			fputc('\n', f);
		}
	for (int way = 0; way < PP_N_WAYS; way++)
		for (size_t i = 0; i < s->n_rules[way]; i++) {
			fprintf(f, "    rule: %s ", ways[way]);
			put(f, s->rule[way][i].pipe->name);
			fputc('\n', f);
		}
}

static void print_pipe(FILE *f, const struct pp_plan_pipe *p, int depth)
{
	char rate[32];

	fprintf(f, "%*s", 2 * depth, "");
	put(f, p->name);
	fputc(':', f);
	if (p->ceil) {
		fprintf(f, " ceil %s", pp_rate_format(rate, p->ceil));
		put_from(f, p->ceil_from);
	}
	if (p->guarantee) {
		fprintf(f, " guarantee %s", pp_rate_format(rate, p->guarantee));
		put_from(f, p->guarantee_from);
	}
	if (p->parent) {
		fprintf(f, " weight %" PRIu32, p->weight);
		put_from(f, p->weight_from);
	}
	if (p->match) {
		fputs(p->way == PP_WAY_EGRESS ? " to " : " from ", f);
		fputs(p->pairs ? "each of " : "", f);
		put(f, p->match->text);
	}
	fputc('\n', f);
}

struct walk {
	const struct pp_plan *plan;
	size_t *first, *next; /* of each pipe: its first member, the next of its parent; n: none */
};

static void print_tree(FILE *f, const struct walk *w, size_t i, int depth)
{
	print_pipe(f, w->plan->pipes[i], depth);
	for (size_t m = w->first[i]; m < w->plan->n_pipes; m = w->next[m])
		print_tree(f, w, m, depth + 1);
}

/* Where a pipe is. */
struct at {
	const struct pp_plan_pipe *pipe;
	size_t i;
};

static int compare_pipes(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t)((const struct at *)a)->pipe,
		  y = (uintptr_t)((const struct at *)b)->pipe;

	return (x > y) - (x < y);
}

static bool find_members(struct walk *w)
{
	const struct pp_plan *p = w->plan;
	_cleanup_free_ struct at *sorted = calloc(p->n_pipes + 1, sizeof(*sorted));

	w->first = calloc(p->n_pipes + 1, sizeof(*w->first));
	w->next = calloc(p->n_pipes + 1, sizeof(*w->next));
	if (!sorted || !w->first || !w->next)
		return false;
	for (size_t i = 0; i < p->n_pipes; i++) {
		sorted[i] = (struct at){ p->pipes[i], i };
		w->first[i] = w->next[i] = p->n_pipes;
	}
	qsort(sorted, p->n_pipes, sizeof(*sorted), compare_pipes);
	for (size_t i = p->n_pipes; i-- > 0;) {
		struct at key = { p->pipes[i]->parent, 0 }, *parent = NULL;

		if (key.pipe)
			parent = bsearch(&key, sorted, p->n_pipes, sizeof(key), compare_pipes);
		if (!parent)
			continue;
		w->next[i] = w->first[parent->i];
		w->first[parent->i] = i;
	}
	return true;
}

static void print_trees(FILE *f, const struct walk *w, enum pp_way way, bool uplink, bool observe,
			const char *title)
{
	bool titled = false;

	for (size_t i = 0; i < w->plan->n_pipes; i++) {
		const struct pp_plan_pipe *p = w->plan->pipes[i];

		if (p->parent || p->match || p->way != way || p->uplink != uplink ||
		    p->observe != observe)
			continue;
		if (!titled)
			fprintf(f, "%s\n", title);
		titled = true;
		print_tree(f, w, i, 1);
	}
}

static void print_rules(FILE *f, const struct pp_plan *p, enum pp_way way, const char *title)
{
	bool titled = false;

	for (size_t i = 0; i < p->n_pipes; i++) {
		if (!p->pipes[i]->match || p->pipes[i]->way != way)
			continue;
		if (!titled)
			fprintf(f, "%s\n", title);
		titled = true;
		print_pipe(f, p->pipes[i], 1);
	}
}

static void print_objects(FILE *f, const struct pp_plan *p)
{
	if (p->n_objects)
		fputs("objects\n", f);
	for (size_t i = 0; i < p->n_objects; i++) {
		const struct pp_plan_object *o = &p->objects[i];

		fprintf(f, "  %s %s%s%s: %zu\n", pp_kind_name(o->kind),
			o->namespace ? o->namespace : "", o->namespace ? "/" : "", o->name,
			o->n_subjects);
	}
}

static void print_notes(FILE *f, const struct pp_plan *p)
{
	if (p->n_notes)
		fputs("notes\n", f);
	for (size_t i = 0; i < p->n_notes; i++) {
		const struct pp_plan_note *n = &p->notes[i];

		fputs("  ", f);
		put(f, n->object ? n->object : "");
		fputs(n->object && n->subject ? ", " : "", f);
		put(f, n->subject ? n->subject : "");
		fputs(": ", f);
		put(f, n->text);
		fputc('\n', f);
	}
}

void pp_plan_print(FILE *f, const struct pp_plan *p)
{
	static const char *const titles[PP_N_WAYS][4] = {
		{ "egress", "egress, uplink", "egress, observed", "egress, rules" },
		{ "ingress", "ingress, uplink", "ingress, observed", "ingress, rules" },
	};
	struct walk w = { .plan = p };

	if (p->n_subjects)
		fputs("subjects\n", f);
	for (size_t i = 0; i < p->n_subjects; i++)
		print_subject(f, &p->subjects[i]);
	if (find_members(&w))
		for (int way = 0; way < PP_N_WAYS; way++) {
			print_trees(f, &w, (enum pp_way)way, false, false, titles[way][0]);
			print_trees(f, &w, (enum pp_way)way, true, false, titles[way][1]);
			print_trees(f, &w, (enum pp_way)way, false, true, titles[way][2]);
			print_rules(f, p, (enum pp_way)way, titles[way][3]);
		}
	free(w.first);
	free(w.next);
	print_objects(f, p);
	print_notes(f, p);
}

/* --- parties */

/* What parts of a list are put between. */
static const char *between(bool *any)
{
	const char *comma = *any ? ", " : " ";

	*any = true;
	return comma;
}

static int compare_party(const void *key, const void *party)
{
	return memcmp(key, ((const struct pp_party *)party)->key, 16);
}

/* With those of its addresses by which it matches. */
static void print_pod(FILE *f, const struct pp_parties *p, const struct pp_party_pod *pod,
		      size_t match)
{
	const char *word = " at";

	fputs("pod ", f);
	put(f, pod->namespace);
	fputc('/', f);
	put(f, pod->name);
	for (size_t i = 0; i < pod->n_addresses; i++) {
		const struct pp_party *party = bsearch(pod->addresses[i], p->parties, p->n_parties,
						       sizeof(*party), compare_party);
		struct pp_cidr c = { .len = 128 };
		char text[PP_CIDR_TEXT];

		if (!party || party->identity != pod->identity ||
		    !pp_parties_has(p, party->group, match))
			continue;
		memcpy(c.addr, pod->addresses[i], sizeof(c.addr));
		pp_cidr_format(text, &c);
		fprintf(f, "%s %.*s", word, (int)strcspn(text, "/"), text);
		word = " and";
	}
}

/* Where the match begins to have addresses, and where it ceases to. */
static void print_blocks(FILE *f, const struct pp_parties *p, size_t match, bool *any)
{
	char text[PP_CIDR_TEXT];

	for (size_t i = 0; i < p->n_blocks; i++) {
		bool has = pp_parties_has(p, p->blocks[i].group, match), had = false;

		for (size_t k = i; k-- > 0;)
			if (pp_cidr_contains(&p->blocks[k].c, &p->blocks[i].c)) {
				had = pp_parties_has(p, p->blocks[k].group, match);
				break;
			}
		if (has != had)
			fprintf(f, "%s%s%s", between(any), has ? "" : "not ",
				pp_cidr_format(text, &p->blocks[i].c));
	}
}

void pp_parties_print(FILE *f, const struct pp_plan *plan, const struct pp_parties *p,
		      const struct pp_party_pod *pods, size_t n_pods)
{
	if (plan->n_matches)
		fputs("matches\n", f);
	for (size_t m = 0; m < plan->n_matches; m++) {
		bool any = plan->matches[m]->all;

		fputs("  ", f);
		put(f, plan->matches[m]->text);
		fputs(any ? ": everything" : ":", f);
		for (size_t i = 0; i < n_pods; i++)
			if (pp_parties_has(p, p->of_pod[i], m)) {
				fputs(between(&any), f);
				print_pod(f, p, &pods[i], m);
			}
		print_blocks(f, p, m, &any);
		fputs(any ? "\n" : " nothing\n", f);
	}
}
