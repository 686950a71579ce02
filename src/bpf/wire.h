/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Feedback on the wire (docs/wire.md): one TCP option of the experimental kind 254 with a 32-bit
 * experiment identifier (RFC 6994), which says who the sender of the segment is, at what rate the
 * other end may send to it, or both. Pure arithmetic on bytes: compiles natively too.
 */
#pragma once

#include "abi.h"

enum pp_wire_constants {
	PP_WIRE_KIND = 254,
	PP_WIRE_HEAD = 6,       /* kind, length, identifier */
	PP_WIRE_RATE_LEN = 8,   /* head, rate */
	PP_WIRE_HELLO_LEN = 14, /* head, identity */
	PP_WIRE_FULL_LEN = 16,  /* head, identity, rate */
	PP_WIRE_SERVED_LEN = 18, /* head, identity, rate or 0, port */
	PP_WIRE_ROOM = 18,
	PP_WIRE_NO_LIMIT = 0xffff,
};
#define PP_WIRE_EXID 0x9ace1b5dU
/* the highest rate that has a code, bytes/s: 35 Tbit/s; what is above has no limit */
#define PP_WIRE_RATE_MAX (4094ULL << 30)

/* What an option says. */
struct pp_wire {
	__u64 identity; /* first 64 bits of the pod's UID; 0: unknown */
	__u64 rate;     /* bytes/s that may be sent to it; ~0: no limit; 0: nothing said */
	__u32 hello;    /* it announces that it takes part, and its identity */
	__u32 port;     /* that was connected to, as it is where it was accepted; 0: not said */
};

/*
 * A rate as 16 bits, rounded down: exponent in the upper 5, mantissa in the lower 11, as in a
 * floating-point number with denormals. Exact up to 4095 bytes/s, within 1/2048 above. 0 is sent as
 * 1: there is no rate 0.
 */
static inline __u16 pp_wire_pack(__u64 rate)
{
	__u32 e = 0;

	if (rate > PP_WIRE_RATE_MAX)
		return PP_WIRE_NO_LIMIT;
	if (rate < 2048)
		return rate ? rate : 1;
	while (e < 31 && rate >> e > 4095)
		e++;
	return (e + 1) << 11 | ((rate >> e) & 2047);
}

static inline __u64 pp_wire_unpack(__u16 code)
{
	__u32 e = code >> 11, m = code & 2047;

	if (code == PP_WIRE_NO_LIMIT)
		return ~0ULL;
	return e ? (2048ULL + m) << (e - 1) : m;
}

static inline void pp_wire_head(__u8 *o, __u8 len)
{
	o[0] = PP_WIRE_KIND;
	o[1] = len;
	o[2] = PP_WIRE_EXID >> 24 & 255;
	o[3] = PP_WIRE_EXID >> 16 & 255;
	o[4] = PP_WIRE_EXID >> 8 & 255;
	o[5] = PP_WIRE_EXID & 255;
}

/* Writes the option into o, PP_WIRE_ROOM bytes. Returns its length; 0 where w says nothing. */
static inline __u32 pp_wire_write(__u8 *o, const struct pp_wire *w)
{
	__u16 code = w->rate ? pp_wire_pack(w->rate) : 0;
	__u32 len = code ? PP_WIRE_FULL_LEN : PP_WIRE_HELLO_LEN;

	if (!w->hello) {
		pp_wire_head(o, PP_WIRE_RATE_LEN);
		o[6] = code >> 8;
		o[7] = code & 255;
		return code ? PP_WIRE_RATE_LEN : 0;
	}
	if (w->port)
		len = PP_WIRE_SERVED_LEN;
	pp_wire_head(o, len);
	for (int i = 0; i < 8; i++)
		o[PP_WIRE_HEAD + i] = w->identity >> (56 - 8 * i) & 255;
	o[14] = code >> 8;
	o[15] = code & 255;
	o[16] = w->port >> 8 & 255;
	o[17] = w->port & 255;
	return len;
}

/* Is it one of ours, by its head? */
static inline int pp_wire_is(const __u8 *o, __u32 len)
{
	if (len != PP_WIRE_RATE_LEN && len != PP_WIRE_HELLO_LEN && len != PP_WIRE_FULL_LEN &&
	    len != PP_WIRE_SERVED_LEN)
		return 0;
	return o[0] == PP_WIRE_KIND && o[1] == len && o[2] == (PP_WIRE_EXID >> 24 & 255) &&
	       o[3] == (PP_WIRE_EXID >> 16 & 255) && o[4] == (PP_WIRE_EXID >> 8 & 255) &&
	       o[5] == (PP_WIRE_EXID & 255);
}

/*
 * Reads an option of len bytes at o, which has PP_WIRE_ROOM bytes whatever len is. 0, or -1 if it
 * is not one of ours, with *w untouched.
 */
static inline int pp_wire_read(const __u8 *o, __u32 len, struct pp_wire *w)
{
	__u16 code = 0, port = 0;
	__u64 id = 0;

	if (!pp_wire_is(o, len))
		return -1;
	if (len == PP_WIRE_RATE_LEN)
		code = o[6] << 8 | o[7];
	else if (len != PP_WIRE_HELLO_LEN)
		code = o[14] << 8 | o[15];
	/* there is no rate 0, nor a port: nobody writes them */
	if (!code && (len == PP_WIRE_RATE_LEN || len == PP_WIRE_FULL_LEN))
		return -1;
	if (len == PP_WIRE_SERVED_LEN) {
		port = o[16] << 8 | o[17];
		if (!port)
			return -1;
	}
	w->hello = len != PP_WIRE_RATE_LEN;
	w->rate = code ? pp_wire_unpack(code) : 0;
	w->port = port;
	if (w->hello)
		for (int i = 0; i < 8; i++)
			id = id << 8 | o[PP_WIRE_HEAD + i];
	w->identity = id;
	return 0;
}
