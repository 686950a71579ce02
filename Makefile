# podpace: the one build file. All output goes to build/. See CONTRIBUTING.md.
#
#   make            the command, build/podpace
#   make demo       build, then show a limit at work between three pods of this machine, and shares (root)
#   make test       everything that needs no Kubernetes: lint, unit, sim, fuzz, kube, bpf, netns, vm (root)
#   make unit       one layer alone; so are sim, fuzz, kube, bpf, netns, vm
#   make cluster    build a Kubernetes of two nodes, bring it up with podpace; make cluster-down (root)
#   make test-cluster   tests on it; see docs/cluster.md (root)
#   make bench      podpace beside what else limits bandwidth; writes build/bench (root; half an hour)
#   make install    to $(DESTDIR)$(PREFIX), also as kubectl's plugin, and a unit of systemd with an empty /etc/podpace

VERSION := 0.1.0
PREFIX ?= /usr/local
B := build

CC := gcc
CLANG := clang
BPFTOOL = $(shell PATH=$$PATH:/usr/sbin:/sbin command -v bpftool)
PKGS := libbpf jansson
KUBE_PKGS := libcurl yaml-0.1
AGENT_PKGS := libmicrohttpd

WARN := -Wall -Wextra -Werror
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu17 $(WARN) -Isrc -I$(B) -DPP_VERSION='"$(VERSION)"' $(shell pkg-config --cflags $(PKGS) $(KUBE_PKGS) $(AGENT_PKGS)) $(CFLAGS)
LDLIBS = $(shell pkg-config --libs $(PKGS))
KUBE_LIBS = $(shell pkg-config --libs $(KUBE_PKGS)) -ljansson
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g
# UAPI headers include asm/types.h, which lives in a directory of the machine's architecture
BPF_CFLAGS = -std=gnu17 -O2 -g $(WARN) -Wno-unused-parameter -target bpf -mcpu=v3 -I/usr/include/$(shell $(CC) -print-multiarch)

SRCS := $(wildcard src/base/*.c src/policy/*.c src/kernel/*.c src/kube/*.c src/agent/*.c src/cli/*.c)
OBJS := $(SRCS:%.c=$(B)/%.o)
BASE_SRCS := $(wildcard src/base/*.c)
POLICY_SRCS := $(BASE_SRCS) $(wildcard src/policy/*.c)
KUBE_SRCS := $(BASE_SRCS) $(wildcard src/kube/*.c)
# what of the agent needs neither a kernel of ours nor an API
AGENT_PURE := $(POLICY_SRCS) src/kernel/cgroup.c $(addprefix src/agent/,tree.c pods.c labeled.c peers.c notify.c confdir.c faultlog.c farpods.c)
# what of it speaks of objects, to the API alone
STATUS_SRCS := $(wildcard src/policy/*.c) src/agent/report.c src/agent/sums.c src/agent/leader.c
UNITS := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/unit/test_*.c))
FUZZERS := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/fuzz/fuzz_*.c))
KUBE_RIG := $(filter-out $(wildcard tests/kube/test_*.c) tests/kube/follow.c tests/kube/tell.c,$(wildcard tests/kube/*.c))
KUBE_TESTS := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/kube/test_*.c))
BPF_TESTS := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/bpf/test_*.c))
BPF_RIG := $(filter-out $(wildcard tests/bpf/test_*.c),$(wildcard tests/bpf/*.c))
LAYERS := unit sim fuzz kube bpf netns vm

all: $(B)/podpace

$(B)/podpace: $(OBJS)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) $(shell pkg-config --libs $(KUBE_PKGS) $(AGENT_PKGS))

$(B)/%.o: %.c $(B)/.deps
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/src/kernel/datapath.o: $(B)/podpace.skel.h

$(B)/podpace.bpf.o: $(wildcard src/bpf/*) $(B)/.deps
	@mkdir -p $(@D)
	$(CLANG) $(BPF_CFLAGS) -c -o $@ src/bpf/podpace.bpf.c > $(B)/clang.log 2>&1 || { head -40 $(B)/clang.log; false; }

$(B)/podpace.skel.h: $(B)/podpace.bpf.o
	$(BPFTOOL) gen skeleton $< name podpace_bpf > $@.tmp
	mv $@.tmp $@

# installs what is missing on Debian and Ubuntu, and names it elsewhere; once per tree
$(B)/.deps: tools/deps
	@mkdir -p $(@D)
	tools/deps
	@touch $@

$(B)/traffic: $(wildcard tests/traffic/*.c tests/traffic/*.h) $(B)/.deps
	$(CC) -std=gnu17 -O2 -g $(WARN) -o $@ tests/traffic/*.c -ljansson -lpthread

$(B)/overlay: tests/cluster/overlay.c $(B)/.deps
	$(CC) -std=gnu17 -O2 -g $(WARN) -o $@ $<

$(B)/tests/unit/%: tests/unit/%.c tests/tap.h $(BASE_SRCS) $(wildcard src/*/*.h) src/kernel/cgroup.c $(B)/.deps
	@mkdir -p $(@D)
	$(CC) -std=gnu17 $(WARN) $(SANITIZE) -Isrc -Itests -o $@ $< $(BASE_SRCS) src/kernel/cgroup.c -ljansson

