# What people and CI run. Nothing but a Rust toolchain is needed; `setup` installs the rest on Debian and Ubuntu.

CARGO ?= cargo

.DEFAULT_GOAL := help
.PHONY: help
help: ## This list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

.PHONY: demo
demo: ## Replay the incidents on a throwaway PostgreSQL
	@tests/setup.sh postgresql
	@tests/setup.sh python || echo "going on without the Python clients"
	$(CARGO) build --release
	target/release/chronoguard demo

.PHONY: build
build: ## target/release/chronoguard
	$(CARGO) build --release

.PHONY: setup
setup: ## Install what the tests and the benchmark need
	@tests/setup.sh

.PHONY: test
test: setup lint test-rust test-majors test-oracle test-alerts ## Everything that CI runs

.PHONY: test-rust
# Not nextest: a fresh toolchain does not have it.
test-rust: ## Unit and integration tests, with throwaway PostgreSQL servers
	$(CARGO) test

.PHONY: test-majors
test-majors: ## The integration tests on PostgreSQL 18, and what depends most on the version on 14, 16 and 17
	@tests/setup.sh majors
	tests/majors/run.sh 18
	for major in 14 16 17; do tests/majors/run.sh $$major memory:: || exit 1; done

.PHONY: test-oracle
test-oracle: ## The SQL locator and the splice against PostgreSQL's own parser
	@tests/oracle/fetch.sh >target/oracle-fetch.log 2>&1 || { cat target/oracle-fetch.log; exit 1; }
	$(CARGO) test --package oracle

.PHONY: test-alerts
test-alerts: ## The Prometheus alerts
	cd deploy/prometheus && promtool check config prometheus.yml && promtool test rules chronoguard.test.yml

.PHONY: lint
lint: fmt-check clippy doc ## Formatting, clippy and documentation, with warnings denied

.PHONY: fmt
fmt: ## Format the code
	$(CARGO) fmt --all

.PHONY: fmt-check
fmt-check:
	$(CARGO) fmt --all --check

.PHONY: clippy
clippy:
	$(CARGO) clippy --workspace --all-targets -- -D warnings

.PHONY: doc
doc:
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" $(CARGO) doc --no-deps --document-private-items

.PHONY: bench
bench: ## Measure chronoguard beside other relays and in-database checks; BENCH="--quick" or "--long"
	@tests/setup.sh postgresql haproxy pgbouncer
	$(CARGO) build --release
	benches/bench.py $(BENCH)

.PHONY: bench-bulk
bench-bulk: ## Measure a bulk UPDATE under rules that need the row before it
	@tests/setup.sh postgresql
	$(CARGO) build --release
	benches/bulk.py
