// SPDX-License-Identifier: Apache-2.0
// Rules of a policy, whose peers mean what those of a NetworkPolicy do (networking.k8s.io/v1, and
// pkg/apis/networking/validation of Kubernetes).
#include <ctype.h>
#include <netinet/in.h>

#include "base/base.h"
#include "policy/read.h"

/* "spec.ingress.rules[15].from[19].ipBlock.except[49]" and such. */
#define FIELD 80

static const char *below(char field[static FIELD], const char *parent, const char *member)
{
	return snprintf(field, FIELD, "%s.%s", parent, member) < FIELD ? field : parent;
}

static const char *nth(char field[static FIELD], const char *list, size_t i)
{
	return snprintf(field, FIELD, "%s[%zu]", list, i) < FIELD ? field : list;
}

/* May it be read? It may be absent. */
static bool is_list(struct pp_reader *r, const struct pp_value *v, const char *field, size_t most)
{
	size_t n = 0;

	if (!v)
		return false;
	if (v->type != PP_VALUE_LIST) {
		pp_fault(r, v->line, field, "is %s; valid is a list", pp_value_kind(v));
		return false;
	}
	for (const struct pp_value *m = v->first; m; m = m->next)
		n++;
	if (n > most)
		pp_fault(r, v->line, field, "has %zu members; valid are at most %zu", n, most);
	return n <= most;
}

static void *allocate(struct pp_reader *r, size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p)
		r->error = -ENOMEM;
	return p;
}

/* --- peers */

static bool read_cidr(struct pp_reader *r, const struct pp_value *v, const char *field,
		      struct pp_cidr *ret)
{
	const char *text = pp_read_text(r, v, field);
	struct pp_err e = { "" };

	if (!text)
		return false;
	if (pp_cidr_parse(text, ret, &e) == 0)
		return true;
	pp_fault(r, v->line, field, "%s", e.msg);
	return false;
}

static void read_except(struct pp_reader *r, const struct pp_value *v, const char *list,
			struct pp_peer_spec *p)
{
	char field[FIELD], within[PP_CIDR_TEXT];
	struct pp_cidr c;
	size_t n = 0, i = 0;

	if (!is_list(r, v, list, PP_MAX_EXCEPTS))
		return;
	for (const struct pp_value *m = v->first; m; m = m->next)
		n++;
	p->except = n ? allocate(r, n, sizeof(*p->except)) : NULL;
	for (const struct pp_value *m = p->except ? v->first : NULL; m; m = m->next) {
		if (!read_cidr(r, m, nth(field, list, i++), &c))
			continue;
		if (c.len > p->block.len && pp_cidr_contains(&p->block, &c))
			p->except[p->n_except++] = c;
		else
			pp_fault(r, m->line, field, "valid is a part of %s, and not all of it",
				 pp_cidr_format(within, &p->block));
	}
}

static void read_block(struct pp_reader *r, const struct pp_value *v, const char *field,
		       struct pp_peer_spec *p)
{
	static const char *const names[] = { "cidr", "except", NULL };
	const struct pp_value *cidr = pp_value_get(v, "cidr");
	char member[FIELD];

	if (!pp_read_map(r, v, field, names))
		return;
	p->is_block = true;
	if (!cidr)
		pp_fault(r, v->line, field, "needs a cidr, as in 10.0.0.0/8");
	else if (read_cidr(r, cidr, below(member, field, "cidr"), &p->block))
		read_except(r, pp_value_get(v, "except"), below(member, field, "except"), p);
}

static void read_peer(struct pp_reader *r, const struct pp_value *v, const char *field,
		      struct pp_peer_spec *p)
{
	static const char *const names[] = { "podSelector", "namespaceSelector", "ipBlock", NULL };
	const struct pp_value *pods = pp_value_get(v, names[0]),
			      *namespaces = pp_value_get(v, names[1]),
			      *block = pp_value_get(v, names[2]);
	char member[FIELD];