$(B)/tests/fuzz/%: tests/fuzz/%.c $(BASE_SRCS) $(wildcard src/*/*.h) src/kernel/cgroup.c $(B)/.deps
	@mkdir -p $(@D)
	$(CLANG) -std=gnu17 $(WARN) -fsanitize=fuzzer,address,undefined -O1 -g -Isrc -o $@ $< $(BASE_SRCS) src/kernel/cgroup.c -ljansson

# the shorter stem wins: these are not built by the two rules above
$(B)/tests/unit/test_policy_%: tests/unit/test_policy_%.c tests/tap.h $(POLICY_SRCS) $(wildcard src/*/*.h) $(B)/.deps
	@mkdir -p $(@D)
	$(CC) -std=gnu17 $(WARN) $(SANITIZE) -Isrc -Itests -o $@ $< $(POLICY_SRCS) -ljansson -lyaml

$(B)/tests/fuzz/fuzz_policy_%: tests/fuzz/fuzz_policy_%.c $(POLICY_SRCS) $(wildcard src/*/*.h) $(B)/.deps
	@mkdir -p $(@D)
	$(CLANG) -std=gnu17 $(WARN) -fsanitize=fuzzer,address,undefined -O1 -g -Isrc -o $@ $< $(POLICY_SRCS) -ljansson -lyaml

$(B)/tests/unit/test_kube_%: tests/unit/test_kube_%.c tests/tap.h $(KUBE_SRCS) $(wildcard src/*/*.h) $(B)/.deps
	@mkdir -p $(@D)
	$(CC) -std=gnu17 $(WARN) $(SANITIZE) -Isrc -Itests -o $@ $< $(KUBE_SRCS) $(KUBE_LIBS)

$(B)/tests/unit/test_agent_%: tests/unit/test_agent_%.c tests/tap.h $(AGENT_PURE) $(wildcard src/*/*.h) $(B)/.deps
	@mkdir -p $(@D)
	$(CC) -std=gnu17 $(WARN) $(SANITIZE) -Isrc -Itests -o $@ $< $(AGENT_PURE) -ljansson -lyaml

$(B)/tests/fuzz/fuzz_kube_%: tests/fuzz/fuzz_kube_%.c $(KUBE_SRCS) $(wildcard src/*/*.h) $(B)/.deps
	@mkdir -p $(@D)
	$(CLANG) -std=gnu17 $(WARN) -fsanitize=fuzzer,address,undefined -O1 -g -Isrc -o $@ $< $(KUBE_SRCS) $(KUBE_LIBS)

$(B)/tests/kube/%: tests/kube/%.c $(wildcard tests/kube/*.[ch]) tests/tap.h $(KUBE_SRCS) $(wildcard src/*/*.h) $(B)/.deps
	@mkdir -p $(@D)
	$(CC) -std=gnu17 $(WARN) $(SANITIZE) -Isrc -Itests -o $@ $< $(KUBE_RIG) $(KUBE_SRCS) $(KUBE_LIBS) -lpthread

