// SPDX-License-Identifier: Apache-2.0
// The PEER of --to and --from.
#include "base/base.h"
#include "cli/ask.h"
#include "cli/peer.h"

static bool is_pod(const char *peer)
{
	return strncmp(peer, "pod/", 4) == 0;
}

/* NAMESPACE/NAME: both there, and no more. */
static int check_pod(const char *peer, struct pp_err *e)
{
	const char *name = strchr(peer + 4, '/');
	char shown[80];

	if (name && name > peer + 4 && name[1] && !strchr(name + 1, '/') &&
	    strlen(peer) < PP_PEER_TEXT)
		return 0;
	pp_err_escape(shown, sizeof(shown), peer, strlen(peer));
	return pp_err_set(e, -EINVAL, "peer \"%s\": valid is pod/NAMESPACE/NAME", shown);
}

static int read_pod(const struct pp_args *args, const char *peer, struct pp_match *ret,
		    struct pp_err *e)
{
	json_t *o = NULL, *address;
	struct pp_cidr c;
	size_t i;
	int r = pp_ask_agent(args->listen, "pod", peer + 4, &o, e);

	if (r)
		return r;
	*ret = (struct pp_match){ .kind = PP_MATCH_BLOCKS };
	ret->identity = strtoull(pp_said(o, "identity") ?: "", NULL, 16);
	json_array_foreach(json_object_get(o, "addresses"), i, address)
		if (ret->n_blocks < PP_MAX_MATCH_BLOCKS &&
		    !pp_cidr_parse(json_string_value(address) ?: "", &c, NULL))
			ret->block[ret->n_blocks++] = pp_block_of(&c, false);
	json_decref(o);
	return 0;
}

int pp_peer_read(const struct pp_args *args, const char *peer, struct pp_match *ret,
		 char text[static PP_PEER_TEXT], struct pp_err *e)
{
	int r;

	if (!is_pod(peer))
		return pp_peer_parse(peer, ret, text, e);
	r = pp_peer_name(peer, text, e);
	return r ? r : read_pod(args, peer, ret, e);
}

int pp_peer_name(const char *peer, char text[static PP_PEER_TEXT], struct pp_err *e)
{
	struct pp_match m;
	int r;

	if (!is_pod(peer))
		return pp_peer_parse(peer, &m, text, e);
	r = check_pod(peer, e);
	snprintf(text, PP_PEER_TEXT, "%s", peer);
	return r;
}