	if (!pp_read_map(r, v, field, names))
		return;
	if (!pods && !namespaces && !block)
		pp_fault(r, v->line, field,
			 "says nothing; valid are podSelector, namespaceSelector, ipBlock");
	if (block && (pods || namespaces))
		pp_fault(r, v->line, field,
			 "an ipBlock is alone in its peer; valid are two peers, or no ipBlock");
	if (pods && !namespaces && r->o->kind == PP_CLUSTER_POLICY)
		pp_fault(r, v->line, field,
			 "needs a namespaceSelector beside the podSelector; {} selects every "
			 "namespace");
	pp_read_selector(r, pods, below(member, field, names[0]), &p->pods);
	pp_read_selector(r, namespaces, below(member, field, names[1]), &p->namespaces);
	read_block(r, block, below(member, field, names[2]), p);
}

static void read_peers(struct pp_reader *r, const struct pp_value *v, const char *list,
		       struct pp_rule_spec *rule)
{
	struct pp_peer_spec **last = &rule->peers;
	char field[FIELD];
	size_t i = 0;

	if (!is_list(r, v, list, PP_MAX_PEERS))
		return;
	for (const struct pp_value *m = v->first; m; m = m->next) {
		*last = allocate(r, 1, sizeof(**last));
		if (!*last)
			return;
		read_peer(r, m, nth(field, list, i++), *last);
		last = &(*last)->next;
	}
}

/* --- ports */

/* 0 with a fault. */
static uint16_t read_number(struct pp_reader *r, const struct pp_value *v, const char *field)
{
	char shown[40];
	uint32_t n = 0;

	if (v->type == PP_VALUE_NUMBER && strspn(v->text, "0123456789") == strlen(v->text) &&
	    strlen(v->text) < 9)
		for (const char *c = v->text; *c; c++)
			n = n * 10 + (uint32_t)(*c - '0');
	if (n >= 1 && n <= UINT16_MAX)
		return (uint16_t)n;
	pp_err_escape(shown, sizeof(shown), v->text, strlen(v->text));
	pp_fault(r, v->line, field, "is %s; valid is a number from 1 to 65535",
		 v->type == PP_VALUE_NUMBER ? shown : pp_value_kind(v));
	return 0;
}

static void read_port(struct pp_reader *r, const struct pp_value *v, const char *field,
		      struct pp_port_spec *p)
{
	static const char *const names[] = { "protocol", "port", "endPort", NULL };
	static const char *const words[] = { "TCP", "UDP", "SCTP", NULL };
	static const char *const later[] = { NULL };
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	const struct pp_value *port = pp_value_get(v, "port"), *end = pp_value_get(v, "endPort");
	char member[FIELD];
	int word;

	*p = (struct pp_port_spec){ IPPROTO_TCP, 1, UINT16_MAX };
	if (!pp_read_map(r, v, field, names))
		return;
	word = pp_read_word(r, pp_value_get(v, "protocol"), below(member, field, "protocol"), words,
			    later);
	if (word >= 0)
		p->protocol = protocols[word];
	if (port && port->type == PP_VALUE_TEXT)
		pp_fault(r, port->line, below(member, field, "port"),
			 "named ports are not built yet; valid is a number from 1 to 65535");
	else if (port)
		p->first = p->last = read_number(r, port, below(member, field, "port"));
	if (!end)
		return;
	p->last = read_number(r, end, below(member, field, "endPort"));
	if (!port)
		pp_fault(r, end->line, member, "needs a port, where the range begins");
	else if (p->first && p->last && p->last < p->first)
		pp_fault(r, end->line, member, "is less than the port");
}

static void read_ports(struct pp_reader *r, const struct pp_value *v, const char *list,
		       struct pp_rule_spec *rule)
{
	char field[FIELD];

	if (!is_list(r, v, list, PP_MAX_PORTS))
		return;
	for (const struct pp_value *m = v->first; m; m = m->next) {
		read_port(r, m, nth(field, list, rule->n_ports), &rule->ports[rule->n_ports]);
		rule->n_ports++;
	}
}

/* --- rules */

/* As names of containers and ports are (RFC 1123). */
static bool is_label(const char *s)
{
	size_t len = strlen(s);

	for (size_t i = 0; i < len; i++)
		if (!islower((unsigned char)s[i]) && !isdigit((unsigned char)s[i]) && s[i] != '-')
			return false;
	return len >= 1 && len <= 63 && s[0] != '-' && s[len - 1] != '-';
}

