#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What watches of pods that rules name cost the API server, by simulation: a markdown table.

A cluster is made up: namespaces of very different sizes, in them workloads, whose names, the values
of one label, are shared between namespaces as "redis" is. Nodes have pods of random workloads. Some
nodes have rules, and follow what these select. Then workloads are rolled out, pod by pod, and each
event of each pod is handed to the watches that the API server would hand it to (apiserver's
pkg/storage/cacher/cacher.go, startDispatching): those of one field, spec.nodeName, by an index;
those of the pod's namespace; and all that are not of a namespace, whatever labels they ask for. Each
of these looks at the event; those whose labels match are sent it. A streamed list looks at all pods
of the cluster, whatever it asks for, and sorts them (watch_cache_interval.go,
newCacheIntervalFromStore: 1.36.4); a plain one at those of its namespace, or of its node by index.

An event's size and the number of events of a pod's life, from its creation to its end, were measured
on the lab, Kubernetes 1.36: 11 events of 7.2 kB for a pod of one container, 14 of 10.2 kB for one
with an init container, a sidecar and probes.
"""
import argparse
import bisect
import collections
import itertools
import random

DESIGNS = {
    "namespace": "pods of a namespace, by labels",
    "cluster": "of all namespaces, by labels",
    "everything": "of all namespaces, all",
    "naive": "every node all pods, rules or not",
}


class Cluster:
    """workloads[i] is (namespace, label, pods); nodes[i] the set of workloads with pods there."""

    def __init__(self, o, rnd):
        spaces = Zipf(o.namespaces, 0.9)
        labels = Zipf(o.names, 0.9)
        self.workloads = []
        self.pods_of_space = collections.Counter()
        self.pods_of_label = collections.Counter()
        self.pods_of_both = collections.Counter()
        left = o.pods
        while left:
            pods = min(left, 1 + int(rnd.expovariate(1 / (o.replicas - 0.5))))
            space, label = spaces.draw(rnd), labels.draw(rnd)
            self.workloads.append((space, label, pods))
            self.pods_of_space[space] += pods
            self.pods_of_label[label] += pods
            self.pods_of_both[space, label] += pods
            left -= pods
        self.of_space = collections.defaultdict(list)
        for space, label, pods in self.workloads:
            self.of_space[space].append(label)
        self.nodes = [set() for _ in range(o.nodes)]
        for i, (_, _, pods) in enumerate(self.workloads):
            for _ in range(pods):
                rnd.choice(self.nodes).add(i)


class Zipf:
    """The n-th of them is n ** -power as likely as the first."""

    def __init__(self, n, power):
        self.sums = list(itertools.accumulate((i + 1) ** -power for i in range(n)))

    def draw(self, rnd):
        return bisect.bisect(self.sums, rnd.random() * self.sums[-1])


class Watches:
    """How many watches there are of each query: a namespace or None, a label or None."""

    def __init__(self, o, cluster, design, share, selectors, rnd):
        self.queries = collections.Counter()
        self.worst = 0
        for node in cluster.nodes:
            own = [cluster.workloads[i] for i in sorted(node)]
            if design == "naive":
                wanted = {(None, None)}
            elif not own or rnd.random() >= share:
                continue
            elif design == "everything":
                wanted = {(None, None)}
            else:
                wanted = set()
                for _ in range(selectors):
                    # a peer is another workload of the same namespace
                    space = rnd.choice(own)[0]
                    label = rnd.choice(cluster.of_space[space])
                    wanted.add((space if design == "namespace" else None, label))
            self.queries.update(wanted)
            self.worst = max(self.worst, sum(pods(cluster, q) for q in wanted))
        self.streams = sum(self.queries.values())
        self.of_space = collections.Counter()
        for (space, _), n in self.queries.items():
            self.of_space[space] += n

    def of(self, space, label):
        """How many look at an event of such a pod, and how many are sent it."""
        looking = self.of_space[space] + self.of_space[None]
        sent = sum(self.queries[q] for q in
                   ((space, label), (None, label), (space, None), (None, None)))
        return looking, sent

    def first_lists(self, cluster, everything):
        """If all watches begin, pods looked at by streamed lists, by plain ones, and sent."""
        plain = sent = 0
        for (space, label), n in self.queries.items():
            plain += n * (everything if space is None else cluster.pods_of_space[space])
            sent += n * pods(cluster, (space, label))
        return self.streams * everything, plain, sent


def pods(cluster, query):
    space, label = query
    if space is None and label is None:
        return sum(cluster.pods_of_space.values())
    if space is None:
        return cluster.pods_of_label[label]
    return cluster.pods_of_both[query]


def churn(o, cluster, watches, rate, rnd):
    """Events looked at and sent a second, and sent in the worst second."""
    looked, sent = collections.Counter(), collections.Counter()
    done = 0
    while done < rate * o.seconds:
        space, label, n = rnd.choice(cluster.workloads)
        looking, to = watches.of(space, label)
        begin = rnd.random() * o.seconds
        for _ in range(n):
            # one pod goes and another comes, somewhere in the rollout; its events take seconds
            at = begin + rnd.random() * o.rollout
            for _ in range(o.events):
                second = int(at + rnd.random() * 20) % o.seconds
                looked[second] += looking
                sent[second] += to
        done += n
    return sum(looked.values()) / o.seconds, sum(sent.values()) / o.seconds, max(sent.values())


def number(x):
    """Two digits; a thousand is k, a million M."""
    x = float(f"{x:.2g}")
    for limit, divisor, unit in ((1e4, 1, ""), (1e6, 1e3, " k"), (1e99, 1e6, " M")):
        if x < limit:
            return f"{x / divisor:.4g}{unit}"


def size(x):
    x = float(f"{x:.2g}")
    return f"{x / 1e6:g} MB" if x < 1e9 else f"{x / 1e9:g} GB"


def row(o, cluster, name, design, share, selectors):
    rnd = random.Random(o.seed)
    watches = Watches(o, cluster, design, share, selectors, rnd)
    streamed, plain, sent = watches.first_lists(cluster, o.pods)
    cells = [name, number(watches.streams)]
    runs = [churn(o, cluster, watches, rate, random.Random(o.seed)) for rate in o.churn]
    cells += ["; ".join(number(r[0]) for r in runs)]
    cells += ["; ".join(f"{number(r[1])} ({number(r[2])})" for r in runs)]
    cells += ["; ".join(size(r[1] * o.bytes) for r in runs)]
    seconds = o.restart * 60
    cells += [f"{number(streamed / seconds)}; {number(plain / seconds)}", size(sent * o.bytes / seconds)]
    cells += [f"{number(watches.worst)}, {size(watches.worst * o.kept)}"]
    return cells


def own(o):
    """The watch that each agent has of its own node's pods, by the index."""
    events = [rate * o.events for rate in o.churn]
    return ["no rules: the node's own pods", number(o.nodes), "; ".join(map(number, events)),
            "; ".join(map(number, events)),
            "; ".join(size(e * o.bytes) for e in events),
            f"{number(o.nodes * o.pods / o.restart / 60)}; {number(o.pods / o.restart / 60)}",
            size(o.pods * o.bytes / o.restart / 60),
            f"{number(o.pods / o.nodes)}, {size(o.pods / o.nodes * o.kept)}"]


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--nodes", type=int, default=5000)
    p.add_argument("--pods", type=int, default=100000)
    p.add_argument("--namespaces", type=int, default=500)
    p.add_argument("--names", type=int, default=2000, help="values of the label")
    p.add_argument("--replicas", type=int, default=8, help="pods of a workload, on average")
    p.add_argument("--churn", type=float, nargs="+", default=[20, 100],
                   help="pods that are replaced each second")
    p.add_argument("--events", type=int, default=12, help="of a pod's life")
    p.add_argument("--bytes", type=int, default=8500, help="of an event")
    p.add_argument("--rollout", type=float, default=60, help="seconds that one takes")
    p.add_argument("--seconds", type=int, default=600, help="that are simulated")
    p.add_argument("--restart", type=float, default=10, help="minutes in which all agents start")
    p.add_argument("--share", type=float, nargs="+", default=[0.1, 1],
                   help="of the nodes, which have rules")
    p.add_argument("--selectors", type=int, nargs="+", default=[3, 10], help="on such a node")
    p.add_argument("--kept", type=int, default=466, help="bytes that an agent keeps of a pod")
    p.add_argument("--seed", type=int, default=1)
    o = p.parse_args()
    cluster = Cluster(o, random.Random(o.seed))
    rates = "; ".join(number(r) for r in o.churn)
    head = ["what is followed", "watches", f"events looked at/s, at {rates} pods/s",
            "sent/s (in the worst second)", "bytes/s", "while all start: pods looked at/s by streamed; plain lists",
            "bytes/s", "pods of an agent at most"]
    rows = [own(o)]
    for design in ("namespace", "cluster"):
        for share in o.share:
            for selectors in o.selectors:
                name = f"{DESIGNS[design]}: {selectors} on {share:.0%} of nodes"
                rows.append(row(o, cluster, name, design, share, selectors))
    for share in o.share:
        if share < 1:
            rows.append(row(o, cluster, f"{DESIGNS['everything']}: on {share:.0%}", "everything",
                            share, 1))
    rows.append(row(o, cluster, DESIGNS["naive"], "naive", 1, 1))
    for cells in [head, ["---"] * len(head)] + rows:
        print("| " + " | ".join(cells) + " |")


main()
