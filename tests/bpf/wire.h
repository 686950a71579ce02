// SPDX-License-Identifier: Apache-2.0
// A wire whose other end is the test itself: a TUN device, from which each packet is read as it
// would leave the host, and the least of a TCP peer.
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define WIRE_MTU 1500

struct wire {
	int fd;
	bool v6;         /* what the next connection speaks */
	bool timestamps; /* whether the peer wants the TCP option */
	/* what came over the wire, of TCP and UDP; the caller may clear these */
	uint64_t packets;
	uint64_t bytes;   /* L3 */
	uint64_t payload; /* TCP's, each byte once */
	bool fin;         /* the peer has seen the end of the stream */
	/* what the peer has sent, as segments; the caller may clear these */
	uint64_t sent_packets;
	uint64_t sent_bytes; /* L3 */
	/* TCP's options of the last segment that came, and of the last SYN or SYN-ACK */
	uint8_t options[40], syn_options[40];
	uint32_t options_len, syn_options_len;
	/* those that the peer adds to its own, but for super-packets; the caller may change them */
	uint8_t extra[20];
	uint32_t extra_len;
	/* the peer's end of the one TCP connection */
	uint32_t seq;  /* what it sends next */
	uint32_t next; /* what it expects */
	uint32_t echo; /* the timestamp it saw last */
	uint16_t port; /* its own */
	uint16_t host; /* the port at the host's end */
};

/* Makes the device in this network namespace, with addresses. false: this kernel has no TUN. */
bool wire_open(struct wire *w);

/* The peer's address; and the host's, to bind to. */
socklen_t wire_peer(const struct wire *w, uint16_t port, struct sockaddr_in6 *ret);
socklen_t wire_host(const struct wire *w, uint16_t port, struct sockaddr_in6 *ret);

/* The peer opens a connection to this port of the host. */
void wire_syn(struct wire *w, uint16_t host_port);

/*
 * The peer sends data, 0 (an ACK) to 60000 bytes, which take up sequence numbers: in one segment,
 * or, with a gso_size, as a super-packet of segments with so much payload, whose number the kernel
 * is not told (as from a guest's device). The kernel has dealt with it on return.
 */
void wire_send(struct wire *w, uint32_t bytes, uint16_t gso_size);

/* The peer sends a UDP datagram, up to 1400 bytes, to this port of the host. */
void wire_datagram(struct wire *w, uint16_t host_port, uint32_t bytes);

/*
 * Reads what there is, waiting up to `ms` for a first packet, and lets the peer answer. Returns the
 * packets read.
 */
int wire_poll(struct wire *w, int ms);
/* Until nothing has come for `ms`. */
void wire_settle(struct wire *w, int ms);

/* Closes the host's socket, at once and by RST: nothing is left that could send later. */
void wire_reset(struct wire *w, int fd);
