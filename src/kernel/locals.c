// SPDX-License-Identifier: Apache-2.0
// The addresses and pods of this node.
#include <bpf/bpf.h>

#include "base/base.h"
#include "kernel/locals.h"
#include "kernel/slots.h"

struct pp_local pp_local_of_pod(uint64_t identity)
{
	struct pp_local l;

	memset(l.addr, 255, 8);
	memcpy(l.addr + 8, &identity, 8);
	return l;
}

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct pp_local));
}

int pp_locals_set(struct pp_datapath *d, struct pp_local *l, size_t n)
{
	struct pp_local key, next;
	bool more = bpf_map_get_next_key(d->locals_fd, NULL, &next) == 0, changed = false;
	uint32_t one = 1;
	int r = 0;

	if (n)
		qsort(l, n, sizeof(*l), by_bytes);
	for (size_t seen = 0; more && seen < 2 * PP_MAX_LOCALS; seen++) {
		key = next;
		more = bpf_map_get_next_key(d->locals_fd, &key, &next) == 0;
		if (n && bsearch(&key, l, n, sizeof(*l), by_bytes))
			continue;
		bpf_map_delete_elem(d->locals_fd, &key);
		changed = true;
	}
	for (size_t i = 0; i < n && !r; i++) {
		if (i && by_bytes(&l[i], &l[i - 1]) == 0)
			continue;
		if (bpf_map_update_elem(d->locals_fd, &l[i], &one, BPF_NOEXIST) == 0)
			changed = true;
		else if (errno != EEXIST)
			r = -errno;
	}
	if (changed)
		pp_paths_changed(d);
	return r;
}
