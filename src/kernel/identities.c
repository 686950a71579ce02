// SPDX-License-Identifier: Apache-2.0
// Which pod a cgroup is. What has changed since the last time is found by one walk over the slots.
#include <bpf/bpf.h>

#include "base/base.h"
#include "kernel/identities.h"
#include "kernel/slots.h"

static int by_cgroup(const void *a, const void *b)
{
	const struct pp_identity *x = a, *y = b;

	return x->cgroup_id < y->cgroup_id ? -1 : x->cgroup_id > y->cgroup_id;
}

static size_t find(const struct pp_identity *want, size_t n, uint64_t id)
{
	struct pp_identity key = { .cgroup_id = id };
	const struct pp_identity *at = n ? bsearch(&key, want, n, sizeof(key), by_cgroup) : NULL;

	return at ? (size_t)(at - want) : n;
}

/* Those that have a slot; done[i] is set for them. */
static int set_in_slots(struct pp_datapath *d, const struct pp_identity *want, size_t n, bool only,
			bool *done)
{
	uint64_t id, next;
	bool more = bpf_map_get_next_key(d->slots_fd, NULL, &next) == 0;

	/* it can be no longer than this, but change under our hands as cgroups go */
	for (size_t seen = 0; more && seen < 2 * PP_MAX_SLOTS; seen++) {
		struct pp_slot slot;
		uint64_t identity;
		size_t i;
		int r;

		id = next;
		more = bpf_map_get_next_key(d->slots_fd, &id, &next) == 0;
		if (bpf_map_lookup_elem(d->slots_fd, &id, &slot))
			continue;
		i = find(want, n, id);
		if (i == n && !only)
			continue;
		identity = i < n ? want[i].identity : 0;
		if (i < n)
			done[i] = true;
		if (slot.identity == identity)
			continue;
		slot.identity = identity;
		r = pp_slot_write(d, id, &slot);
		if (r)
			return r;
	}
	return 0;
}

int pp_identities_set(struct pp_datapath *d, struct pp_identity *want, size_t n, bool only)
{
	_cleanup_free_ bool *done = calloc(n + 1, sizeof(*done));
	int r, left = 0;

	if (!done)
		return -ENOMEM;
	if (n)
		qsort(want, n, sizeof(*want), by_cgroup);
	r = set_in_slots(d, want, n, only, done);
	for (size_t i = 0; !r && i < n; i++) {
		struct pp_slot slot = { .identity = want[i].identity };

		if (done[i])
			continue;
		if (!left)
			r = pp_slot_write(d, want[i].cgroup_id, &slot);
		if (left || r == -E2BIG) {
			left++;
			r = 0;
		}
	}
	return r ? r : left;
}
