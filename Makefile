# Everything that a contributor runs. `make` alone says what there is.
#
# One build serves the demo, the tests and the Python module: plain `cargo build` in the dev profile, with the features
# that the workspace names. Only `make wheel` and the benchmarks build anything else. CARGO_TARGET_DIR is honoured.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
RUVECTOR := $(TARGET)/debug/ruvector
VENV := .venv
BIN := $(VENV)/bin
MODELS := .cache/models
MODEL := $(MODELS)/all-MiniLM-L6-v2

PYTHON_SOURCES := python/ruvector tests sql-examples engine/embed benches

BENCH_VENV := .venv-bench
BENCH_BIN := $(BENCH_VENV)/bin
BENCH_WHEELS := .cache/bench/wheels

# What `embed()` needs: the model, and ONNX Runtime from its Python package. The environment wins.
EMBED = RUVECTOR_MODELS_DIR="$${RUVECTOR_MODELS_DIR:-$(CURDIR)/$(MODELS)}" \
	ORT_DYLIB_PATH="$${ORT_DYLIB_PATH:-$$($(BIN)/python python/ruvector/_onnxruntime.py)}"

.PHONY: help
help: ## say what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

.PHONY: demo
demo: python model ## embed a corpus, index it and ask three questions, from a fresh checkout
	@$(EMBED) $(BIN)/python sql-examples/demo.py --ruvector $(RUVECTOR) --data .cache/demo

.PHONY: test
test: python model ## every test, Rust and Python
	$(EMBED) $(CARGO) test --locked --no-fail-fast
	$(EMBED) RUVECTOR=$(RUVECTOR) $(BIN)/python -m pytest -c python/pyproject.toml --rootdir . tests python/ruvector

# RUVECTOR_RANDOM_CASES is the number of random statements; half as many random changes are made. The two numbers of the Rust
# tests are for about ten minutes each in the dev profile. RUVECTOR_SEED is the first seed of those.
RUVECTOR_NESTED_STATEMENTS ?= 12000
RUVECTOR_DAMAGED_STREAMS ?= 2000000

.PHONY: test-long
test-long: python model ## the random tests at full length: statements, changes, nested statements, damaged Arrow data
	RUVECTOR_NESTED_STATEMENTS=$(RUVECTOR_NESTED_STATEMENTS) $(CARGO) test --locked --lib random_nested_statements
	RUVECTOR_DAMAGED_STREAMS=$(RUVECTOR_DAMAGED_STREAMS) $(CARGO) test --locked --lib damaged_streams_are_errors
	RUVECTOR_RANDOM_CASES="$${RUVECTOR_RANDOM_CASES:-6000}" RUVECTOR=$(RUVECTOR) $(BIN)/python -m pytest \
		-c python/pyproject.toml --rootdir . tests/test_random_sql.py tests/test_random_changes.py

# The Rust tests read the numbers of their random inputs from the environment.
.PHONY: test-hostile
test-hostile: python ## a server under hostile statements, 100,000 malformed messages and kill -9: figures and targets, 12 minutes
	RUVECTOR_MALFORMED_SEEDS="$${RUVECTOR_MALFORMED_SEEDS:-2500}" $(CARGO) test --locked --test it messages_that_are_no
	cd tests && RUVECTOR="$(abspath $(RUVECTOR))" $(abspath $(BIN))/python -m hostile

.PHONY: docs
docs: ## write docs/sql.md, the SQL reference, and the settings in docs/server.md from the code
	RUVECTOR_WRITE_DOCS=1 $(CARGO) test --locked --test examples the_reference_is_what_the_code_says
	RUVECTOR_WRITE_DOCS=1 $(CARGO) test --locked --lib the_page_of_the_server_has_every_setting

.PHONY: plans
plans: ## write the expected plans of sql-examples/plans again, to be read as a difference
	RUVECTOR_WRITE_PLANS=1 $(CARGO) test --locked --test examples plans_are_as_they_are_written

.PHONY: check
check: $(VENV)/stamp ## formatting, lints, types, documentation, licences
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --quiet
	$(BIN)/ruff format --check $(PYTHON_SOURCES)
	$(BIN)/ruff check $(PYTHON_SOURCES)
	$(BIN)/mypy --config-file python/pyproject.toml python/ruvector
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny --offline check bans licenses sources; \
		else echo "cargo-deny is not installed: licences are not checked"; fi

.PHONY: bench
bench: ## the inner loops, beside what the memory could do: a table (release profile)
	$(CARGO) bench --locked -p ruvector-benches

