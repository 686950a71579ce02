# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# bench/peers.sh in an emulated machine, whose kernel has what this one's may not have: fq. An
# emulated processor is slow and stands still now and then, so that this compares, at low rates,
# and measures nothing.
#
#   make build-bench
#   VM_SECONDS=600 tests/vm/run 6.12 bench/guest.sh bench tests/lab.sh build/traffic build/podpace \
#           build/bench/edt.bpf.o
set -eu

mkdir -p /work/tests /work/build/bench
mv /work/lab.sh /work/tests/
mv /work/traffic /work/podpace /work/build/
mv /work/edt.bpf.o /work/build/bench/
bash /work/bench/peers.sh --seconds 8 --limiters "podpace tbf edt" \
	10M:1:cubic 10M:8:cubic 10M:8:bbr 50M:8:cubic
