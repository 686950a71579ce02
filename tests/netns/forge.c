// SPDX-License-Identifier: Apache-2.0
/*
 * forge blind|path|syn FROM PORT TO PORT COUNT SECONDS [RATE]: sends COUNT TCP segments over IPv4,
 * evenly within SECONDS, that claim to come from the receiving end FROM of a live connection to the
 * sending end TO, and carry forged options of feedback.
 *
 * blind: from anywhere, with guessed sequence numbers. path: on FROM's side, where the segments
 * that FROM sends can be seen: each forged one has the numbers of the last true one, so that TCP
 * takes it for in sequence; waits for the first, and TO's port is learned from it.
 *
 * syn: no live connection, but SYNs from any port of FROM to TO, which listens.
 *
 * With RATE, bytes/s, each has a well-formed hello that tells this rate; without, what it has is
 * mutated in every way: forms, lengths, rates, repetitions, cuts, random bytes. Segments carry no
 * data. Always the same sequence of mutations. Prints how many were sent.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TIMESTAMPS 12 /* with the two NOPs before */
#define MAX_OPTIONS 40
#define FORGED_TTL 63 /* by which they are known from true ones */

/* docs/wire.md */
static const uint8_t identifier[4] = { 0x9a, 0xce, 0x1b, 0x5d };

/* A connection as its receiving end's segments show it; numbers in network order. */
struct seen {
	uint16_t port; /* of the sending end; 0: not seen yet */
	uint32_t seq, ack;
	uint16_t window;
	uint8_t timestamps[TIMESTAMPS];
	bool has_timestamps, syn;
};

static struct sockaddr_in from = { .sin_family = AF_INET }, to = { .sin_family = AF_INET };
static uint64_t seed = 88172645463325252ULL;

/* xorshift64, so that every run sends the same mutations. */
static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

static uint64_t below(uint64_t n)
{
	return rnd() % n;
}

static void fill(uint8_t *p, size_t n)
{
	while (n--)
		*p++ = rnd();
}

/* --- options */

static uint16_t pack(uint64_t rate)
{
	uint32_t e = 0;

	if (rate < 2048)
		return rate ? rate : 1;
	while (e < 31 && rate >> e > 4095)
		e++;
	return (e + 1) << 11 | ((rate >> e) & 2047);
}

/* Any code, the extremes often. */
static uint16_t any_code(void)
{
	static const uint16_t extremes[] = { 0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff };

	return below(2) ? rnd() : extremes[below(6)];
}

/* A well-formed option of 8, 14 or 16 bytes. Returns its length. */
static size_t form(uint8_t *o, size_t len, uint16_t code)
{
	o[0] = 254;
	o[1] = len;
	memcpy(o + 2, identifier, sizeof(identifier));
	fill(o + 6, len - 6);
	if (len != 14) {
		o[len - 2] = code >> 8;
		o[len - 1] = code;
	}
	return len;
}

/* One that is or is not well-formed, of up to 16 bytes; may claim another length than it has. */
static size_t mutate(uint8_t *o)
{
	static const uint8_t forms[] = { 8, 14, 16 };
	size_t len = form(o, forms[below(3)], any_code());

	switch (below(9)) {
	case 0:
		break;
	case 1: /* any length */
		o[1] = rnd();
		break;
	case 2:
		o[1] = below(20);
		break;
	case 3: /* one of the others */
		o[1] = forms[below(3)];
		break;
	case 4: /* really as long as it says */
		fill(o + 6, 10);
		len = o[1] = below(17);
		break;
	case 5: /* somebody else's */
		o[below(6)] ^= 1 << below(8);
		break;
	case 6:
		o[0] = 253;
		break;
	case 7:
		fill(o + 2, 14);
		break;
	case 8:
		fill(o, 16);
		break;
	}
	return len;
}

/* Options in `room` bytes, a multiple of 4, cut where they are. Returns the length, as a multiple.
 */
static size_t forge(uint8_t *o, size_t room, uint16_t code)
{
	uint8_t all[MAX_OPTIONS + 16] = { 0 };
	size_t n = 0, wanted = below(room / 4 + 1) * 4;

	if (code) {
		n = form(o, 16, code);
		return n;
	}
	for (uint64_t times = 1 + below(3); times && n < room; times--)
		n += mutate(all + n);
	/* cut anywhere, or with something behind */
	if (!below(3))
		n = wanted;
	n = n > room ? room : (n + 3) / 4 * 4;
	memcpy(o, all, n);
	return n;
}

/* --- segments */

static uint32_t add_up(uint32_t sum, const void *data, size_t n)
{
	const uint8_t *p = data;

	for (size_t i = 0; i + 1 < n; i += 2)
		sum += p[i] << 8 | p[i + 1];
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum);
}

