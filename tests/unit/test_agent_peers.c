// SPDX-License-Identifier: Apache-2.0
// The addresses of a cluster out of its objects: what changes them, and what does not.
#include "agent/peers.h"
#include "base/base.h"
#include "tap.h"

static int put(struct pp_peers *p, enum pp_peer_source source, const char *text)
{
	json_t *o = json_loads(text, 0, NULL);
	int r = o ? pp_peers_put(p, source, o) : -EINVAL;

	json_decref(o);
	return r;
}

/* All prefixes with spaces between; to be freed. */
static char *all(const struct pp_peers *p, const char *more)
{
	struct pp_cidr *c = NULL, *others = NULL;
	size_t n = 0, n_others = 0, size;
	char text[PP_CIDR_TEXT], *out;
	FILE *f = open_memstream(&out, &size);

	if (more && pp_cidrs_parse(more, &others, &n_others, NULL))
		abort();
	ok(!pp_peers_list(p, others, n_others, &c, &n), "listed");
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%s%s", i ? " " : "", pp_cidr_format(text, &c[i]));
	fclose(f);
	free(others);
	free(c);
	return out;
}

static void is_all(const struct pp_peers *p, const char *more, const char *want, const char *name)
{
	char *have = all(p, more);

	is_str(have, want, "%s", name);
	free(have);
}

#define NODE(name, cidrs, addresses)                                                               \
	"{\"metadata\":{\"name\":\"" name "\"},\"spec\":{\"podCIDR\":\"10.9.9.0/24\",\"podCIDRs\":[" cidrs \
	"]},\"status\":{\"addresses\":[" addresses "]}}"
#define ADDRESS(type, a) "{\"type\":\"" type "\",\"address\":\"" a "\"}"

static void test_nodes(void)
{
	struct pp_peers p = {};

	is_all(&p, NULL, "", "an empty cluster has none");
	is_u64(put(&p, PP_PEER_NODES,
		   NODE("n1", "\"10.1.0.0/24\",\"fd00:1::/64\"",
			ADDRESS("InternalIP", "192.0.2.1") "," ADDRESS("Hostname", "n1") ","
			ADDRESS("ExternalIP", "198.51.100.1") "," ADDRESS("InternalIP", "fd01::1"))),
	       1, "a node");
	is_all(&p, NULL, "10.1.0.0/24 192.0.2.1/32 fd00:1::/64 fd01::1/128",
	       "its pods' prefixes and its own addresses; no external one");
	is_u64(put(&p, PP_PEER_NODES,
		   NODE("n1", "\"10.1.0.0/24\",\"fd00:1::/64\"",
			ADDRESS("InternalIP", "fd01::1") "," ADDRESS("InternalIP", "192.0.2.1"))),
	       0, "its status again, in another order, changes nothing");
	is_u64(put(&p, PP_PEER_NODES, NODE("n2", "", "")), 0,
	       "a node that has nothing yet changes nothing");
	is_u64(put(&p, PP_PEER_NODES, NODE("n2", "\"10.1.1.0/24\"", "")), 1, "then it has pods");
	is_u64(put(&p, PP_PEER_NODES, NODE("n1", "\"10.1.0.0/24\"", ADDRESS("InternalIP", "192.0.2.9"))),
	       1, "another address");
	is_all(&p, NULL, "10.1.0.0/24 10.1.1.0/24 192.0.2.9/32", "takes the place of those before");
	ok(pp_peers_remove(&p, PP_PEER_NODES, "n1"), "a node that is gone");
	ok(!pp_peers_remove(&p, PP_PEER_NODES, "n1"), "is gone once");
	ok(!pp_peers_remove(&p, PP_PEER_SERVICES, "n2"), "another kind's name is not its name");
	is_all(&p, NULL, "10.1.1.0/24", "leaves the others");
	is_u64(put(&p, PP_PEER_NODES, NODE("n2", "", "")), 1, "a node that loses all it had");
	is_all(&p, NULL, "", "has none");
	pp_peers_free(&p);
}

static void test_services(void)
{
	struct pp_peers p = {};

	is_u64(put(&p, PP_PEER_SERVICES,
		   "{\"metadata\":{\"name\":\"kubernetes\"},\"spec\":{\"cidrs\":"
		   "[\"10.96.0.0/16\",\"fd00:96::/112\"]}}"),
	       1, "a ServiceCIDR");
	put(&p, PP_PEER_NODES, NODE("kubernetes", "\"10.1.0.0/24\"", ""));
	is_all(&p, "10.32.0.0/12,10.1.0.0/24",
	       "10.1.0.0/24 10.32.0.0/12 10.96.0.0/16 fd00:96::/112",
	       "beside a node of the same name, and what was said by hand");
	pp_peers_free(&p);
}

/* Objects that no API server sends, and what some networks write. */
static void test_malformed(void)
{
	static const char *const texts[] = {
		"{}",
		"[]",
		"{\"metadata\":{\"name\":7},\"spec\":{\"podCIDRs\":[\"10.0.0.0/24\"]}}",
		"{\"metadata\":{\"name\":\"x\"},\"spec\":7,\"status\":[]}",
		"{\"metadata\":{\"name\":\"x\"},\"spec\":{\"podCIDRs\":\"10.0.0.0/24\"}}",
		"{\"metadata\":{\"name\":\"x\"},\"spec\":{\"podCIDRs\":[3,null,\"\",\"10.0.0.1/24\"]},"
		"\"status\":{\"addresses\":[3,{},{\"type\":\"InternalIP\"},"
		"{\"type\":\"InternalIP\",\"address\":\"n1.example.org\"},{\"address\":\"10.0.0.1\"}]}}",
	};
	struct pp_peers p = {};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		is_u64(put(&p, PP_PEER_NODES, texts[i]), 0, "nothing is in %s", texts[i]);
	is_all(&p, NULL, "", "nothing of it");
	pp_peers_free(&p);
}

static void test_many(void)
{
	struct pp_peers p = {};
	struct pp_cidr *c;
	int changed = 0;
	size_t n;

	for (int round = 0; round < 2; round++)
		for (int i = 0; i < 5000; i++) {
			char text[400];

			snprintf(text, sizeof(text),
				 NODE("node-%d", "\"10.%d.%d.0/24\"", ADDRESS("InternalIP", "172.16.%d.%d")),
				 i, i / 250, i % 250, i / 250, i % 250);
			changed += put(&p, PP_PEER_NODES, text);
		}
	is_u64(changed, 5000, "5000 nodes, whose second status changes nothing");
	ok(!pp_peers_list(&p, NULL, 0, &c, &n) && n == 10000, "two prefixes each");
	free(c);
	pp_peers_free(&p);
}

int main(void)
{
	test_nodes();
	test_services();
	test_malformed();
	test_many();
	return done_testing();
}
