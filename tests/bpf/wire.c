// SPDX-License-Identifier: Apache-2.0
// The wire: see wire.h.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/ipv6.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "rig.h"
#include "wire.h"

#define DEVICE "pp1"
#define PEER_PORT 7000
/* each packet of the device has a struct virtio_net_hdr in front; the IP header is aligned */
#define HEADER_ROOM 12
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
	struct ifreq req = { .ifr_name = DEVICE, .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };
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
 * IP header for n bytes of TCP or UDP from the peer to the host. Returns its length and the sum
 * over the pseudo header.
 */
static size_t put_ip(const struct wire *w, uint8_t *data, uint8_t protocol, size_t n,
		     uint32_t *ret_sum)
{
	struct ipv6hdr *ip6 = (void *)data;
	struct iphdr *ip4 = (void *)data;

	if (w->v6) {
		ip6->version = 6;
		ip6->payload_len = htons(n);
		ip6->nexthdr = protocol;
		ip6->hop_limit = 64;
		inet_pton(AF_INET6, address[1][1], &ip6->saddr);
		inet_pton(AF_INET6, address[1][0], &ip6->daddr);
		*ret_sum = add_up(protocol + n, (uint8_t *)&ip6->saddr, 32);
		return sizeof(*ip6);
	}
	ip4->version = 4;
	ip4->ihl = 5;
	ip4->tot_len = htons(sizeof(*ip4) + n);
	ip4->ttl = 64;
	ip4->protocol = protocol;
	inet_pton(AF_INET, address[0][1], &ip4->saddr);
	inet_pton(AF_INET, address[0][0], &ip4->daddr);
	ip4->check = fold(add_up(0, data, sizeof(*ip4)));
	*ret_sum = add_up(protocol + n, (uint8_t *)&ip4->saddr, 8);
	return sizeof(*ip4);
}

/*
 * Sends n bytes of TCP or UDP, whose checksum, 0 so far, is at check_at. gso_size: payload of a
 * segment, if this is a super-packet; the kernel is not told how many it holds.
 */
static void put(struct wire *w, uint8_t protocol, const uint8_t *l4, size_t n, size_t check_at,
		size_t header, uint16_t gso_size)
{
	_Alignas(4) static uint8_t data[HEADER_ROOM + 65536];
	struct virtio_net_hdr vnet = { 0 };
	uint8_t *ip = data + HEADER_ROOM;
	size_t l3;
	uint32_t sum;
	uint16_t check;

	memset(ip, 0, 40);
	l3 = put_ip(w, ip, protocol, n, &sum);
	check = fold(add_up(sum, l4, n));
	memcpy(ip + l3, l4, n);
	if (gso_size) {
		/* such a packet's checksum is the pseudo header's, the rest is to be done */
		check = ~fold(sum);
		vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		vnet.csum_start = l3;
		vnet.csum_offset = check_at;
		vnet.gso_type = w->v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
		vnet.gso_size = gso_size;
		vnet.hdr_len = l3 + header;
	}
	memcpy(ip + l3 + check_at, &check, sizeof(check));
	memcpy(ip - sizeof(vnet), &vnet, sizeof(vnet));
	if (write(w->fd, ip - sizeof(vnet), sizeof(vnet) + l3 + n) < 0)
		rig_die("write to the wire");
	w->sent_packets += gso_size ? (n - header + gso_size - 1) / gso_size : 1;
	w->sent_bytes += l3 + n + (gso_size ? (n - header - 1) / gso_size * (l3 + header) : 0);
}

/* A segment, with `bytes` of payload, which takes up sequence numbers; see put() for gso_size. */
static void segment(struct wire *w, bool syn, bool ack, size_t bytes, uint16_t gso_size)
{
	_Alignas(4) static uint8_t tcp[65536];
	struct tcphdr *th = (void *)tcp;
	size_t n = sizeof(*th);
	uint32_t value;
	uint16_t mss;

	memset(tcp, 0, 60);
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
	if (!gso_size) {
		memcpy(tcp + n, w->extra, w->extra_len);
		n += (w->extra_len + 3) / 4 * 4;
	}
	th->source = htons(w->port);
	th->dest = htons(w->host);
	th->seq = htonl(w->seq);
	th->ack_seq = ack ? htonl(w->next) : 0;
	th->doff = n / 4;
	th->syn = syn;
	th->ack = ack;
	th->window = htons(WINDOW);
	memset(tcp + n, 'x', bytes);
	put(w, IPPROTO_TCP, tcp, n + bytes, offsetof(struct tcphdr, check), n, gso_size);
	w->seq += syn + bytes;
}

static void answer(struct wire *w, bool syn, bool ack)
{
	segment(w, syn, ack, 0, 0);
}

void wire_send(struct wire *w, uint32_t bytes, uint16_t gso_size)
{
	segment(w, false, true, bytes, gso_size);
}

void wire_datagram(struct wire *w, uint16_t host_port, uint32_t bytes)
{
	_Alignas(4) uint8_t udp[sizeof(struct udphdr) + WIRE_MTU] = { 0 };
	struct udphdr *uh = (void *)udp;

	uh->source = htons(PEER_PORT);
	uh->dest = htons(host_port);
	uh->len = htons(sizeof(*uh) + bytes);
	put(w, IPPROTO_UDP, udp, sizeof(*uh) + bytes, offsetof(struct udphdr, check), sizeof(*uh),
	    0);
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
	w->options_len = th.doff * 4 - sizeof(th);
	memcpy(w->options, tcp + sizeof(th), w->options_len);
	if (th.syn) {
		memcpy(w->syn_options, w->options, w->options_len);
		w->syn_options_len = w->options_len;
	}
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
	uint8_t buf[sizeof(struct virtio_net_hdr) + 65536];
	const uint8_t *data = buf + sizeof(struct virtio_net_hdr);
	ssize_t n;
	int read_now = 0;

	poll(&p, 1, ms);
	while ((n = read(w->fd, buf, sizeof(buf)) - (ssize_t)sizeof(struct virtio_net_hdr)) > 0) {
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

void wire_reset(struct wire *w, int fd)
{
	struct linger now = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
	wire_settle(w, 20);
}
