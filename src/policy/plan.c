// SPDX-License-Identifier: Apache-2.0
// From objects and subjects to a plan: the parts in their order, then what they made as arrays.
// docs/policy.md has the rules.
#include <stdarg.h>

#include "base/base.h"
#include "policy/plan_parts.h"

struct pp_plan_memory {
	struct pp_arena arena;
};

const char *const pp_plan_way[PP_N_WAYS] = { "egress", "ingress" };

const char *pp_plan_show(struct pp_build *b, const char *text)
{
	char shown[120];

	pp_err_escape(shown, sizeof(shown), text, strlen(text));
	return pp_arena_text(&b->scratch, "\"%s\"", shown);
}

void pp_plan_remark(struct pp_build *b, const struct pp_plan_item *object,
		    const struct pp_plan_member *subject, const char *fmt, ...)
{
	struct pp_plan_remark *r = pp_arena_alloc(&b->scratch, 1, sizeof(*r));
	char text[400];
	va_list ap;

	if (!r)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->note =
		(struct pp_plan_note){ object ? object->text : NULL, subject ? subject->text : NULL,
				       pp_arena_copy(&b->scratch, text) };
	r->next = b->remarks;
	b->remarks = r;
	b->n_remarks++;
}

/* NULL is the first. */
static int compare_texts(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) : (a != NULL) - (b != NULL);
}

static int compare_notes(const void *a, const void *b)
{
	const struct pp_plan_note *x = a, *y = b;
	int r = compare_texts(x->object, y->object);

	if (!r)
		r = compare_texts(x->subject, y->subject);
	return r ? r : strcmp(x->text, y->text);
}

/* Sorted, each once, with their texts in the plan. */
static void take_notes(struct pp_build *b)
{
	struct pp_plan *p = b->plan;
	size_t n = 0;

	p->notes = pp_arena_alloc(b->memory, b->n_remarks, sizeof(*p->notes));
	if (!p->notes)
		return;
	for (const struct pp_plan_remark *r = b->remarks; r; r = r->next)
		p->notes[n++] = r->note;
	qsort(p->notes, n, sizeof(*p->notes), compare_notes);
	for (size_t i = 0; i < n; i++) {
		if (p->n_notes && compare_notes(&p->notes[p->n_notes - 1], &p->notes[i]) == 0)
			continue;
		p->notes[p->n_notes] = p->notes[i];
		p->notes[p->n_notes].text = pp_arena_copy(b->memory, p->notes[i].text);
		p->n_notes++;
	}
}

static void take_pipes(struct pp_build *b)
{
	struct pp_plan *p = b->plan;

	p->pipes = pp_arena_alloc(b->memory, b->n_nodes, sizeof(*p->pipes));
	if (!p->pipes)
		return;
	for (struct pp_plan_node *n = b->first; n; n = n->next) {
		n->pipe.index = p->n_pipes;
		p->pipes[p->n_pipes++] = &n->pipe;
	}
}

static void take_objects(struct pp_build *b)
{
	struct pp_plan *p = b->plan;

	p->objects = pp_arena_alloc(b->memory, b->n_items, sizeof(*p->objects));
	for (size_t i = 0; i < b->n_items && p->objects; i++) {
		const struct pp_plan_item *item = &b->items[i];

		p->objects[p->n_objects++] = (struct pp_plan_object){
			item->o->kind, pp_arena_copy(b->memory, item->o->namespace),
			pp_arena_copy(b->memory, item->o->name), item->n_subjects
		};
	}
}

static int build(struct pp_build *b)
{
	static void (*const parts[])(struct pp_build *) = {
		pp_plan_select, pp_plan_classes, pp_plan_ceils, pp_plan_chains, pp_plan_pipes,
		pp_plan_shares, pp_plan_rulings, pp_plan_rules, pp_plan_take_matches,
		take_pipes,     take_objects,    take_notes,
	};
	int r = pp_plan_sort(b);

	for (size_t i = 0; i < ARRAY_SIZE(parts) && !r; i++) {
		parts[i](b);
		if (b->scratch.failed || b->memory->failed)
			r = -ENOMEM;
	}
	pp_arena_free(&b->scratch);
	return r;
}

int pp_plan_compile(const struct pp_plan_input *in, struct pp_plan **ret)
{
	struct pp_plan *p = calloc(1, sizeof(*p));
	struct pp_build b = { .in = in, .plan = p, .last = &b.first };
	int r;

	if (p)
		p->memory = calloc(1, sizeof(*p->memory));
	if (!p || !p->memory) {
		free(p);
		return -ENOMEM;
	}
	b.memory = &p->memory->arena;
	r = build(&b);
	if (r) {
		pp_plan_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

void pp_plan_free(struct pp_plan *p)
{
	if (!p)
		return;
	pp_arena_free(&p->memory->arena);
	free(p->memory);
	free(p);
}

static int compare_subjects(const void *key, const void *member)
{
	const struct pp_plan_subject *a = key, *b = member;
	int r = compare_texts(a->namespace, b->namespace);

	if (!r)
		r = strcmp(a->name, b->name);
	return r ? r : strcmp(a->uid, b->uid);
}

const struct pp_plan_subject *pp_plan_find(const struct pp_plan *p, const char *namespace,
					   const char *name, const char *uid)
{
	struct pp_plan_subject key = { .namespace = namespace, .name = name, .uid = uid };

	return p->n_subjects
		       ? bsearch(&key, p->subjects, p->n_subjects, sizeof(key), compare_subjects)
		       : NULL;
}
