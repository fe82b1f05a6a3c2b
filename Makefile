# The two commands are `make run` and `make test`; `make` alone lists the rest.

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# Where rustup and Debian put programs that a plain user's PATH may not have.
export PATH := $(HOME)/.cargo/bin:$(PATH):/usr/sbin:/sbin
export CARGO_TARGET_DIR ?= $(CURDIR)/target

IMAGE ?= qemu-bmc:latest
FUZZ_SECONDS ?= 60
MUSL := x86_64-unknown-linux-musl

.PHONY: help run test lint guest image dist bench fuzz clean

help: ## This list
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

run: ## Build, and run a BMC with a guest on 127.0.0.1: IPMI on port 6230, VNC on 5900; Ctrl-C ends it
	@scripts/prepare build guest machine clients
	@scripts/run

test: ## Lints and all tests; what they need is installed, after asking
	@scripts/prepare build guest machine clients test
	@scripts/test

lint: ## Formatting, clippy and cargo deny only
	@scripts/prepare build test
	@scripts/test lint

guest: ## The demonstration and test guest, in target/guest
	@scripts/prepare build guest
	@tests/guest/build

image: ## The container image, qemu-bmc:latest
	docker build -t $(IMAGE) .

dist: ## The static release binary and its checksum, in target/dist
	@scripts/prepare build dist
	@scripts/dist $(MUSL)

bench: ## The measurements of bench/, as a table
	@scripts/prepare build guest machine clients test
	@tests/guest/build
	@bench/run

fuzz: ## Every fuzz target for FUZZ_SECONDS each (needs a nightly toolchain and cargo-fuzz)
	@cd fuzz && for target in $$(cargo +nightly fuzz list); do \
		cargo +nightly fuzz run "$$target" -- -max_total_time=$(FUZZ_SECONDS) || exit 1; done

clean: ## Remove everything that was built; target/ is all there is
	rm -rf target
