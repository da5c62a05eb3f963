# Wayfare: the two commands of the README are `make demo` and `make test`.
#
# Each does all of its own set-up through .ci/setup (packages, Rust, the peers to test against),
# says what it installs and may be repeated. Neither needs root where the kernel allows user
# namespaces. HEADLESS=1 plays the demo as a pass/fail check.
SHELL = /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo test lint fuzz bench bench-quick bench-build bench-vrrp bench-vrrp-quick \
	bench-kubernetes bench-kubernetes-quick simulate peers setup bench-check bench-micro

export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH):/usr/sbin:/sbin
FUZZ_SECONDS ?= 300

help:
	@echo "make demo            routers, nodes and a control plane, live in this terminal (q quits)"
	@echo "make demo HEADLESS=1 the same as pass/fail with the measured figures"
	@echo "make test            formatting, lints, every test, against real routers too"
	@echo "make lint            formatting and lints alone"
	@echo "make fuzz            every fuzz target for FUZZ_SECONDS=$(FUZZ_SECONDS) (cargo-fuzz)"
	@echo "make bench-micro     what each part of the core costs, in ns per prefix"
	@echo "make bench-check     instructions of the core path against the baseline (BLESS=1: new one)"
	@echo "make bench           the benchmark: this and five other daemons, full sizes, medians of 5"
	@echo "make bench-quick     the same at a tenth of the size, one run of each, 3 minutes"
	@echo "                     BENCH='--shape s1,s3 --daemon wayfare,bird2 --runs 3' narrows it"
	@echo "make bench-vrrp      virtual addresses: this, keepalived and FRR, medians of 5"
	@echo "make bench-vrrp-quick the same at 100 ms, without FRR, one run of each, 3 minutes"
	@echo "                     BENCH='--case crash,stop --daemon wayfare --runs 3' narrows it"
	@echo "make bench-kubernetes announcements from Kubernetes: events, memory, start, an outage; 14 minutes"
	@echo "make bench-kubernetes-quick the same with an outage of 20 s, 2 minutes"
	@echo "make simulate        300 nodes from mesh to reflectors and back, in one process, optimised"
	@echo "make peers           build the peers' root directory"

setup:
	@.ci/setup

demo:
	@.ci/setup --no-nextest
	@.ci/with cargo build --quiet --bins -p bgpd -p vrrpd -p cli -p interop
	@target/debug/wayfare-demo $(if $(HEADLESS),--headless)

test: setup
	@.ci/test

lint:
	@.ci/with cargo fmt --all --check
	@.ci/with cargo clippy --workspace --all-targets -- -D warnings

fuzz:
	@.ci/fuzz $(FUZZ_SECONDS)

bench-micro:
	@.ci/setup --bench
	@.ci/bench-micro

bench-check:
	@.ci/setup --bench
	@BLESS=$(BLESS) .ci/bench-check

bench-build:
	@.ci/setup --no-nextest
	@.ci/with cargo build --release --quiet --bins -p bgpd -p vrrpd -p cli -p interop

bench: bench-build
	@target/release/bgp-load $(BENCH)

QUICK = --scale 10 --runs 1 --limit 12 --json target/bench-quick.json \
	--shape s1,s2,s3,s4-500,s4-500-spread,s5

bench-quick: bench-build
	@target/release/bgp-load $(QUICK) $(BENCH)

bench-vrrp: bench-build
	@target/release/vrrp-load $(BENCH)

VRRP_QUICK = --runs 1 --interval 100 --daemon wayfare,keepalived --json target/bench-vrrp-quick.json \
	--case return,restart,stop,crash,link,port,kill,hang,flood-10000,scale-255

bench-vrrp-quick: bench-build
	@target/release/vrrp-load $(VRRP_QUICK) $(BENCH)

bench-kubernetes: bench-build
	@target/release/kubernetes-load $(BENCH)

KUBERNETES_QUICK = --events 300 --starts 2 --away 20 --json target/bench-kubernetes-quick.json

bench-kubernetes-quick: bench-build
	@target/release/kubernetes-load $(KUBERNETES_QUICK) $(BENCH)

simulate:
	@.ci/setup --no-nextest
	@.ci/with cargo test --release -p wayfare-tests --test reflectors -- --nocapture three

peers:
	@interop/images/mkpeers.sh
