// SPDX-License-Identifier: Apache-2.0
// Feeds any text to the reader of objects: no fault of its own, and each fault that it says is a
// line.

#include "base/base.h"
#include "policy/object.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* assert() would depend on NDEBUG. */
static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check(const char *line, void *arg)
{
	size_t *faults = arg;

	++*faults;
	must(strncmp(line, "file:", 5) == 0);
	for (; *line; line++)
		must((unsigned char)*line >= 0x20 && (unsigned char)*line <= 0x7e);
}

/* What every rule of a valid object has. */
static void check_rules(const struct pp_rule_spec *rule)
{
	size_t n = 0, n_peers = 0;

	for (; rule; rule = rule->next, n++) {
		must(rule->name && rule->ceil && rule->per != PP_PER_NONE);
		must(rule->n_ports <= PP_MAX_PORTS);
		for (size_t i = 0; i < rule->n_ports; i++)
			must(rule->ports[i].protocol && rule->ports[i].first &&
			     rule->ports[i].first <= rule->ports[i].last);
		n_peers = 0;
		for (const struct pp_peer_spec *p = rule->peers; p; p = p->next, n_peers++) {
			must(p->is_block != (p->pods.present || p->namespaces.present));
			must(p->n_except <= PP_MAX_EXCEPTS);
			for (size_t i = 0; i < p->n_except; i++)
				must(p->except[i].len > p->block.len &&
				     pp_cidr_contains(&p->block, &p->except[i]));
		}
		must(n_peers <= PP_MAX_PEERS);
	}
	must(n <= PP_MAX_RULES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pp_objects o = PP_OBJECTS_INIT(o);
	struct pp_values *v = NULL;
	struct pp_err e = { "" };
	size_t faults = 0;

	if (pp_values_parse("file", (const char *)data, size, &v, &e)) {
		must(e.msg[0]);
		return 0;
	}
	must(pp_objects_add(&o, v, check, &faults) == 0);
	must((faults > 0) == (o.invalid > 0));
	for (const struct pp_object *p = o.first; p; p = p->next) {
		pp_selector_matches(&p->pods, NULL, 0);
		for (int way = 0; way < PP_N_WAYS && p->valid; way++)
			check_rules(p->rules[way]);
	}
	pp_objects_free(&o);
	pp_values_free(v);
	return 0;
}
