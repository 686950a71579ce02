// SPDX-License-Identifier: Apache-2.0
// Whom rules are for.
#include <bpf/bpf.h>

#include "base/base.h"
#include "base/table.h"
#include "kernel/ledger.h"
#include "kernel/matches.h"

/* --- peers as people write them */

struct pp_block pp_block_of(const struct pp_cidr *c, bool except)
{
	struct pp_block b = { .except = except };
	uint8_t mask[16] = { 0 };

	for (int i = 0; i < c->len; i++)
		mask[i / 8] |= 0x80 >> i % 8;
	memcpy(b.addr, c->addr, sizeof(b.addr));
	memcpy(b.mask, mask, sizeof(b.mask));
	return b;
}

static void add_block(struct pp_match *m, const char *prefix, bool except)
{
	struct pp_cidr c;

	if (!pp_cidr_parse(prefix, &c, NULL) && m->n_blocks < PP_MAX_MATCH_BLOCKS)
		m->block[m->n_blocks++] = pp_block_of(&c, except);
}

static void add_internet(struct pp_match *m)
{
	/* of IPv6 only what is global unicast (RFC 4291, 2.4; as assigned by IANA) */
	static const char *const all[] = { "0.0.0.0/0", "2000::/3" };
	static const char *const except[] = { "0.0.0.0/8",      "10.0.0.0/8",     "100.64.0.0/10",
					      "127.0.0.0/8",    "169.254.0.0/16", "172.16.0.0/12",
					      "192.168.0.0/16", "224.0.0.0/4",    "240.0.0.0/4" };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		add_block(m, all[i], false);
	for (size_t i = 0; i < ARRAY_SIZE(except); i++)
		add_block(m, except[i], true);
}

int pp_peer_parse(const char *s, struct pp_match *ret, char text[static PP_PEER_TEXT],
		  struct pp_err *e)
{
	char prefix[PP_CIDR_TEXT];
	struct pp_cidr c;

	*ret = (struct pp_match){ .kind = PP_MATCH_BLOCKS };
	if (strcmp(s, "internet") == 0) {
		add_internet(ret);
		snprintf(text, PP_PEER_TEXT, "internet");
		return 0;
	}
	if (pp_cidr_parse(s, &c, e))
		return pp_err_wrap(e, -EINVAL,
				   "a peer is a prefix, an address, internet or pod/NAMESPACE/NAME");
	ret->block[ret->n_blocks++] = pp_block_of(&c, false);
	snprintf(text, PP_PEER_TEXT, "%s", pp_cidr_format(prefix, &c));
	return 0;
}

/* --- entries */

/* Names are no secret: the same key for whoever asks. What is set by hand needs no agent. */
static uint64_t key_of(const char *text, enum pp_match_kind kind)
{
	uint64_t secret[2] = { 0x706f647061636500ULL, 0x6d61746368 + (kind == PP_MATCH_BLOCKS) };
	uint64_t key = pp_table_hash(secret, text, strlen(text));

	return key ? key : 1;
}

static bool read_match(const struct pp_datapath *d, uint32_t k, struct pp_match *ret)
{
	return bpf_map_lookup_elem(d->matches_fd, &k, ret) == 0;
}

uint32_t pp_matches_end(const struct pp_datapath *d)
{
	uint32_t end = d->state->matches_end;

	return end < 1 ? 1 : end < PP_MAX_MATCHES ? end : PP_MAX_MATCHES;
}

/* The entry with this key, or the first that is free; 0: neither. */
static uint32_t find(const struct pp_datapath *d, uint64_t key, bool *ret_found)
{
	struct pp_match m;
	uint32_t unused = 0;

	*ret_found = false;
	for (uint32_t k = 1; k < pp_matches_end(d) && read_match(d, k, &m); k++) {
		if (m.key == key) {
			*ret_found = true;
			return k;
		}
		if (!m.key && !unused)
			unused = k;
	}
	return unused || pp_matches_end(d) == PP_MAX_MATCHES ? unused : pp_matches_end(d);
}

uint32_t pp_match_find(const struct pp_datapath *d, const char *text)
{
	bool found;
	uint32_t k = find(d, key_of(text, PP_MATCH_BLOCKS), &found);

	return found ? k : 0;
}

static int write_match(struct pp_datapath *d, uint32_t k, const struct pp_match *m,
		       const char *text)
{
	struct pp_match new = *m;

	new.key = key_of(text, m->kind);
	pp_name_set(d, new.key, text);
	return bpf_map_update_elem(d->matches_fd, &k, &new, BPF_ANY) ? -errno : 0;
}

/* A pod may have gone whose name the next one has. */
static bool is_as(const struct pp_datapath *d, uint32_t k, const struct pp_match *m)
{
	struct pp_match was;

	if (!read_match(d, k, &was))
		return false;
	was.key = m->key;
	return memcmp(&was, m, sizeof(was)) == 0;
}

int pp_match_get(struct pp_datapath *d, const struct pp_match *m, const char *text, uint32_t *ret)
{
	bool found;
	uint32_t k = find(d, key_of(text, m->kind), &found);

	*ret = k;
	if (found)
		return is_as(d, k, m) ? 0 : write_match(d, k, m, text);
	if (!k)
		return -ENOSPC;
	/* first the end: an entry behind it would be found by nobody */
	if (k >= pp_matches_end(d))
		__atomic_store_n(&d->state->matches_end, k + 1, __ATOMIC_SEQ_CST);
	return write_match(d, k, m, text);
}

char *pp_match_name(const struct pp_datapath *d, uint32_t match)
{
	struct pp_match m;

	return match && read_match(d, match, &m) ? pp_name_of(d, m.key) : NULL;
}

/* --- what is left over */

static void note_slot(const struct pp_slot *s, bool *used)
{
	for (int dir = 0; dir < PP_N_DIR; dir++)
		for (int i = 0; i < PP_SLOT_RULES && s->rule[dir][i].pipe; i++)
			used[s->rule[dir][i].match % PP_MAX_MATCHES] = true;
}

void pp_matches_collect(struct pp_datapath *d, bool groups)
{
	bool used[PP_MAX_MATCHES] = { false };
	const struct pp_match none = { 0 };
	struct pp_match m;
	struct pp_slot slot;
	uint64_t id, next;
	bool more = bpf_map_get_next_key(d->slots_fd, NULL, &next) == 0;

	while (more) {
		id = next;
		more = bpf_map_get_next_key(d->slots_fd, &id, &next) == 0;
		if (bpf_map_lookup_elem(d->slots_fd, &id, &slot) == 0)
			note_slot(&slot, used);
	}
	for (uint32_t k = 1; k < pp_matches_end(d) && read_match(d, k, &m); k++) {
		if (used[k] || !m.key || (!groups && m.kind != PP_MATCH_BLOCKS))
			continue;
		bpf_map_delete_elem(d->names_fd, &m.key);
		bpf_map_update_elem(d->matches_fd, &k, &none, BPF_ANY);
	}
}
