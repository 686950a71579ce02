#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns the JSON lines of bench/limit.sh into a markdown table, a row for N runs (table.py N).

Of a row's repetitions: the median of rate and round-trip time, the worst of everything else. Rates
are bytes of all IP packets that arrived, in percent of the limit. Round-trip times are those above
an unloaded probe's of the same repetition, which stands in brackets.
"""
import json
import statistics
import sys

COLUMNS = ("limiter", "limit", "flows", "cc", "IP", "MTU", "rate %", "worst 100 ms %",
           "first second %", "Jain", "retransmitted segments (bytes)", "RTT p50 us", "RTT p99 us")


def load(run):
    text = str(run["flows"])
    if run["idle"]:
        text += f" + {run['idle']} near-idle"
    if run["udp"]:
        text += f" + UDP {run['udp']}"
    if run["pods"] > 1:
        text = f"{run['pods']} pods, {text} each"
    return text


def limit(run):
    text = run["limit"]
    if run["in"]:
        text += " in, not told" if run["alone"] else " in"
    return text + (f", {run['rtt']} ms" if run["rtt"] else "")


def retransmitted(runs):
    """Data of the flows and the near-idle connections; handshakes are counted apart by traffic."""
    def worst(name):
        return max(r["send"][name] + r["send"].get("idle", {}).get(name, 0) for r in runs)

    failed = max(r["send"]["failed"] + r["send"]["probe"]["failed"] for r in runs)
    text = f"{worst('segs_retrans')} ({worst('bytes_retrans')})"
    probes = max(min(r["send"]["loss_probes"], r["send"]["segs_retrans"]) for r in runs)
    text += f", {probes} a tail loss probe" if probes else ""
    return text + (f", {failed} failed" if failed else "")


def rtt(runs, name):
    above = statistics.median(r["send"]["probe"][name] - r["base"][name] for r in runs)
    return f"{above:+.0f} ({statistics.median(r['base'][name] for r in runs):.0f})"


def row(runs):
    one = runs[0]
    percent = 100 / one["bps"]
    rate = statistics.median(r["receive"]["wire"]["rate_bps"] for r in runs) * percent
    worst = max(r["receive"]["wire"]["worst_100ms_bps"] for r in runs) * percent
    first = max(r["receive"]["wire"]["first_second_bytes"] for r in runs) * 8 * percent
    # The receiver samples every 10 ms; far apart, the machine was too busy for its 100 ms windows.
    gap = max(r["receive"]["sampling_gap_max_ms"] for r in runs)
    late = f" (sampled {gap:.0f} ms apart)" if gap > 30 else ""
    return (one["limiter"], limit(one), load(one), one["cc"], f"v{one['family']}", one["mtu"],
            f"{rate:.2f}", f"{worst:.1f}{late}", f"{first:.1f}",
            f"{min(r['receive']['jain'] for r in runs):.4f}", retransmitted(runs),
            rtt(runs, "p50_us"), rtt(runs, "p99_us"))


def line(cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def main():
    reps = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    runs = []
    line(COLUMNS)
    line("---" for _ in COLUMNS)
    for text in sys.stdin:
        runs.append(json.loads(text))
        if len(runs) == reps:
            line(row(runs))
            runs = []


main()
