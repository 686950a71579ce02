// SPDX-License-Identifier: Apache-2.0
// Whom rules are for: entries of pp_matches, which slots lead to. Written with the datapath open
// and locked.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cidr.h"
#include "base/err.h"
#include "kernel/datapath.h"

/* Longest text of a match set by hand, with its end. */
#define PP_PEER_TEXT 300

/* The block of one prefix. */
struct pp_block pp_block_of(const struct pp_cidr *c, bool except);

/*
 * Reads a peer as a person writes it: a prefix or an address, or "internet", which is all but what
 * is private, shared, of a link or of a host (RFC 6890), or multicast. 0, or -EINVAL with a
 * message.
 */
int pp_peer_parse(const char *s, struct pp_match *ret, char text[static PP_PEER_TEXT],
		  struct pp_err *e);

/*
 * The entry of what is called text, for people too: as *m says from now on, but for its key. 0,
 * -ENOSPC, or -errno.
 */
int pp_match_get(struct pp_datapath *d, const struct pp_match *m, const char *text,
		 uint32_t *ret);

/* The entry of one that was set by hand, 0 if there is none. */
uint32_t pp_match_find(const struct pp_datapath *d, const char *text);

/* Where to stop looking: what lies behind has never been used. */
uint32_t pp_matches_end(const struct pp_datapath *d);

/* What it is called, to be freed; NULL: there is none. */
char *pp_match_name(const struct pp_datapath *d, uint32_t match);

/*
 * Entries that no slot leads to are free for others: those that were set by hand and, with groups,
 * all others too, in which nobody may be any more. Groups have bits of matches until who is in
 * which is told anew (parties.h): another match with such an entry would be for the peers of the
 * one before.
 */
void pp_matches_collect(struct pp_datapath *d, bool groups);
