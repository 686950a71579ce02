// SPDX-License-Identifier: Apache-2.0
// The objects of podpace.io/v1alpha1, read and checked.
#include <ctype.h>

#include "base/base.h"
#include "policy/items.h"
#include "policy/read.h"

#define API_VERSION "podpace.io/v1alpha1"

const char *pp_kind_name(enum pp_kind kind)
{
	static const char *const names[] = { "BandwidthClass", "BandwidthPolicy",
					     "ClusterBandwidthPolicy" };

	return names[kind];
}

static const char *const fields[] = { "spec.egress", "spec.ingress" };

static const struct pp_value *direction(const struct pp_value *spec, enum pp_way way)
{
	return pp_value_get(spec, way == PP_WAY_EGRESS ? "egress" : "ingress");
}

/* Of a direction: anything beside rules? */
static bool says_share(const struct pp_value *v)
{
	return pp_value_get(v, "ceil") || pp_value_get(v, "guarantee") || pp_value_get(v, "weight");
}

static void read_share(struct pp_reader *r, const struct pp_value *spec, enum pp_way way)
{
	static const char *const names[] = { "ceil", "guarantee", "weight", "rules", NULL };
	const struct pp_value *v = direction(spec, way), *rules = pp_value_get(v, "rules");
	struct pp_share_spec *s = &r->o->share[way];
	char field[32];

	if (!pp_read_map(r, v, fields[way], names))
		return;
	if (says_share(v))
		s->line = v->line;
	snprintf(field, sizeof(field), "%s.ceil", fields[way]);
	s->ceil = pp_read_rate(r, pp_value_get(v, "ceil"), field);
	snprintf(field, sizeof(field), "%s.guarantee", fields[way]);
	s->guarantee = pp_read_rate(r, pp_value_get(v, "guarantee"), field);
	if (s->ceil && s->guarantee > s->ceil)
		pp_fault(r, v->line, field, "is more than the ceil");
	snprintf(field, sizeof(field), "%s.weight", fields[way]);
	s->weight = pp_read_weight(r, pp_value_get(v, "weight"), field);
	if (!s->line && !(rules && rules->first))
		pp_fault(r, v->line, fields[way], "says nothing; valid are ceil, guarantee, weight%s",
			 r->o->kind == PP_CLASS ? "" : ", rules");
	if (rules && r->o->kind == PP_CLASS)
		pp_fault(r, rules->line, fields[way],
			 "a class has no rules; valid are ceil, guarantee, weight");
	else if (rules && r->o->nodes.present)
		pp_fault(r, rules->line, fields[way], "an uplink has no rules; valid is a ceil");
	else
		pp_read_rules(r, rules, way);
}

/* --- kinds */

/* As the kernel has it: each part has a name, and there is one way to write it. */
static bool is_cgroup(const char *path)
{
	if (strcmp(path, "/") == 0)
		return true;
	while (*path == '/') {
		size_t n = strcspn(++path, "/");

		if (!n || (path[0] == '.' && (n == 1 || (n == 2 && path[1] == '.'))))
			return false;
		path += n;
		if (!*path)
			return true;
	}
	return false;
}

static void read_cgroups(struct pp_reader *r, const struct pp_value *v, const char *field)
{
	char shown[120];

	if (!v)
		return;
	if (v->type != PP_VALUE_LIST || !v->first) {
		pp_fault(r, v->line, field,
			 "valid is a list of cgroups, as in [/system.slice/a.service]");
		return;
	}
	for (const struct pp_value *m = v->first; m; m = m->next) {
		if (m->type == PP_VALUE_TEXT && is_cgroup(m->text))
			continue;
		pp_err_escape(shown, sizeof(shown), m->text, strlen(m->text));
		pp_fault(r, m->line, field,
			 "\"%s\" is no path of a cgroup; valid is one that begins with /, without "
			 "//, . and ..",
			 shown);
	}
	r->o->cgroups = v;
}

static void read_shares(struct pp_reader *r, const struct pp_value *spec)
{
	for (int way = 0; way < PP_N_WAYS; way++)
		read_share(r, spec, (enum pp_way)way);
}

static bool has_share(const struct pp_value *spec)
{
	return pp_value_get(spec, "egress") || pp_value_get(spec, "ingress");
}

