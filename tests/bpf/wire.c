// SPDX-License-Identifier: Apache-2.0
// The wire: see wire.h.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "rig.h"
#include "wire.h"

#define DEVICE "pp1"
#define PEER_PORT 7000
#define WINDOW 65535 /* no scaling: less is in flight than the device queues */

static const char *const address[2][2] = { { "10.78.0.1", "10.78.0.2" }, { "fd78::1", "fd78::2" } };

static void set_address4(int fd, const char *device)
{
	struct ifreq req = { 0 };
	struct sockaddr_in *sin = (struct sockaddr_in *)&req.ifr_addr;

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", device);
	sin->sin_family = AF_INET;
	inet_pton(AF_INET, address[0][0], &sin->sin_addr);
	if (ioctl(fd, SIOCSIFADDR, &req) < 0)
		rig_die("IPv4 address");
	inet_pton(AF_INET, "255.255.255.0", &sin->sin_addr);
	if (ioctl(fd, SIOCSIFNETMASK, &req) < 0)
		rig_die("IPv4 netmask");
}

static void set_address6(const char *device)
{
	struct in6_ifreq req = {
		.ifr6_prefixlen = 64,
		.ifr6_ifindex = (int)if_nametoindex(device),
	};
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET6, address[1][0], &req.ifr6_addr);
	if (fd < 0 || ioctl(fd, SIOCSIFADDR, &req) < 0)
		rig_die("IPv6 address");
	close(fd);
}

bool wire_open(struct wire *w)
{
	struct ifreq req = { .ifr_name = DEVICE, .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd;

	memset(w, 0, sizeof(*w));
	w->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (w->fd < 0)
		return false;
	if (ioctl(w->fd, TUNSETIFF, &req) < 0)
		rig_die("TUNSETIFF");
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		rig_die("socket");
	req.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, &req) < 0)
		rig_die(DEVICE);
	set_address4(fd, DEVICE);
	set_address6(DEVICE);
	close(fd);
	return true;
}

static socklen_t endpoint(const struct wire *w, int end, uint16_t port, struct sockaddr_in6 *ret)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)ret;

	memset(ret, 0, sizeof(*ret));
	if (w->v6) {
		ret->sin6_family = AF_INET6;
		ret->sin6_port = htons(port);
		inet_pton(AF_INET6, address[1][end], &ret->sin6_addr);
		return sizeof(*ret);
	}
	sin->sin_family = AF_INET;
	sin->sin_port = htons(port);
	inet_pton(AF_INET, address[0][end], &sin->sin_addr);
	return sizeof(*sin);
}

socklen_t wire_peer(const struct wire *w, uint16_t port, struct sockaddr_in6 *ret)
{
	return endpoint(w, 1, port, ret);
}

socklen_t wire_host(const struct wire *w, uint16_t port, struct sockaddr_in6 *ret)
{
	return endpoint(w, 0, port, ret);
}

/* --- the peer */