static void send_forged(int fd, const struct seen *c, uint16_t code)
{
	_Alignas(4)
		uint8_t data[sizeof(struct iphdr) + sizeof(struct tcphdr) + MAX_OPTIONS] = { 0 };
	struct iphdr *ip = (void *)data;
	struct tcphdr *th = (void *)(ip + 1);
	uint8_t *o = (uint8_t *)(th + 1);
	size_t options = 0, n;
	uint32_t sum;

	if (c->has_timestamps) {
		memcpy(o, c->timestamps, TIMESTAMPS);
		options = TIMESTAMPS;
	}
	options += forge(o + options, MAX_OPTIONS - options, code);
	n = sizeof(*th) + options;
	th->source = from.sin_port;
	th->dest = c->port;
	th->seq = c->seq;
	th->ack_seq = c->ack;
	th->doff = n / 4;
	th->ack = !c->syn;
	th->syn = c->syn;
	th->window = c->window;
	sum = add_up(IPPROTO_TCP + n, &from.sin_addr, 4);
	sum = add_up(sum, &to.sin_addr, 4);
	th->check = fold(add_up(sum, th, n));
	ip->version = 4;
	ip->ihl = 5;
	ip->ttl = FORGED_TTL;
	ip->protocol = IPPROTO_TCP;
	ip->tot_len = htons(sizeof(*ip) + n);
	ip->saddr = from.sin_addr.s_addr;
	ip->daddr = to.sin_addr.s_addr;
	if (sendto(fd, data, sizeof(*ip) + n, 0, (struct sockaddr *)&to, sizeof(to)) < 0 &&
	    errno != ENOBUFS)
		err(1, "sendto");
}

/* Numbers that anybody might guess. */
static void guess(struct seen *c)
{
	c->seq = rnd();
	c->ack = rnd();
	c->window = rnd();
	c->has_timestamps = true;
	memcpy(c->timestamps, (uint8_t[4]){ TCPOPT_NOP, TCPOPT_NOP, 8, 10 }, 4);
	fill(c->timestamps + 4, 8);
}

static void begin(struct seen *c)
{
	from.sin_port = rnd();
	c->syn = true;
	c->seq = rnd();
	c->window = rnd();
}

static void look_at(const uint8_t *data, size_t n, struct seen *c)
{
	const struct iphdr *ip = (const void *)data;
	const struct tcphdr *th = (const void *)(data + sizeof(*ip));
	const uint8_t *o = (const uint8_t *)(th + 1);

	if (n < sizeof(*ip) + sizeof(*th) || ip->ihl != 5 || ip->ttl == FORGED_TTL ||
	    ip->protocol != IPPROTO_TCP || ip->saddr != from.sin_addr.s_addr ||
	    ip->daddr != to.sin_addr.s_addr || th->source != from.sin_port || th->syn || th->rst ||
	    !th->ack)
		return;
	c->port = th->dest;
	c->seq = th->seq;
	c->ack = th->ack_seq;
	c->window = th->window;
	c->has_timestamps = th->doff >= 8 && o[2] == 8 && o[3] == 10;
	memcpy(c->timestamps, o, TIMESTAMPS);
}

/* What FROM has sent meanwhile; waits up to `ms` for something. */
static void watch(int fd, struct seen *c, int ms)
{
	_Alignas(4) uint8_t data[128];
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct sockaddr_ll at;
	socklen_t len = sizeof(at);
	ssize_t n;

	poll(&p, 1, ms);
	while ((n = recvfrom(fd, data, sizeof(data), MSG_DONTWAIT, (struct sockaddr *)&at, &len)) >
	       0)
		if (at.sll_pkttype == PACKET_OUTGOING)
			look_at(data, n, c);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	int raw, wire = -1;
	struct seen c = { 0 };
	double start, seconds;
	long count, sent = 0;
	uint16_t code = 0;

	if (argc < 8 || inet_pton(AF_INET, argv[2], &from.sin_addr) != 1 ||
	    inet_pton(AF_INET, argv[4], &to.sin_addr) != 1)
		errx(2, "usage: forge blind|path|syn FROM PORT TO PORT COUNT SECONDS [RATE]");
	from.sin_port = htons(atoi(argv[3]));
	c.port = htons(atoi(argv[5]));
	count = atol(argv[6]);
	seconds = atof(argv[7]);
	if (argc > 8)
		code = pack(strtoull(argv[8], NULL, 10));
	raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (raw < 0)
		err(1, "raw socket");
	if (strcmp(argv[1], "path") == 0) {
		wire = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_ALL));
		if (wire < 0)
			err(1, "packet socket");
		c.port = 0;
		for (int tries = 0; tries < 100 && !c.port; tries++)
			watch(wire, &c, 100);
		if (!c.port)
			errx(1, "no connection seen");
	}
	for (start = now(); sent < count; sent++) {
		double early = start + seconds * sent / count - now();

		if (early > 0.001)
			usleep(early * 1e6);
		if (wire >= 0)
			watch(wire, &c, 0);
		else if (strcmp(argv[1], "syn") == 0)
			begin(&c);
		else
			guess(&c);
		send_forged(raw, &c, code);
	}
	printf("%ld\n", sent);
	return 0;
}