/* What spec.per says is of shares: each rule has its own. */
static bool has_only_rules(const struct pp_value *spec)
{
	for (int way = 0; way < PP_N_WAYS; way++) {
		const struct pp_value *v = direction(spec, (enum pp_way)way);

		if (v && (says_share(v) || !pp_value_get(v, "rules")))
			return false;
	}
	return has_share(spec);
}

/* Where only a ceil makes sense: of what is observed, of an uplink. */
static void need_ceils(struct pp_reader *r, const char *why)
{
	for (int way = 0; way < PP_N_WAYS; way++) {
		const struct pp_share_spec *s = &r->o->share[way];

		if (s->line && (!s->ceil || s->guarantee || s->weight))
			pp_fault(r, s->line, fields[way], "%s; valid is a ceil", why);
	}
}

static void read_enforcement(struct pp_reader *r, const struct pp_value *spec)
{
	static const char *const words[] = { "Enforce", "Observe", NULL };
	static const char *const later[] = { NULL };
	const struct pp_value *v = pp_value_get(spec, "enforcement");

	r->o->observe = pp_read_word(r, v, "spec.enforcement", words, later) == 1;
	if (!r->o->observe)
		return;
	if (r->o->class)
		pp_fault(r, v->line, "spec.enforcement",
			 "a class is given, or not; valid is Enforce");
	if (r->o->nodes.present)
		pp_fault(r, v->line, "spec.enforcement",
			 "Observe is not built yet for nodes; valid is Enforce");
	else
		need_ceils(r, "an observed limit has no share");
}

static int read_per(struct pp_reader *r, const struct pp_value *v, const char *const *words,
		    const char *const *later)
{
	char valid[60] = "";

	if (!v || v->type != PP_VALUE_TEXT || strcmp(v->text, "Pair") != 0)
		return pp_read_word(r, v, "spec.per", words, later);
	for (int i = 0; words[i]; i++)
		snprintf(valid + strlen(valid), sizeof(valid) - strlen(valid), "%s%s",
			 i ? ", " : "", words[i]);
	pp_fault(r, v->line, "spec.per", "Pair is of rules; valid are %s", valid);
	return -1;
}

static void read_class(struct pp_reader *r, const struct pp_value *spec)
{
	static const char *const names[] = { "description", "default", "namespaces",
					     "egress",      "ingress", NULL };
	const struct pp_value *is_default = pp_value_get(spec, "default");

	if (!pp_read_map(r, spec, "spec", names))
		return;
	pp_read_text(r, pp_value_get(spec, "description"), "spec.description");
	if (is_default && is_default->type != PP_VALUE_BOOL)
		pp_fault(r, is_default->line, "spec.default", "is %s; valid are true and false",
			 pp_value_kind(is_default));
	else
		r->o->is_default = is_default && tolower((unsigned char)is_default->text[0]) == 't';
	pp_read_selector(r, pp_value_get(spec, "namespaces"), "spec.namespaces", &r->o->namespaces);
	read_shares(r, spec);
	if (!has_share(spec))
		pp_fault(r, spec->line, "spec", "limits nothing; valid are egress, ingress");
}

static void read_policy(struct pp_reader *r, const struct pp_value *spec)
{
	static const char *const names[] = { "podSelector", "class",       "egress", "ingress",
					     "per",         "enforcement", NULL };
	static const char *const words[] = { "Pod", "Policy", NULL };
	static const char *const later[] = { NULL };
	static const enum pp_per per[] = { PP_PER_POD, PP_PER_POLICY };
	int word;

	if (!pp_read_map(r, spec, "spec", names))
		return;
	pp_read_selector(r, pp_value_get(spec, "podSelector"), "spec.podSelector", &r->o->pods);
	if (!pp_value_get(spec, "podSelector"))
		pp_fault(r, spec->line, "spec",
			 "needs a podSelector; {} selects every pod of the namespace");
	r->o->class = pp_read_text(r, pp_value_get(spec, "class"), "spec.class");
	read_shares(r, spec);
	if (!pp_value_get(spec, "class") == !has_share(spec))
		pp_fault(r, spec->line, "spec", "valid is either a class, or egress and ingress");
	word = read_per(r, pp_value_get(spec, "per"), words, later);
	r->o->per = word < 0 ? PP_PER_POD : per[word];
	if (r->o->class && r->o->per != PP_PER_POD)
		pp_fault(r, spec->line, "spec.per", "a class is for each pod; valid is Pod");
	read_enforcement(r, spec);
}

