// SPDX-License-Identifier: Apache-2.0
// Objects as YAML: all that was understood of them, in one form.
#include <inttypes.h>
#include <netinet/in.h>

#include "base/base.h"
#include "base/qty.h"
#include "policy/print.h"

/* The code point at *s, which is valid UTF-8, as all that YAML gave; *s is moved behind it. */
static uint32_t next_point(const char **s)
{
	unsigned char c = (unsigned char)*(*s)++;
	int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
	uint32_t point = more == 3 ? c & 7 : more == 2 ? c & 15 : more == 1 ? c & 31 : c;

	while (more-- && **s)
		point = point << 6 | ((unsigned char)*(*s)++ & 63);
	return point;
}

/* In quotes: what looks like a number stays text. */
static void put(FILE *f, const char *s)
{
	fputc('"', f);
	while (*s) {
		uint32_t c = next_point(&s);

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", (char)c);
		else if (c >= 0x20 && c <= 0x7e)
			fputc((int)c, f);
		else
			fprintf(f, c > 0xffff ? "\\U%08" PRIx32 : "\\u%04" PRIx32, c);
	}
	fputc('"', f);
}

/* The reader has the last first. */
static void print_requirements(FILE *f, const struct pp_requirement *q)
{
	static const char *const names[] = { "In", "NotIn", "Exists", "DoesNotExist" };

	if (!q)
		return;
	print_requirements(f, q->next);
	fputs(q->next ? ", {key: " : "{key: ", f);
	put(f, q->key);
	fprintf(f, ", operator: %s", names[q->op]);
	for (size_t i = 0; i < q->n; i++) {
		fputs(i ? ", " : ", values: [", f);
		put(f, q->value[i]);
	}
	fputs(q->n ? "]}" : "}", f);
}

static void print_selector(FILE *f, const char *field, const struct pp_selector *s)
{
	fprintf(f, "%s: {", field);
	if (s->first) {
		fputs("matchExpressions: [", f);
		print_requirements(f, s->first);
		fputc(']', f);
	}
	fputc('}', f);
}

static void print_selector_line(FILE *f, const char *field, const struct pp_selector *s)
{
	if (!s->present)
		return;
	print_selector(f, field, s);
	fputc('\n', f);
}

/* --- directions */

static void print_peer(FILE *f, const struct pp_peer_spec *p)
{
	char text[PP_CIDR_TEXT];

	fputs("      - {", f);
	if (p->namespaces.present)
		print_selector(f, "namespaceSelector", &p->namespaces);
	if (p->pods.present)
		print_selector(f, p->namespaces.present ? ", podSelector" : "podSelector",
			       &p->pods);
	if (p->is_block)
		fprintf(f, "ipBlock: {cidr: \"%s\"", pp_cidr_format(text, &p->block));
	for (size_t i = 0; i < p->n_except; i++)
		fprintf(f, "%s\"%s\"%s", i ? ", " : ", except: [",
			pp_cidr_format(text, &p->except[i]), i + 1 < p->n_except ? "" : "]");
	fputs(p->is_block ? "}}\n" : "}\n", f);
}

static void print_port(FILE *f, const struct pp_port_spec *p)
{
	fprintf(f, "      - {protocol: %s",
		p->protocol == IPPROTO_TCP   ? "TCP"
		: p->protocol == IPPROTO_UDP ? "UDP"
					     : "SCTP");
	if (p->first != 1 || p->last != UINT16_MAX)
		fprintf(f, ", port: %u", p->first);
	if (p->first != p->last && (p->first != 1 || p->last != UINT16_MAX))
		fprintf(f, ", endPort: %u", p->last);
	fputs("}\n", f);
}

static const char *const per_words[] = { "", "Pod", "Policy", "Namespace", "Node", "Pair" };

static void print_rule(FILE *f, const struct pp_rule_spec *rule, enum pp_way way)
{
	char rate[32];

	fputs("    - name: ", f);
	put(f, rule->name);
	fputc('\n', f);
	if (rule->peers)
		fputs(way == PP_WAY_EGRESS ? "      to:\n" : "      from:\n", f);
	for (const struct pp_peer_spec *p = rule->peers; p; p = p->next)
		print_peer(f, p);
	if (rule->n_ports)
		fputs("      ports:\n", f);
	for (size_t i = 0; i < rule->n_ports; i++)
		print_port(f, &rule->ports[i]);
	fprintf(f, "      ceil: %s\n      per: %s\n", pp_rate_format(rate, rule->ceil),
		per_words[rule->per]);
}

static void print_share(FILE *f, const struct pp_object *o, enum pp_way way)
{
	const struct pp_share_spec *s = &o->share[way];
	char rate[32];

	if (!s->line && !o->rules[way])
		return;
	fprintf(f, "  %s:\n", way == PP_WAY_EGRESS ? "egress" : "ingress");
	if (s->ceil)
		fprintf(f, "    ceil: %s\n", pp_rate_format(rate, s->ceil));
	if (s->guarantee)
		fprintf(f, "    guarantee: %s\n", pp_rate_format(rate, s->guarantee));
	if (s->weight)
		fprintf(f, "    weight: %" PRIu32 "\n", s->weight);
	if (o->rules[way])
		fputs("    rules:\n", f);
	for (const struct pp_rule_spec *rule = o->rules[way]; rule; rule = rule->next)
		print_rule(f, rule, way);
}

/* --- objects */

static void print_subject(FILE *f, const struct pp_object *o)
{
	fputs("  subject:\n", f);
	if (o->cgroups) {
		fputs("    cgroups: [", f);
		for (const struct pp_value *v = o->cgroups->first; v; v = v->next) {
			put(f, v->text);
			fputs(v->next ? ", " : "]\n", f);
		}
	} else if (o->pods.present) {
		fputs("    pods:\n", f);
		print_selector_line(f, "      namespaceSelector", &o->namespaces);
		print_selector_line(f, "      podSelector", &o->pods);
	} else {
		print_selector_line(f, "    namespaces", &o->namespaces);
		print_selector_line(f, "    nodes", &o->nodes);
	}
}

static void print_object(FILE *f, const struct pp_object *o)
{
	fprintf(f, "---\napiVersion: podpace.io/v1alpha1\nkind: %s\nmetadata:\n  name: ",
		pp_kind_name(o->kind));
	put(f, o->name);
	if (o->namespace) {
		fputs("\n  namespace: ", f);
		put(f, o->namespace);
	}
	fputs("\nspec:\n", f);
	if (o->kind == PP_CLUSTER_POLICY)
		print_subject(f, o);
	else
		print_selector_line(f, o->kind == PP_CLASS ? "  namespaces" : "  podSelector",
				    o->kind == PP_CLASS ? &o->namespaces : &o->pods);
	if (o->is_default)
		fputs("  default: true\n", f);
	if (o->class) {
		fputs("  class: ", f);
		put(f, o->class);
		fputc('\n', f);
	}
	print_share(f, o, PP_WAY_EGRESS);
	print_share(f, o, PP_WAY_INGRESS);
	if (o->kind != PP_CLASS && o->per != PP_PER_NONE)
		fprintf(f, "  per: %s\n", per_words[o->per]);
	if (o->observe)
		fputs("  enforcement: Observe\n", f);
}

void pp_objects_print(FILE *f, const struct pp_objects *o)
{
	for (const struct pp_object *p = o->first; p; p = p->next)
		if (p->valid)
			print_object(f, p);
}
