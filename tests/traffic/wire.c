// SPDX-License-Identifier: Apache-2.0
/*
 * What arrives in the receiver's network namespace, from the IP layer's own counters. TCP's
 * bytes_received counts a segment behind a hole only when the hole is filled, which makes bursts
 * of what were none, and never counts one that arrives twice; these count on arrival.
 *
 * InOctets and InReceives count a GSO packet once, with one set of headers; the four ECN counters
 * count the segments it stands for. What is short are the headers of the other segments.
 * (ip_rcv_core(), ip6_rcv_core() of Linux. A packet that a cgroup's ingress program drops has been
 * counted here, unlike in TCP.)
 */
#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "traffic.h"

#define FILE_BYTES	(32 << 10)

struct counts {
	uint64_t octets, packets, segments;
};

static void count(struct counts *c, const char *name, size_t len, uint64_t value)
{
	static const char *const segments[] = { "InNoECTPkts", "InECT1Pkts", "InECT0Pkts",
						"InCEPkts" };

	if (len == 8 && !memcmp(name, "InOctets", 8))
		c->octets += value;
	if (len == 10 && !memcmp(name, "InReceives", 10))
		c->packets += value;
	for (int i = 0; i < 4; i++)
		if (len == strlen(segments[i]) && !memcmp(name, segments[i], len))
			c->segments += value;
}

/* The file again from its start, as a string. */
static char *reread(const char *path, int *fd, char *buffer)
{
	ssize_t len;

	if (*fd < 0)
		*fd = open(path, O_RDONLY | O_CLOEXEC);
	len = *fd < 0 ? -1 : pread(*fd, buffer, FILE_BYTES - 1, 0);
	if (len < 0)
		err(1, "%s", path);
	buffer[len] = '\0';
	return buffer;
}

/* A line of names, then a line of values, both after the same @title. */
static void read_titled(struct counts *c, const char *text, const char *title)
{
	const char *names = strstr(text, title), *values;

	if (!names)
		return;
	names += strlen(title);
	values = strstr(names, title);
	if (!values)
		return;
	values += strlen(title);
	while (*names == ' ' && *values == ' ') {
		size_t len = strcspn(++names, " \n");
		char *end;

		count(c, names, len, strtoull(values, &end, 10));
		names += len;
		values = end;
	}
}

/* A name and a value a line. */
static void read_lines(struct counts *c, const char *text, const char *prefix)
{
	size_t skip = strlen(prefix);

	for (; *text; text += strcspn(text, "\n"), text += *text == '\n')
		if (!strncmp(text, prefix, skip))
			count(c, text + skip, strcspn(text + skip, " \t"),
			      strtoull(text + strcspn(text, " \t"), NULL, 10));
}

uint64_t wire_bytes(int tcp_header)
{
	static int snmp = -1, netstat = -1, snmp6 = -1;
	static char buffer[FILE_BYTES];
	struct counts v4 = {}, v6 = {};

	read_titled(&v4, reread("/proc/self/net/snmp", &snmp, buffer), "Ip:");
	read_titled(&v4, reread("/proc/self/net/netstat", &netstat, buffer), "IpExt:");
	read_lines(&v6, reread("/proc/self/net/snmp6", &snmp6, buffer), "Ip6");
	return v4.octets + (v4.segments - v4.packets) * (20 + tcp_header) +
	       v6.octets + (v6.segments - v6.packets) * (40 + tcp_header);
}