static void read_subject(struct pp_reader *r, const struct pp_value *v)
{
	static const char *const names[] = { "namespaces", "pods", "nodes", "cgroups", NULL };
	static const char *const pods[] = { "namespaceSelector", "podSelector", NULL };
	const struct pp_value *p = pp_value_get(v, "pods");
	int n = 0;

	if (!pp_read_map(r, v, "spec.subject", names))
		return;
	for (const char *const *name = names; *name; name++)
		n += pp_value_get(v, *name) != NULL;
	if (n != 1)
		pp_fault(r, v->line, "spec.subject", "valid is one of namespaces, pods, nodes, cgroups");
	pp_read_selector(r, pp_value_get(v, "namespaces"), "spec.subject.namespaces",
			 &r->o->namespaces);
	pp_read_selector(r, pp_value_get(v, "nodes"), "spec.subject.nodes", &r->o->nodes);
	read_cgroups(r, pp_value_get(v, "cgroups"), "spec.subject.cgroups");
	if (!pp_read_map(r, p, "spec.subject.pods", pods))
		return;
	if (!pp_value_get(p, "namespaceSelector") || !pp_value_get(p, "podSelector"))
		pp_fault(r, p->line, "spec.subject.pods",
			 "needs a namespaceSelector and a podSelector");
	pp_read_selector(r, pp_value_get(p, "namespaceSelector"),
			 "spec.subject.pods.namespaceSelector", &r->o->namespaces);
	pp_read_selector(r, pp_value_get(p, "podSelector"), "spec.subject.pods.podSelector",
			 &r->o->pods);
}

/* What the subject lets it be per. */
static void check_per(struct pp_reader *r, const struct pp_value *v)
{
	const struct pp_object *o = r->o;

	if (o->cgroups && o->per == PP_PER_NAMESPACE)
		pp_fault(r, v->line, "spec.per", "a cgroup has no namespace; valid are Pod, Node");
	if (!o->nodes.present)
		return;
	if (o->per != PP_PER_NONE && o->per != PP_PER_NODE)
		pp_fault(r, v->line, "spec.per", "an uplink is a node's; valid is Node");
	need_ceils(r, "an uplink has a share of nothing");
}

static void read_cluster_policy(struct pp_reader *r, const struct pp_value *spec)
{
	static const char *const names[] = { "subject", "egress",      "ingress",
					     "per",     "enforcement", NULL };
	static const char *const words[] = { "Pod", "Namespace", "Node", NULL };
	static const char *const later[] = { "Cluster", NULL };
	static const enum pp_per per[] = { PP_PER_POD, PP_PER_NAMESPACE, PP_PER_NODE };
	int word;

	if (!pp_read_map(r, spec, "spec", names))
		return;
	if (!pp_value_get(spec, "subject"))
		pp_fault(r, spec->line, "spec", "needs a subject: namespaces, pods, nodes or cgroups");
	read_subject(r, pp_value_get(spec, "subject"));
	read_shares(r, spec);
	if (!has_share(spec))
		pp_fault(r, spec->line, "spec", "limits nothing; valid are egress, ingress");
	if (!pp_value_get(spec, "per") && !has_only_rules(spec))
		pp_fault(r, spec->line, "spec", "needs per: valid are Pod, Namespace, Node");
	word = read_per(r, pp_value_get(spec, "per"), words, later);
	r->o->per = word < 0 ? PP_PER_NONE : per[word];
	check_per(r, pp_value_get(spec, "per"));
	read_enforcement(r, spec);
}

/* A name, or NULL with a fault. */
static const char *read_name(struct pp_reader *r, const struct pp_value *v, const char *field)
{
	const char *name = pp_read_text(r, v, field);
	char shown[80];

	if (!name || pp_is_subdomain(name, strlen(name)))
		return name;
	pp_err_escape(shown, sizeof(shown), name, strlen(name));
	pp_fault(r, v->line, field, "is \"%s\"; valid are small letters, digits, - and .", shown);
	return NULL;
}

