// SPDX-License-Identifier: Apache-2.0
// What rules match, in one form: peers as texts that are sorted, so that rules which say the same
// in another order share a match; and what of it some subject has, copied into the plan.
#include <netinet/in.h>

#include "base/base.h"
#include "policy/plan_parts.h"
#include "policy/plan_ruling.h"

#define TO 120 /* characters that are enough for people */

/* --- texts */

/* The text that has been written to f, which is closed, in an arena. text is what f has made. */
static const char *take_text(struct pp_build *b, struct pp_arena *a, FILE *f, char **text)
{
	const char *copy = "";

	if (f && fclose(f) == 0)
		copy = pp_arena_copy(a, *text);
	else
		b->scratch.failed = true;
	free(*text);
	*text = NULL;
	return copy;
}

static void put_selector(struct pp_build *b, FILE *f, const char *before,
			 const struct pp_selector *s)
{
	_cleanup_free_ char *text = pp_selector_format(s);

	if (text)
		fprintf(f, "%s%s", before, text);
	else
		b->scratch.failed = true;
}

/*
 * A namespace's name has no space in it, nor has a label's key or value: what stands behind " of "
 * can be nothing else than it is.
 */
static void put_pods(struct pp_build *b, FILE *f, const struct pp_plan_peer *p)
{
	fputs("pods", f);
	if (p->pods.first)
		put_selector(b, f, " ", &p->pods);
	if (p->namespace)
		fprintf(f, " of %s", p->namespace);
	else if (p->namespaces.first)
		put_selector(b, f, " of namespaces ", &p->namespaces);
	else
		fputs(" of all namespaces", f);
}

static void put_block(FILE *f, const struct pp_plan_peer *p)
{
	char text[PP_CIDR_TEXT];

	fputs(pp_cidr_format(text, &p->block), f);
	for (size_t i = 0; i < p->n_except; i++)
		fprintf(f, " %s %s", i ? "and" : "except", pp_cidr_format(text, &p->except[i]));
}

static void put_ports(FILE *f, const struct pp_port_spec *p)
{
	const char *name = p->protocol == IPPROTO_TCP	? "TCP"
			   : p->protocol == IPPROTO_UDP ? "UDP"
							: "SCTP";

	if (p->first == 1 && p->last == UINT16_MAX)
		fprintf(f, ", all %s ports", name);
	else if (p->first == p->last)
		fprintf(f, ", port %s %u", name, p->first);
	else
		fprintf(f, ", ports %s %u-%u", name, p->first, p->last);
}

/* Whole parts, as many as fit; one at least, if not all of it. */
static const char *shorten(struct pp_build *b, const char *text)
{
	size_t len = 0, more = 0;
	const char *comma = strstr(text, ", ");

	if (strlen(text) <= TO)
		return text;
	for (; comma && comma - text <= TO; comma = strstr(comma + 2, ", "))
		len = (size_t)(comma - text);
	for (comma = strstr(text + len, ", "); comma; comma = strstr(comma + 2, ", "))
		more++;
	if (!len)
		return pp_arena_text(b->memory, "%.*s...%s", TO, text, more ? ", and more" : "");
	return pp_arena_text(b->memory, "%.*s, and %zu more", (int)len, text, more);
}

static void write_ruling(struct pp_build *b, struct pp_plan_ruling *x)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	for (size_t i = 0; i < x->n_drafts && f; i++)
		fprintf(f, "%s%s", i ? ", " : "", x->drafts[i].text);
	if (!x->n_drafts && f)
		fputs("everything", f);
	for (size_t i = 0; i < x->n_ports && f; i++)
		put_ports(f, &x->ports[i]);
	x->text = take_text(b, b->memory, f, &text);
	x->to = shorten(b, x->text);
}

/* --- drafts */

