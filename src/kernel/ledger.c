// SPDX-License-Identifier: Apache-2.0
// Names of pipes, and ledgers.
#include <bpf/bpf.h>

#include "base/base.h"
#include "kernel/ledger.h"
#include "kernel/limits.h"
#include "kernel/matches.h"

char *pp_name_of(const struct pp_datapath *d, uint64_t key)
{
	char text[PP_MAX_NAME];

	if (!key || bpf_map_lookup_elem(d->names_fd, &key, text))
		return NULL;
	return strndup(text, sizeof(text));
}

int pp_name_set(struct pp_datapath *d, uint64_t key, const char *name)
{
	char text[PP_MAX_NAME] = "";

	snprintf(text, sizeof(text), "%s", name);
	return bpf_map_update_elem(d->names_fd, &key, text, BPF_ANY) ? -errno : 0;
}

static uint32_t find(const struct pp_datapath *d, uint64_t key)
{
	for (uint32_t k = 1; k < pp_pipes_end(d); k++)
		if (d->pipes[k].rate && d->pipes[k].key == key)
			return k;
	return 0;
}

/* A pipe's, or a match's? */
static bool is_used(const struct pp_datapath *d, uint64_t key)
{
	struct pp_match m;

	if (find(d, key))
		return true;
	for (uint32_t k = 1; k < pp_matches_end(d); k++)
		if (bpf_map_lookup_elem(d->matches_fd, &k, &m) == 0 && m.key == key)
			return true;
	return false;
}

void pp_names_sweep(struct pp_datapath *d)
{
	uint64_t key = 0, next;
	bool more = bpf_map_get_next_key(d->names_fd, NULL, &next) == 0;

	while (more) {
		key = next;
		more = bpf_map_get_next_key(d->names_fd, &key, &next) == 0;
		if (!is_used(d, key))
			bpf_map_delete_elem(d->names_fd, &key);
	}
}

void pp_ledger_open(struct pp_datapath *d, uint32_t k, uint64_t ledger)
{
	struct pp_pipe *p = &d->pipes[k];

	if (p->ledger == ledger)
		return;
	pp_ledger_close(d, k);
	p->ledger_from = p->bytes;
	p->ledger_busy = p->busy_ns;
	p->ledger_missed = p->missed_ns;
	p->ledger = ledger;
}

void pp_ledger_close(struct pp_datapath *d, uint32_t k)
{
	struct pp_pipe *p = &d->pipes[k], *to;
	uint32_t ledger = p->ledger ? find(d, p->ledger) : 0;

	p->ledger = 0;
	if (!ledger)
		return;
	to = &d->pipes[ledger];
	to->bytes += p->bytes - p->ledger_from;
	to->busy_ns += p->busy_ns - p->ledger_busy;
	to->missed_ns += p->missed_ns - p->ledger_missed;
}

void pp_ledgers_close(struct pp_datapath *d)
{
	for (uint32_t k = 1; k < pp_pipes_end(d); k++)
		if (!d->pipes[k].rate && d->pipes[k].ledger)
			pp_ledger_close(d, k);
}
