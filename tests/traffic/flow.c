// SPDX-License-Identifier: Apache-2.0
/* What the receiver counts of each connection, and its report. */
#include <err.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "traffic.h"

void info_read(int fd, struct tcp_info *ret)
{
	socklen_t len = sizeof(*ret);

	/* A kernel older than our headers fills less: the rest stays zero. */
	memset(ret, 0, sizeof(*ret));
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, ret, &len))
		err(1, "TCP_INFO");
}

static int64_t window_from(const struct receiver *r)
{
	return r->first + (int64_t)(r->o.from * NS_PER_S);
}

static int64_t window_to(const struct receiver *r)
{
	return r->first + (int64_t)(r->o.to * NS_PER_S);
}

static double between(uint64_t a, uint64_t b, int64_t a_ns, int64_t b_ns, int64_t ns)
{
	return b_ns > a_ns ? a + (double)(b - a) * (ns - a_ns) / (b_ns - a_ns) : b;
}

static void note_stall(struct receiver *r, struct flow *f, int64_t now)
{
	int64_t begin = window_from(r), end = window_to(r);

	if (f->progress > begin)
		begin = f->progress;
	if (now < end)
		end = now;
	if (end - begin > f->stall)
		f->stall = end - begin;
}

/* Notes the flow's count where the measuring window opens and closes. */
static void note_window(struct receiver *r, struct flow *f, uint64_t bytes, int64_t now)
{
	int64_t from = window_from(r), to = window_to(r);
	int64_t before = r->sampled > f->opened ? r->sampled : f->opened;

	if (!f->passed_from && now >= from) {
		f->passed_from = true;
		f->at_from = f->opened >= from ? 0 : between(f->bytes, bytes, before, now, from);
	}
	if (!f->passed_to && now >= to) {
		f->passed_to = true;
		f->at_to = f->opened >= to ? 0 : between(f->bytes, bytes, before, now, to);
	}
}

/*
 * Every segment is counted with its headers, pure ACKs too: segs_in counts a GSO or GRO packet as
 * the segments it stands for. What is missing: the SYN, SACK blocks on the sender's ACKs, and the
 * payload of segments that arrive twice (bytes_received counts new data only); the sender reports
 * bytes_retrans.
 */
void flow_update(struct receiver *r, struct flow *f, int64_t now)
{
	struct tcp_info info;
	uint64_t bytes;
	int header;

	info_read(f->fd, &info);
	r->tcp_header = 20 + (info.tcpi_options & TCPI_OPT_TIMESTAMPS ? 12 : 0);
	header = f->ip_header + r->tcp_header;
	bytes = info.tcpi_bytes_received + (uint64_t)info.tcpi_segs_in * header;
	if (r->first) {
		note_window(r, f, bytes, now);
		if (bytes > f->bytes || !f->progress) {
			if (f->progress)
				note_stall(r, f, now);
			f->progress = now;
		}
	}
	r->total += bytes - f->bytes;
	if (f->role == ROLE_BULK)
		r->bulk_total += bytes - f->bytes;
	f->bytes = bytes;
	f->payload = info.tcpi_bytes_received;
}

static bool data_seen(const struct receiver *r)
{
	if (r->udp_datagrams)
		return true;
	for (size_t i = 0; i < r->flow_count; i++)
		if (r->flows[i]->role == ROLE_BULK && r->flows[i]->payload)
			return true;
	return false;
}

static void sample_curves(struct receiver *r, int64_t now)
{
	for (size_t i = 0; i < r->flow_count; i++) {
		struct flow *f = r->flows[i];
		size_t n = f->curve.count;

		if (f->role == ROLE_BULK &&
		    (!n || now - f->curve.points[n - 1].ns > 10 * SAMPLE_NS - SAMPLE_NS / 2))
			series_add(&f->curve, now, f->bytes);
	}
}

/*
 * Reads the counters of all connections. The first sample with data stands for the first data
 * byte.
 */
void receiver_sample(struct receiver *r, int64_t now)
{
	uint64_t total = r->total, bulk = r->bulk_total, wire = r->wire_total;
	uint64_t arrived;
	bool started = r->first;

	for (size_t i = 0; i < r->flow_count; i++)
		if (r->flows[i]->open)
			flow_update(r, r->flows[i], now);
	/* Its three files are not read at one instant: a few headers of error, never backwards. */
	arrived = wire_bytes(r->tcp_header);
	if (arrived > r->wire_total)
		r->wire_total = arrived;
	if (!r->first && data_seen(r)) {
		r->first = now;
		/* Windows that open with the first packet count it: the curve starts below it. */
		series_add(&r->wire, now, wire);
		series_add(&r->all, now, total);
		series_add(&r->bulk, now, bulk);
		series_add(&r->udp, now, 0);
	}
	if (r->first) {
		series_add(&r->wire, now, r->wire_total);
		series_add(&r->all, now, r->total + r->udp_bytes);
		series_add(&r->bulk, now, r->bulk_total);
		series_add(&r->udp, now, r->udp_bytes);
		if (started && now - r->sampled > r->sample_gap)
			r->sample_gap = now - r->sampled;
		if (r->o.series)
			sample_curves(r, now);
	}
	r->sampled = now;
}

static double seconds_of(const struct receiver *r, int64_t ns)
{
	return (double)(ns - r->first) / NS_PER_S;
}