/* Without those that are within another one. */
static void draft_block(struct pp_build *b, const struct pp_peer_spec *spec, struct pp_plan_peer *p)
{
	struct pp_cidr *c = pp_arena_alloc(&b->scratch, spec->n_except, sizeof(*c));
	size_t n = 0, kept = 0;

	p->is_block = true;
	p->block = spec->block;
	if (!spec->n_except || !c)
		return;
	memcpy(c, spec->except, spec->n_except * sizeof(*c));
	n = pp_cidrs_sort(c, spec->n_except);
	for (size_t i = 0; i < n; i++)
		if (!kept || !pp_cidr_contains(&c[kept - 1], &c[i]))
			c[kept++] = c[i];
	p->except = c;
	p->n_except = kept;
}

static void draft_peer(struct pp_build *b, const struct pp_plan_item *item,
		       const struct pp_peer_spec *spec, struct pp_plan_draft *d)
{
	struct pp_plan_peer *p = &d->peer;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (spec->is_block) {
		draft_block(b, spec, p);
	} else {
		p->namespace = spec->namespaces.present ? NULL : item->o->namespace;
		p->namespaces = spec->namespaces;
		p->pods = spec->pods;
		p->pods.present = true;
	}
	if (f && p->is_block)
		put_block(f, p);
	else if (f)
		put_pods(b, f, p);
	d->text = take_text(b, &b->scratch, f, &text);
}

static int compare_drafts(const void *a, const void *b)
{
	return strcmp(((const struct pp_plan_draft *)a)->text,
		      ((const struct pp_plan_draft *)b)->text);
}

static void draft_peers(struct pp_build *b, struct pp_plan_ruling *x)
{
	struct pp_plan_draft *drafts;
	size_t n = 0;

	for (const struct pp_peer_spec *p = x->spec->peers; p; p = p->next)
		n++;
	x->drafts = drafts = pp_arena_alloc(&b->scratch, n, sizeof(*drafts));
	if (!n || !drafts)
		return;
	n = 0;
	for (const struct pp_peer_spec *p = x->spec->peers; p; p = p->next)
		draft_peer(b, x->item, p, &drafts[n++]);
	qsort(drafts, n, sizeof(*drafts), compare_drafts);
	for (size_t i = 0; i < n; i++)
		if (!x->n_drafts || compare_drafts(&drafts[x->n_drafts - 1], &drafts[i]) != 0)
			drafts[x->n_drafts++] = drafts[i];
}

static int compare_ports(const void *a, const void *b)
{
	const struct pp_port_spec *x = a, *y = b;

	if (x->protocol != y->protocol)
		return (int)x->protocol - (int)y->protocol;
	return (int)x->first - (int)y->first;
}

/* Ranges that meet are one. */
static void draft_ports(struct pp_plan_ruling *x)
{
	struct pp_port_spec ports[PP_MAX_PORTS];
	size_t n = x->spec->n_ports;

	memcpy(ports, x->spec->ports, sizeof(ports));
	qsort(ports, n, sizeof(*ports), compare_ports);
	for (size_t i = 0; i < n; i++) {
		struct pp_port_spec *last = x->n_ports ? &x->ports[x->n_ports - 1] : NULL;

		if (!last || last->protocol != ports[i].protocol || last->last + 1 < ports[i].first)
			x->ports[x->n_ports++] = ports[i];
		else if (last->last < ports[i].last)
			last->last = ports[i].last;
	}
}

/* --- rulings */

static void draft_item(struct pp_build *b, struct pp_plan_item *item, enum pp_way way)
{
	size_t n = 0;

	for (const struct pp_rule_spec *spec = item->o->rules[way]; spec; spec = spec->next)
		n++;
	item->rulings[way] = pp_arena_alloc(&b->scratch, n, sizeof(*item->rulings[way]));
	if (!item->rulings[way])
		return;
	item->n_rulings[way] = n;
	n = 0;
	for (const struct pp_rule_spec *spec = item->o->rules[way]; spec; spec = spec->next) {
		struct pp_plan_ruling *x = &item->rulings[way][n++];

		*x = (struct pp_plan_ruling){ .spec = spec, .item = item };
		draft_peers(b, x);
		draft_ports(x);
		write_ruling(b, x);
	}
	b->n_rulings += n;
}

static int compare_rulings(const void *a, const void *b)
{
	return strcmp((*(struct pp_plan_ruling *const *)a)->text,
		      (*(struct pp_plan_ruling *const *)b)->text);
}

