// SPDX-License-Identifier: Apache-2.0
// Feeds any bytes to the reader of the option, as the kernel program hands them over: a buffer of
// 18 bytes and the length that TCP found. What is accepted is written again to the same bytes.

#include "base/base.h"
#include "bpf/wire.h"

#define ROOM PP_WIRE_ROOM

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* assert() would depend on NDEBUG. */
static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check(const uint8_t *o, uint32_t len)
{
	const struct pp_wire was = { .identity = 1, .rate = 2, .hello = 3 };
	struct pp_wire w = was, again = was;
	uint8_t back[ROOM];

	if (pp_wire_read(o, len, &w)) {
		must(w.identity == was.identity && w.rate == was.rate && w.hello == was.hello);
		return;
	}
	must(w.hello <= 1 && (w.hello || (w.rate && !w.identity && !w.port)));
	must(pp_wire_write(back, &w) == len && memcmp(back, o, len) == 0);
	must(pp_wire_read(back, len, &again) == 0);
	must(again.identity == w.identity && again.rate == w.rate && again.hello == w.hello &&
	     again.port == w.port);
}

/* The first byte is the length, the rest the bytes of the option. */
static void check_option(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *o =
		calloc(1, ROOM); /* of its own, so that its bounds are watched */
	size_t n = size - 1 < ROOM ? size - 1 : ROOM;

	must(o != NULL);
	memcpy(o, data + 1, n);
	check(o, data[0]);
	check(o, o[1]);
	check(o, size > UINT32_MAX ? 0 : size - 1);
}

static void check_rate(const uint8_t *data, size_t size)
{
	uint64_t rate = 0, back;

	memcpy(&rate, data, size < sizeof(rate) ? size : sizeof(rate));
	back = pp_wire_unpack(pp_wire_pack(rate));
	if (rate > PP_WIRE_RATE_MAX)
		must(back == ~0ULL);
	else if (rate)
		must(back && back <= rate && rate - back <= rate / 2048);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size)
		check_option(data, size);
	check_rate(data, size);
	return 0;
}