static json_t *report_series(const struct receiver *r, const struct series *s, int64_t from,
			     int64_t to)
{
	int64_t width = 10 * SAMPLE_NS, worst_at, least_at;
	double bytes = series_at(s, to) - series_at(s, from);
	double first_second = series_at(s, r->first + NS_PER_S) - series_at(s, r->first);
	double worst, least;

	worst = series_window(s, r->first, INT64_MAX, width, false, &worst_at);
	least = series_window(s, r->first, to, NS_PER_S, true, &least_at);
	return json_pack("{s:I, s:f, s:I, s:f, s:f, s:f, s:f, s:I}",
			 "l3_bytes", (json_int_t)(bytes + 0.5),
			 "rate_bps", to > from ? bytes * 8 * NS_PER_S / (to - from) : 0.0,
			 "first_second_bytes",
			 (json_int_t)(first_second + 0.5),
			 "worst_100ms_bps", worst * 8 * NS_PER_S / width,
			 "worst_100ms_at", seconds_of(r, worst_at),
			 "least_1s_bps", least * 8, "least_1s_at", seconds_of(r, least_at),
			 "total_bytes",
			 (json_int_t)(series_at(s, INT64_MAX) - series_at(s, r->first)));
}

static json_t *curve_json(const struct receiver *r, const struct series *s, int64_t step)
{
	json_t *array = json_array();

	/* Bytes of each step, not cumulative: entry i from step i to i + 1 after the first byte. */
	for (int64_t t = r->first; s->count && t < s->points[s->count - 1].ns; t += step) {
		double bytes = series_at(s, t + step) - series_at(s, t);

		json_array_append_new(array, json_integer((json_int_t)(bytes + 0.5)));
	}
	return array;
}

static json_t *report_flows(struct receiver *r, int64_t to, json_t *report)
{
	json_t *array = json_array();
	double *shares = calloc(r->flow_count + 1, sizeof(*shares));
	int64_t stall = 0;
	size_t count = 0;

	if (!shares)
		err(1, "report");
	for (size_t i = 0; i < r->flow_count; i++) {
		struct flow *f = r->flows[i];
		json_t *o;

		if (f->role != ROLE_BULK)
			continue;
		note_stall(r, f, f->closed && f->closed < to ? f->closed : to);
		if (!f->passed_from)
			f->at_from = f->bytes;
		if (!f->passed_to)
			f->at_to = f->bytes;
		shares[count++] = f->at_to - f->at_from;
		if (f->stall > stall)
			stall = f->stall;
		o = json_pack("{s:s, s:i, s:I, s:I, s:I, s:f, s:f, s:f}", "peer", f->peer,
			      "port", f->port, "bytes", (json_int_t)f->bytes,
			      "payload", (json_int_t)f->payload,
			      "window_bytes", (json_int_t)(f->at_to - f->at_from + 0.5),
			      "stall_ms", (double)f->stall / NS_PER_MS,
			      "opened", seconds_of(r, f->opened),
			      "closed", seconds_of(r, f->closed ? f->closed : r->end));
		if (r->o.series)
			json_object_set_new(o, "series_100ms",
					    curve_json(r, &f->curve, 10 * SAMPLE_NS));
		json_array_append_new(array, o);
	}
	json_object_set_new(report, "jain", json_real(jain_index(shares, count)));
	json_object_set_new(report, "longest_stall_ms", json_real((double)stall / NS_PER_MS));
	json_object_set_new(report, "flow_count", json_integer(count));
	free(shares);
	return array;
}

static json_int_t udp_drops(const struct receiver *r)
{
	uint32_t memory[SK_MEMINFO_VARS] = {};
	socklen_t len = sizeof(memory);

	if (getsockopt(r->udp_fd, SOL_SOCKET, SO_MEMINFO, memory, &len))
		return -1;
	return memory[SK_MEMINFO_DROPS];
}

json_t *receiver_report(struct receiver *r)
{
	json_t *report = json_object(), *udp, *flows;
	int64_t from, to;

	if (!r->first)
		r->first = r->end;
	from = window_from(r);
	to = window_to(r);
	if (to > r->end)
		to = r->end;
	if (from > to)
		from = to;
	json_object_set_new(report, "from", json_real(seconds_of(r, from)));
	json_object_set_new(report, "to", json_real(seconds_of(r, to)));
	json_object_set_new(report, "ended", json_real(seconds_of(r, r->end)));
	json_object_set_new(report, "wire", report_series(r, &r->wire, from, to));
	json_object_set_new(report, "all", report_series(r, &r->all, from, to));
	json_object_set_new(report, "bulk", report_series(r, &r->bulk, from, to));
	udp = report_series(r, &r->udp, from, to);
	json_object_set_new(udp, "datagrams", json_integer(r->udp_datagrams));
	json_object_set_new(udp, "receiver_drops", json_integer(udp_drops(r)));
	json_object_set_new(report, "udp", udp);
	flows = report_flows(r, to, report);
	json_object_set_new(report, "sampling_gap_max_ms",
			    json_real((double)r->sample_gap / NS_PER_MS));
	json_object_set_new(report, "flows", flows);
	if (r->o.series) {
		json_object_set_new(report, "series_10ms", curve_json(r, &r->wire, SAMPLE_NS));
		json_object_set_new(report, "series_100ms",
				    curve_json(r, &r->wire, 10 * SAMPLE_NS));
		json_object_set_new(report, "udp_series_100ms",
				    curve_json(r, &r->udp, 10 * SAMPLE_NS));
	}
	return report;
}