$(B)/tests/kube/test_cluster: tests/kube/test_cluster.c $(wildcard tests/kube/*.[ch]) tests/tap.h $(KUBE_SRCS) src/agent/peers.c src/agent/cluster.c $(wildcard src/*/*.h) $(B)/.deps
	@mkdir -p $(@D)
	$(CC) -std=gnu17 $(WARN) $(SANITIZE) -Isrc -Itests -o $@ $< $(KUBE_RIG) $(KUBE_SRCS) src/agent/peers.c src/agent/cluster.c $(KUBE_LIBS) -lpthread

OTHERS_SRCS := $(wildcard src/policy/*.c) $(addprefix src/agent/,pods.c farpods.c others.c)
$(B)/tests/kube/test_others: tests/kube/test_others.c $(wildcard tests/kube/*.[ch]) tests/tap.h $(KUBE_SRCS) $(OTHERS_SRCS) $(wildcard src/*/*.h) $(B)/.deps
	@mkdir -p $(@D)
	$(CC) -std=gnu17 $(WARN) $(SANITIZE) -Isrc -Itests -o $@ $< $(KUBE_RIG) $(KUBE_SRCS) $(OTHERS_SRCS) $(KUBE_LIBS) -lpthread

$(B)/tests/kube/test_report $(B)/tests/kube/test_leader: $(B)/tests/kube/%: tests/kube/%.c $(wildcard tests/kube/*.[ch]) tests/tap.h $(KUBE_SRCS) $(STATUS_SRCS) $(wildcard src/*/*.h) $(B)/.deps
	@mkdir -p $(@D)
	$(CC) -std=gnu17 $(WARN) $(SANITIZE) -Isrc -Itests -o $@ $< $(KUBE_RIG) $(KUBE_SRCS) $(STATUS_SRCS) $(KUBE_LIBS) -lpthread

