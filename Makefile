# Set-up and the main jobs; `make help` lists them. Needs python3 (3.11 to 3.13, with venv) and make; everything else
# goes into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
.DEFAULT_GOAL := run
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Wheels only: a source distribution would fetch its build backend without a hash.
LOCKED := --only-binary :all: --require-hashes --requirement requirements.lock
GRAMMAR := stock_assets_tests/grammar

.PHONY: help run dev report dashboards test test-slow test-backends test-daemon test-browser ministack test-ministack test-trino test-grammar test-aws clean-aws lint types validate check lock bench clean

## help: list the targets (`make` alone is `make run`)
help:
	@sed -n 's/^## \([^:]*\): /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r target does; do \
		printf '%-16s %s\n' "$$target" "$$does"; done

## run: fetch, stage, audit and publish the last recorded year, then show it
run: $(READY)
	$(BIN)/stock-assets backfill 2012-03-01 2013-03-01

## dev: open the Dagster UI on http://localhost:3000
dev: $(READY)
	$(BIN)/stock-assets ui

## report: draw what is published into one HTML file, and print its path
report: $(READY)
	$(BIN)/stock-assets report

## dashboards: generate the Grafana dashboards and alert rules
dashboards: $(READY)
	$(BIN)/python -m infra.grafana.generate

## test: the test suite, without the long races and kills, the daemon and the browser
test: $(READY)
	$(BIN)/pytest -m "not slow and not daemon and not browser and not ministack and not trino"

## test-slow: kills, races and long random histories
test-slow: $(READY)
	$(BIN)/pytest -m "slow and not trino" --ignore stock_assets_tests/contracts --ignore stock_assets_tests/backends

## test-backends: the same of the backends, and the contracts of all backends on the double of AWS
test-backends: $(READY)
	$(BIN)/pytest -m "slow and not trino" stock_assets_tests/contracts stock_assets_tests/backends

## test-daemon: Dagster's real daemon, killed in every step, and large backfills and deliveries through it
test-daemon: $(READY)
	$(BIN)/pytest -m "daemon and not slow"

## test-trino: every statement on a real Trino server, got once through Maven; skipped where it cannot be had
test-trino: $(READY)
	$(BIN)/pytest -m trino

## test-browser: the Dagster UI and the report in Chromium; skipped where it is not installed
test-browser: $(READY)
	$(BIN)/pytest -m "browser and not slow"

## ministack: an emulator of AWS, in an environment of its own, since it pins what it shares with us
MINISTACK := .venv-ministack
MINISTACK_LOCK := stock_assets_tests/support/ministack.lock
ministack: $(MINISTACK)/.ready
$(MINISTACK)/.ready: $(MINISTACK_LOCK)
	$(PYTHON) -m venv $(MINISTACK)
	$(MINISTACK)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $(MINISTACK_LOCK)
	@touch $@

## test-ministack: objects, ledger, budget, secret, topic and logs of the aws backend on that emulator
test-ministack: $(READY) $(MINISTACK)/.ready
	$(BIN)/pytest -m ministack

## test-aws: the suite of the aws backend on the account that STOCK_ASSETS_TEST_AWS_* name; it removes what it made
test-aws: $(READY)
	@$(BIN)/python -m stock_assets_tests.support.aws_account check
	$(BIN)/pytest -m aws stock_assets_tests/contracts

## clean-aws: list what killed runs left in that account; with RUN=<name>, or RUN=all, remove it
clean-aws: $(READY)
	@$(BIN)/python -m stock_assets_tests.support.aws_account clean $(RUN)

## test-grammar: what is sent to Athena, in the eyes of an independent grammar; needs Node and npm
test-grammar: $(READY) $(GRAMMAR)/node_modules/.package-lock.json
	$(BIN)/pytest -m grammar

## lint: ruff, rules and format
lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

## types: mypy, strict
types: $(READY)
	$(BIN)/mypy

## validate: Dagster loads the definitions with nothing set
validate: $(READY)
	env -i PATH="$$PATH" $(BIN)/dagster definitions validate

## bench: the benchmarks
bench: $(READY)
	$(BIN)/python -m benchmarks.daily_load
	$(BIN)/python -m benchmarks.long_backfill
	$(BIN)/python -m benchmarks.report

## check: lint, types, test and validate
check: lint types test validate

## lock: pin what pyproject.toml asks for, for all supported Python versions
lock:
	$(PYTHON) -m venv $(VENV)
	$(PIP) --only-binary :all: uv
	$(BIN)/uv pip compile --quiet pyproject.toml --universal --python-version 3.11 --extra recorded --group dev \
		--generate-hashes --no-header --no-emit-index-url --no-annotate --no-strip-extras --output-file requirements.lock
	echo 'ministack>=1.5.33,<1.6' | $(BIN)/uv pip compile --quiet - --universal --python-version 3.11 \
		--generate-hashes --no-header --no-emit-index-url --no-annotate --output-file $(MINISTACK_LOCK)

## clean: remove what make set up, and the data
clean:
	rm -rf $(VENV) $(MINISTACK) $(GRAMMAR)/node_modules data

$(GRAMMAR)/node_modules/.package-lock.json: $(GRAMMAR)/package-lock.json
	cd $(GRAMMAR) && npm ci
	@touch $@

$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else "Python 3.11 to 3.13 is needed, this is %d.%d; set PYTHON=..." % v)'
	$(PYTHON) -m venv $(VENV)
# uv takes a fraction of pip's time; pip does it where uv cannot be installed or, not knowing pip's settings, finds no index.
	$(PIP) --only-binary :all: uv && $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode $(LOCKED) \
		|| $(PIP) $(LOCKED)
# The build backend is in the lock; isolated, it would be fetched without a hash.
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@
