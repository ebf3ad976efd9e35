# One door to everything that is done here; `make` alone lists it.
# `make demo` and `make test` install what they lack from Debian's packages: run them as root.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c

TARGET := $(or $(CARGO_TARGET_DIR),target)
HOST   := $(shell rustc -vV | sed -n 's/^host: //p')
CORTEN := $(TARGET)/$(HOST)/release/corten
PIER   := $(TARGET)/$(HOST)/release/pier
COMMIT := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
TOOLS  := $(TARGET)/lint-tools/bin
PREFIX ?= /usr/local
ROUNDS ?= 40

.PHONY: help demo build test unit integration clients conformance lint bench man install clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 14

demo: ## build, then show both programs at work with busybox
	@scripts/setup build demo
	@$(MAKE) --no-print-directory build
	@scripts/demo $(CORTEN) $(PIER)

build: ## the release binaries, runtime and engine: each one static file
	CORTEN_COMMIT=$(COMMIT) cargo build --release --locked -p corten -p corten-engine
	@stat -c 'built %n, %s bytes' $(CORTEN) $(PIER)

test: ## install what the tests need, then run all of them
	@scripts/setup build test
	@scripts/setup vm || echo "no guest to test in: the tests will say which are passed over"
	@scripts/setup qemu || echo "no newer kernel to test on: the tests will say which are passed over"
	@$(MAKE) --no-print-directory build unit integration clients conformance

unit: ## tests beside the code, and the rules of the house
	tests/integration/on-tier host scripts/retest --locked --workspace --exclude corten-integration

integration: ## what a container sees and what a fault leaves, on every tier of this machine
	tests/integration/tiers

clients: build ## containerd, Docker and podman, with this runtime; pier beside them
	RUNTIME=$(CORTEN) PIER=$(abspath $(PIER)) tests/integration/clients/run
	tests/vm/podman $(CORTEN)
	tests/vm/containerd $(CORTEN)

conformance: build ## every MUST and SHOULD of the specification; RUNTIME_TOOLS=DIR adds that suite
	cargo build --locked -p corten-oci-conformance
	scripts/conformance $(TARGET)/$(HOST)/debug/oci-conformance $(CORTEN)

lint: ## format, clippy, rustdoc, scripts, spelling, dependencies
	@scripts/setup build lint $(TARGET)/lint-tools
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' cargo doc --locked --workspace --no-deps --document-private-items
	grep -rlE --exclude-dir=target --exclude-dir=.git -m1 '^#!.*\bb?a?sh$$' . | xargs shellcheck -x
	$(TOOLS)/typos
	$(TOOLS)/cargo-shear
	$(TOOLS)/cargo-deny --locked check licenses bans sources

bench: ## what a container costs, beside crun, runc, podman and the kernel's floor
	@scripts/setup build bench
	@$(MAKE) --no-print-directory build
	cargo build --release --locked -p corten-bench
	@scripts/bench $(TARGET)/$(HOST)/release/corten-bench $(CORTEN) $(PIER) $(ROUNDS)

man: ## write man pages and completions anew, from the definitions of the flags
	CORTEN_REGENERATE=1 cargo test --locked -q -p corten generated
	CORTEN_REGENERATE=1 cargo test --locked -q -p corten-engine --lib generated

install: build ## binaries, man pages and completions below PREFIX (/usr/local); DESTDIR is honoured
	install -D -m 755 $(CORTEN) $(DESTDIR)$(PREFIX)/bin/corten
	install -D -m 755 $(PIER) $(DESTDIR)$(PREFIX)/bin/pier
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man1 docs/man/*.1
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man8 docs/man/*.8
	install -D -m 644 contrib/systemd/pier.service $(DESTDIR)$(PREFIX)/lib/systemd/system/pier.service
	sed -i 's|/usr/local|$(PREFIX)|' $(DESTDIR)$(PREFIX)/lib/systemd/system/pier.service
	for of in runtime/completions:corten engine/completions:pier; do \
	    dir=$${of%:*} name=$${of#*:} share=$(DESTDIR)$(PREFIX)/share; \
	    install -D -m 644 $$dir/$$name.bash $$share/bash-completion/completions/$$name; \
	    install -D -m 644 $$dir/_$$name $$share/zsh/site-functions/_$$name; \
	    install -D -m 644 $$dir/$$name.fish $$share/fish/vendor_completions.d/$$name.fish; \
	done

clean: ## remove what was built
	cargo clean