/* The first of each text has the match of all. */
static void join(struct pp_build *b)
{
	struct pp_plan_ruling *first = NULL;

	for (size_t i = 0; i < b->n_rulings; i++) {
		struct pp_plan_ruling *x = b->rulings[i];

		if (!first || strcmp(first->text, x->text) != 0) {
			first = x;
			x->match = pp_arena_alloc(b->memory, 1, sizeof(*x->match));
		}
		x->first = first;
		x->match = first->match;
	}
}

void pp_plan_rulings(struct pp_build *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n_items; i++)
		for (int way = 0; way < PP_N_WAYS; way++)
			if (b->items[i].n_subjects && b->items[i].o->rules[way])
				draft_item(b, &b->items[i], (enum pp_way)way);
	b->rulings = pp_arena_alloc(&b->scratch, b->n_rulings, sizeof(*b->rulings));
	if (!b->n_rulings || b->scratch.failed)
		return;
	for (size_t i = 0; i < b->n_items; i++)
		for (int way = 0; way < PP_N_WAYS; way++)
			for (size_t k = 0; k < b->items[i].n_rulings[way]; k++)
				b->rulings[n++] = &b->items[i].rulings[way][k];
	qsort(b->rulings, n, sizeof(*b->rulings), compare_rulings);
	join(b);
}

/* --- the plan's */

static struct pp_selector copy_selector(struct pp_build *b, const struct pp_selector *s)
{
	struct pp_selector copy = { .present = s->present };
	struct pp_requirement **last = &copy.first;

	for (const struct pp_requirement *q = s->first; q; q = q->next) {
		struct pp_requirement *r =
			pp_arena_alloc(b->memory, 1, sizeof(*r) + q->n * sizeof(q->value[0]));

		if (!r)
			break;
		r->op = q->op;
		r->key = pp_arena_copy(b->memory, q->key);
		r->n = q->n;
		for (size_t i = 0; i < q->n; i++)
			r->value[i] = pp_arena_copy(b->memory, q->value[i]);
		*last = r;
		last = &r->next;
	}
	return copy;
}

static void copy_peer(struct pp_build *b, const struct pp_plan_peer *from, struct pp_plan_peer *to)
{
	struct pp_cidr *except = pp_arena_alloc(b->memory, from->n_except, sizeof(*except));

	*to = *from;
	to->namespace = pp_arena_copy(b->memory, from->namespace);
	to->namespaces = copy_selector(b, &from->namespaces);
	to->pods = copy_selector(b, &from->pods);
	if (except && from->n_except)
		memcpy(except, from->except, from->n_except * sizeof(*except));
	to->except = except;
}

static void take_match(struct pp_build *b, const struct pp_plan_ruling *x)
{
	struct pp_plan_peer *peers = pp_arena_alloc(b->memory, x->n_drafts, sizeof(*peers));
	struct pp_port_spec *ports = pp_arena_alloc(b->memory, x->n_ports, sizeof(*ports));

	if (b->memory->failed)
		return;
	for (size_t i = 0; i < x->n_drafts; i++)
		copy_peer(b, &x->drafts[i].peer, &peers[i]);
	if (x->n_ports)
		memcpy(ports, x->ports, x->n_ports * sizeof(*ports));
	*x->match = (struct pp_plan_match){ .index = b->plan->n_matches,
					    .text = x->text,
					    .to = x->to,
					    .all = !x->n_drafts,
					    .peers = peers,
					    .n_peers = x->n_drafts,
					    .ports = ports,
					    .n_ports = x->n_ports };
	b->plan->matches[b->plan->n_matches++] = x->match;
}

void pp_plan_take_matches(struct pp_build *b)
{
	b->plan->matches =
		pp_arena_alloc(b->memory, b->n_rulings, sizeof(struct pp_plan_match *));
	for (size_t i = 0; i < b->n_rulings && b->plan->matches; i++)
		if (b->rulings[i]->first == b->rulings[i] && b->rulings[i]->used)
			take_match(b, b->rulings[i]);
}
