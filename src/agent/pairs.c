// SPDX-License-Identifier: Apache-2.0
// Peers for pages: the kernel knows them by an identity or an address.
#include <arpa/inet.h>
#include <inttypes.h>

#include "agent/limits.h"
#include "agent/pairs.h"
#include "base/base.h"
#include "bpf/law.h"
#include "kernel/locals.h"

#define MOST 1000

static bool is_of(const struct pp_pipe *p, uint32_t k)
{
	return p->kind == PP_KIND_PAIR && p->rate && p->of == k;
}

bool pp_agent_pair_binds(const struct pp_agent *a, uint32_t k)
{
	for (uint32_t i = PP_MAX_PIPES; i < PP_ALL_PIPES; i++)
		if (is_of(&a->d.pipes[i], k) && pp_agent_binds(&a->d.pipes[i]))
			return true;
	return false;
}

/* Without the length that a prefix has. */
static void format_address(const uint8_t address[static 16], char *text, socklen_t size)
{
	static const uint8_t v4[12] = { [10] = 255, [11] = 255 };
	bool is_v4 = memcmp(address, v4, sizeof(v4)) == 0;

	inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? address + 12 : address, text, size);
}

struct names {
	const struct pp_agent *a;
	const struct pp_other **others;
	size_t n_others;
};

static void name_pod(const struct names *n, uint64_t identity, char text[static 400])
{
	for (size_t i = 0; i < n->a->pods.n; i++) {
		const struct pp_pod *pod = n->a->pods.pods[i];

		if (pod->identity == identity) {
			snprintf(text, 400, "pod %.80s/%.300s", pod->ns, pod->name);
			return;
		}
	}
	for (size_t i = 0; i < n->n_others; i++)
		if (n->others[i]->identity == identity) {
			snprintf(text, 400, "pod %.80s/%.300s", n->others[i]->namespace,
				 n->others[i]->name);
			return;
		}
	snprintf(text, 400, "pod with identity %016" PRIx64, identity);
}

static void name_peer(const struct names *n, const uint8_t peer[static 16], char text[static 400])
{
	struct pp_local pod;
	uint64_t identity;

	memcpy(&identity, peer + 8, sizeof(identity));
	pod = pp_local_of_pod(identity);
	if (memcmp(peer, pod.addr, sizeof(pod.addr)) == 0)
		name_pod(n, identity, text);
	else
		format_address(peer, text, 400);
}

static json_t *one(const struct names *n, const struct pp_pipe *p)
{
	bool idle = pp_pipe_idle(p, pp_now());
	char peer[400];

	name_peer(n, p->peer, peer);
	return json_pack("{s:s, s:b, s:I, s:I, s:I}", "peer", peer, "binds", pp_agent_binds(p),
			 "capacity", (json_int_t)pp_min(pp_law_rate(p), p->rate) * 8, "rate",
			 idle ? (json_int_t)0 : (json_int_t)p->y * 8, "bytes",
			 (json_int_t)p->bytes);
}

json_t *pp_agent_pairs_json(const struct pp_agent *a, uint32_t k)
{
	_cleanup_free_ const struct pp_other **others = NULL;
	struct names n = { .a = a };
	json_t *list = json_array();

	if (a->others && pp_others_list(a->others, &others, &n.n_others) == 0)
		n.others = others;
	for (uint32_t i = PP_MAX_PIPES; i < PP_ALL_PIPES && json_array_size(list) < MOST; i++) {
		const struct pp_pipe *p = &a->d.pipes[i];

		if (is_of(p, k))
			json_array_append_new(list, one(&n, p));
	}
	return list;
}

/* --- one pod */

static json_t *pod_json(uint64_t identity, const uint8_t (*addresses)[16], size_t n)
{
	json_t *list = json_array();
	char text[64];

	for (size_t i = 0; i < n; i++) {
		format_address(addresses[i], text, sizeof(text));
		json_array_append_new(list, json_string(text));
	}
	snprintf(text, sizeof(text), "%016" PRIx64, identity);
	return json_pack("{s:s, s:o}", "identity", text, "addresses", list);
}

static bool is_called(const char *ns, const char *name, const char *text)
{
	size_t n = strlen(ns);

	return strncmp(text, ns, n) == 0 && text[n] == '/' && strcmp(text + n + 1, name) == 0;
}

static json_t *find_pod(const struct pp_agent *a, const char *text)
{
	_cleanup_free_ const struct pp_other **others = NULL;
	size_t n = 0;

	for (size_t i = 0; i < a->pods.n; i++) {
		const struct pp_pod *p = a->pods.pods[i];

		if (!p->over && is_called(p->ns, p->name, text))
			return pod_json(p->identity, (const uint8_t(*)[16])p->addresses,
					p->in_node_network ? 0 : p->n_addresses);
	}
	if (a->others && pp_others_list(a->others, &others, &n))
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (is_called(others[i]->namespace, others[i]->name, text))
			return pod_json(others[i]->identity,
					(const uint8_t(*)[16])others[i]->addresses,
					others[i]->n_addresses);
	return NULL;
}

int pp_agent_pod(FILE *f, const char *rest, void *arg)
{
	json_t *o = find_pod(arg, rest);
	char text[600];

	if (o)
		return pp_agent_answer(f, 200, o);
	snprintf(text, sizeof(text),
		 "pod %.400s is not known here; valid are pods of this node, and those that rules "
		 "name; or write its address",
		 rest);
	return pp_agent_answer(f, 404, json_pack("{s:s}", "error", text));
}
