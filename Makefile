# A thin door to CMake. `make help` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PRESET ?= release
JOBS ?= $(shell nproc)

.PHONY: help setup build run test bench conformance check asan tsan clang format clean

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: ## Install what building needs (Debian packages; says which)
	@tools/install-build.sh

build: setup ## Build the one binary: build/release/taccola
	@cmake --preset $(PRESET) >build-$(PRESET).log 2>&1 || (cat build-$(PRESET).log; rm -f build-$(PRESET).log; exit 1); rm -f build-$(PRESET).log
	@cmake --build build/$(PRESET) --target taccola -j $(JOBS) -- --quiet

run: build ## Start a broker on 127.0.0.1:9092 with its data in ./data
	@exec build/release/taccola start --override log.dirs=$(CURDIR)/data

test: setup ## Build and run the tests
	@cmake --preset dev >build-dev.log 2>&1 || (cat build-dev.log; rm -f build-dev.log; exit 1); rm -f build-dev.log
	@cmake --build build/dev -j $(JOBS) -- --quiet
	@ctest --test-dir build/dev --output-on-failure -j $(JOBS)
	@tools/check

check: ## Layers, style and leftovers of the source
	@tools/check

bench: build ## CPU beside the ceiling probe of the same run; fails when it grew by half (all rows: bench/run)
	@cmake --build build/$(PRESET) -j $(JOBS) -- --quiet
	@bench/run --check --repeat 2 --seconds 0.4

conformance: build ## Real clients against the broker (LANES="kcat java" for some; see CONTRIBUTING.md)
	@test/conformance/run $(LANES)

asan tsan: setup ## The tests under AddressSanitizer and UBSan, or ThreadSanitizer
	@cmake --preset $@ >/dev/null && cmake --build build/$@ -j $(JOBS) -- --quiet
	@ctest --test-dir build/$@ --output-on-failure -j $(JOBS)

clang: setup ## Everything compiled by clang, warnings as errors
	@CC=clang cmake --preset dev -B build/clang >/dev/null && cmake --build build/clang -j $(JOBS) -- --quiet

format: ## clang-format on every source file
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean: ## Remove build/
	@rm -rf build
