# What people and CI run. Nothing but a Rust toolchain is needed; `setup` installs the rest on Debian and Ubuntu.

CARGO ?= cargo

.PHONY: demo
demo: ## Replay the incidents on a throwaway PostgreSQL
	@tests/setup.sh postgresql
	$(CARGO) build --release
	target/release/chronoguard demo

.PHONY: setup
setup: ## Install what the tests and the benchmark need
	@tests/setup.sh

.PHONY: test
test: setup ## All tests
	$(CARGO) test

.PHONY: bench
bench: ## Measure chronoguard beside other relays and in-database checks; BENCH="--quick" or "--long"
	@tests/setup.sh postgresql haproxy pgbouncer
	$(CARGO) build --release
	benches/bench.py $(BENCH)
