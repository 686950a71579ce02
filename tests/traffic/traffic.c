// SPDX-License-Identifier: Apache-2.0
/*
 * The command line of the instrument: traffic receive, send and delay; each prints one JSON
 * object.
 */
#include <arpa/inet.h>
#include <err.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "traffic.h"

static const char usage[] =
	"usage: traffic receive --port P [--seconds N] [--from S] [--to S] [--series] [--keep]\n"
	"       traffic send --to ADDR --port P [--flows N] [--seconds S] [--cc NAME]\n"
	"                    [--family 4|6] [--probe HZ] [--idle N [--idle-every MS]]\n"
	"                    [--udp BITRATE] [--flow-rate BITRATE] [--on MS --off MS]\n"
	"                    [--stagger MS] [--open-now] [--short CLIENTS --bytes N]\n"
	"       traffic delay --from NETNS --to NETNS --device NAME --rtt MS\n"
	"\n"
	"receive listens on P (bulk), P+1 (echo), P+2 (UDP) and P+3 (near-idle). It ends by\n"
	"SIGTERM, after --seconds, or when all connections are closed (not with --keep). --from\n"
	"and --to bound the measuring window, in seconds after the first data byte (2 and 10).\n"
	"--series adds time series.\n"
	"send opens its flows, starts them at one instant and stops after --seconds (10).\n"
	"--open-now starts each as soon as it is connected; --stagger puts time between starts\n"
	"(with --open-now: between connects). --udp is in L3 bits/s, --flow-rate in payload\n"
	"bits/s of each flow; k, M and G are decimal.\n"
	"Each of the near-idle connections sends 100 bytes every --idle-every ms (200).\n"
	"--short adds clients that open one connection of --bytes after another.\n"
	"delay makes a TUN device in each of two network namespaces, and what enters one leaves\n"
	"the other half of --rtt later, until SIGTERM.\n";

static double number(const char *text)
{
	static const char units[] = "kMG";
	char *end;
	double value = strtod(text, &end);

	if (end != text && *end) {
		const char *unit = strchr(units, *end);

		for (const char *u = units; unit && u <= unit; u++)
			value *= 1000;
		end += unit != NULL;
	}
	if (end == text || *end || value < 0)
		errx(2, "not a number: %s", text);
	return value;
}

static int run_receive(int argc, char **argv)
{
	enum { PORT = 1, SECONDS, FROM, TO, SERIES, KEEP };
	static const struct option names[] = {
		{ "port", required_argument, NULL, PORT },
		{ "seconds", required_argument, NULL, SECONDS },
		{ "from", required_argument, NULL, FROM },
		{ "to", required_argument, NULL, TO },
		{ "series", no_argument, NULL, SERIES },
		{ "keep", no_argument, NULL, KEEP },
		{}
	};
	struct receive_options o = { .from = 2, .to = 10 };
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case PORT: o.port = number(optarg); break;
		case SECONDS: o.seconds = number(optarg); break;
		case FROM: o.from = number(optarg); break;
		case TO: o.to = number(optarg); break;
		case SERIES: o.series = true; break;
		case KEEP: o.keep = true; break;
		default: fputs(usage, stderr); return 2;
		}
	}
	if (o.port < 1 || o.port > 65535 - PORT_IDLE || optind < argc)
		errx(2, "receive needs --port and no other words");
	return receive_main(&o);
}

static void resolve(struct send_options *o, const char *to, int port)
{
	if (o->family != AF_INET6 && inet_pton(AF_INET, to, &o->addr.v4.sin_addr) == 1) {
		o->family = o->addr.any.sa_family = AF_INET;
		o->addr_len = sizeof(o->addr.v4);
	} else if (o->family != AF_INET && inet_pton(AF_INET6, to, &o->addr.v6.sin6_addr) == 1) {
		o->family = o->addr.any.sa_family = AF_INET6;
		o->addr_len = sizeof(o->addr.v6);
	} else {
		errx(2, "not an address of this family: %s", to);
	}
	o->addr.v4.sin_port = htons(port);
}