$(B)/tests/unit/test_agent_sums: tests/unit/test_agent_sums.c tests/tap.h $(POLICY_SRCS) src/agent/sums.c $(wildcard src/*/*.h) $(B)/.deps
	@mkdir -p $(@D)
	$(CC) -std=gnu17 $(WARN) $(SANITIZE) -Isrc -Itests -o $@ $< $(POLICY_SRCS) src/agent/sums.c -ljansson -lyaml

$(B)/tests/follow: tests/kube/follow.c $(KUBE_SRCS:%.c=$(B)/%.o)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(KUBE_LIBS)

$(B)/tests/tell: tests/kube/tell.c $(KUBE_SRCS:%.c=$(B)/%.o) $(STATUS_SRCS:%.c=$(B)/%.o)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(KUBE_LIBS)

$(B)/tests/sim: $(wildcard tests/sim/*) $(wildcard src/bpf/*.h) tests/tap.h $(B)/.deps
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -O2 -g $(WARN) -Isrc -Itests -o $@ tests/sim/*.c -lm

$(B)/tests/bpf/%: tests/bpf/%.c $(wildcard tests/bpf/*) $(B)/podpace.skel.h tests/tap.h
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Itests -o $@ $< $(BPF_RIG) $(LDLIBS)

# user space's side of the maps: no rig, but the files that write them
KERNEL_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard src/base/*.c src/kernel/*.c))
$(B)/tests/bpf/test_slots $(B)/tests/bpf/test_wants $(B)/tests/bpf/test_parties: $(B)/tests/bpf/%: tests/bpf/%.c $(KERNEL_OBJS) tests/tap.h
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Itests -o $@ $< $(KERNEL_OBJS) $(LDLIBS)

$(B)/program $(B)/lookup: $(B)/%: bench/%.c $(wildcard tests/bpf/*) $(B)/podpace.skel.h
	$(CC) $(ALL_CFLAGS) -Itests -Itests/bpf -o $@ $< $(BPF_RIG) $(LDLIBS)

# the compiler of plans alone, with the command's own optimization
POLICY_OBJS := $(POLICY_SRCS:%.c=$(B)/%.o)
$(B)/compile: bench/compile.c $(POLICY_OBJS)
	$(CC) $(ALL_CFLAGS) -o $@ $< $(POLICY_OBJS) -ljansson -lyaml

# what pods of the whole cluster take of an agent
FARPODS_OBJS := $(POLICY_OBJS) $(patsubst %.c,$(B)/%.o,$(wildcard src/kube/*.c) src/agent/pods.c src/agent/farpods.c)
$(B)/others: bench/others.c $(FARPODS_OBJS)
	$(CC) $(ALL_CFLAGS) -o $@ $< $(FARPODS_OBJS) $(KUBE_LIBS)

$(B)/bench/%.bpf.o: bench/%.bpf.c $(B)/.deps
	@mkdir -p $(@D)
	$(CLANG) $(BPF_CFLAGS) -c -o $@ $<

build-bench: $(B)/podpace $(B)/traffic $(B)/compile $(B)/others $(B)/bench/naive.bpf.o $(B)/bench/edt.bpf.o

bench: build-bench
	bench/peers.sh
	bench/web.sh | tee $(B)/bench/web.md
	bench/unlimited.sh | tee $(B)/bench/unlimited.md
	$(B)/compile
	$(B)/others

$(B)/tests/pacing: tests/netns/pacing.c $(B)/.deps
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -O2 -g $(WARN) -o $@ $<

build-unit: $(UNITS) $(B)/podpace
build-sim: $(B)/tests/sim
build-fuzz: $(FUZZERS)
build-kube: $(KUBE_TESTS) $(B)/tests/follow $(B)/tests/tell
build-bpf: $(BPF_TESTS)
build-netns build-vm: $(B)/podpace $(B)/traffic $(B)/tests/pacing

$(LAYERS): %: build-%
	tests/run $@

lint: $(B)/.deps
	tools/lint

test: all lint $(LAYERS:%=build-%)
	tests/run $(LAYERS)

# the programs are built once, outside the tree; CLUSTER are options, such as --cni flannel
cluster: $(B)/podpace $(B)/traffic $(B)/overlay $(B)/podpace-image.tar
	tests/cluster/build
	tests/cluster/cluster up $(CLUSTER)
	tests/cluster/cluster import $(B)/podpace-image.tar
	tests/cluster/cluster k apply -k deploy/base
	tests/cluster/cluster k -n podpace-system rollout status daemonset/podpace --timeout=90s

cluster-down:
	tests/cluster/cluster down

$(B)/podpace-image.tar: $(B)/podpace deploy/image
	tools/deps image
	deploy/image $@

# the agent's container image, as an OCI archive
image: $(B)/podpace-image.tar

test-cluster: $(B)/podpace $(B)/traffic $(B)/overlay $(B)/tests/follow $(B)/tests/tell $(B)/podpace-image.tar
	tests/cluster/build
	tests/run cluster

demo: $(B)/podpace $(B)/traffic
	demo/run
	demo/tenants

install: all
	install -D -m 755 $(B)/podpace $(DESTDIR)$(PREFIX)/sbin/podpace
	install -d -m 755 $(DESTDIR)$(PREFIX)/bin
	ln -sf ../sbin/podpace $(DESTDIR)$(PREFIX)/bin/kubectl-podpace
	install -D -m 644 man/podpace.8 $(DESTDIR)$(PREFIX)/share/man/man8/podpace.8
	install -d -m 755 $(DESTDIR)/lib/systemd/system $(DESTDIR)/etc/podpace
	sed 's|/usr/local/sbin|$(PREFIX)/sbin|' deploy/podpace.service > $(DESTDIR)/lib/systemd/system/podpace.service
	chmod 644 $(DESTDIR)/lib/systemd/system/podpace.service

clean:
	rm -rf $(B)

.PHONY: all lint test bench build-bench cluster cluster-down test-cluster image demo install clean $(LAYERS) $(LAYERS:%=build-%)
.DELETE_ON_ERROR:
-include $(OBJS:.o=.d)
