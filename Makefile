# podpace: the one build file. All output goes to build/. See CONTRIBUTING.md.
#
#   make            the command, build/podpace
#   make demo       build, then show a limit at work between three pods of this machine (root)
#   make test       everything that needs no Kubernetes: lint, unit, sim, fuzz, bpf, netns, vm (root)
#   make install    to $(DESTDIR)$(PREFIX)

VERSION := 0.1.0
PREFIX ?= /usr/local
B := build

CC ?= gcc
CLANG ?= clang
BPFTOOL ?= $(shell command -v bpftool || echo /usr/sbin/bpftool)
LIBS := libbpf jansson

WARN := -Wall -Wextra -Werror
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu17 $(WARN) $(CFLAGS) -Isrc -I$(B) -DPP_VERSION='"$(VERSION)"' $(shell pkg-config --cflags $(LIBS))
LDLIBS = $(shell pkg-config --libs $(LIBS))
# UAPI headers include asm/types.h, which lives in a directory of the machine's architecture
BPF_CFLAGS := -std=gnu17 -O2 -g $(WARN) -Wno-unused-parameter -target bpf -mcpu=v3 -I/usr/include/$(shell $(CC) -print-multiarch)

SRCS := $(wildcard src/base/*.c src/kernel/*.c src/cli/*.c)
OBJS := $(SRCS:%.c=$(B)/%.o)

all: $(B)/podpace

$(B)/podpace: $(OBJS)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/%.o: %.c | deps
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/src/kernel/datapath.o: $(B)/podpace.skel.h

$(B)/podpace.bpf.o: $(wildcard src/bpf/*) | deps
	@mkdir -p $(@D)
	$(CLANG) $(BPF_CFLAGS) -c -o $@ src/bpf/podpace.bpf.c > $(B)/clang.log 2>&1 || { head -40 $(B)/clang.log; false; }

$(B)/podpace.skel.h: $(B)/podpace.bpf.o
	$(BPFTOOL) gen skeleton $< name podpace_bpf > $@.tmp
	mv $@.tmp $@

$(B)/traffic: $(wildcard tests/traffic/*.c tests/traffic/*.h) | deps
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -O2 -g $(WARN) -o $@ tests/traffic/*.c -ljansson -lpthread

# installs what is missing on Debian and Ubuntu, and names it elsewhere; once per tree
deps: $(B)/.deps
$(B)/.deps: tools/deps
	@mkdir -p $(@D)
	tools/deps
	@touch $@

clean:
	rm -rf $(B)

.PHONY: all deps clean
-include $(OBJS:.o=.d)
