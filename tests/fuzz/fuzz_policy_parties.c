// SPDX-License-Identifier: Apache-2.0
// Rules and pods of a small world, so that they meet: what a group says of each address and of each
// identity is what its peers say, asked one by one as they were written.
//
// The input is choices: how many rules, of how many peers, which; then pods. The rules go as text
// through reader and plan, so that their one form is checked, too.
#include "base/base.h"
#include "policy/parties.h"

enum { MAX_PODS = 12, MAX_ADDRESSES = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* assert() would depend on NDEBUG. */
static void must(bool holds)
{
	if (!holds)
		abort();
}

static void refuse(const char *line, void *arg)
{
	fprintf(stderr, "%s\n%s\n", line, (const char *)arg);
	abort();
}

struct choices {
	const uint8_t *data;
	size_t left;
};

/* One of n; 0 where there are no more choices. */
static unsigned int choose(struct choices *c, unsigned int n)
{
	if (!c->left)
		return 0;
	c->left--;
	return *c->data++ % n;
}

/* --- the world */

static const struct pp_label red[] = { { "team", "red" } }, blue[] = { { "team", "blue" } },
			     db[] = { { "app", "db" } }, web[] = { { "app", "web" }, { "x", "" } };

/* c has no labels, and nothing is known of d. */
static const struct pp_namespace namespaces[] = { { "b", red, 1 }, { "a", blue, 1 }, { "c", NULL, 0 } };

static const char *const names[] = { "a", "b", "c", "d" };

static const char *const selectors[] = {
	"{}",
	"{matchLabels: {app: db}}",
	"{matchLabels: {app: web, x: ''}}",
	"{matchExpressions: [{key: app, operator: NotIn, values: [db, web]}]}",
	"{matchExpressions: [{key: app, operator: In, values: [web, db]}]}",
	"{matchExpressions: [{key: x, operator: Exists}]}",
};

static const char *const namespace_selectors[] = {
	"{}",
	"{matchLabels: {team: red}}",
	"{matchExpressions: [{key: team, operator: Exists}]}",
	"{matchExpressions: [{key: team, operator: DoesNotExist}]}",
};

static const uint8_t lengths_v4[] = { 96, 97, 104, 105, 112, 119, 120, 126, 127, 128 },
		     lengths_v6[] = { 0, 1, 3, 8, 16, 64, 79, 80, 90, 127, 128 };

/* Few of them, near each other. */
static void choose_address(struct choices *c, bool v4, uint8_t address[static 16])
{
	static const uint8_t bytes[] = { 0, 1, 2, 3, 128, 255 };

	memset(address, 0, 16);
	if (v4) {
		memset(address + 10, 0xff, 2);
		address[12] = choose(c, 4) ? 10 : (uint8_t)choose(c, 256);
		for (int i = 13; i < 16; i++)
			address[i] = bytes[choose(c, 6)];
		return;
	}
	address[0] = choose(c, 2) ? 0xfd : 0x20;
	for (int i = 0; i < 3; i++)
		address[choose(c, 15) + 1] = bytes[choose(c, 6)];
	/* what looks like IPv4 is */
	if (choose(c, 8) == 1)
		memset(address, 0, 10);
}

static void cut(struct pp_cidr *c)
{
	for (unsigned int bit = c->len; bit < 128; bit++)
		c->addr[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
}

static void put_cidr(FILE *f, struct choices *c, bool v4, struct pp_cidr *ret)
{
	char text[PP_CIDR_TEXT];

	choose_address(c, v4, ret->addr);
	ret->len = v4 ? lengths_v4[choose(c, sizeof(lengths_v4))]
		      : lengths_v6[choose(c, sizeof(lengths_v6))];
	cut(ret);
	fprintf(f, "\"%s\"", pp_cidr_format(text, ret));
}

/* In ret, and smaller: false if there is none. */
static bool put_except(FILE *f, struct choices *c, const struct pp_cidr *in, const char *comma)
{
	struct pp_cidr e = *in;
	char text[PP_CIDR_TEXT];

	e.len += choose(c, 24) + 1;
	if (in->len > 127 || e.len > 128)
		return false;
	for (unsigned int bit = in->len; bit < e.len; bit++)
		if (choose(c, 3) == 1)
			e.addr[bit / 8] |= 0x80 >> bit % 8;
	if (!pp_cidr_contains(in, &e))
		return false;
	fprintf(f, "%s\"%s\"", comma, pp_cidr_format(text, &e));
	return true;
}

static void put_peer(FILE *f, struct choices *c)
{
	struct pp_cidr block;
	bool any = false;

	switch (choose(c, 4)) {
	case 0:
		fprintf(f, "{podSelector: %s}", selectors[choose(c, 6)]);
		return;
	case 1:
		fprintf(f, "{namespaceSelector: %s, podSelector: %s}",
			namespace_selectors[choose(c, 4)], selectors[choose(c, 6)]);
		return;
	case 2:
		fprintf(f, "{namespaceSelector: %s}", namespace_selectors[choose(c, 4)]);
		return;
	}
	fputs("{ipBlock: {cidr: ", f);
	put_cidr(f, c, choose(c, 2), &block);
	fputs(", except: [", f);
	for (unsigned int n = choose(c, 4); n; n--)
		any |= put_except(f, c, &block, any ? ", " : "");
	fputs("]}}", f);
}

static void put_rules(FILE *f, struct choices *c)
{
	fputs("{apiVersion: podpace.io/v1alpha1, kind: BandwidthPolicy, metadata: {name: p, "
	      "namespace: a}, spec: {podSelector: {}, egress: {ceil: 1M, rules: [",
	      f);
	for (unsigned int rule = 0, n = choose(c, 16); rule <= n; rule++) {
		fprintf(f, "%s{name: r-%u, ceil: 1M, to: [", rule ? ", " : "", rule);
		for (unsigned int i = 0, peers = choose(c, 5); i < peers; i++) {
			fputs(i ? ", " : "", f);
			put_peer(f, c);
		}
		fputs("]}", f);
	}
	fputs("]}}}", f);
}

struct world {
	struct pp_party_pod pods[MAX_PODS];
	uint8_t addresses[MAX_PODS][MAX_ADDRESSES][16];
	size_t n;
};

static void make_pods(struct world *w, struct choices *c)
{
	for (w->n = 0; w->n < MAX_PODS && c->left; w->n++) {
		struct pp_party_pod *p = &w->pods[w->n];
		unsigned int labels = choose(c, 3);

		*p = (struct pp_party_pod){ .namespace = names[choose(c, 4)],
					    .labels = labels == 1 ? db : web,
					    .n_labels = labels,
					    .identity = choose(c, 8) ? w->n + 1 : choose(c, 4),
					    .addresses = w->addresses[w->n],
					    .n_addresses = choose(c, MAX_ADDRESSES + 1) };
		for (size_t i = 0; i < p->n_addresses; i++)
			choose_address(c, choose(c, 3), w->addresses[w->n][i]);
	}
}

/* --- what peers say */

static bool is_in(const struct pp_cidr *c, const uint8_t *address)
{
	struct pp_cidr a = { .len = 128 };

	memcpy(a.addr, address, 16);
	if (pp_cidr_is_v4(c) != pp_cidr_is_v4(&a))
		return false;
	for (unsigned int bit = 0; bit < c->len; bit++)
		if ((c->addr[bit / 8] ^ address[bit / 8]) & 0x80 >> bit % 8)
			return false;
	return true;
}

static bool has_address(const struct pp_rule_spec *rule, const uint8_t *address)
{
	for (const struct pp_peer_spec *p = rule->peers; p; p = p->next) {
		bool in = p->is_block && is_in(&p->block, address);

		for (size_t i = 0; i < p->n_except; i++)
			in &= !is_in(&p->except[i], address);
		if (in)
			return true;
	}
	return false;
}

static bool has_pod(const struct pp_rule_spec *rule, const struct pp_party_pod *pod)
{
	const struct pp_namespace *ns = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++)
		if (strcmp(namespaces[i].name, pod->namespace) == 0)
			ns = &namespaces[i];
	for (const struct pp_peer_spec *p = rule->peers; p; p = p->next)
		if (!p->is_block &&
		    (p->namespaces.present
			     ? pp_selector_matches(&p->namespaces, ns ? ns->labels : NULL,
						   ns ? ns->n_labels : 0)
			     : strcmp(pod->namespace, "a") == 0) &&
		    (!p->pods.present ||
		     pp_selector_matches(&p->pods, pod->labels, pod->n_labels)))
			return true;
	return false;
}

/* Who has it: the last of the pods. */
static const struct pp_party_pod *owner(const struct world *w, const uint8_t *address)
{
	for (size_t i = w->n; i-- > 0;)
		for (size_t k = 0; k < w->pods[i].n_addresses; k++)
			if (memcmp(w->pods[i].addresses[k], address, 16) == 0)
				return &w->pods[i];
	return NULL;
}

/* --- what groups say */

static const struct pp_party *find(const struct pp_parties *p, const uint8_t *key)
{
	for (size_t i = 0; i < p->n_parties; i++)
		if (memcmp(p->parties[i].key, key, 16) == 0)
			return &p->parties[i];
	return NULL;
}

/* As the kernel's longest match does: by bits alone. */
static uint32_t longest(const struct pp_parties *p, const uint8_t *address)
{
	uint32_t group = 0;
	int len = -1;

	for (size_t i = 0; i < p->n_blocks; i++) {
		const struct pp_cidr *c = &p->blocks[i].c;
		bool in = c->len > len;

		for (unsigned int bit = 0; bit < c->len && in; bit++)
			in = !((c->addr[bit / 8] ^ address[bit / 8]) & 0x80 >> bit % 8);
		if (!in)
			continue;
		group = p->blocks[i].group;
		len = c->len;
	}
	return group;
}

static void check_order(const struct pp_parties *p)
{
	for (size_t i = 1; i < p->n_parties; i++)
		must(memcmp(p->parties[i - 1].key, p->parties[i].key, 16) < 0);
	for (size_t i = 0; i < p->n_parties; i++)
		must(p->parties[i].group < p->n_groups);
	for (size_t i = 1; i < p->n_blocks; i++) {
		const struct pp_cidr *x = &p->blocks[i - 1].c, *y = &p->blocks[i].c;
		int r = memcmp(x->addr, y->addr, 16);

		must(r < 0 || (r == 0 && x->len < y->len));
	}
	for (size_t i = 0; i < p->n_groups; i++)
		for (size_t k = 0; k < i; k++)
			must(memcmp(p->bits + i * p->n_words, p->bits + k * p->n_words,
				    p->n_words * sizeof(*p->bits)) != 0);
	for (size_t i = 0; i < p->n_words; i++)
		must(!p->bits[i]);
}

struct checking {
	const struct world *w;
	const struct pp_parties *p;
	const struct pp_plan *plan;
	const struct pp_object *o;
};

static void check_address(const struct checking *c, const uint8_t *address)
{
	const struct pp_party *party = find(c->p, address);
	const struct pp_party_pod *pod = owner(c->w, address);
	uint32_t group = party ? party->group : longest(c->p, address);
	const struct pp_rule_spec *rule = c->o->rules[PP_WAY_EGRESS];

	must(!party || (pod && party->identity == pod->identity));
	for (size_t i = 0; rule; rule = rule->next, i++) {
		const struct pp_plan_match *m =
			c->plan->subjects[0].rule[PP_WAY_EGRESS][i].match;

		must(m->all == !rule->peers);
		if (!m->all)
			must(pp_parties_has(c->p, group, m->index) ==
			     (has_address(rule, address) || (pod && has_pod(rule, pod))));
	}
}

/* Of two pods with one identity the later counts. */
static void check_identity(const struct checking *c, size_t i)
{
	const struct pp_party_pod *pod = &c->w->pods[i];
	const struct pp_rule_spec *rule = c->o->rules[PP_WAY_EGRESS];
	const struct pp_party *party;
	uint8_t key[16];
	bool last = pod->identity;

	memset(key, 0xff, 8);
	memcpy(key + 8, &pod->identity, 8);
	for (size_t k = i + 1; k < c->w->n; k++)
		last &= c->w->pods[k].identity != pod->identity;
	party = find(c->p, key);
	must(!last || !party == !c->p->of_pod[i]);
	must(!last || !party || (party->group == c->p->of_pod[i]));
	must(!party || party->identity == pod->identity);
	for (size_t r = 0; rule; rule = rule->next, r++) {
		const struct pp_plan_match *m =
			c->plan->subjects[0].rule[PP_WAY_EGRESS][r].match;
		bool has = has_pod(rule, pod);

		for (size_t k = 0; k < pod->n_addresses; k++)
			has |= has_address(rule, pod->addresses[k]);
		must(pp_parties_has(c->p, c->p->of_pod[i], m->index) == (has && !m->all));
	}
	for (size_t k = 0; k < pod->n_addresses && c->p->of_pod[i]; k++)
		must(owner(c->w, pod->addresses[k]) != pod || find(c->p, pod->addresses[k]));
}

/* The first and the last of a block, and those beside it. */
static void check_around(const struct checking *c, const struct pp_cidr *block)
{
	uint8_t address[16];

	memcpy(address, block->addr, 16);
	check_address(c, address);
	for (int i = 15; i >= 0 && address[i]-- == 0; i--)
		;
	check_address(c, address);
	memcpy(address, block->addr, 16);
	for (unsigned int bit = block->len; bit < 128; bit++)
		address[bit / 8] |= 0x80 >> bit % 8;
	check_address(c, address);
	for (int i = 15; i >= 0 && ++address[i] == 0; i--)
		;
	check_address(c, address);
}

/* Each pod that a peer selects is in some query. */
static void check_queries(const struct checking *c)
{
	struct pp_party_query *q = NULL;
	size_t n = 0;

	must(pp_parties_queries(c->plan, namespaces, ARRAY_SIZE(namespaces), &q, &n) == 0);
	must(n <= 32);
	for (size_t i = 0; i < c->w->n; i++) {
		const struct pp_rule_spec *rule = c->o->rules[PP_WAY_EGRESS];
		const char *namespace = c->w->pods[i].namespace;
		bool wanted = false, asked = false;

		for (; rule; rule = rule->next)
			wanted |= has_pod(rule, &c->w->pods[i]);
		for (size_t k = 0; k < n; k++)
			asked |= !q[k].namespace || strcmp(q[k].namespace, namespace) == 0;
		/* of a namespace that is not known only those that ask for all do */
		must(!wanted || asked || strcmp(namespace, "d") == 0);
	}
	pp_parties_queries_free(q, n);
}

static void check(const struct pp_object *o, const struct world *w)
{
	const struct pp_subject pod = { .namespace = "a", .name = "s", .uid = "" };
	const struct pp_plan_input in = { .objects = &o,
					  .n_objects = 1,
					  .subjects = &pod,
					  .n_subjects = 1,
					  .namespaces = namespaces,
					  .n_namespaces = ARRAY_SIZE(namespaces) };
	struct pp_parties *p = NULL;
	struct pp_plan *plan = NULL;
	struct checking c = { .w = w, .o = o };

	must(pp_plan_compile(&in, &plan) == 0);
	must(pp_parties_compile(plan, namespaces, ARRAY_SIZE(namespaces), w->pods, w->n, &p) == 0);
	c.p = p;
	c.plan = plan;
	check_order(p);
	for (size_t i = 0; i < w->n; i++) {
		check_identity(&c, i);
		for (size_t k = 0; k < w->pods[i].n_addresses; k++)
			check_address(&c, w->pods[i].addresses[k]);
	}
	for (size_t i = 0; i < p->n_blocks; i++)
		check_around(&c, &p->blocks[i].c);
	check_queries(&c);
	pp_parties_free(p);
	pp_plan_free(plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct choices c = { data, size };
	struct pp_objects o = PP_OBJECTS_INIT(o);
	_cleanup_free_ char *text = NULL;
	struct pp_values *v = NULL;
	struct pp_err e = { "" };
	struct world w = { .n = 0 };
	size_t len;
	FILE *f = open_memstream(&text, &len);

	must(f != NULL);
	put_rules(f, &c);
	fclose(f);
	make_pods(&w, &c);
	must(pp_values_parse("file", text, len, &v, &e) == 0);
	must(pp_objects_add(&o, v, refuse, text) == 0 && o.first);
	check(o.first, &w);
	pp_objects_free(&o);
	pp_values_free(v);
	return 0;
}