static uint32_t add_up(uint32_t sum, const uint8_t *p, size_t n)
{
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

/*
 * IP header for n bytes of TCP from the peer to the host. Returns its length and the sum over the
 * pseudo header.
 */
static size_t put_ip(const struct wire *w, uint8_t *data, size_t n, uint32_t *ret_sum)
{
	struct ipv6hdr *ip6 = (void *)data;
	struct iphdr *ip4 = (void *)data;

	if (w->v6) {
		ip6->version = 6;
		ip6->payload_len = htons(n);
		ip6->nexthdr = IPPROTO_TCP;
		ip6->hop_limit = 64;
		inet_pton(AF_INET6, address[1][1], &ip6->saddr);
		inet_pton(AF_INET6, address[1][0], &ip6->daddr);
		*ret_sum = add_up(IPPROTO_TCP + n, (uint8_t *)&ip6->saddr, 32);
		return sizeof(*ip6);
	}
	ip4->version = 4;
	ip4->ihl = 5;
	ip4->tot_len = htons(sizeof(*ip4) + n);
	ip4->ttl = 64;
	ip4->protocol = IPPROTO_TCP;
	inet_pton(AF_INET, address[0][1], &ip4->saddr);
	inet_pton(AF_INET, address[0][0], &ip4->daddr);
	ip4->check = fold(add_up(0, data, sizeof(*ip4)));
	*ret_sum = add_up(IPPROTO_TCP + n, (uint8_t *)&ip4->saddr, 8);
	return sizeof(*ip4);
}

static void answer(struct wire *w, bool syn, bool ack)
{
	_Alignas(4) uint8_t tcp[40] = { 0 };
	_Alignas(4) uint8_t data[80] = { 0 };
	struct tcphdr *th = (void *)tcp;
	size_t n = sizeof(*th), l3;
	uint32_t sum, value;
	uint16_t mss;

	if (syn) {
		mss = htons(WIRE_MTU - (w->v6 ? 60 : 40));
		tcp[n] = TCPOPT_MAXSEG, tcp[n + 1] = TCPOLEN_MAXSEG;
		memcpy(tcp + n + 2, &mss, sizeof(mss));
		n += TCPOLEN_MAXSEG;
	}
	if (w->timestamps) {
		tcp[n] = tcp[n + 1] = TCPOPT_NOP;
		tcp[n + 2] = TCPOPT_TIMESTAMP, tcp[n + 3] = TCPOLEN_TIMESTAMP;
		value = htonl(1);
		memcpy(tcp + n + 4, &value, sizeof(value));
		value = htonl(w->echo);
		memcpy(tcp + n + 8, &value, sizeof(value));
		n += 12;
	}
	th->source = htons(w->port);
	th->dest = htons(w->host);
	th->seq = htonl(w->seq);
	th->ack_seq = ack ? htonl(w->next) : 0;
	th->doff = n / 4;
	th->syn = syn;
	th->ack = ack;
	th->window = htons(WINDOW);
	l3 = put_ip(w, data, n, &sum);
	th->check = fold(add_up(sum, tcp, n));
	memcpy(data + l3, tcp, n);
	if (write(w->fd, data, l3 + n) < 0)
		rig_die("write to the wire");
	w->seq += syn;
}

void wire_syn(struct wire *w, uint16_t host_port)
{
	w->port = PEER_PORT;
	w->host = host_port;
	w->seq = 1000;
	answer(w, true, false);
}

static void find_timestamp(struct wire *w, const uint8_t *option, const uint8_t *end)
{
	uint32_t value;

	while (option + 1 < end && *option != TCPOPT_EOL) {
		if (*option == TCPOPT_NOP) {
			option++;
			continue;
		}
		if (*option == TCPOPT_TIMESTAMP && option + TCPOLEN_TIMESTAMP <= end) {
			memcpy(&value, option + 2, sizeof(value));
			w->echo = ntohl(value);
		}
		option += option[1] < 2 ? 2 : option[1];
	}
}

/* Takes what is in order and acknowledges all that takes up sequence numbers. */
static void receive(struct wire *w, const uint8_t *tcp, size_t n)
{
	struct tcphdr th;
	uint32_t seq;

	memcpy(&th, tcp, sizeof(th));
	find_timestamp(w, tcp + sizeof(th), tcp + th.doff * 4);
	n -= th.doff * 4;
	seq = ntohl(th.seq);
	if (th.rst || (!th.syn && (ntohs(th.dest) != w->port || ntohs(th.source) != w->host)))
		return;
	if (th.syn) {
		w->next = seq + 1;
		if (!th.ack) {
			w->port = ntohs(th.dest);
			w->host = ntohs(th.source);
			w->seq = 1000;
		}
		answer(w, !th.ack, true);
		return;
	}
	if (seq == w->next) {
		w->payload += n;
		w->next += n + th.fin;
		w->fin |= th.fin;
	}
	if (n || th.fin)
		answer(w, false, true);
}

int wire_poll(struct wire *w, int ms)
{
	struct pollfd p = { .fd = w->fd, .events = POLLIN };
	uint8_t data[65536];
	ssize_t n;
	int read_now = 0;

	poll(&p, 1, ms);
	while ((n = read(w->fd, data, sizeof(data))) > 0) {
		bool v6 = data[0] >> 4 == 6;
		size_t l3 = v6 ? 40 : (data[0] & 15) * 4;
		uint8_t protocol = v6 ? data[6] : data[9];

		/* the kernel's own ICMPv6 belongs to no test */
		if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
			continue;
		w->packets++;
		w->bytes += n;
		read_now++;
		if (protocol == IPPROTO_TCP && v6 == w->v6)
			receive(w, data + l3, n - l3);
	}
	return read_now;
}

void wire_settle(struct wire *w, int ms)
{
	while (wire_poll(w, ms))
		;
}