/* The API puts much more into it than is read here. */
static void read_metadata(struct pp_reader *r, const struct pp_value *v)
{
	const struct pp_value *name = pp_value_get(v, "name"), *ns = pp_value_get(v, "namespace"),
			      *generation = pp_value_get(v, "generation");

	if (generation && generation->type == PP_VALUE_NUMBER)
		r->o->generation = strtoll(generation->text, NULL, 10);
	if (!v || v->type != PP_VALUE_MAP || !name) {
		pp_fault(r, v ? v->line : 0, "metadata", "needs a name");
		return;
	}
	r->o->name = read_name(r, name, "metadata.name");
	if (r->o->kind != PP_POLICY) {
		if (ns)
			pp_fault(r, ns->line, "metadata.namespace", "%s has none",
				 pp_kind_name(r->o->kind));
		return;
	}
	r->o->namespace = ns ? read_name(r, ns, "metadata.namespace") : "default";
}

static void check_twice(struct pp_reader *r)
{
	const struct pp_object *o = r->o;

	for (const struct pp_object *p = r->all->first; p && o->name; p = p->next)
		if (p != o && p->kind == o->kind && p->name && strcmp(p->name, o->name) == 0 &&
		    strcmp(p->namespace ? p->namespace : "", o->namespace ? o->namespace : "") ==
			    0) {
			pp_fault(r, 0, "", "stands in %s:%u before", p->file, p->line);
			return;
		}
}

/* What stands beside the kind. Which kind; -1, with a fault, if it is none of ours. */
static int kind_of(const struct pp_values *file, const struct pp_value *v, pp_fault_fn fn,
		   void *arg)
{
	const struct pp_value *version = pp_value_get(v, "apiVersion"),
			      *kind = pp_value_get(v, "kind");
	char text[400], shown[80];

	if (version && kind && strcmp(version->text, API_VERSION) == 0)
		for (int k = 0; k < PP_N_KINDS; k++)
			if (strcmp(kind->text, pp_kind_name((enum pp_kind)k)) == 0)
				return k;
	pp_err_escape(shown, sizeof(shown), kind ? kind->text : "", kind ? strlen(kind->text) : 0);
	snprintf(text, sizeof(text),
		 "%s:%u: %s%s: valid are apiVersion " API_VERSION
		 " and kind BandwidthClass, BandwidthPolicy, ClusterBandwidthPolicy",
		 file->file, v->line, kind ? "kind " : "no object", shown);
	fn(text, arg);
	return -1;
}

/* What adding one needs to know. */
struct adding {
	struct pp_objects *all;
	const struct pp_values *file;
	pp_fault_fn fn;
	void *arg;
};

static int add(const struct pp_value *v, void *arg)
{
	const struct adding *a = arg;
	struct pp_objects *all = a->all;
	static const char *const names[] = { "apiVersion", "kind",   "metadata",
					     "spec",       "status", NULL };
	struct pp_reader r = { all, NULL, a->fn, a->arg, 0 };
	int kind;

	if (pp_core_kind(v) >= 0)
		return 0;
	all->n++;
	kind = kind_of(a->file, v, a->fn, a->arg);
	if (kind < 0) {
		all->invalid++;
		return 0;
	}
	r.o = calloc(1, sizeof(*r.o));
	if (!r.o)
		return -ENOMEM;
	*r.o = (struct pp_object){
		.kind = (enum pp_kind)kind, .file = a->file->file, .line = v->line, .valid = true
	};
	*all->last = r.o;
	all->last = &r.o->next;
	read_metadata(&r, pp_value_get(v, "metadata"));
	pp_read_map(&r, v, "", names);
	check_twice(&r);
	if (!pp_value_get(v, "spec"))
		pp_fault(&r, 0, "", "needs a spec");
	else if (kind == PP_CLASS)
		read_class(&r, pp_value_get(v, "spec"));
	else if (kind == PP_POLICY)
		read_policy(&r, pp_value_get(v, "spec"));
	else
		read_cluster_policy(&r, pp_value_get(v, "spec"));
	all->invalid += !r.o->valid;
	return r.error;
}

int pp_objects_add(struct pp_objects *o, const struct pp_values *v, pp_fault_fn fn, void *arg)
{
	struct adding a = { o, v, fn, arg };

	return pp_values_each(v, add, &a);
}

void pp_objects_free(struct pp_objects *o)
{
	struct pp_requirement *q, *other;
	struct pp_object *p, *next;

	for (p = o->first; p; p = next) {
		next = p->next;
		for (int way = 0; way < PP_N_WAYS; way++)
			pp_rules_free(p->rules[way]);
		free(p);
	}
	for (q = o->requirements; q; q = other) {
		other = q->other;
		free(q);
	}
	*o = PP_OBJECTS_INIT(*o);
}