static void read_name(struct pp_reader *r, const struct pp_value *v, const char *field,
		      struct pp_rule_spec *rule, const struct pp_rule_spec *first)
{
	const char *name = pp_read_text(r, v, field);
	char shown[80];

	if (!name)
		return;
	if (!is_label(name)) {
		pp_err_escape(shown, sizeof(shown), name, strlen(name));
		pp_fault(r, v->line, field,
			 "is \"%s\"; valid are at most 63 small letters, digits and -", shown);
		return;
	}
	for (; first; first = first->next)
		if (first->name && strcmp(first->name, name) == 0) {
			pp_fault(r, v->line, field, "%s stands in line %u before", name,
				 first->line);
			return;
		}
	rule->name = name;
}

static void read_per(struct pp_reader *r, const struct pp_value *v, const char *field,
		     struct pp_rule_spec *rule)
{
	static const char *const words[][5] = { { "Pod", "Pair", "Policy", NULL },
						{ "Pod", "Pair", "Namespace", "Node", NULL } };
	static const char *const later[][2] = { { NULL }, { "Cluster", NULL } };
	static const enum pp_per per[][4] = {
		{ PP_PER_POD, PP_PER_PAIR, PP_PER_POLICY },
		{ PP_PER_POD, PP_PER_PAIR, PP_PER_NAMESPACE, PP_PER_NODE }
	};
	int of_cluster = r->o->kind == PP_CLUSTER_POLICY;
	int word = pp_read_word(r, v, field, words[of_cluster], later[of_cluster]);

	rule->per = word < 0 ? PP_PER_POD : per[of_cluster][word];
	if (r->o->cgroups && rule->per == PP_PER_NAMESPACE)
		pp_fault(r, v->line, field, "a cgroup has no namespace; valid are Pod, Pair, Node");
}

static void read_rule(struct pp_reader *r, const struct pp_value *v, const char *field,
		      enum pp_way way, struct pp_rule_spec *rule)
{
	static const char *const names[] = { "name", "to", "from", "ports", "ceil", "per", NULL };
	static const char *const words[PP_N_WAYS] = { "to", "from" };
	const struct pp_value *wrong = pp_value_get(v, words[!way]);
	char member[FIELD];

	rule->line = v->line;
	if (!pp_read_map(r, v, field, names))
		return;
	if (!pp_value_get(v, "name"))
		pp_fault(r, v->line, field, "needs a name");
	read_name(r, pp_value_get(v, "name"), below(member, field, "name"), rule,
		  r->o->rules[way]);
	if (wrong)
		pp_fault(r, wrong->line, below(member, field, words[!way]),
			 "is of %s; valid is %s", way ? "egress" : "ingress", words[way]);
	read_peers(r, pp_value_get(v, words[way]), below(member, field, words[way]), rule);
	read_ports(r, pp_value_get(v, "ports"), below(member, field, "ports"), rule);
	if (!pp_value_get(v, "ceil"))
		pp_fault(r, v->line, field, "needs a ceil");
	rule->ceil = pp_read_rate(r, pp_value_get(v, "ceil"), below(member, field, "ceil"));
	read_per(r, pp_value_get(v, "per"), below(member, field, "per"), rule);
}

void pp_read_rules(struct pp_reader *r, const struct pp_value *v, enum pp_way way)
{
	static const char *const lists[PP_N_WAYS] = { "spec.egress.rules", "spec.ingress.rules" };
	struct pp_rule_spec **last = &r->o->rules[way];
	char field[FIELD];
	size_t i = 0;

	if (!is_list(r, v, lists[way], PP_MAX_RULES))
		return;
	for (const struct pp_value *m = v->first; m; m = m->next) {
		*last = allocate(r, 1, sizeof(**last));
		if (!*last)
			return;
		read_rule(r, m, nth(field, lists[way], i++), way, *last);
		last = &(*last)->next;
	}
}

void pp_rules_free(struct pp_rule_spec *rules)
{
	struct pp_rule_spec *rule, *next_rule;
	struct pp_peer_spec *peer, *next_peer;

	for (rule = rules; rule; rule = next_rule) {
		next_rule = rule->next;
		for (peer = rule->peers; peer; peer = next_peer) {
			next_peer = peer->next;
			free(peer->except);
			free(peer);
		}
		free(rule);
	}
}