static int run_send(int argc, char **argv)
{
	enum { TO = 1, PORT, FLOWS, SECONDS, CC, FAMILY, PROBE, IDLE, UDP, RATE, ON, OFF, STAGGER,
	       NOW, SHORT, BYTES, EVERY };
	static const struct option names[] = {
		{ "to", required_argument, NULL, TO }, { "port", required_argument, NULL, PORT },
		{ "flows", required_argument, NULL, FLOWS }, { "cc", required_argument, NULL, CC },
		{ "seconds", required_argument, NULL, SECONDS },
		{ "family", required_argument, NULL, FAMILY },
		{ "probe", required_argument, NULL, PROBE },
		{ "idle", required_argument, NULL, IDLE },
		{ "idle-every", required_argument, NULL, EVERY }, { "udp", required_argument, NULL, UDP },
		{ "flow-rate", required_argument, NULL, RATE },
		{ "on", required_argument, NULL, ON }, { "off", required_argument, NULL, OFF },
		{ "stagger", required_argument, NULL, STAGGER },
		{ "open-now", no_argument, NULL, NOW },
		{ "short", required_argument, NULL, SHORT },
		{ "bytes", required_argument, NULL, BYTES },
		{}
	};
	struct send_options o = { .seconds = 10, .short_bytes = 100000, .idle_ms = 200 };
	const char *to = NULL;
	int c, port = 0;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case TO: to = optarg; break;
		case PORT: port = number(optarg); break;
		case FLOWS: o.flows = number(optarg); break;
		case SECONDS: o.seconds = number(optarg); break;
		case CC: o.cc = optarg; break;
		case FAMILY: o.family = *optarg == '6' ? AF_INET6 : AF_INET; break;
		case PROBE: o.probe_hz = number(optarg); break;
		case IDLE: o.idle = number(optarg); break;
		case EVERY: o.idle_ms = number(optarg); break;
		case UDP: o.udp_bps = number(optarg); break;
		case RATE: o.flow_bps = number(optarg); break;
		case ON: o.on_ms = number(optarg); break;
		case OFF: o.off_ms = number(optarg); break;
		case STAGGER: o.stagger_ms = number(optarg); break;
		case NOW: o.open_now = true; break;
		case SHORT: o.short_clients = number(optarg); break;
		case BYTES: o.short_bytes = number(optarg); break;
		default: fputs(usage, stderr); return 2;
		}
	}
	if (!to || port < 1 || port > 65535 - PORT_IDLE || optind < argc || !o.on_ms != !o.off_ms ||
	    o.idle_ms < 1)
		errx(2, "send needs --to, --port, --on only with --off, --idle-every of 1 or "
			"more, and no other words");
	resolve(&o, to, port);
	return send_main(&o);
}

static int run_delay(int argc, char **argv)
{
	enum { FROM = 1, TO, DEVICE, RTT };
	static const struct option names[] = {
		{ "from", required_argument, NULL, FROM }, { "to", required_argument, NULL, TO },
		{ "device", required_argument, NULL, DEVICE },
		{ "rtt", required_argument, NULL, RTT },
		{}
	};
	struct delay_options o = {};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case FROM: o.from = optarg; break;
		case TO: o.to = optarg; break;
		case DEVICE: o.device = optarg; break;
		case RTT: o.rtt_ms = number(optarg); break;
		default: fputs(usage, stderr); return 2;
		}
	}
	if (!o.from || !o.to || !o.device || o.rtt_ms > 2000 || optind < argc)
		errx(2, "delay needs --from, --to, --device, --rtt of at most 2000, and no other words");
	return delay_main(&o);
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && !strcmp(argv[1], "receive"))
		return run_receive(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "send"))
		return run_send(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "delay"))
		return run_delay(argc - 1, argv + 1);
	fputs(usage, stderr);
	return 2;
}
