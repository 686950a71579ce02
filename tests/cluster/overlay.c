// SPDX-License-Identifier: Apache-2.0
/*
 * A network between the lab's nodes in user space, as Weave Net's without its kernel part: IPv4
 * packets that the node routes to a tun device travel in UDP, one in each datagram, to the node
 * that has their destination, and there leave its tun device.
 *
 *   overlay DEVICE PORT PREFIX=NODE...     overlay wire0 6783 10.97.1.0/24=10.99.0.12
 *
 * The device is made by the caller, who also gives it its MTU: headers of 28 bytes are added to
 * each packet. Packets to elsewhere are dropped. Nothing is fragmented, batched or encrypted.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	MAX_NODES = 16,
	BURST = 64,		/* packets of one direction before the other has its turn */
	QUEUE = 8 << 20,	/* bytes that wait in the socket, headers of the kernel included */
};

struct node {
	in_addr_t prefix, mask;
	struct sockaddr_in at;
};

static struct node nodes[MAX_NODES];
static int n_nodes;

static const struct node *find_node(in_addr_t destination)
{
	for (int i = 0; i < n_nodes; i++)
		if ((destination & nodes[i].mask) == nodes[i].prefix)
			return &nodes[i];
	return NULL;
}

/* "10.97.1.0/24=10.99.0.12" */
static void add_node(const char *text, int port)
{
	struct node *node = &nodes[n_nodes++];
	char prefix[16], at[16], end;
	int length;

	if (n_nodes > MAX_NODES)
		errx(1, "more than %d nodes", MAX_NODES);
	if (sscanf(text, "%15[0-9.]/%d=%15[0-9.]%c", prefix, &length, at, &end) != 3 ||
	    length < 1 || length > 32 || inet_pton(AF_INET, prefix, &node->prefix) != 1 ||
	    inet_pton(AF_INET, at, &node->at.sin_addr) != 1)
		errx(1, "%s: not PREFIX/LENGTH=ADDRESS", text);
	node->mask = htonl(~0U << (32 - length));
	node->prefix &= node->mask;
	node->at.sin_family = AF_INET;
	node->at.sin_port = htons(port);
}

static int open_device(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		err(1, "/dev/net/tun");
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &request))
		err(1, "%s", name);
	return fd;
}

static int open_socket(int port)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), size = QUEUE;

	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)))
		err(1, "UDP port %d", port);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)))
		err(1, "UDP port %d: %d bytes of queue", port, size);
	return fd;
}

/* Both return whether there was a packet. What cannot be sent is lost, as on any wire. */

static bool pass_out(int device, int wire)
{
	static char packet[65536];
	const struct iphdr *ip = (const struct iphdr *)packet;
	ssize_t size = read(device, packet, sizeof(packet));
	const struct node *node;

	if (size < 0 && errno != EAGAIN)
		err(1, "read from the device");
	if (size < (ssize_t)sizeof(*ip))
		return size >= 0;
	node = ip->version == 4 ? find_node(ip->daddr) : NULL;
	if (node && sendto(wire, packet, size, 0, (const struct sockaddr *)&node->at,
			   sizeof(node->at)) < 0 && errno != EAGAIN)
		warn("send");
	return true;
}

static bool pass_in(int device, int wire)
{
	static char packet[65536];
	ssize_t size = recv(wire, packet, sizeof(packet), 0);

	if (size < 0)
		return errno != EAGAIN;	/* others are what ICMP said of an earlier packet */
	if (write(device, packet, size) < 0 && errno != EAGAIN)
		warn("write to the device");
	return true;
}

int main(int argc, char **argv)
{
	int device, wire, port;

	if (argc < 3)
		errx(2, "usage: overlay DEVICE PORT PREFIX=NODE...");
	port = atoi(argv[2]);
	for (int i = 3; i < argc; i++)
		add_node(argv[i], port);
	device = open_device(argv[1]);
	wire = open_socket(port);
	for (;;) {
		struct pollfd ready[] = { { device, POLLIN, 0 }, { wire, POLLIN, 0 } };

		if (poll(ready, 2, -1) < 0 && errno != EINTR)
			err(1, "poll");
		for (int i = 0; i < BURST && pass_out(device, wire); i++)
			;
		for (int i = 0; i < BURST && pass_in(device, wire); i++)
			;
	}
}