# FULL=1: a million vectors, hours. BUILD=1: only the builds of a million vectors. ARGS: see `python -m benches.index -h`.
# The peer is built for this very processor: it chooses no kernels by itself.
.PHONY: bench-index
bench-index: $(BENCH_VENV)/stamp ## ruvector's indexes beside faiss, hnswlib, usearch, LanceDB and turbovec: table and plots
	@$(BENCH_BIN)/python engine/embed/models/build_minilm.py --out $(MODEL)
	rm -rf $(BENCH_WHEELS)
	$(BENCH_BIN)/maturin build --release --locked --out $(BENCH_WHEELS) --manifest-path python/Cargo.toml
	RUSTFLAGS="-C target-cpu=native" $(BENCH_BIN)/maturin build --release --locked --out $(BENCH_WHEELS) \
		--target-dir $(TARGET)/bench-peer --manifest-path benches/peer/Cargo.toml
	$(BENCH_BIN)/pip install --quiet --disable-pip-version-check --no-index --no-deps --force-reinstall $(BENCH_WHEELS)/*.whl
	$(BENCH_BIN)/python -m benches.index $(if $(FULL),--full --minutes 0) $(if $(BUILD),--build) $(ARGS)

.PHONY: bench-lake
bench-lake: ## ruLake beside the index it caches: hits, primes, restarts, following (release profile, a million vectors)
	mkdir -p .cache
	$(CARGO) run --release --locked -p ruvector-bench-service --bin lake -- $(ARGS)

.PHONY: bench-sql
bench-sql: $(BENCH_VENV)/stamp ## what SQL costs beside the bare index, and search over Parquet beside DuckDB (release profile)
	$(CARGO) run --release --locked -p ruvector-bench-service --bin sql -- --python $(BENCH_BIN)/python $(ARGS)

.PHONY: bench-flight
bench-flight: $(BENCH_VENV)/stamp ## what the wire costs beside bare gRPC, arrow-flight, the Delta library and Sail (release profile)
	$(CARGO) run --release --locked -p ruvector-bench-service --bin flight -- --python $(BENCH_BIN)/python $(ARGS)

.PHONY: soak
soak: ## 256 clients at a server for five minutes: no error but a limit's, no growth of memory (release profile)
	$(CARGO) build --release --locked -p ruvector-cli --bin ruvector
	$(CARGO) run --release --locked -p ruvector-bench-service --bin soak -- --ruvector $(TARGET)/release/ruvector $(ARGS)

datafusion-cli: DATA ?= $(or $(patsubst %/,%,$(firstword $(wildcard .cache/demo/*/))),.cache/datafusion-cli)

# The DataFusion command line is a large program with features of its own: it is built by itself.
.PHONY: datafusion-cli
datafusion-cli: model ## DataFusion's own shell with knn() and embed() in it, over what `make demo` made, or DATA=folder
	$(CARGO) build --locked --manifest-path examples/datafusion-cli/Cargo.toml --target-dir $(TARGET)/datafusion-cli
	@$(EMBED) $(TARGET)/datafusion-cli/debug/ruvector-datafusion-cli $(DATA) $(ARGS)

# What the README shows is a run that was looked at: this puts it where it is kept.
.PHONY: bench-keep
bench-keep:
	mkdir -p benches/results && cp benches/out/*.json benches/out/*.md benches/out/*.png benches/results/

.PHONY: wheel
wheel: $(VENV)/stamp ## the wheels `ruvector` and `ruvector-sql` into dist/ (release profile)
	$(BIN)/maturin build --release --locked --out dist --manifest-path python/Cargo.toml
	cd python/sql && ../../$(BIN)/maturin build --release --locked --out ../../dist
	@ls -l dist/*.whl | awk '{ printf "%6.1f MB  %s\n", $$5 / 1e6, $$NF }'

.PHONY: clean
clean: ## remove everything that was built or downloaded
	$(CARGO) clean
	rm -rf $(VENV) $(BENCH_VENV) .cache dist benches/out tests/jdbc/target python/ruvector/_native.abi3.so

# The binary and the library of the Python module, in one build.
.PHONY: build
build:
	$(CARGO) build --locked

# Puts the module beside its Python sources. It is replaced only if it changed, and never in the middle of being read.
.PHONY: python
python: build $(VENV)/stamp
	@for library in $(TARGET)/debug/lib_native.so $(TARGET)/debug/lib_native.dylib; do \
		if [ -e "$$library" ] && ! cmp -s "$$library" python/ruvector/_native.abi3.so; then \
			cp "$$library" python/ruvector/_native.new && mv python/ruvector/_native.new python/ruvector/_native.abi3.so; \
		fi; \
	done

$(VENV)/stamp: requirements/dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	echo "$(CURDIR)/python" > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ruvector.pth"
	touch $@

$(BENCH_VENV)/stamp: requirements/bench.txt
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	touch $@

# The script leaves a complete folder alone.
.PHONY: model
model: $(VENV)/stamp
	@$(BIN)/python engine/embed/models/build_minilm.py --out $(MODEL)
